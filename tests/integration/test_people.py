"""Real tokens through a real node's doors, then `stagedoor people report`: who came is shown as the door found them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.control.sightings import FILE
from gateway.link import LinkClient, Message
from gateway.node.asking import CONTROL
from tests.support.commands import run, told
from tests.support.door import until
from tests.support.tokens import RS256
from tests.support.whole_node import WholeNode, whole_node
from tests.support.wire import Client

PEOPLE = """\
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {name: ann, annotations: {idp.test/id: "u-1"}}
spec: {profile: {email: ann@corp.test}, memberOf: [team]}
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {name: bob, annotations: {idp.test/id: "u-2"}}
spec: {profile: {email: bob@corp.test}, memberOf: []}
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {name: dora, annotations: {idp.test/id: "u-4"}}
spec: {memberOf: []}
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {name: dirk, annotations: {idp.test/id: "u-4"}}
spec: {memberOf: []}
"""
MATCH = (
    "match: {uid: annotations.idp.test/id, email: {field: spec.profile.email, domains: [corp.test]}}, "
    "groups: {claim: groups, match: metadata.name}"
)


def configure(node: WholeNode) -> None:
    """Another `match`, with groups, and people who can be found by it."""
    (node.folder / "catalog" / "people.yaml").write_text(PEOPLE)
    file = node.folder / "stagedoor.yaml"
    file.write_text(file.read_text().replace("match: {sub: metadata.name}", MATCH))
    before = len(node.events("settings_taken"))
    node.process.send_signal(signal.SIGHUP)
    until(lambda: len(node.events("settings_taken")) >= before + len(node.children("door")))
    until(lambda: come(node, "first", uid="u-1", groups=[]) == 200)


def come(node: WholeNode, sub: str, **claims: Any) -> int:
    now = int(time.time())
    token = RS256.token(iss=node.issuer, sub=sub, exp=now + 600, iat=now - 5, scope="openid", **claims)
    lines = b"Authorization: Bearer " + token + b"\r\n"
    with Client(node.port) as client:
        return client.send(node.request(None, lines=lines)).answer().status


def reported(node: WholeNode, *words: str | Path, code: int = 1) -> Any:
    (issuer,) = told("people", "report", "--config", node.folder / "stagedoor.yaml", *words, code=code)["issuers"]
    return issuer


def classes(issuer: Any) -> dict[str, tuple[str, str, str]]:
    return {each["name"]: (each["kind"], each["ref"], each["why"]) for each in issuer["people"]["there"]}


def seen(node: WholeNode, *names: str) -> Any:
    """The issuer's report, once these are in it."""
    until(lambda: set(names) <= classes(reported(node)).keys())
    return reported(node)


def tell_unsaved(node: WholeNode, subject: str) -> None:
    """As a door does; returns once control has heard it, which only an end of control then saves."""
    entry = {
        "issuer": "idp", "subject": subject, "claims": {}, "email_verified": False, "groups": None, "more_groups": 0,
        "ref": "", "refusal": "identity_unknown", "at": int(time.time()),
    }  # fmt: skip
    hello = {"t": "hello", "role": "door", "slot": 9, "pid": 1, "base": "", "seq": 0}

    async def story() -> None:
        heard: asyncio.Queue[Message] = asyncio.Queue()
        link = LinkClient(node.folder / "state" / CONTROL, lambda: hello, heard.put_nowait)
        link.start()
        async with asyncio.timeout(10):
            while not link.send({"t": "sightings", "seen": [entry], "left_out": 0}):
                await asyncio.sleep(0.01)
            link.send({"t": "status"})
            while (await heard.get())["t"] != "status":
                pass
        link.close()

    asyncio.run(story())


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeNode]:
    with whole_node(tmp_path_factory.mktemp("node")) as running:
        configure(running)
        yield running


def test_who_came_is_shown_as_the_door_found_them(node: WholeNode) -> None:
    """Each in one class, with the reason; what mending a near miss would give is what the owner's rule gives."""
    said = {"email": "Bob@Corp.test", "email_verified": False, "name": "Bob"}
    assert come(node, "s-bob", uid="U-2", groups=["Team"], **said) == 403
    verified = {"email": "ann@corp.test", "email_verified": True}
    assert come(node, "s-ann", uid="u-1", groups=["team", "Everybody"], **verified) == 200
    assert come(node, "s-two", uid="u-4", groups=[]) == 403
    assert come(node, "s-new", uid="u-9", groups=[], email="new@corp.test", email_verified=True) == 403
    issuer = seen(node, "s-bob", "s-ann", "s-two", "s-new")
    assert (
        classes(issuer).items()
        >= {
            "first": ("ambiguous", "user:default/ann", "two_subjects"),
            "s-ann": ("ambiguous", "user:default/ann", "two_subjects"),
            "s-bob": ("near", "", "case"),
            "s-two": ("ambiguous", "", "two_users"),
            "s-new": ("only_there", "", "nobody"),
        }.items()
    )
    (bob,) = [each for each in issuer["people"]["there"] if each["name"] == "s-bob"]
    assert (bob["label"], bob["email_verified"], bob["proposed"]) == ("Bob@Corp.test", False, "user:default/bob")
    assert abs(datetime.fromisoformat(bob["seen_at"]).timestamp() - time.time()) < 60
    (proposal,) = issuer["proposals"]
    assert (proposal["subject"], proposal["ref"], proposal["operations"] > 0) == ("s-bob", "user:default/bob", True)
    assert [each["people"] for each in issuer["mended"]["changes"]] == [["user:default/bob"]]
    assert bob["found_then"] == {"ref": "", "refusal": "identity_unknown"}
    here = {each["ref"]: (each["kind"], each["why"]) for each in issuer["people"]["here"]}
    assert here["user:default/joe"] == ("only_here", "no_field")
    groups = {each["name"]: (each["kind"], each["ref"]) for each in issuer["groups"]["there"]}
    assert groups.items() >= {
        "team": ("matched", "group:default/team"), "Team": ("near", ""), "Everybody": ("only_there", ""),
    }.items()  # fmt: skip


def test_no_token_is_in_the_file_and_the_file_is_private(node: WholeNode) -> None:
    seen(node, "first")
    file = node.folder / "state" / FILE
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    assert "eyJ" not in text
    assert "signature" not in text
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(f".{FILE}")] == []


def test_a_hostile_caller_reaches_neither_the_terminal_nor_past_the_bounds(node: WholeNode) -> None:
    """Claims that are shown and not compared are left out when they hold controls; groups are cut, and that is said."""
    groups = [f"g{number:04}" + "x" * 40 for number in range(200)]
    assert come(node, "s-bad", uid="u-bad", name="\x1b[31mroot", preferred_username="x" * 300, groups=groups) == 403
    issuer = seen(node, "s-bad")
    (bad,) = [each for each in issuer["people"]["there"] if each["name"] == "s-bad"]
    assert bad["claims"] == {"uid": "u-bad"}
    assert 0 < len(bad["groups"]) < 200
    assert (bad["groups_known"], any("not all groups" in note for note in issuer["notes"])) == (False, True)
    shown = run("people", "report", "--details", "--config", node.folder / "stagedoor.yaml")
    assert shown.exit_code == 1
    assert "\x1b" not in shown.stdout
    assert "s-bad" in shown.stdout


def test_control_that_dies_and_a_node_that_ends_keep_them(tmp_path: Path) -> None:
    """What was shown is on disk, so that a killed control begins with it; what came last is saved at the end."""
    with whole_node(tmp_path, workers=1) as node:
        configure(node)
        before = classes(seen(node, "first"))
        pid = node.children("control")[0]
        os.kill(pid, signal.SIGKILL)
        until(lambda: node.children("control")[0] != pid and node.ready())
        assert classes(reported(node)) == before
        assert come(node, "s-late", uid="u-late", groups=[]) == 403
        seen(node, "s-late")
        tell_unsaved(node, "s-end")
    report = told("people", "report", "--config", tmp_path / "stagedoor.yaml", code=1)
    assert report["node"] == "stopped"
    assert classes(report["issuers"][0]).keys() == {"first", "s-late", "s-end"}
    damaged = tmp_path / "state" / FILE
    damaged.write_bytes(damaged.read_bytes()[:-20])
    again = run("people", "report", "--config", tmp_path / "stagedoor.yaml")
    assert (again.exit_code, "is damaged" in again.stderr) == (5, True)


@pytest.mark.slow
def test_without_retention_nobody_is_remembered(tmp_path: Path) -> None:
    with whole_node(tmp_path, workers=1) as node:
        configure(node)
        seen(node, "first")
        file = node.folder / "stagedoor.yaml"
        file.write_text(file.read_text().replace("state: {folder: state}", "state: {folder: state, sightings: 0s}"))
        node.process.send_signal(signal.SIGHUP)
        until(lambda: not (node.folder / "state" / FILE).exists())
        assert come(node, "s-late", uid="u-late", groups=[]) == 403
        assert classes(reported(node)) == {}
