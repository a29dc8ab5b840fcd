"""`/docs` needs nothing but the service: its page, what it loads, and how browsers may keep that."""

import gzip
import re
import tomllib
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from shared.web.static_files import mount_folder

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "shared" / "web" / "assets"
REFERENCE = re.compile(r'(?:src|href)="([^"]*)"')


@pytest.fixture(params=["command", "query"])
def service(request: pytest.FixtureRequest) -> httpx.AsyncClient:
    client: httpx.AsyncClient = request.getfixturevalue("commands" if request.param == "command" else "http")
    return client


async def loaded(service: httpx.AsyncClient) -> dict[str, httpx.Response]:
    """Give what the page loads, by the file's name."""
    page = await service.get("/docs")
    references = [one for one in REFERENCE.findall(page.text) if one not in {"data:,", "openapi.json"}]
    return {one.rsplit("/", 1)[1]: await service.get(str(page.url.join(one))) for one in references}


async def test_the_page_loads_its_parts_from_the_service_alone(service: httpx.AsyncClient) -> None:
    page = await service.get("/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "//" not in page.text.replace("<!doctype html>", "")
    assert "<script>" not in page.text
    assert "style=" not in page.text
    parts = await loaded(service)
    assert {name: (part.status_code, part.headers["content-type"]) for name, part in parts.items()} == {
        "swagger-ui.css": (200, "text/css; charset=utf-8"),
        "swagger-ui-bundle.js": (200, "text/javascript; charset=utf-8"),
        "start.js": (200, "text/javascript; charset=utf-8"),
    }
    assert "SwaggerUIBundle" in parts["start.js"].text
    assert "SwaggerUIBundle" in parts["swagger-ui-bundle.js"].text
    assert "//" not in parts["start.js"].text.partition("\n")[2]
    assert 'url: "openapi.json"' in parts["start.js"].text
    assert (await service.get("/openapi.json")).json()["info"]["title"] in page.text


async def test_the_page_may_load_nothing_from_elsewhere(service: httpx.AsyncClient) -> None:
    headers = (await service.get("/docs")).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'self'", "img-src": "'self' data:", "object-src": "'none'", "base-uri": "'none'",
        "form-action": "'none'", "frame-ancestors": "'none'",
    }  # fmt: skip
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-cache"


async def test_parts_are_kept_for_ever_and_sent_compressed(service: httpx.AsyncClient) -> None:
    for name, part in (await loaded(service)).items():
        assert part.headers["cache-control"] == "public, max-age=31536000, immutable", name
        assert (part.headers["vary"], part.headers["content-encoding"]) == ("Accept-Encoding", "gzip")
        assert part.headers["x-content-type-options"] == "nosniff"
        assert int(part.headers["content-length"]) < len(part.content) or len(part.content) < 1000
        for accepted in ("identity", "gzip;q=0", "br, gzip; q=0.0"):
            plain = await service.get(str(part.url), headers={"Accept-Encoding": accepted})
            assert "content-encoding" not in plain.headers, accepted
            assert plain.content == part.content
        head = await service.head(str(part.url))
        assert (head.status_code, head.headers["content-length"]) == (200, part.headers["content-length"])


async def test_what_is_no_part_is_not_found(service: httpx.AsyncClient) -> None:
    path = str((await loaded(service))["swagger-ui.css"].url).rsplit("/", 1)[0]
    for other in ("LICENSE", "VERSION", "x.css", "../../../pyproject.toml", "%2e%2e/start.js", ""):
        assert (await service.get(f"{path}/{other}")).json()["type"] == "urn:daicho:problem:not-found", other
    assert (await service.get("/assets/swagger-ui/0000000000000000/swagger-ui.css")).status_code == 404
    assert (await service.post(f"{path}/swagger-ui.css")).status_code == 405


def test_vendored_files_have_their_licence_and_version_beside_them() -> None:
    folder = ASSETS / "swagger-ui"
    assert "Apache License" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert re.fullmatch(r"swagger-ui-dist \d+\.\d+\.\d+ \(npm\)\n", (folder / "VERSION").read_text(encoding="utf-8"))


def test_assets_are_shipped() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    shipped = {path for one in settings["package-data"]["shared.web"] for path in (ROOT / "shared" / "web").glob(one)}
    assert {path for path in ASSETS.rglob("*") if path.is_file()} <= shipped


async def test_a_folder_that_changes_has_another_path(tmp_path: Path) -> None:
    folders = []
    for number, content in enumerate(("let a = 1\n" * 100, "let a = 2\n" * 100)):
        folder = tmp_path / str(number)
        (folder / "parts").mkdir(parents=True)
        (folder / "parts" / "a.js").write_text(content, encoding="utf-8")
        (folder / "notes.txt").write_text("not served", encoding="utf-8")
        folders.append(folder)
    app = FastAPI()
    one, same, other = (mount_folder(app, "it", folder) for folder in (folders[0], folders[0], folders[1]))
    assert one.prefix == same.prefix != other.prefix
    assert list(one.files) == ["parts/a.js"]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
        for mounted, text in ((one, "let a = 1\n"), (other, "let a = 2\n")):
            answer = await http.get(f"/{mounted.link('parts/a.js')}")
            assert answer.text == text * 100
            assert len(gzip.compress(answer.content, mtime=0)) == int(answer.headers["content-length"])
    with pytest.raises(KeyError):
        one.link("notes.txt")
