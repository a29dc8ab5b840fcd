"""Several servers in one URL, in all spellings; what cannot be meant is refused, and told why."""

import pytest
from sqlalchemy.engine import make_url

from shared.database_url import database_url

SEVERAL = "postgresql+asyncpg://u:p@/db?host=one%2Ctwo&port={}%2C{}&target_session_attrs={}"


@pytest.mark.parametrize(
    ("url", "first", "second", "wanted"),
    [
        ("postgres://u:p@one:5433,two:5434/db", 5433, 5434, "read-write"),
        ("postgresql://u:p@one,two:5434/db?target_session_attrs=primary", 5432, 5434, "primary"),
        ("postgresql://u:p@/db?host=one:5433&host=two:5434", 5433, 5434, "read-write"),
        ("postgresql://u:p@/db?host=one,two&port=5433,5434", 5433, 5434, "read-write"),
        ("postgresql://u:p@/db?host=one,two&port=5433&target_session_attrs=read-write", 5433, 5433, "read-write"),
    ],
)
def test_several_hosts_are_read(url: str, first: int, second: int, wanted: str) -> None:
    assert database_url(url).render_as_string(hide_password=False) == SEVERAL.format(first, second, wanted)


@pytest.mark.parametrize("hosts", ["[::1]:5433,/run/postgresql", "[::1]:5433,/run/postgresql:5432"])
def test_addresses_and_folders_are_hosts_too(hosts: str) -> None:
    query = database_url(f"postgresql:///db?host={hosts}").query
    assert (query["host"], query["port"]) == ("::1,/run/postgresql", "5433,5432")


@pytest.mark.parametrize(
    "url", ["postgresql://u:p,w@one/db", "postgresql://u@one:5433/db", "postgresql:///db?host=/run"]
)
def test_one_host_stays_as_it_is(url: str) -> None:
    assert database_url(url) == make_url(url).set(drivername="postgresql+asyncpg")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://u:secret@one,two/db?target_session_attrs=any", "target_session_attrs is read-write or primary"),
        ("postgresql://u:secret@one/db?target_session_attrs=standby", "target_session_attrs is read-write or primary"),
        ("postgresql://u:secret@/db?host=one,two,three&port=1,2", "3 hosts and 2 ports"),
        ("postgresql://u:secret@/db?host=one:1,two:2&port=3", "not both"),
        ("postgresql://u:secret@one:5433,two:70000/db", "port 70000 is none"),
        ("postgresql://u:secret@one:5433,two:x/db", "a host is"),
        ("postgresql://u:secret@one,,two/db", "a host is"),
    ],
)
def test_what_cannot_be_meant_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        database_url(url)
    assert "secret" not in str(refused.value)
