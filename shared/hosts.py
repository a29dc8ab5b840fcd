"""Which addresses only this machine reaches."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

import click


def is_loopback(host: str) -> bool:
    """Tell whether an address, or the name that always stands for it, is one of loopback."""
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def is_address(host: str) -> bool:
    """Tell whether it is an address, not a name."""
    return _address(host) is not None


def _address(host: str) -> IPv4Address | IPv6Address | None:
    with suppress(ValueError):
        address = ip_address(host.removeprefix("[").removesuffix("]").partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return mapped or address
    return None


def uvicorn_host() -> str | None:
    """Give the `--host` of uvicorn's command line, where that runs the service: an app is not told of it otherwise."""
    context = click.get_current_context(silent=True)
    return None if context is None or "host" not in context.params else str(context.params["host"])
