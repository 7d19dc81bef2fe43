"""What a session is worth while it lasts: asked again at a certified provider, and no longer worth more than it says.

The provider's access tokens last a few seconds here, so each session is renewed while a test looks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import oidc_provider
from tests.support.door import until
from tests.support.signing_in import PEOPLE, SigningIn, signing_in

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(oidc_provider.why_not()), reason=oidc_provider.why_not() or "-"),
]
BY_GROUPS = "membership: token"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SigningIn]:
    """Rights come from the groups that the provider names; sessions are asked about every second."""

    def by_groups(text: str) -> str:
        return text.replace("    groups: {claim: groups}", f"    groups: {{claim: groups}}\n    {BY_GROUPS}")

    with signing_in(
        tmp_path_factory.mktemp("renewal"), workers=2, more=by_groups,
        sessions="idle: 4s, absolute: 1h, refresh: 1s, offline: 4s", ttl={"AccessToken": 3},
    ) as found:  # fmt: skip
        found.node.publish(access="owners")
        until(lambda: found.sign_in(found.browser(), "joe").status == 403, 20)
        yield found


@pytest.fixture(autouse=True)
def everybody_is_back(place: SigningIn) -> Iterator[None]:
    yield
    place.provider.go_away(0)
    for who, claims in PEOPLE.items():
        place.provider.person(who, claims)


def test_parallel_requests_on_an_ending_token_never_lose_the_session(place: SigningIn) -> None:
    """With a provider that takes a refresh token once, and ends the grant when it comes twice."""
    surfer = place.browser()
    assert place.sign_in(surfer).status == 200
    place.provider.asked()
    ends = time.monotonic() + 7
    with ThreadPoolExecutor(10) as pool:
        while time.monotonic() < ends:
            found = list(pool.map(lambda _: surfer.get(f"{place.app}/").status, range(10)))
            assert found == [200] * 10
    assert place.provider.asked().count("/token") >= 3


def test_a_group_that_is_gone_is_gone_here(place: SigningIn) -> None:
    surfer = place.browser()
    assert place.sign_in(surfer).status == 200
    place.provider.person("jane", {**PEOPLE["jane"], "groups": []})
    until(lambda: surfer.get(f"{place.app}/").status == 403, 8)


def test_a_groups_claim_that_is_missing_keeps_no_rights(place: SigningIn) -> None:
    surfer = place.browser()
    assert place.sign_in(surfer).status == 200
    place.provider.person("jane", {"email": "jane@marlow.test"})
    until(lambda: surfer.get(f"{place.app}/").status == 403, 8)


def test_somebody_whom_the_provider_does_not_know_any_more_is_signed_out(place: SigningIn) -> None:
    surfer = place.browser()
    assert place.sign_in(surfer).status == 200
    place.provider.person("jane", None)
    until(lambda: surfer.get(f"{place.app}/").status == 303, 8)


def test_a_provider_that_is_away_is_tolerated_for_a_while(place: SigningIn) -> None:
    surfer = place.browser()
    assert place.sign_in(surfer).status == 200
    place.provider.go_away()
    began = time.monotonic()
    while time.monotonic() - began < 3:
        assert surfer.get(f"{place.app}/").status == 200
    place.provider.go_away(0)
    assert surfer.get(f"{place.app}/").status == 200


def test_a_session_that_nobody_uses_ends(place: SigningIn) -> None:
    surfer = place.browser()
    assert place.sign_in(surfer).status == 200
    cookie = surfer.cookies("echo.test")["__Host-stagedoor"]
    time.sleep(5.5)  # longer than `sessions.idle`
    assert surfer.cookies("echo.test")["__Host-stagedoor"] == cookie
    assert surfer.get(f"{place.app}/").status == 303
    assert surfer.get(f"{place.app}/", {"Accept": "application/json", "Sec-Fetch-Mode": "cors"}).status == 401


def test_a_session_that_is_used_does_not(place: SigningIn) -> None:
    surfer = place.browser()
    assert place.sign_in(surfer).status == 200
    ends = time.monotonic() + 9
    while time.monotonic() < ends:
        assert surfer.get(f"{place.app}/").status == 200
        time.sleep(0.5)
