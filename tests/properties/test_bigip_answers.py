"""Whatever JSON a device answers with: it is read as far as it goes, and told in sentences that can be shown."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.network.bigip.as3.declaration import declaration_of
from gateway.engine.network.bigip.device.answers import answer_of, message_of, results_of
from gateway.engine.network.bigip.device.icontrol import COLLECTIONS, found
from gateway.engine.network.bigip.device.lock_key import lock_key_of
from gateway.engine.network.bigip.device.observe import fingerprint_of
from gateway.engine.network.bigip.device.units import DeviceGroup
from gateway.engine.network.bigip.drains import drains_of, with_drains
from gateway.engine.network.bigip.target import BigipTarget
from gateway.engine.network.plans.plan import Observed
from gateway.engine.network.transport.texts import shown
from tests.support.declarations import desired, device, environment, place

NAME = "stagedoor_prod"
WORDS = st.sampled_from(
    ["class", "Application", "Pool", "Service_HTTPS", "Monitor", "Data_Group", "TLS_Client", "HTTP_Profile",
     "Multiplex_Profile", "members", "serverAddresses", "servicePort", "records", "key", "value", "monitors", "use",
     "bigip", "metadata", "stagedoor.entity", "Shared", "hosts", "policy", "vs", "pool", "mon", "virtualAddresses",
     "virtualPort", "iRules", "receive", "interval", "timeout", "items", "fullPath", "name", "destination",
     "membersReference", "profilesReference", "session", "state", "user-disabled", "label", "stagedoor", "adminState",
     f"/{NAME}/Shared/pool", "results", "code", "message", "tenant", "\x1b[2J\u202e", "/", "", "*.example.com/a b c"]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers(-5, 2**40) | st.floats(allow_nan=False) | WORDS | st.text(max_size=8)
JSON: st.SearchStrategy[Any] = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=6), max_leaves=12
)


def _target() -> BigipTarget:
    on, at = device(), environment()
    group = DeviceGroup.__new__(DeviceGroup)  # nothing is asked here
    group.device = on
    return BigipTarget(group, at, partial(declaration_of, device=on, environment=at, assigned={}))


TARGET = _target()
CATALOG = desired(place("shop"), place("pay", address="10.200.0.7"))
OURS = declaration_of(CATALOG, device(), environment(), {})


@st.composite
def spoiled(draw: st.DrawFn) -> dict[str, Any]:
    """Our tenant with some of its values replaced by anything."""
    tenant: dict[str, Any] = json.loads(json.dumps(OURS[NAME]))
    for _ in range(draw(st.integers(1, 4))):
        held: Any = tenant
        for _ in range(draw(st.integers(0, 4))):
            values = held.values() if isinstance(held, dict) else held
            inner = [each for each in values if isinstance(each, dict | list)]
            if not inner:
                break
            held = draw(st.sampled_from(inner))
        if isinstance(held, dict):
            held[draw(st.sampled_from(sorted(held)) | WORDS if held else WORDS)] = draw(JSON)
        elif held:
            held[draw(st.integers(0, len(held) - 1))] = draw(JSON)
    return tenant


@given(spoiled() | st.dictionaries(WORDS, JSON, max_size=6), st.lists(JSON, max_size=4))
def test_any_declaration_and_any_objects_are_told_in_sentences(tenant: dict[str, Any], items: list[Any]) -> None:
    answer = {"items": items}
    parts = {path: part for collection in COLLECTIONS for path, part in found(collection, answer).items()}
    content = {"class": "ADC", NAME: tenant}
    key = lock_key_of(tenant)
    observed = Observed(fingerprint_of(NAME, content, key, parts), content, parts=parts)
    plan = TARGET.plan(CATALOG, observed, "")
    with_drains(NAME, tenant, drains_of(parts))
    said: list[Any] = [*plan.steps, *TARGET.steps(content, Observed("")), *TARGET.drift(CATALOG, OURS, observed)]
    assert all(each.sentence.isprintable() and each.object.isprintable() for each in said)
    assert all(len(each.sentence) <= 700 for each in said)


@given(st.sampled_from([200, 202, 207, 404, 422, 500, 503]), JSON | st.dictionaries(WORDS, JSON), st.integers(0, 200))
def test_any_answer_is_read(status: int, body: Any, cut: int) -> None:
    raw = json.dumps(body).encode()
    for answer in (answer_of(status, raw), answer_of(status, raw[:cut])):
        assert shown(message_of(answer)).isprintable()
        assert all(isinstance(result, dict) for result in results_of(answer))


def test_json_without_end_is_none() -> None:
    assert answer_of(200, b"[" * 900 + b"]" * 900).body is None
    assert answer_of(200, b'{"a":' * 40 + b"1" + b"}" * 40).body is not None
