"""What `daicho up` tells the services of one another."""

import pytest

from daicho.browsers import command_url, cross_origin
from daicho.services import Service


def service(host: str) -> Service:
    return Service("one", "one.main:create", host, 8002, "ONE_PORT")


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DAICHO_COMMAND_URL", "DAICHO_CORS_ORIGINS"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_loopback_is_let_in_by_each_of_its_names(host: str) -> None:
    origins = "http://127.0.0.1:8002,http://localhost:8002,http://[::1]:8002"
    assert cross_origin(service(host)) == {"DAICHO_CORS_ORIGINS": origins}


def test_an_address_is_told_as_it_is() -> None:
    assert cross_origin(service("10.0.0.7")) == {"DAICHO_CORS_ORIGINS": "http://10.0.0.7:8002"}
    assert command_url(service("10.0.0.7")) == {"DAICHO_COMMAND_URL": "http://10.0.0.7:8002"}


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_all_interfaces_are_no_address_to_go_to(host: str) -> None:
    assert command_url(service(host)) == cross_origin(service(host)) == {}


def test_what_is_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAICHO_COMMAND_URL", "https://example.com")
    monkeypatch.setenv("DAICHO_CORS_ORIGINS", "https://example.com")
    assert command_url(service("127.0.0.1")) == cross_origin(service("127.0.0.1")) == {}
