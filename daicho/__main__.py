"""`python -m daicho`."""

from daicho.cli import app

app()
