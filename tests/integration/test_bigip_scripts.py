"""The emulator as the device below the real AS3 engine: it runs the cli scripts that the engine uploads.

The same calls as recorded: upload, load, run as a task, and a look into the data group where an error would stand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.lab.bigip import requests, scripts
from gateway.lab.bigip.properties import unquoted
from gateway.lab.bigip.refusals import Refusal
from gateway.lab.bigip.tmsh import command_of
from gateway.lab.bigip.tree import Tree
from gateway.lab.bigip.unit import Unit
from tests.support.bigip import SHARED, Caller, devices_in_thread, recorded

NOTES = "/mgmt/tm/ltm/data-group/internal/~Common~__appsvcs_update"
SCRIPT = r"""cli script __appsvcs_update {{
proc script::run {{}} {{
if {{[catch {{
tmsh::modify ltm data-group internal __appsvcs_update records none
}} err]}} {{
tmsh::create ltm data-group internal __appsvcs_update type string records none
}}
if {{ [catch {{
tmsh::create auth partition t1 default-route-domain 0
tmsh::create sys folder /t1/app/
tmsh::begin_transaction
{commands}
tmsh::commit_transaction
}} err] }} {{
catch {{ tmsh::cancel_transaction }} e
regsub -all {{"}} $err {{\"}} err
tmsh::modify ltm data-group internal __appsvcs_update records add \{{ error \{{ data \"$err\" \}} \}}
catch {{ tmsh::delete sys folder /t1/app/ }} e
catch {{ tmsh::delete auth partition t1 }} e
}}}}
}}"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with devices_in_thread(tmp_path_factory.mktemp("scripts")) as (found,):
        yield Caller(found)


@pytest.fixture
def caller(running: Caller) -> Caller:
    running.lab("empty")
    return running


def _run(caller: Caller, script: str) -> Any:
    """What stands in the data group afterwards."""
    half = len(script) // 2
    upload = "/mgmt/shared/file-transfer/uploads/appsvcs_update.cli"
    for begin, end in ((0, half), (half, len(script))):
        piece = f"{begin}-{end - 1}/{len(script)}"
        status, answer = caller("POST", upload, script[begin:end], Content_Range=piece)
        assert (status, answer["remainingByteCount"]) == (200, len(script) - end)
    body = {"command": "load", "options": [{"file": answer["localFilePath"]}, {"merge": True}]}
    assert caller("POST", "/mgmt/tm/sys/config", body)[0] == 200
    _, task = caller("POST", "/mgmt/tm/task/cli/script", {"command": "run", "name": "__appsvcs_update"})
    where = f"/mgmt/tm/task/cli/script/{task['_taskId']}"
    assert caller("PUT", where, {"_taskState": "VALIDATING"})[0] == 202
    assert caller("GET", where)[1]["_taskState"] == "COMPLETED"
    return caller("GET", NOTES)[1].get("records", [])


def test_a_script_makes_what_it_says(caller: Caller) -> None:
    commands = (
        r"tmsh::create ltm node /Common/192.0.2.7 address 192.0.2.7"
        r" metadata replace-all-with \{ references \{ value 1 \} \}"
        "\n"
        r"tmsh::create ltm pool /t1/app/p members replace-all-with \{ /Common/192.0.2.7:80 \{ ratio 3 session"
        r" user-disabled metadata none \} \} monitor min 1 of \{ /Common/http \}"
    )
    assert _run(caller, SCRIPT.format(commands=commands)) == []
    _, pool = caller("GET", "/mgmt/tm/ltm/pool/~t1~app~p?expandSubcollections=true")
    (member,) = pool["membersReference"]["items"]
    assert (member["ratio"], member["session"], member["connectionLimit"]) == (3, "user-disabled", 0)
    assert pool["monitor"] == "min 1 of { /Common/http }"
    assert caller("GET", "/mgmt/tm/sys/folder/~t1~app")[0] == 200


def test_a_script_that_fails_leaves_its_error_and_nothing_else(caller: Caller) -> None:
    commands = (
        "tmsh::create ltm data-group internal /t1/app/dg type string records none\n"
        "tmsh::create ltm virtual /t1/app/vs destination /t1/192.0.2.1:80 pool /t1/app/missing"
    )
    (record,) = _run(caller, SCRIPT.format(commands=commands))
    assert record == {"name": "error", "data": "01020036:3: The requested Pool (/t1/app/missing) was not found."}
    assert [one["name"] for one in caller("GET", "/mgmt/tm/auth/partition")[1]["items"]] == ["Common"]
    assert "items" not in caller("GET", "/mgmt/tm/ltm/data-group/internal?$filter=partition+eq+t1")[1]


def test_a_script_of_another_shape_is_refused(caller: Caller) -> None:
    caller("POST", "/mgmt/shared/file-transfer/uploads/x.cli", "proc run {} { exec rm }")
    body = {"command": "load", "options": [{"file": "/var/config/rest/downloads/x.cli"}]}
    assert caller("POST", "/mgmt/tm/sys/config", body)[0] == 400
    body["options"] = [{"file": "/etc/passwd"}]
    assert caller("POST", "/mgmt/tm/sys/config", body)[0] == 400


def _held(tree: Tree) -> dict[tuple[str, str], Any]:
    found = {}
    for partition in ("stagedoor_staging", "Common"):
        for collection, path, values in tree.within(partition):
            if "appsvcs" not in path:
                found[collection, path] = {key: value for key, value in values.items() if key != "generation"}
    return found


def test_the_recorded_script_makes_what_the_emulated_engine_makes() -> None:
    """Two ways to the same device: the real engine's own script, and the emulator's reading of the declaration."""
    (exchange,) = [one for one in recorded("as3/as3_transcripts.json") if one["name"] == "deploy sync"]
    declared, scripted = Unit(), Unit()
    asyncio.run(declared.engine.run(requests.asked_of(exchange["request"], {})))
    _, script = scripts.script_of(Path(SHARED / "as3" / "as3_tmsh_script.txt").read_text())
    scripts.run(scripted.tree, script)
    assert _held(scripted.tree) == _held(declared.tree)


@pytest.mark.parametrize(
    "text",
    ["create", "create ltm", "destroy ltm pool /a/b", "create ltm pool /a/b members", 'create ltm rule /a/b x "', ""],
)
def test_a_command_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        command_of(text)
    with pytest.raises(Refusal):
        scripts.run_one(Tree(), text)


def test_text_in_a_command_is_text() -> None:
    """Quotes, braces and backslashes of a monitor's string do not end it."""
    said = 'GET / HTTP/1.1\\r\\nX: "a" { b }\\r\\n'
    escaped = said.replace('"', '\\"')
    found = command_of(f'create ltm monitor http /t/a/m send "{escaped}" interval 5')
    assert unquoted(found.properties["send"]) == said
    assert found.properties["interval"] == 5
