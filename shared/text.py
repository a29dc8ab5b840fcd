"""Text as clients may send it."""

import re
import unicodedata

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
