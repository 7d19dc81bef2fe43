"""A catalog is written by everybody: whatever one file says, the services of the others stay as they were.

Each hostile file stands beside a healthy service. The promise: the round ends soon, the healthy service is published
and decides as before, the hostile one gets nothing it should not have, and nothing is ever fetched.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import pytest

from gateway.engine.journal import Journal
from gateway.engine.publisher import Publisher
from gateway.engine.rounds import Outcome, Rounds
from gateway.snapshot import BaseLoader
from policy.facts import Principal, Refusal
from policy.table import Table
from tests.support.catalogs import api, entity, openapi, people, service, settings, write

SOON_S = 20.0  # a bound against runaway work, far above what any of these takes

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(12)
)
ENTITY = "apiVersion: backstage.io/v1alpha1\nkind: %s\nmetadata:\n  name: evil\n"
HOSTILE: Mapping[str, list[Any]] = {
    "alias bomb": [BOMB],
    "alias bomb inside an entity": [ENTITY % "Component" + "spec:\n  " + BOMB.replace("\n", "\n  ")],
    "alias that contains itself": [ENTITY % "Group" + "spec: &s\n  members: *s\n"],
    "merge key": [ENTITY % "Group" + "spec:\n  <<: {members: [jane]}\n"],
    "python tag": ["!!python/object/apply:os.system ['touch /tmp/owned']"],
    "python name": [ENTITY % "User" + "spec: !!python/name:os.system\n"],
    "deep brackets": ["[" * 500_000],
    "deep mapping": ["a:\n" + "".join(" " * n + "a:\n" for n in range(1, 3000))],
    "deep json definition": [service("evil", providesApis=["evil"]), api("evil", '{"a":' * 200_000)],
    "deep yaml definition": [service("evil", providesApis=["evil"]), api("evil", "a: " + "[" * 200_000)],
    "bomb in a definition": [service("evil", providesApis=["evil"]), api("evil", BOMB)],
    "many documents": ["---\n" * 50_000],
    "long line": ["x" * 1_500_000],
    "file over its size": ["#" * 3_000_000],
    "nul and controls": ["a: \x00\x01"],
    "not utf-8": ["\udcff"],
    "duplicate key": [ENTITY % "Component" + "kind: User\nspec: {}\n"],
    "unhashable key": ["? {a: b}\n: c\n"],
    "groups in a circle": [
        entity("Group", "x", parent="y", members=["jane"]), entity("Group", "y", parent="x", children=["x"]),
        entity("Group", "z", parent="z"),
    ],
    "everything dangles": [
        service("evil", owner="nobody", system="none", providesApis=["none"], consumesApis=["none", "other/none"]),
        entity("User", "u", memberOf=["none"]),
        entity("Group", "g", parent="none", children=["none"], members=["none"]),
    ],
    "script links and titles": [
        {**entity("Component", "evil"), "metadata": {
            "name": "evil", "title": "<script>alert(1)</script>\u202e", "links": [{"url": "javascript:alert(1)"}],
            "annotations": {"stagedoor.dev/environments": "prod", "stagedoor.dev/host": "javascript:alert(1)"},
        }},
    ],
    "remote definition": [service("evil", providesApis=["evil"]), api("evil", {"$text": "http://127.0.0.1:9/a.yaml"})],
    "definition elsewhere": [service("evil", providesApis=["evil"]), api("evil", {"$text": "../../etc/passwd"})],
    "remote references": [
        service("evil", providesApis=["evil"]),
        api("evil", {
            "openapi": "3.0.0",
            "paths": {"/a": {"$ref": "http://127.0.0.1:9/x"}, "/b": {"get": {"security": [{"s": []}]}}},
            "components": {"securitySchemes": {"s": {"$ref": "http://127.0.0.1:9/y"}}},
        }),
    ],
    "references in a circle": [
        service("evil", providesApis=["evil"]),
        api("evil", {"openapi": "3.0.0", "paths": {"/a": {"$ref": "#/paths/~1b"}, "/b": {"$ref": "#/paths/~1a"}}}),
    ],
    "remote location": [entity("Location", "evil", targets=["http://127.0.0.1:9/all.yaml", "/etc/passwd", "../.."])],
    "host of the healthy service": [service("evil", host="good.example.com", access="everyone")],
    "host of nobody's suffix": [service("evil", host="good.example.com.evil.example")],
    "upstream on this machine": [service("evil", upstream="http://127.0.0.1:8443")],
    "upstream that hands out credentials": [service("evil", upstream="http://169.254.169.254")],
    "upstream behind another name": [service("evil", upstream="http://10.0.0.1@127.0.0.1")],
    "service of the door itself": [service("stagedoor/stagedoor", access="everyone")],
    "the healthy service again": [service("good", access="everyone", upstream="http://10.6.6.6")],
    "member of the owning team by own word": [entity("Component", "user:default/evil")],
    "ten thousand operations": [
        service("evil", providesApis=["evil"]), api("evil", openapi(*(f"GET /{n}" for n in range(10_000)))),
    ],
    "path of a thousand segments": [
        service("evil", providesApis=["evil"]), api("evil", openapi("GET /" + "/".join("a" * 1000))),
    ],
    "surrogates": [json.dumps(entity("Group", "evil", type="\ud800"))],
}  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> NoReturn:
        raise AssertionError("a catalog made the engine connect somewhere")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)


def write_raw(folder: Path, name: str, documents: list[Any]) -> None:
    if all(isinstance(each, str) for each in documents):
        (folder / "catalog" / name).write_bytes("".join(documents).encode("utf-8", "surrogateescape"))
    else:
        write(folder / "catalog", name, *documents)


def round_of(folder: Path) -> tuple[Outcome, Table]:
    said = settings(folder)
    state = Path(said.state_folder)
    rounds = Rounds(said, Publisher(state), Journal(state))
    outcome = rounds.round()
    if outcome.confirm:
        outcome = rounds.round()
    loader = BaseLoader(state)
    loader.load()
    assert loader.fault == ""
    return outcome, loader.table


def reason(table: Table, host: str, ref: str) -> str:
    match = table.match(host, ("",))
    if isinstance(match, Refusal):
        return match.reason
    return table.decide(match, "GET", Principal("person", ref, table.subjects_of(ref)), 0).reason


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("file", ["0-before.yaml", "z-after.yaml"])
def test_whatever_one_file_says_the_others_stay_as_they_were(tmp_path: Path, name: str, file: str) -> None:
    write(tmp_path, "catalog/org.yaml", *people("team"), entity("User", "outsider"))
    write(tmp_path, "catalog/good.yaml", service("good"))
    _, before = round_of(tmp_path)
    assert reason(before, "good.example.com", "user:default/jane") == "owner"
    write_raw(tmp_path, file, HOSTILE[name])
    began = time.monotonic()
    _, table = round_of(tmp_path)
    assert time.monotonic() - began < SOON_S
    assert not Path("/tmp/owned").exists()
    if name == "the healthy service again" and file.startswith("0"):
        return  # of two files that describe one entity the first stands: who may write files decides
    assert reason(table, "good.example.com", "user:default/jane") == "owner"
    assert reason(table, "good.example.com", "user:default/outsider") == "no_rule"
    match = table.match("good.example.com", ("",))
    assert not isinstance(match, Refusal)
    assert match.exposure.upstreams == ("http://10.0.0.1:8080",)
    assert {exposure.upstreams[0] for exposure in table.exposures.values()} == {"http://10.0.0.1:8080"}
    assert {exposure.host for exposure in table.exposures.values()} <= {"good.example.com", "evil.example.com"}
    assert not any(key.startswith("component:stagedoor/") for key in table.exposures)


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_in_it_opens_more_than_its_own_word_says(tmp_path: Path, name: str) -> None:
    """An outsider gets nowhere through a hostile file that stands alone."""
    write(tmp_path, "catalog/org.yaml", *people("team"), entity("User", "outsider"))
    write_raw(tmp_path, "evil.yaml", HOSTILE[name])
    _, table = round_of(tmp_path)
    allowed = {
        key
        for key, exposure in table.exposures.items()
        if reason(table, exposure.host, "user:default/outsider") not in ("no_rule", "host_unknown")
    }
    opened_by_owner = (
        {"component:default/evil@prod", "component:default/good@prod"} if "access" in str(HOSTILE[name]) else set()
    )
    assert allowed <= opened_by_owner
