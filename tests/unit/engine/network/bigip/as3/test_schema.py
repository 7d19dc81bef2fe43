"""A declaration against the operator's copy of AS3's schema: what it finds is said in sentences, or why it cannot."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from gateway.engine.network.bigip.as3.declaration import declaration_of
from gateway.engine.network.bigip.as3.schema import schema_faults
from gateway.engine.network.faults import DeviceFault
from tests.support.declarations import AS3, desired, device, environment, needs_as3, place

AT = environment()
SOUND = declaration_of(desired(place("a")), device(AT), AT, {})


def test_without_a_schema_nothing_is_asked() -> None:
    assert schema_faults(SOUND, "") == []


@needs_as3
def test_a_fault_is_said_with_its_place() -> None:
    file = str(AS3 / "as3-schema.json")
    assert schema_faults(SOUND, file) == []
    broken = json.loads(json.dumps(SOUND))
    broken["stagedoor_prod"]["Shared"]["vs"]["virtualPort"] = "https"
    faults = schema_faults(broken, file)
    assert {fault.partition(": ")[0] for fault in faults} == {"/stagedoor_prod/Shared/vs/virtualPort"}


def test_a_schema_that_changes_on_disk_counts_at_once(tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text('{"definitions": {"ADC": {"type": "object"}}}')
    assert schema_faults(SOUND, str(file)) == []
    file.write_text('{"definitions": {"ADC": {"type": "object", "required": ["nothing"]}}}')
    assert schema_faults(SOUND, str(file)) == ['/: "nothing" is a required property']


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "cannot read"), ("no json", "no schema"), ("{}", "defines no `ADC`"), ("[]", "defines no `ADC`"),
     ('{"definitions": {"ADC": {"type": "nonsense"}}}', "no schema")],
)  # fmt: skip
def test_a_schema_that_cannot_be_used_stops_the_plan(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "schema.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(DeviceFault, match=said):
        schema_faults(SOUND, str(file))


def test_without_the_validator_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "schema.json").write_text('{"definitions": {"ADC": {}}}')
    monkeypatch.setitem(sys.modules, "jsonschema_rs", None)
    with pytest.raises(DeviceFault, match="install `stagedoor"):
        schema_faults(SOUND, str(tmp_path / "schema.json"))
