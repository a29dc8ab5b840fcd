"""What the two services are told of one another so that the dashboard, a page of one, may send commands to the other."""

import os
from collections.abc import Mapping
from ipaddress import ip_address

from daicho.services import Service

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def command_url(command: Service) -> Mapping[str, str]:
    """Give the query service's setting that names the command service, unless it is set."""
    return _unless_set("DAICHO_COMMAND_URL", command.url if _is_reachable(command) else "")


def cross_origin(query: Service) -> Mapping[str, str]:
    """Give the command service's setting that lets the query service's page in, unless it is set."""
    return _unless_set("DAICHO_CORS_ORIGINS", ",".join(_origins(query)) if _is_reachable(query) else "")


def _origins(query: Service) -> list[str]:
    """Give its origin; on loopback, which has several names, all of them."""
    host = query.url.removeprefix("http://").rpartition(":")[0]
    names = _LOOPBACK if host in _LOOPBACK else (host,)
    return [f"http://{name}:{query.port}" for name in names]


def _is_reachable(service: Service) -> bool:
    """Tell whether its address is one to go to: the address of all interfaces is none."""
    try:
        return not ip_address(service.host).is_unspecified
    except ValueError:
        return True


def _unless_set(variable: str, value: str) -> Mapping[str, str]:
    return {} if os.environ.get(variable) or not value else {variable: value}
