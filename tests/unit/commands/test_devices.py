"""`plan`, `apply`, `drift`, `adopt`: what a person reads, what it ends with, and that nothing happens without a word.

No node runs here: the files are asked, by the code that a node's engine runs. The device is made up.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.commands import adopt
from gateway.engine.network.connection import Connection, Device, Surroundings
from gateway.engine.network.faults import Unknown, Unreachable
from gateway.engine.network.plans import plan_file
from gateway.supervisor.sockets import lock_state
from tests.support.catalogs import people, service, write
from tests.support.commands import run, told
from tests.support.network import FakeDevice, applies_in

CONFIG = """\
listeners: [{{name: main, address: "127.0.0.1:8443", trusted_peers: [192.0.2.0/24]}}]
environments: {{prod: {{hosts: [.example.com], upstreams: [10.0.0.0/8]}}}}
catalog: {{files: [catalog]}}
access_policy: access.yaml
state: {{folder: state}}
devices:
  bigip:
    - name: lb1
      units: [https://192.0.2.10]
      username: stagedoor
      password_file: password
      members: ["192.0.2.21:8443"]
      environments:
        prod: {{virtual_address: 203.0.113.10, client_tls: /Common/c, trust_ca: /Common/ca.crt, server_name: d.example
               {more}}}
"""

SECOND = "{stage: {hosts: [.s.example], upstreams: [10.1.0.0/16]}, prod: {hosts: [.example.com]"
OTHER = """\
        stage: {virtual_address: 203.0.113.11, client_tls: /Common/c, trust_ca: /Common/ca.crt, server_name: d.example}
"""


class Place:
    """A folder with files and a device, `lb1`."""

    def __init__(self, folder: Path, device: FakeDevice) -> None:
        self.folder = folder
        self.device = device
        self.config("")

    def config(self, more: str) -> None:
        (self.folder / "stagedoor.yaml").write_text(CONFIG.format(more=more))

    def run(self, *arguments: str | Path, typed: str | None = None) -> Any:
        return run(*arguments, "--config", self.folder / "stagedoor.yaml", typed=typed)

    def told(self, *arguments: str | Path, code: int = 0) -> Any:
        return told(*arguments, "--config", self.folder / "stagedoor.yaml", code=code)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    device = FakeDevice()

    def connection_to(said: Device, _around: Surroundings) -> Connection:
        return Connection(device.targets(*(each.environment for each in said.environments)), device.close)

    monkeypatch.setattr("gateway.engine.network.alone.connection_to", connection_to)
    write(tmp_path, "catalog/org.yaml", *people("team"))
    write(tmp_path, "catalog/a.yaml", service("a"))
    (tmp_path / "access.yaml").write_text("version: 1\nenvironments: {prod: {owners: [all]}}\n")
    (tmp_path / "password").write_text("a-secret\n")
    (tmp_path / "password").chmod(0o600)
    return Place(tmp_path, device)


def test_a_plan_is_read_kept_and_applied_once(place: Place) -> None:
    kept = place.folder / "prod.plan"
    planned = place.run("plan", "--device", "lb1", "--env", "prod", "--out", kept)
    assert planned.exit_code == 1, planned.output
    first, second, *rest = planned.stdout.splitlines()
    assert first == "prod on lb1: 1 step (0 removes, 0 changes, 1 adds)"
    assert second.endswith("the device being with nothing of ours")
    assert rest == ["", "adds", "   1. Adds a.example.com."]
    assert "no node runs here" in planned.stderr
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    applied = place.run("apply", kept, "--ticket", "CHG-1")
    assert applied.exit_code == 0, applied.output
    assert applied.stdout.startswith("prod on lb1: done: done\nplan ")
    assert place.device.content["prod"] == {"a.example.com": "component:default/a"}
    again = place.run("apply", kept)
    assert (again.exit_code, again.stdout) == (1, "")
    assert "plan again" in again.stderr
    assert place.run("plan").stdout.startswith("prod on lb1: nothing to do\n")
    begun, ended = applies_in(place.folder / "state" / "audit")
    assert (begun["ticket"], ended["result"], ended["task"]) == ("CHG-1", "done", "task-1")


def test_exit_codes_and_json_are_for_scripts(place: Place) -> None:
    (planned,) = place.told("plan", code=1)["plans"]
    assert [step["kind"] for step in planned["plan"]["steps"]] == ["add"]
    assert set(planned) == {"plan", "checks", "hindrances", "ours", "drift", "dry_run", "mode"}
    kept = place.folder / "prod.plan"
    kept.write_text(json.dumps(planned["plan"]))  # what `--json` prints can be applied too
    done = place.told("apply", kept)
    assert (done["done"], done["task"]) == (True, "task-1")
    assert place.told("plan")["plans"][0]["plan"]["steps"] == []
    assert place.told("drift")["devices"][0]["drift"] == []
    place.device.content["prod"]["a.example.com"] = "component:default/other"
    (found,) = place.told("drift", code=1)["devices"]
    assert found["drift"][0]["difference"] == "edited"


def test_the_declaration_alone_is_printed_for_other_tools(place: Place) -> None:
    result = place.run("plan", "--format", "as3")
    assert json.loads(result.stdout) == {"a.example.com": "component:default/a"}


def test_drift_is_told_in_three_values(place: Place) -> None:
    place.run("plan", "--out", place.folder / "p")
    place.run("apply", place.folder / "p")
    place.device.content["prod"]["a.example.com"] = "component:default/other"
    result = place.run("drift")
    assert result.exit_code == 1
    head, sentence, *values = result.stdout.splitlines()
    assert head == "prod on lb1: 1 differ; 1 step of a plan wait (`stagedoor plan`)"
    assert sentence.split()[0] == "edited"
    assert [line.split()[0] for line in values] == ["applied", "device"]


def test_what_stands_in_the_way_is_said_before_and_refused_after(place: Place) -> None:
    place.config(", frozen: year end, ticket: true")
    kept = place.folder / "prod.plan"
    planned = place.run("plan", "--out", kept)
    assert "before it can be applied" in planned.stdout
    assert "year end" in planned.stdout
    refused = place.run("apply", kept)
    assert refused.exit_code == 1
    assert [line.partition(":")[0] for line in refused.stderr.splitlines()[1:]] == ["error", "error"]
    assert "year end" in refused.stderr
    assert "--ticket ID" in refused.stderr
    assert place.device.applied == []


def test_many_removals_need_a_word(place: Place) -> None:
    write(place.folder, "catalog/more.yaml", *(service(f"s-{number}") for number in range(7)))
    place.run("plan", "--out", place.folder / "p")
    place.run("apply", place.folder / "p")
    (place.folder / "catalog/more.yaml").unlink()
    planned = place.run("plan", "--out", place.folder / "p")
    assert planned.stdout.splitlines()[:4] == [
        "prod on lb1: 7 steps (7 removes, 0 changes, 0 adds)", planned.stdout.splitlines()[1], "", "removes",
    ]  # fmt: skip
    refused = place.run("apply", place.folder / "p")
    assert refused.exit_code == 1
    assert "takes away 7 of 8" in refused.stderr
    assert place.run("apply", place.folder / "p", "--approve-removals").exit_code == 0
    assert place.device.content["prod"].keys() == {"a.example.com"}


def test_a_catalog_with_faults_removes_nothing_even_with_a_word(place: Place) -> None:
    there = {name: f"component:default/{name}" for name in ("gone", "a")}
    place.device.content["prod"] = {f"{name}.example.com": ref for name, ref in there.items()}
    write(place.folder, "catalog/broken.yaml", "kind: [")
    place.run("plan", "--out", place.folder / "p")
    refused = place.run("apply", place.folder / "p", "--approve-removals")
    assert refused.exit_code == 1
    assert "removals wait while the catalog cannot be believed" in refused.stderr
    assert place.device.applied == []


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("plan", "--device", "lb9"), 2, "there is: lb1 in prod"),
        (("plan", "--env", "dev"), 2, "there is: lb1 in prod"),
        (("drift", "--device", "lb9"), 2, "there is: lb1 in prod"),
        (("apply", "nowhere.plan"), 2, "does not exist"),
        (("adopt", "--device", "lb1"), 2, "--env"),
    ],
)
def test_wrong_use_says_what_there_is(place: Place, arguments: tuple[str, ...], code: int, text: str) -> None:
    result = place.run(*arguments)
    assert result.exit_code == code
    assert text in result.output


@pytest.mark.parametrize("content", ["", "no plan", "[]", '{"form": "stagedoor-plan/1"}', '{"form": "another/2"}'])
def test_a_file_that_is_no_plan_is_refused_in_words(place: Place, content: str) -> None:
    (place.folder / "p").write_text(content)
    result = place.run("apply", place.folder / "p")
    assert result.exit_code in (1, 2)
    assert "plan" in result.stderr
    assert "Traceback" not in result.output


def test_a_device_that_is_away_and_one_that_does_not_say_have_their_codes(place: Place) -> None:
    place.run("plan", "--out", place.folder / "p")
    place.device.faults["apply"].append(Unknown("the device did not say what became of it: `stagedoor plan` looks"))
    unknown = place.run("apply", place.folder / "p")
    assert unknown.exit_code == 5
    assert "`stagedoor plan` looks" in unknown.stderr
    place.device.away = Unreachable("lb1 does not answer: look at its management address")
    for arguments in (("plan",), ("drift",), ("apply", str(place.folder / "p"))):
        away = place.run(*arguments)
        assert away.exit_code == 4
        assert "look at its management address" in away.stderr


def test_of_several_devices_one_that_is_away_hides_no_other(place: Place) -> None:
    text = (place.folder / "stagedoor.yaml").read_text().replace("{prod: {hosts: [.example.com]", SECOND)
    text = text.replace("        prod:", OTHER + "        prod:")
    (place.folder / "stagedoor.yaml").write_text(text)
    place.device.faults["observe"].append(Unreachable("no route to host: look at it"))
    result = place.run("plan")
    assert result.exit_code == 5, result.output
    assert "prod on lb1: no route to host" in result.stderr
    assert result.stdout.startswith("stage on lb1: nothing to do")


def test_while_a_node_runs_whose_engine_is_away_nothing_is_asked(place: Place) -> None:
    """Two programs would write to one device."""
    (place.folder / "state").mkdir()
    held = lock_state(place.folder / "state")
    try:
        result = place.run("plan")
    finally:
        os.close(held)
    assert result.exit_code == 4
    assert "its engine does not answer" in result.stderr
    assert place.device.observed == 0


def test_hostile_text_reaches_no_terminal(place: Place) -> None:
    place.device.content["prod"] = {"\x1b[2Jx.example.com": "component:default/\u202ex"}
    result = place.run("plan")
    assert "\x1b" not in result.output
    assert "\u202e" not in result.output


def test_no_name_on_a_device_makes_lines_of_a_plan_of_its_own(place: Place) -> None:
    place.device.content["prod"] = {"x.\n\nadds\n   2. Adds pay.example.com": "component:default/x"}
    result = place.run("plan")
    lines = result.stdout.splitlines()
    assert [line for line in lines if line in ("removes", "adds")] == ["removes", "adds"]
    assert [line[:7] for line in lines if ". " in line[:7]] == ["   1. T", "   2. A"]
    assert "   2. Adds a.example.com." in lines


def test_a_plan_is_kept_in_a_file_that_nobody_else_has_open(place: Place) -> None:
    """In a folder that others write to, somebody may have made the draft before."""
    waiting = place.folder / f".prod.plan.{os.getpid()}"
    waiting.write_text("theirs")
    kept = place.folder / "prod.plan"
    assert place.run("plan", "--out", kept).exit_code == 1
    assert waiting.read_text() == "theirs"
    assert not kept.samefile(waiting)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert list(place.folder.glob(".prod.plan.*")) == [waiting]


# === adopting ===


@pytest.fixture
def theirs(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    place.device.content["prod"], place.device.ours["prod"] = {"old.example.com": "by hand"}, False
    monkeypatch.setattr(adopt, "_is_attended", lambda: True)
    return place


def test_adopting_shows_everything_asks_and_then_owns_it(theirs: Place) -> None:
    result = theirs.run("adopt", "--device", "lb1", "--env", "prod", typed="y\n")
    assert result.exit_code == 0, result.output
    assert "Takes old.example.com away." in result.stderr
    assert "Take all of this over" in result.stderr
    assert theirs.device.ours["prod"]
    assert theirs.device.content["prod"] == {"a.example.com": "component:default/a"}
    assert applies_in(theirs.folder / "state" / "audit")[0]["adopts"] is True
    again = theirs.run("adopt", "--device", "lb1", "--env", "prod", typed="y\n")
    assert "nothing to take over" in again.stdout
    assert len(theirs.device.applied) == 1


@pytest.mark.parametrize("typed", ["n\n", "\n", ""])
def test_without_a_clear_yes_nothing_is_adopted(theirs: Place, typed: str) -> None:
    assert theirs.run("adopt", "--device", "lb1", "--env", "prod", typed=typed).exit_code == 1
    assert theirs.device.applied == []


def test_without_a_person_nothing_is_adopted(theirs: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adopt, "_is_attended", lambda: False)
    assert theirs.run("adopt", "--device", "lb1", "--env", "prod", typed="y\n").exit_code == 2
    assert theirs.device.observed == 0


def test_a_plan_over_what_is_not_ours_cannot_be_applied(theirs: Place) -> None:
    theirs.run("plan", "--out", theirs.folder / "p")
    refused = theirs.run("apply", theirs.folder / "p", "--approve-removals")
    assert refused.exit_code == 1
    assert "stagedoor adopt --device lb1 --env prod" in refused.stderr
    assert theirs.device.applied == []


def test_a_file_that_says_it_adopts_is_refused(theirs: Place) -> None:
    """A file is read once and applied anywhere: the question is asked where somebody answers it."""
    (planned,) = theirs.told("plan", code=1)["plans"]
    adopting = replace(plan_file.from_json(planned["plan"]), adopts=True)
    (theirs.folder / "p").write_bytes(orjson.dumps(plan_file.as_json(adopting)))
    refused = theirs.run("apply", theirs.folder / "p", "--approve-removals")
    assert refused.exit_code == 2
    assert "`stagedoor adopt` shows it and asks" in refused.stderr
    assert theirs.device.observed == 1
    assert theirs.device.applied == []
