"""`python -m query_service`: the query service on `DAICHO_HOST` and `DAICHO_QUERY_PORT`."""

from query_service.app import create_app
from query_service.settings import QuerySettings
from shared.settings import load_service
from shared.web.server import run

if __name__ == "__main__":
    settings = load_service(QuerySettings)
    run(create_app(settings), settings.host, settings.query_port, settings.grace_seconds)
