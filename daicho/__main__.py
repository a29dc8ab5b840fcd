"""`daicho`, also as `python -m daicho`."""

import signal


def main() -> None:
    """Run the command line; Ctrl-C while its modules are loaded ends it quietly."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from daicho.cli import app  # noqa: PLC0415 - takes half a second

    signal.signal(signal.SIGINT, signal.default_int_handler)
    app()


if __name__ == "__main__":
    main()
