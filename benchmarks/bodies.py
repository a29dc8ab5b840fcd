"""What is sent, as JSON: one order of two lines with an address, and what is done with it after that."""

import json
from typing import Any

from benchmarks.load import Requests

ADDRESS: dict[str, Any] = {"recipient": "Aiko Tanaka", "line1": "1-2-3 Ginza", "city": "Tokyo", "postal_code": "104-0061", "country": "JP"}  # fmt: skip
ITEMS: list[dict[str, Any]] = [
    {"product_name": "Sencha", "quantity": 2, "unit_price": "12.50"},
    {"product_name": "Teapot", "quantity": 1, "unit_price": "48.00"},
]
ORDER: dict[str, Any] = {"customer_name": "Aiko Tanaka", "items": ITEMS, "shipping_address": ADDRESS}

JSON = {"Content-Type": "application/json"}
KEY = {"Idempotency-Key": "{key}"}


def placing(url: str, *more: str, tokens: list[str] | None = None) -> Requests:
    """Give the requests that place orders, each with an idempotency key of its own, and with a token if there are any."""
    return Requests(
        urls=(url, *more), path="/orders", headers={**JSON, **KEY}, body=json.dumps(ORDER), tokens=tuple(tokens or ())
    )
