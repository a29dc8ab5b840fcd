"""What an access token can allow about orders."""

from typing import Final

READ: Final = "orders:read"
WRITE: Final = "orders:write"
