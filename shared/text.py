"""Text as clients may send it."""

import re
import unicodedata
from typing import Final

_SPACE = r"[\s\x1c-\x1f\x85]*"
PATTERN: Final = rf"^{_SPACE}[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?{_SPACE}$"
"""What `clean_text` takes, for JSON Schema: something to see, no control character but in the space around it."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def clean_text(text: str, *, maximum: int) -> str:
    """NFC-normalise and trim.

    Raises `ValueError` if it then is empty, longer than `maximum` characters, or holds a control character or half of a surrogate pair.
    """
    if text.isascii() and text.isprintable():
        cleaned = text.strip(" ")
    else:
        cleaned = unicodedata.normalize("NFC", text).strip()
        if _CONTROL.search(cleaned):
            raise ValueError("must hold no control character and no lone surrogate")
    if not 1 <= len(cleaned) <= maximum:
        raise ValueError(f"must have 1 to {maximum} characters")
    return cleaned
