"""`state.database`: which PostgreSQL several nodes share, said as a connection string without a password.

The string is given to the driver as it is, so whatever two readers could take differently is refused here. A password
stands in a file of its own, in PostgreSQL's form (`host:port:database:user:password`, a line each), or comes by
PGPASSFILE or PGPASSWORD. Beyond this machine the server's certificate is verified, or there is no connection.
"""

from __future__ import annotations

import os
from typing import Annotated, Final
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, WithJsonSchema

from gateway import config
from gateway.config_load.identity import is_loopback
from gateway.documents import Locate
from policy.reading import Fault

FORM: Final = "postgresql://USER@HOST/NAME?sslmode=verify-full&sslrootcert=/FILE&passfile=/FILE"
KEYS: Final = ("host", "passfile", "sslcert", "sslkey", "sslmode", "sslrootcert", "target_session_attrs")
FILES: Final = ("passfile", "sslcert", "sslkey", "sslrootcert")
VERIFIED: Final = ("verify-ca", "verify-full")
_LONGEST: Final = 2048


def database_url(value: str) -> str:
    """The same. Raises `ValueError` with the fault and, after a semicolon, the way out; a password is never in it."""
    if not value.startswith("postgresql://"):
        raise ValueError(f"it is no address of a PostgreSQL; write `{FORM}`, or leave it out for SQLite")
    address, _, query = value.partition("?")
    user, at, place = address.removeprefix("postgresql://").partition("@")
    host, slash, name = place.partition("/")
    if ":" in user or _has_password(query):
        raise ValueError("it holds a password; choose another one and put that into a file (`passfile=/FILE`)")
    if not at or not user or not slash or not name or "/" in name or "@" in place:
        raise ValueError(f"user or database is missing; write `{FORM}`")
    if not value.isascii() or not value.isprintable() or " " in value or "#" in value or len(value) > _LONGEST:
        raise ValueError(f"it holds what no such address may hold; write `{FORM}`")
    values = _parameters(query)
    hosts = host.split(",") if host else []
    if bool(hosts) == ("host" in values):
        hint = "write it behind the `@`, or a socket's folder as `?host=/DIR`"
        raise ValueError(f"host is said twice, or not at all; {hint}")
    if hosts:
        _check_hosts(hosts, values.get("sslmode", ""))
    elif not values["host"].startswith("/"):
        raise ValueError("`host=` is for the folder of a socket; write names and addresses behind the `@`")
    for key in FILES:
        if not values.get(key, "/").startswith("/"):
            raise ValueError(f"`{key}` is no whole path; begin it with `/`")
    return value


DatabaseUrl = Annotated[
    str,
    AfterValidator(database_url),
    WithJsonSchema({"type": "string", "pattern": "^postgresql://[^:@/?#]+@[^@#]*$", "examples": [FORM]}),
]


def _has_password(query: str) -> bool:
    return any(part.partition("=")[0] in ("password", "sslpassword") for part in query.split("&"))


def _parameters(query: str) -> dict[str, str]:
    if not query:
        return {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise ValueError(f"what stands behind its `?` cannot be read; write `{FORM}`") from None
    for key, _ in pairs:
        if key not in KEYS:
            raise ValueError(f"`{key[:40]}` is unknown there; known: {', '.join(KEYS)}")
    if len(dict(pairs)) != len(pairs) or not all(value for _, value in pairs):
        raise ValueError(f"something behind its `?` is said twice, or is empty; write `{FORM}`")
    return dict(pairs)


def _check_hosts(hosts: list[str], mode: str) -> None:
    for each in hosts:
        try:
            parts = urlsplit(f"//{each}")
            host, sound = parts.hostname or "", parts.port != 0
        except ValueError:
            host, sound = "", False
        if not host or not sound or "%" in each:
            raise ValueError(f"`{each[:80]}` is no host; write `db.example.com`, `db.example.com:5433` or `[::1]`")
        if mode not in VERIFIED and not is_loopback(host):
            raise ValueError(
                f"`{host}` is reached without a verified certificate; "
                "add `sslmode=verify-full` and `sslrootcert=/FILE` with its authority"
            )


def unusable_database_files(settings: config.Settings, locate: Locate) -> list[Fault]:
    """A fault for every file that `state.database` names and that cannot be used."""
    place = locate(("state", "database"))
    faults = []
    for key, file in parse_qsl(settings.database.partition("?")[2]):
        if key not in FILES:
            continue
        if not os.access(file, os.R_OK) or not os.path.isfile(file):
            faults.append(Fault(place, f"`{key}`: cannot read `{file}`", ""))
        elif key in ("passfile", "sslkey") and os.stat(file).st_mode & 0o077:
            message = f"`{key}`: `{file}` can be read by others than its owner"
            faults.append(Fault(place, message, f"run `chmod 600 {file}`"))
        elif key == "passfile" and (message := _passfile_fault(file)):
            hint = "write `host:port:database:user:password`, where `*` stands for any"
            faults.append(Fault(place, f"`{key}`: `{file}` {message}", hint))
    return faults


def _passfile_fault(file: str) -> str:
    with open(file, "rb") as opened:
        text = opened.read(64 * 1024).decode("utf-8", "replace")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not any(line.count(":") >= 4 for line in lines):
        return "holds no password in PostgreSQL's form"
    if any("\\" in line for line in lines):
        return "holds a backslash, which the driver takes literally; choose a password without one, and without `:`"
    return ""
