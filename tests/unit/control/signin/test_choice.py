"""Which provider somebody is sent to; an address chooses one and proves nothing."""

from __future__ import annotations

import pytest

from gateway.config import Issuer
from gateway.config.sign_in import Client
from gateway.control.signin.choice import by_address, choices


def issuer(name: str, **client: tuple[str, ...]) -> Issuer:
    return Issuer(name, f"https://{name}.test", ("api",), client=Client("door", **client))  # type: ignore[arg-type]  # tuples of text alone


STAFF = issuer("staff", domains=("marlow.test",))
PARTNER = issuer("partner", hosts=(".partner.marlow.test",), domains=("partner.test",))
ONE = issuer("one", hosts=("shop.partner.marlow.test",))
PROGRAMS = Issuer("programs", "https://p.test", ("api",))
ALL = (STAFF, PARTNER, ONE, PROGRAMS)


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("wiki.marlow.test", ["staff"]), ("", ["staff"]), ("a.partner.marlow.test", ["partner"]),
        ("shop.partner.marlow.test", ["one"]), ("partner.marlow.test", ["staff"]),
        ("evilpartner.marlow.test", ["staff"]),
    ],
)  # fmt: skip
def test_the_closest_host_decides(host: str, names: list[str]) -> None:
    assert [each.name for each in choices(ALL, host)] == names


def test_nobody_signs_in_where_there_is_no_client() -> None:
    assert choices((PROGRAMS,), "x") == []
    assert [each.name for each in choices((PARTNER, ONE), "elsewhere.test")] == ["partner", "one"]


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("jane@marlow.test", "staff"), (" Jane@MARLOW.test ", "staff"), ("j@partner.test", "partner"),
        ("jane@sub.marlow.test", ""), ("jane@marlow.test@evil.test", ""), ("@marlow.test", ""), ("jane", ""), ("", ""),
        ("jane@marlow.te\u017ft", ""), ("j" * 300 + "@marlow.test", ""),
    ],
)  # fmt: skip
def test_an_address_has_one_reading_or_none(address: str, name: str) -> None:
    found = by_address(ALL, address)
    assert (found.name if found is not None else "") == name
