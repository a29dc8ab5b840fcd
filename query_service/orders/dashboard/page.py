"""`GET /`: the dashboard's page."""

import asyncio
import gzip
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response

from query_service.orders.dashboard.first_answers import first_answers
from shared.errors import DaichoError
from shared.web.static_files import StaticFolder, mount_folder, takes_gzip

_FOLDER = Path(__file__).parent
_FIRST_MODULES = ("dom.js", "requests.js", "ledger.js", "overview.js", "orders.js")
_FIRST_PATHS = ("/statistics", "/statistics/daily", "/orders?limit=20")
_HEAD_SECONDS: Final = 1.0


def mount_dashboard(app: FastAPI, command_url: str | None) -> None:
    """Serve the page at `/`, and its files; commands go from the browser to `command_url`, without which it only shows."""
    files = mount_folder(app, "dashboard", _FOLDER / "static")
    page = Template((_FOLDER / "page.html").read_text(encoding="utf-8"))
    headers = _headers(command_url)

    async def dashboard(request: Request) -> Response:
        values = {
            "root": ".",
            "assets": files.prefix,
            "commands": escape(command_url or ""),
            "identity": " data-tokens" if app.state.asks_for_tokens else "",
            "preloads": "\n".join(_preload(files, module) for module in _FIRST_MODULES),
            **await _contents(request),
        }
        content = page.substitute(values).encode()
        if not takes_gzip(request):
            return Response(content, headers=headers, media_type="text/html")
        return Response(gzip.compress(content), headers={**headers, "Content-Encoding": "gzip"}, media_type="text/html")

    app.add_route("/", dashboard, include_in_schema=False)


async def _contents(request: Request) -> Mapping[str, str]:
    """Give where the log ends, from which on the page follows it, and the first answers if it is about all orders.

    Where tokens are asked for, nothing: the page is open, and tells nobody anything.
    """
    if request.app.state.asks_for_tokens:
        return {"head": "", "answers": _in_script({})}
    head, answers = await asyncio.gather(
        _head(request.app), first_answers(request.app, () if request.query_params else _FIRST_PATHS)
    )
    return {"head": "" if head is None else f' data-head="{head}"', "answers": _in_script(answers)}


async def _head(app: FastAPI) -> int | None:
    try:
        async with asyncio.timeout(_HEAD_SECONDS):
            return int(await app.state.event_log.head())
    except (DaichoError, TimeoutError):
        return None


def _in_script(content: Any) -> str:
    """Write JSON that ends no script element and opens no comment."""
    return json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")


def _preload(files: StaticFolder, module: str) -> str:
    return f'<link rel="modulepreload" href="{files.link(module)}">'


def _headers(command_url: str | None) -> Mapping[str, str]:
    url = urlsplit(command_url or "")
    connect = f"'self' {url.scheme}://{url.netloc}" if command_url else "'self'"
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": connect,
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
    return {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
