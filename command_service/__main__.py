"""`python -m command_service`: the command service on `DAICHO_HOST` and `DAICHO_COMMAND_PORT`."""

from command_service.app import create_app
from command_service.settings import CommandSettings
from shared.settings import load_service
from shared.web.server import run

if __name__ == "__main__":
    settings = load_service(CommandSettings)
    run(create_app(settings), settings.host, settings.command_port, settings.grace_seconds)
