"""`daicho migrate` lets the services' roles log in, without telling the server their passwords."""

import traceback
from base64 import b64decode
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from daicho.errors import RoleNotLetIn
from daicho.login_roles import _ITERATIONS, let_in, scram_verifier
from daicho.settings import OperatorSettings

ROLES = ("daicho_command", "daicho_query")


@pytest.fixture
async def role(engine: AsyncEngine) -> AsyncIterator[str]:
    """Give the name of a role of the test's own; roles belong to the whole server."""
    name = f"role_{uuid4().hex}"
    async with engine.connect() as connection:
        await connection.execute(text(f"CREATE ROLE {name} LOGIN"))
        yield name
        await connection.execute(text(f"DROP ROLE {name}"))


async def kept(engine: AsyncEngine, role: str) -> tuple[bool, str | None]:
    """Give whether a role may log in, and what PostgreSQL keeps of its password."""
    query = text("SELECT rolcanlogin, rolpassword FROM pg_authid WHERE rolname = :role")
    async with engine.connect() as connection:
        row = (await connection.execute(query, {"role": role})).one()
    return row.rolcanlogin, row.rolpassword


@pytest.mark.parametrize("password", ["secret", "a b$c'd\\e:f", "x" * 500])
async def test_a_verifier_is_postgresqls_own(engine: AsyncEngine, role: str, password: str) -> None:
    async with engine.connect() as connection:
        quoted = password.replace("'", "''")
        await connection.exec_driver_sql("SET standard_conforming_strings = on")
        await connection.exec_driver_sql(f"ALTER ROLE {role} PASSWORD '{quoted}'")
    _, stored = await kept(engine, role)
    assert stored is not None
    method, parameters, _ = stored.split("$")
    iterations, salt = parameters.split(":")
    assert (method, int(iterations)) == ("SCRAM-SHA-256", _ITERATIONS)
    assert scram_verifier(password, b64decode(salt)) == stored


async def test_only_roles_whose_password_is_set_are_let_in(database: str, engine: AsyncEngine) -> None:
    before = {role: await kept(engine, role) for role in ROLES}
    try:
        given = OperatorSettings(database_url=SecretStr(database), command_role_password=SecretStr("one"))
        await let_in(given, database, database)
        may_log_in, stored = await kept(engine, "daicho_command")
        assert may_log_in
        assert stored is not None
        assert stored.startswith("SCRAM-SHA-256$")
        assert await kept(engine, "daicho_query") == before["daicho_query"]
    finally:
        async with engine.connect() as connection:
            for role, (may_log_in, _) in before.items():
                login = "LOGIN" if may_log_in else "NOLOGIN"
                await connection.execute(text(f"ALTER ROLE {role} {login} PASSWORD NULL"))


def test_a_password_that_would_need_normalising_is_refused() -> None:
    with pytest.raises(ValidationError, match="must be printable ASCII"):
        OperatorSettings(query_role_password=SecretStr("pässword"))


async def test_what_is_told_of_a_refusal_holds_no_verifier(database: str, role: str) -> None:
    url = make_url(database).set(username=role).render_as_string(hide_password=False)
    with pytest.raises(RoleNotLetIn, match="daicho_command") as caught:
        await let_in(OperatorSettings(command_role_password=SecretStr("one")), url, url)
    told = "".join(traceback.format_exception(caught.value))
    assert "SCRAM-SHA-256$" not in told
