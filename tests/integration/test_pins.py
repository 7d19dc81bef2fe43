"""An e-mail address that changed hands opens nothing: at a whole node, with a certified provider and the command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import oidc_provider
from tests.support.door import until
from tests.support.signing_in import SigningIn, signing_in

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(bool(oidc_provider.why_not()), reason=oidc_provider.why_not() or "-"),
]
USER = """\
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {{name: {name}}}
spec: {{profile: {{email: {email}}}, memberOf: []}}
"""
PEOPLE = {
    sub: {"email": f"{name}@marlow.test", "email_verified": True, "groups": []}
    for sub, name in (("first", "ann"), ("second", "ann"), ("third", "ben"))
}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[SigningIn]:
    def by_address(text: str) -> str:
        head, sso, rest = text.partition("  - name: sso")
        match = "match: {email: {field: spec.profile.email, domains: [marlow.test]}}"
        return head + sso + rest.replace("match: {sub: metadata.name}", match, 1)

    with signing_in(tmp_path, people=PEOPLE, sessions="idle: 1h, refresh: 2s", more=by_address) as found:
        publish(found, "ann")
        yield found


def publish(place: SigningIn, address_of_ann: str) -> None:
    (place.node.folder / "more").write_text(USER.format(name="ann", email=f"{address_of_ann}@marlow.test"))
    (place.node.folder / "more").rename(place.node.folder / "catalog" / "more.yaml")


def pin(place: SigningIn, *said: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "gateway.cli", "pin", *said]
    command += ["--config", str(place.node.folder / "stagedoor.yaml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_who_has_somebodys_old_address_is_turned_away_until_confirmed(place: SigningIn) -> None:
    until(lambda: place.sign_in(place.browser(), "first").status == 200, 60)
    first = place.browser()
    assert place.sign_in(first, "first").status == 200
    turned_away = place.sign_in(place.browser(), "second")
    assert turned_away.status == 403
    assert "<code>pinned</code>" in turned_away.text

    listed = pin(place, "list", "ann", "--json")
    assert listed.returncode == 0, listed.stderr
    found = json.loads(listed.stdout)
    assert [(each["user"], each["subject"]) for each in found["pins"]] == [("user:default/ann", "first")]
    assert [each["subject"] for each in found["turned_away"]] == ["second"]
    assert "turned away: `second` at sso" in pin(place, "list").stdout

    said = ("confirm", "ann", "--issuer", "sso", "--subject", "second", "--because", "a new Ann has the address")
    confirmed = pin(place, *said)
    assert confirmed.returncode == 0, confirmed.stderr
    assert "user:default/ann is `second` at sso from now on" in confirmed.stdout
    until(lambda: first.get(f"{place.app}/").status == 303, 30)
    assert place.sign_in(place.browser(), "second").status == 200
    assert "<code>pinned</code>" in place.sign_in(place.browser(), "first").text

    removed = pin(place, "remove", "ann", "--issuer", "sso", "--because", "it was the first one after all")
    assert removed.returncode == 0, removed.stderr
    assert place.sign_in(place.browser(), "first").status == 200
    refused = pin(place, "remove", "nobody", "--issuer", "sso", "--because", "x")
    assert refused.returncode == 1
    assert "has no pin" in refused.stderr


def test_a_catalog_that_gives_a_user_to_another_account_ends_its_session(place: SigningIn) -> None:
    """Who was nobody becomes Ann by an edit of her entry, and is not let stay; and it is Ann's, though her only session
    was used once, that is."""
    until(lambda: place.sign_in(place.browser(), "first").status == 200, 60)
    third = place.browser()
    assert place.sign_in(third, "third").status == 403
    publish(place, "ben")
    statuses: list[int] = []

    def is_out() -> bool:
        statuses.append(third.get(f"{place.app}/").status)
        return statuses[-1] == 303

    until(is_out, 120)
    # Control reads a base beside the doors, and may be a moment behind them.
    until(lambda: "<code>pinned</code>" in place.sign_in(place.browser(), "third").text, 60)
