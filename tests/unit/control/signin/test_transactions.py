"""The cookie of a sign-in opens for its own state, in its own name, for ten minutes; and it fits into a browser."""

from __future__ import annotations

from dataclasses import replace

from gateway.control.sessions.sealing import Sealer
from gateway.control.signin.transactions import (
    COOKIE,
    LASTS_S,
    MOST,
    cookie_of,
    new_transaction,
    opened_cookie,
    surplus,
)
from gateway.identity.session import Ticket
from tests.support.tokens import NOW

OLD, NEW = ("a", bytes(32)), ("b", bytes(range(32)))
SEALER = Sealer([OLD])
TICKET = Ticket("A" * 22, "app.test:8443", "/deep?x=1", "f" * 64, NOW, ("mfa",), 300)


def pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(";")[0].partition("=")
    return name, value


def test_it_opens_as_what_it_was() -> None:
    for ticket in (TICKET, None):
        begun = new_transaction("sso", ticket, NOW)
        cookies = dict([pair(cookie_of(begun, SEALER))])
        assert opened_cookie(begun.state, cookies, SEALER, NOW + LASTS_S - 1) == begun
        assert opened_cookie(begun.state, cookies, SEALER, NOW + LASTS_S) is None
        assert opened_cookie(begun.state, cookies, Sealer([NEW, OLD]), NOW) == begun  # after a rotation
        assert opened_cookie(begun.state, cookies, Sealer([NEW]), NOW) is None


def test_another_state_or_name_opens_nothing() -> None:
    begun, other = new_transaction("sso", None, NOW), new_transaction("sso", None, NOW)
    name, value = pair(cookie_of(begun, SEALER))
    assert opened_cookie(begun.state[:8] + "x" * 24, {name: value}, SEALER, NOW) is None
    assert opened_cookie(other.state, {COOKIE + other.state[:8]: value}, SEALER, NOW) is None
    assert opened_cookie(begun.state, {name: value[:-1]}, SEALER, NOW) is None


def test_each_has_secrets_of_its_own() -> None:
    many = [new_transaction("sso", None, NOW) for _ in range(100)]
    for secret in ("state", "verifier", "nonce"):
        assert len({getattr(each, secret) for each in many}) == 100
    assert all(len(each.verifier) >= 43 for each in many)  # RFC 7636 section 4.1
    assert all(each.nonce != each.verifier for each in many)


def test_the_largest_fits_into_a_browser() -> None:
    begun = new_transaction("n" * 32, replace(TICKET, target="/" + "x" * 2047, host="h" * 100), NOW)
    line = cookie_of(begun, SEALER)
    assert len(line) < 4096
    for attribute in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/", f"Max-Age={LASTS_S}"):
        assert f"; {attribute}" in line
    assert "Domain" not in line


def test_the_newest_are_kept_and_what_is_none_goes() -> None:
    cookies = dict(pair(cookie_of(new_transaction("sso", TICKET, NOW + number), SEALER)) for number in range(12))
    first = list(cookies)[:3]
    cookies[f"{COOKIE}foreign"] = "1.a.AAAA"
    gone = surplus({**cookies, "other": "x"}, SEALER)
    assert set(gone) == {*first, f"{COOKIE}foreign"}
    assert len(cookies) - len(gone) == MOST - 1


def test_many_large_ones_do_not_fill_a_head() -> None:
    large = replace(TICKET, target="/" + "x" * 2047)
    cookies = dict(pair(cookie_of(new_transaction("sso", large, NOW + number), SEALER)) for number in range(9))
    left = {name: value for name, value in cookies.items() if name not in surplus(cookies, SEALER)}
    assert 2 <= len(left) <= 4
    assert sum(map(len, left.values())) < 13_000
