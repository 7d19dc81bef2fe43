"""How pages of the portal write what the API says in values: instants, addresses with the port people use, numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote


def moment(instant: str) -> str:
    """RFC 3339, to the minute, as people read it."""
    return f"{instant[:10]} {instant[11:16]} UTC" if len(instant) > 16 and instant.endswith("Z") else instant


def ported(url: str, port: str) -> str:
    """A service's address with the port by which people came here."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host}{port}{slash}{path}" if host and ":" not in host else url


def step_count(number: int) -> str:
    return f"{number:,} step{'' if number == 1 else 's'}"


def people(number: int) -> str:
    return f"{number:,} {'person' if number == 1 else 'people'}"


def service_path(entity: str) -> str:
    """The page of a component in the portal."""
    return f"/portal/services/{quote(entity, safe=':/')}"


FILTERS: Final[Mapping[str, Callable[..., str]]] = {
    each.__name__: each for each in (moment, ported, step_count, people, service_path)
}
