"""The emulator by itself: its process, what it makes of nonsense, and of what this project declares."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.engine.network.bigip.as3.declaration import declaration_of
from gateway.lab.bigip.__main__ import _units, main
from gateway.lab.bigip.properties import properties_of, quoted, rest_of, unquoted
from gateway.lab.bigip.templates import TEMPLATES
from tests.support.bigip import WAIT_S, Caller, devices_in_thread, official_schema
from tests.support.certificates import make
from tests.support.declarations import desired, device, environment, place
from tests.support.examples import examples

DECLARE = "/mgmt/shared/appsvcs/declare"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with devices_in_thread(tmp_path_factory.mktemp("emulator"), schema=official_schema()) as (found,):
        yield Caller(found)


@pytest.fixture
def caller(running: Caller) -> Caller:
    running.lab("empty")
    return running


# === what this project declares ===


def _ours() -> dict[str, Any]:
    return declaration_of(desired(place("pay"), place("shop")), device(environment()), environment(), {})


def _furnish(caller: Caller, part: Any) -> None:
    """What the declaration refers to and an operator would have made."""
    if isinstance(part, dict):
        path = part.get("bigip")
        if isinstance(path, str):
            kind = "sys/file/ssl-cert" if path.endswith(".crt") else "ltm/profile/client-ssl"
            assert caller("POST", f"/mgmt/tm/{kind}", {"name": path.rpartition("/")[2]})[0] in (200, 409)
        for value in part.values():
            _furnish(caller, value)
    elif isinstance(part, list):
        for value in part:
            _furnish(caller, value)


def test_what_this_project_declares_is_taken_and_then_in_sync(caller: Caller) -> None:
    declaration = _ours()
    _furnish(caller, declaration)
    status, body = caller("POST", DECLARE, declaration)
    assert (status, [one["message"] for one in body["results"]]) == (200, ["success"])
    traced = f"{DECLARE}?controls.dryRun=true&controls.traceResponse=true"
    _, again = caller("POST", traced, declaration)
    assert [one["message"] for one in again["results"]] == ["no change"], again["traces"]
    (tenant,) = [name for name, part in declaration.items() if isinstance(part, dict) and part["class"] == "Tenant"]
    _, groups = caller("GET", f"/mgmt/tm/ltm/data-group/internal?$filter=partition+eq+{tenant}")
    hosts = {record["name"] for group in groups["items"] for record in group["records"]}
    assert {"pay.example.com", "shop.example.com"} <= hosts
    caller("DELETE", f"{DECLARE}/{tenant}")
    assert list(caller.device.unit.tree.within(tenant)) == []


# === nonsense ===

NONSENSE: tuple[Any, ...] = (
    None, 0, -1, True, "", "x", "`expand`", "../..", [], {}, [[]], {"class": "Pool"}, {"use": ""}, 10**30,
)  # fmt: skip


def _places(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of the declaration."""
    if path:
        yield path
    steps = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for step, value in steps:
        yield from _places(value, (*path, step))


def _spoilt(declaration: Any, path: tuple[Any, ...], value: Any) -> Any:
    found = copy.deepcopy(declaration)
    home = found
    for step in path[:-1]:
        home = home[step]
    home[path[-1]] = value
    return found


PLACES = tuple(_places(_ours()))


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(path=st.sampled_from(PLACES), value=st.sampled_from(NONSENSE))
def test_a_spoilt_declaration_is_answered_and_leaves_the_device_whole(
    caller: Caller, path: tuple[Any, ...], value: Any
) -> None:
    """Taken or refused, never answered by an accident; what was refused changed nothing."""
    before = caller.device.unit.tree.snapshot()
    status, body = caller("POST", DECLARE, _spoilt(_ours(), path, value))
    assert status in (200, 207, 400, 404, 422), body
    if status == 422 and "results" not in body:
        assert caller.device.unit.tree.snapshot() == before
    assert caller("GET", DECLARE)[0] in (200, 204)


@pytest.mark.parametrize("body", ["[]", "3", '"text"', "null", "{}", "[[]]", '[{"op": 1}]', '{"class": "AS3"}', "[1]"])
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
@pytest.mark.parametrize(
    "path",
    [
        DECLARE,
        "/mgmt/tm/ltm/pool",
        "/mgmt/tm/ltm/pool/~Common~p/members",
        "/mgmt/tm/transaction",
        "/mgmt/tm/task/sys/config",
    ],
)
def test_a_body_of_another_form_is_refused(caller: Caller, path: str, method: str, body: str) -> None:
    assert caller(method, path, body)[0] in (200, 207, 400, 404, 405, 422)


# === the codec ===


@given(st.text(st.characters(codec="ascii", exclude_characters="\r\n")))
def test_quoting_loses_nothing(text: str) -> None:
    assert (unquoted(quoted(text)) if text else quoted(text)) == (text or "none")


@pytest.mark.parametrize("command", TEMPLATES)
def test_a_template_read_back_is_itself(command: str) -> None:
    """Else AS3 would find drift in what it has just written."""
    assert properties_of(command, rest_of(TEMPLATES[command])) == TEMPLATES[command]


# === the process ===


def test_the_process_keeps_what_was_saved_and_ends_with_its_parent(tmp_path: Path) -> None:
    """`--state` outlives it; the end of its standard input ends it."""
    make(tmp_path, "bigip", "localhost", "127.0.0.1")
    command = [sys.executable, "-m", "gateway.lab.bigip", "--port", "0", "--certs", str(tmp_path)]
    state = tmp_path / "saved.json"
    with subprocess.Popen(
        [*command, "--state", str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline().startswith("bigip-a.lab.test at https://127.0.0.1:")
        process.stdin.close()
        assert process.wait(WAIT_S) == 0


def test_a_state_file_is_what_was_saved(tmp_path: Path) -> None:
    state = tmp_path / "saved.json"
    unit = _units([1], state, None)[1]
    unit.tree.put("ltm/pool", "/Common/kept", {})
    unit.tasks.begin(str(unit.tasks.create("sys/config", {"command": "save"})["_taskId"]), {"_taskState": "VALIDATING"})
    unit.tree.put("ltm/pool", "/Common/lost", {})
    assert set(json.loads(state.read_text())["ltm/pool"]) == {"/Common/kept"}
    again = _units([1], state, None)[1]
    assert [pool["name"] for pool in again.tree.objects("ltm/pool")] == ["kept"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--certs", "none"], "--certs none: No such file or directory"),
        (["--certs", "{folder}", "--schema", "{folder}/ca.pem"], "is not what it should be"),
        (["--certs", "{folder}", "--state", "{folder}/ca.pem"], "remove it to begin anew"),
    ],
)
def test_a_start_that_fails_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    make(tmp_path, "bigip", "localhost", "127.0.0.1")
    given_words = [word.format(folder=tmp_path) for word in arguments]
    monkeypatch.setattr(sys, "argv", ["gateway.lab.bigip", "--port", "0", *given_words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert says in str(ended.value)
