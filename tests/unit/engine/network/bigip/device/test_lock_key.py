"""The lock key is AS3's own, byte for byte."""

from __future__ import annotations

import json

import pytest

from gateway.engine.network.bigip.device.lock_key import lock_key_of
from tests.support.declarations import AS3

# base64(sha256(base64('{"class":"Tenant","label":"stagedoor","a":{"class":"Application"}}'))), by hand.
TENANT = {"class": "Tenant", "label": "stagedoor", "a": {"class": "Application"}}
KEY = "LWI+GSY6dX2F+U5Yb1CKi1o/HT0ncyK3bQWYwSYJvHA="


def test_a_known_key() -> None:
    assert lock_key_of(TENANT) == KEY


def test_a_key_in_the_tenant_is_no_part_of_it_and_the_order_of_names_is() -> None:
    assert lock_key_of({**TENANT, "optimisticLockKey": "x"}) == KEY
    assert lock_key_of(dict(reversed(TENANT.items()))) != KEY


def test_text_is_hashed_as_javascript_writes_it() -> None:
    written = json.loads(r'{"a": "\u00e9\/\u2028\ud83d\ude00"}')
    assert lock_key_of({"a": "é/\u2028\U0001f600"}) == lock_key_of(written)


def test_the_key_that_as3_gave() -> None:
    if not (AS3 / "as3_transcripts.json").exists():
        pytest.skip(f"recorded exchanges are not at {AS3}: set AS3_DATA")
    exchanges = {each["name"]: each for each in json.loads((AS3 / "as3_transcripts.json").read_text())}
    tenant = exchanges["get tenant"]["response"]["body"]["stagedoor_staging"]
    assert lock_key_of(tenant) == tenant["optimisticLockKey"] == "O0iufAdRDkO872yH07jICfi2tQ3Kaw4UCT7kmliH1p8="
