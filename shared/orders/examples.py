"""The order of the documents' examples; that of the README."""

from typing import Final

from pydantic import JsonValue

ORDER_ID: Final = "0199b7a4-7c00-7000-8000-000000000001"
CUSTOMER: Final = "Aiko Tanaka"
ITEM: Final[dict[str, JsonValue]] = {"product_name": "Sencha", "quantity": 2, "unit_price": "12.50"}
TOTAL: Final = "25.00"
ADDRESS: Final[dict[str, JsonValue]] = {
    "recipient": CUSTOMER,
    "line1": "1-2-3 Ginza",
    "line2": None,
    "city": "Tokyo",
    "postal_code": "104-0061",
    "country": "JP",
}
PLACED_AT: Final = "2026-01-02T03:04:05.678901Z"
CONFIRMED_AT: Final = "2026-01-02T03:20:00.000001Z"
SHIPPED_AT: Final = "2026-01-02T09:15:30.250000Z"
CURSOR: Final = (
    "An_S5GnTtMEeWyIyMDI2LTAxLTAyIDAzOjA0OjA1LjY3ODkwMSswMDowMCIsIjAxOTliN2E0LTdjMDAtNzAwMC04MDAwLTAwMDAwMDAwMDAwMSJd"
)
PLACED: Final[dict[str, JsonValue]] = {
    "customer_name": CUSTOMER,
    "items": [ITEM],
    "total_amount": TOTAL,
    "shipping_address": ADDRESS,
}
SHIPPED: Final[dict[str, JsonValue]] = {"carrier": "Yamato", "tracking_number": "1234-5678"}
REASON: Final = "The customer changed their mind."
