"""What came of the demo's requests, and how that is shown."""

from dataclasses import asdict, dataclass
from typing import assert_never

from command_service.orders.commands import CancelOrder, ConfirmOrder, OrderCommand, PlaceOrder, ShipOrder


@dataclass(slots=True)
class Tally:
    """Counts of answers; `repeated` are those that an earlier request with the same key had had already."""

    placed: int = 0
    confirmed: int = 0
    shipped: int = 0
    cancelled: int = 0
    repeated: int = 0
    refused: int = 0
    put_off: int = 0
    """Requests that were not answered, or with 503, and sent again."""

    def count(self, command: OrderCommand) -> None:
        """Count a command that took effect."""
        match command:
            case PlaceOrder():
                self.placed += 1
            case ConfirmOrder():
                self.confirmed += 1
            case ShipOrder():
                self.shipped += 1
            case CancelOrder():
                self.cancelled += 1
            case _:
                assert_never(command)

    def named(self) -> dict[str, int]:
        """Give every count with its name."""
        return {name.replace("_", " "): number for name, number in asdict(self).items()}

    def __str__(self) -> str:
        """Write all counts on one line."""
        return " · ".join(f"{number:,} {name}" for name, number in self.named().items())
