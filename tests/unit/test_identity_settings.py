"""Who may be trusted, as settings tell it; a service that others reach must know whom."""

from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import SecretStr, ValidationError

from command_service.settings import CommandSettings
from query_service.settings import QuerySettings
from shared.hosts import is_loopback
from shared.settings import ServiceSettings, load, load_service
from tests.support.tokens import SigningKey, key_set

URL = "postgresql://user:pass-word@127.0.0.1/none"
KEY = SigningKey("one", "EdDSA")


def settings(**given: Any) -> ServiceSettings:
    return CommandSettings(database_url=SecretStr(URL), **given)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(KEY))
    return path


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "TOKEN_ISSUER", "TOKEN_AUDIENCE", "JWKS_URL", "JWKS_FILE"):
        monkeypatch.delenv(f"DAICHO_{name}", raising=False)
    monkeypatch.setenv("DAICHO_DATABASE_URL", URL)


def test_identity_is_off_unless_it_is_set(keys: Path) -> None:
    assert settings().verifier() is None
    assert settings(token_issuer="x", jwks_file=keys).verifier() is not None
    assert settings(token_issuer="x", jwks_url="https://issuer.example/keys").verifier() is not None


@pytest.mark.parametrize(
    "url", ["https://issuer.example/keys", "http://127.0.0.1:9/k", "http://localhost/k", "http://[::1]/k"]
)
def test_keys_come_encrypted_or_from_this_machine(url: str) -> None:
    assert settings(token_issuer="x", jwks_url=url).jwks_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/keys",
        "http://127.0.0.1.example/k",
        "ftp://127.0.0.1/k",
        "file:///etc/passwd",
        "https://",
        "x",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="must be an https URL"):
        settings(token_issuer="x", jwks_url=url)


def test_a_half_is_refused(keys: Path) -> None:
    url = "https://issuer.example/keys"
    for half in ({"token_issuer": "x"}, {"token_issuer": "x", "jwks_file": keys, "jwks_url": url}):
        with pytest.raises(
            ValidationError, match="DAICHO_TOKEN_ISSUER needs one of DAICHO_JWKS_URL and DAICHO_JWKS_FILE"
        ):
            settings(**half)
    for other in ({"jwks_url": url}, {"jwks_file": keys}):
        with pytest.raises(ValidationError, match="need DAICHO_TOKEN_ISSUER"):
            settings(**other)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"{", "is not JSON"),
        (b"[]", "is not a JSON Web Key Set"),
        (b'{"keys": []}', "no public key"),
        (None, "No such file"),
    ],
)
def test_a_file_without_keys_is_named(
    keys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: bytes | None, told: str
) -> None:
    keys.unlink() if text is None else keys.write_bytes(text)
    monkeypatch.setenv("DAICHO_TOKEN_ISSUER", "x")
    monkeypatch.setenv("DAICHO_JWKS_FILE", str(keys))
    with pytest.raises(SystemExit) as ended:
        load(QuerySettings)
    error = capsys.readouterr().err
    assert (ended.value.code, error.startswith("DAICHO_JWKS_FILE: ")) == (2, True)
    assert told in error


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "orders.example", "2001:db8::1", "::ffff:10.0.0.1"])
def test_a_service_that_others_reach_does_not_start_without_identity(
    host: str, keys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAICHO_HOST", host)
    for service in (CommandSettings, QuerySettings):
        with pytest.raises(SystemExit) as ended:
            load_service(service)
        error = capsys.readouterr().err
        assert ended.value.code == 2
        for variable in ("DAICHO_HOST", "DAICHO_TOKEN_ISSUER", "DAICHO_JWKS_URL", "DAICHO_JWKS_FILE"):
            assert variable in error
        assert "pass-word" not in error
    monkeypatch.setenv("DAICHO_TOKEN_ISSUER", "x")
    monkeypatch.setenv("DAICHO_JWKS_FILE", str(keys))
    assert load_service(QuerySettings).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "::ffff:127.0.0.1"])
def test_on_loopback_it_does(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAICHO_HOST", host)
    assert load_service(CommandSettings).token_issuer is None


def test_where_uvicorn_is_told_to_listen_counts_too() -> None:
    with click.Context(click.Command("uvicorn")) as context:
        context.params["host"] = "127.0.0.1"
        assert load_service(CommandSettings).host == "127.0.0.1"
        context.params["host"] = "0.0.0.0"
        with pytest.raises(SystemExit):
            load_service(CommandSettings)


def test_names_and_nonsense_are_not_loopback() -> None:
    assert not any(map(is_loopback, ("", "localhost.example", "127.0.0.1.example", "127.1", "0", "*", "2130706433")))


def test_secrets_are_not_shown() -> None:
    assert "pass-word" not in repr(settings(token_issuer="x", jwks_url="https://issuer.example/keys"))
    with pytest.raises(ValidationError) as refused:
        CommandSettings(database_url=SecretStr("mysql://user:pass-word@x/y"), jwks_url="https://user:key-pass@x")
    assert "pass-word" not in str(refused.value)
    assert "key-pass" not in str(refused.value)
