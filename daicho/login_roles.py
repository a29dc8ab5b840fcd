"""Lets the services' roles log in with passwords, which PostgreSQL is told as verifiers alone."""

import hashlib
import hmac
import os
from base64 import b64encode

from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from daicho.errors import RoleNotLetIn
from daicho.settings import OperatorSettings
from shared.database import create_engine, sqlstate, translate_errors

_ITERATIONS = 4096
"""PostgreSQL's own default."""


async def let_in(settings: OperatorSettings, log_url: str, read_url: str) -> None:
    """Let each role log in whose password the settings have; that of the query service in the read database as well.

    Raises `DatabaseUnavailable` and `RoleNotLetIn`.
    """
    both = {"daicho_command": settings.command_role_password, "daicho_query": settings.query_role_password}
    passwords = {role: password for role, password in both.items() if password is not None}
    if passwords:
        await _let_in(log_url, passwords)
    if read_url != log_url:
        await let_in_queries(settings, read_url)


async def let_in_queries(settings: OperatorSettings, read_url: str) -> None:
    """Let the query service's role log in, if the settings have its password; raises as `let_in`."""
    if settings.query_role_password is not None:
        await _let_in(read_url, {"daicho_query": settings.query_role_password})


async def _let_in(url: str, passwords: dict[str, SecretStr]) -> None:
    engine = create_engine(url, application_name="daicho-migrate", pool_size=1)
    try:
        with translate_errors():
            async with engine.connect() as connection:
                for role, password in passwords.items():
                    await _set_password(connection, role, password)
    finally:
        await engine.dispose()


async def _set_password(connection: AsyncConnection, role: str, password: SecretStr) -> None:
    verifier = scram_verifier(password.get_secret_value(), os.urandom(16))
    try:
        await connection.exec_driver_sql(f"ALTER ROLE {role} LOGIN PASSWORD '{verifier}'")
    except DBAPIError as error:
        # Without its cause, which quotes the verifier.
        raise RoleNotLetIn(role, sqlstate(error)) from None


def scram_verifier(password: str, salt: bytes) -> str:
    """Give what PostgreSQL keeps of an ASCII password for SCRAM-SHA-256 (RFC 5802, RFC 5803).

    The password itself then reaches neither the server nor its log.
    """
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _ITERATIONS)
    client_key, server_key = (hmac.digest(salted, name, "sha256") for name in (b"Client Key", b"Server Key"))
    stored_key = hashlib.sha256(client_key).digest()
    kept = (b64encode(one).decode() for one in (salt, stored_key, server_key))
    return "SCRAM-SHA-256${}:{}${}:{}".format(_ITERATIONS, *kept)
