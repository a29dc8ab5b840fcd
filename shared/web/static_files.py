"""Files for browsers, from a folder of the package: compressed, and kept for ever under a path that changes with them."""

import asyncio
import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

_MEDIA_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
"""What is served; other files of a folder, such as licences, are not."""

_COMPRESSIBLE = frozenset({".css", ".js", ".json", ".svg"})
_REFUSES_GZIP = re.compile(r"gzip\s*;\s*q=0(\.0*)?\s*(,|$)", re.IGNORECASE)

_NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}
_FILE_HEADERS = {
    **_NO_SNIFFING,
    "Cache-Control": "public, max-age=31536000, immutable",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Vary": "Accept-Encoding",
}
_PAGE_HEADERS = {
    **_NO_SNIFFING,
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True)
class StaticFile:
    """One file, in memory."""

    suffix: str
    content: bytes

    @cached_property
    def compressed(self) -> bytes:
        """With gzip; a large file takes a tenth of a second, once."""
        return gzip.compress(self.content, mtime=0)


@dataclass(frozen=True)
class StaticFolder:
    """The files of a folder and its subfolders by their paths in it; `prefix` is where they are served."""

    prefix: str
    files: Mapping[str, StaticFile]

    def link(self, file: str) -> str:
        """Give the reference to a file for a page at the root, such as `/docs`; relative, so that a proxy may add a path."""
        if file not in self.files:
            raise KeyError(file)
        return f"{self.prefix}/{file}"

    async def serve(self, request: Request) -> Response:
        """Answer a request for one of the files."""
        file = self.files.get(request.path_params["file"])
        if file is None:
            raise HTTPException(404)
        content, headers = file.content, dict(_FILE_HEADERS)
        if file.suffix in _COMPRESSIBLE and takes_gzip(request):
            content = await asyncio.to_thread(lambda: file.compressed)
            headers["Content-Encoding"] = "gzip"
        return Response(content, headers=headers, media_type=_MEDIA_TYPES[file.suffix])


def mount_folder(app: FastAPI, name: str, folder: Path) -> StaticFolder:
    """Serve a folder's files under `/assets/NAME/DIGEST/`, where the digest is that of all of them.

    So files may refer to one another by relative paths, and none is ever stale.
    """
    mounted = _read(name, folder)
    app.add_route(f"/{mounted.prefix}/{{file:path}}", mounted.serve, include_in_schema=False)
    return mounted


def page(content: str) -> Response:
    """Answer with a page that takes scripts, styles and data from this service alone, none of them inline."""
    return Response(content, headers=_PAGE_HEADERS, media_type="text/html")


def takes_gzip(request: Request) -> bool:
    """Tell whether an answer may be compressed with gzip."""
    accepted = request.headers.get("accept-encoding", "")
    return "gzip" in accepted.lower() and not _REFUSES_GZIP.search(accepted)


@cache
def _read(name: str, folder: Path) -> StaticFolder:
    """Read the files, once in a process."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in _MEDIA_TYPES)
    files = {path.relative_to(folder).as_posix(): StaticFile(path.suffix, path.read_bytes()) for path in paths}
    digest = hashlib.sha256()
    for path, file in files.items():
        digest.update(f"{path}\0{len(file.content)}\0".encode() + file.content)
    return StaticFolder(f"assets/{name}/{digest.hexdigest()[:16]}", files)
