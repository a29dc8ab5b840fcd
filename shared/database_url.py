"""URLs of databases: one server, or several of which one takes writes."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

_DEFAULT_PORT = 5432
_LAST_PORT = 65535
_WRITABLE = ("read-write", "primary")
_LISTED = re.compile(
    r"(?P<before>[^:/]+://([^/?#]*@)?)(?P<hosts>[^/?#@]*,[^/?#@]*)(?P<path>(/[^?#]*)?)(\?(?P<query>.*))?"
)
"""As libpq writes several hosts: `postgresql://user@one:5432,two:5433/database`."""
_HOST = re.compile(r"(\[(?P<address>[^\[\]]+)\]|(?P<name>[^:\[\],]+))(:(?P<port>\d+))?")


class Server(NamedTuple):
    """Where a PostgreSQL is: a host name, an address or the folder of its socket; and its port."""

    host: str
    port: int


def database_url(url: str) -> URL:
    """Read a PostgreSQL URL of any spelling (`postgres://`, `postgresql://`, `postgresql+asyncpg://`).

    Several hosts may be given as libpq has them, `//one:5432,two:5433/database`, or as SQLAlchemy has them,
    `//…/database?host=one:5432&host=two:5433`; then `target_session_attrs` is `read-write` unless it says `primary`.
    Raises `ValueError` for what is none; it does not quote the URL, which may hold a password.
    """
    if listed := _LISTED.fullmatch(url):
        url = f"{listed['before']}{listed['path']}?host={listed['hosts']}&{listed['query'] or ''}".rstrip("&")
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ValueError("not a URL such as postgresql://user:password@host:5432/database") from error
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        raise ValueError(f"a PostgreSQL URL is needed, not {parsed.get_backend_name()}://…")
    if parsed.port is not None:
        _require_port(parsed.port)
    wanted = parsed.normalized_query.get("target_session_attrs", ())
    if wanted and (len(wanted) > 1 or wanted[0] not in _WRITABLE):
        raise ValueError(f"target_session_attrs is {' or '.join(_WRITABLE)}: each database is written to")
    parsed = parsed.set(drivername="postgresql+asyncpg")
    servers = list(_servers(parsed))
    return _with(parsed, servers) if len(servers) > 1 else parsed


def _servers(url: URL) -> Iterator[Server]:
    hosts = _listed(url, "host") or [url.host or ""]
    ports = _listed(url, "port")
    if len(hosts) == 1:
        return
    if len(ports) not in {0, 1, len(hosts)}:
        raise ValueError(f"{len(hosts)} hosts and {len(ports)} ports: give one port for each host, or one for all")
    for number, host in enumerate(hosts):
        if (match := _HOST.fullmatch(host)) is None:
            raise ValueError(
                "a host is a name, an IPv4 address, [an IPv6 address] or /a/folder, each perhaps with :port"
            )
        if match["port"] and ports:
            raise ValueError("ports are given with the hosts, or by port=, not both")
        port = match["port"] or (ports[number % len(ports)] if ports else str(url.port or _DEFAULT_PORT))
        yield Server(match["address"] or match["name"], _require_port(int(port) if port.isdecimal() else 0))


def _listed(url: URL, name: str) -> Sequence[str]:
    return [one for given in url.normalized_query.get(name, ()) for one in given.split(",")]


def _with(url: URL, servers: Sequence[Server]) -> URL:
    several = {"host": ",".join(one.host for one in servers), "port": ",".join(str(one.port) for one in servers)}
    query = {"target_session_attrs": _WRITABLE[0], **url.query, **several}
    return URL.create(url.drivername, url.username, url.password, database=url.database, query=query)


def _require_port(port: int) -> int:
    if not 0 < port <= _LAST_PORT:
        raise ValueError(f"port {port} is none: a port is 1 to {_LAST_PORT}")
    return port
