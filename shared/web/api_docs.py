"""`/docs`: the service's OpenAPI document to read and try, with Swagger UI out of this package."""

from pathlib import Path
from string import Template

from fastapi import FastAPI, Request, Response

from shared.web.static_files import mount_folder, page

_ASSETS = Path(__file__).parent / "assets"


def add_api_docs(app: FastAPI) -> None:
    """Serve the page and what it loads."""
    swagger_ui = mount_folder(app, "swagger-ui", _ASSETS / "swagger-ui")
    own = mount_folder(app, "api-docs", _ASSETS / "api-docs")
    content = Template((_ASSETS / "api-docs" / "page.html").read_text(encoding="utf-8")).substitute(
        title=app.title,
        swagger_ui_css=swagger_ui.link("swagger-ui.css"),
        swagger_ui_js=swagger_ui.link("swagger-ui-bundle.js"),
        start_js=own.link("start.js"),
    )

    async def docs(_: Request) -> Response:
        return page(content)

    app.add_route("/docs", docs, include_in_schema=False)
