"""The state of a node from what its roles say: whoever is away hides nothing of the others, and what is wrong is a
sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.link import Message
from gateway.node import status
from gateway.node.asking import CONTROL, Away, Refusing
from gateway.node.status import NodeStatus, catalog_of, status_of

WORKER = {
    "role": "door", "slot": 0, "pid": 11, "base": "abc", "seq": 3, "connections": 5, "snapshot_age_s": 0,
    "overlay_age_s": 1, "audit_queued": 0, "audit_failing": False, "longest_stall_ms": 1.5, "heard_age_s": 0.4,
    "clock_ahead_s": 0,
}  # fmt: skip
CONTROLS = {
    "t": "status", "node": "up", "version": "1.2", "pid": 2, "supervisor_pid": 1, "workers": 1, "seq": 3, "live_seq": 3,
    "roles": [WORKER], "issuers": [{"name": "idp", "keys": 2, "age_s": 9, "fault": ""}],
}  # fmt: skip
ENGINES = {
    "t": "status", "pid": 3, "base": "abc", "published_age_s": 60, "read_age_s": 1, "failure": "", "services": 7,
    "errors": 0, "warnings": 2, "faults": ["a.yaml:1: odd"], "held": {}, "mark": "",
}  # fmt: skip


def told(
    monkeypatch: pytest.MonkeyPatch, control: Message | Exception = CONTROLS, engine: Message | Exception = ENGINES
) -> NodeStatus:
    def ask(_folder: Path, name: str, question: Message, *answers: str, within_s: float = 5.0) -> Message:
        assert question == {"t": "status"}
        answer = control if name == CONTROL else engine
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(status, "ask", ask)
    return status_of(Path("state"))


def findings(monkeypatch: pytest.MonkeyPatch, *, worker: Any = None, engine: Any = None, **control: Any) -> list[str]:
    roles = [WORKER | (worker or {})]
    return list(told(monkeypatch, CONTROLS | {"roles": roles} | control, ENGINES | (engine or {})).findings())


def test_a_node_that_is_well_has_no_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(monkeypatch)
    assert list(found.findings()) == []
    assert found.workers[0].snapshot == "abc.3"
    assert (found.catalog and found.catalog.services) == 7


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"node": "draining"}, "the node is draining"),
        ({"workers": 3}, "no worker in slot 1, 2"),
        ({"worker": {"heard_age_s": 9.0}}, "worker 0 (pid 11) has been silent for 9 s"),
        ({"worker": {"base": ""}}, "policy_unavailable"),
        ({"worker": {"audit_failing": True}}, "cannot write its audit trail"),
        ({"worker": {"clock_ahead_s": 86_400}}, "lives 86400 s in the future"),
        ({"worker": {"snapshot_age_s": 99}}, "has not heard the engine for 99 s"),
        ({"worker": {"overlay_age_s": 99}}, "has not heard control for 99 s"),
        ({"store_fault": "connection refused"}, "nobody signs in or out: connection refused"),
        ({"issuers": [{"name": "idp", "keys": 0, "age_s": None, "fault": "gone"}]}, "its tokens are refused: gone"),
        ({"issuers": [{"name": "idp", "keys": 1, "age_s": 80, "fault": "gone"}]}, "the keys of 80 s ago hold"),
        ({"engine": {"failure": "OSError: full"}}, "could not be compiled: OSError: full"),
        ({"engine": {"base": ""}}, "nothing is published yet"),
        ({"engine": {"errors": 1}}, "1 error: a.yaml:1: odd"),
        ({"engine": {"held": {"user": {"count": 12, "first": ["user:default/a"]}}}}, "stagedoor catalog accept-losses"),
    ],
)
def test_what_is_not_as_it_should_be_is_said(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], said: str
) -> None:
    (finding,) = findings(monkeypatch, **changes)
    assert said in finding


@pytest.mark.parametrize("away", ["control", "engine"])
def test_a_role_that_is_away_hides_nothing_of_the_other(monkeypatch: pytest.MonkeyPatch, away: str) -> None:
    found = told(monkeypatch, **{away: Away(f"{away} does not run")})
    assert found.away == {away: f"{away} does not run"}
    assert list(found.findings()) == [f"{away} is away: {away} does not run"]
    assert bool(found.workers) is (away == "engine")
    assert (found.catalog is None) is (away == "engine")


def test_a_node_whose_roles_end_again_and_again_is_no_node_that_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "supervisor_of", lambda folder: 17)
    with pytest.raises(Away, match=r"the node runs \(pid 17\)"):
        told(monkeypatch, Away("a"), Away("b"))


def test_nobody_at_all_is_a_node_that_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Away, match="`stagedoor serve`"):
        told(monkeypatch, Away("a"), Away("b"))
    with pytest.raises(Refusing, match="another user"):
        told(monkeypatch, Away("a"), Refusing("another user's"))


NONSENSE: list[Any] = [None, 7, True, "x", -1.5, [], [3], {}, {"a": None}, [{"role": "door"}], {"k": {"count": "many"}}]


@pytest.mark.parametrize("value", NONSENSE, ids=repr)
def test_an_answer_of_another_version_is_read_with_care(monkeypatch: pytest.MonkeyPatch, value: Any) -> None:
    """Every field missing, or something else: the form stays the same and nothing is raised."""
    control = dict.fromkeys(CONTROLS, value) | {"t": "status"}
    engine = dict.fromkeys(ENGINES, value) | {"t": "status"}
    for found in (told(monkeypatch, control, engine), told(monkeypatch, {"t": "status"}, {"t": "status"})):
        said = found.as_json()
        assert set(said) == set(told(monkeypatch).as_json())
        assert isinstance(said["node"], str)
        assert all(isinstance(each, str) for each in said["findings"])
    roles = [dict.fromkeys(WORKER, value) | {"role": "door"}]
    (worker,) = told(monkeypatch, CONTROLS | {"roles": roles}).workers
    assert isinstance(worker.base, str)


def test_the_engine_alone_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch)
    assert catalog_of(Path("state")).base == "abc"


FOLLOWED = {
    "name": "main", "url": "https://backstage.example.com", "entities": 300, "age_s": 3.2, "wait_s": 5.0, "took_ms": 40,
    "full_took_ms": 90, "delay_s": None, "fault": "", "fix": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"fault": "it answered 503: it is not well"},
            "catalog main is away, what was read 3 s ago counts: it answered",
        ),
        ({"fault": "no answer", "fix": "ask"}, "counts: no answer; ask"),
        ({"fault": "x", "age_s": None}, "catalog main is away, it was never read: x"),
        ({"age_s": 1000.0}, "catalog main was last read 1000 s ago"),
    ],
)
def test_a_followed_catalog_that_is_not_well_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], said: str
) -> None:
    (found,) = findings(monkeypatch, engine={"catalogs": [FOLLOWED | changes]})
    assert said in found


def test_a_followed_catalog_that_is_well_is_none_and_stands_in_the_stable_form(monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(monkeypatch, engine=ENGINES | {"catalogs": [FOLLOWED]})
    assert list(found.findings()) == []
    assert found.as_json()["catalog"]["followed"] == [FOLLOWED]


@pytest.mark.parametrize("catalogs", [None, 5, [5], [{}], [{"age_s": "x", "entities": "y"}]])
def test_what_another_version_says_of_catalogs_breaks_nothing(monkeypatch: pytest.MonkeyPatch, catalogs: Any) -> None:
    assert told(monkeypatch, engine=ENGINES | {"catalogs": catalogs}).as_json()


DEVICE = {
    "device": "lb1", "environment": "prod", "mode": "plan", "state": "in-step", "looked_age_s": 3.0, "fault": "",
    "synced_age_s": 3.0, "steps": 0, "removes": 0, "waits": [], "drift": 0, "drifts": [], "version": "abc",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"state": "fault", "fault": "lb1 is away: look at it"}, "prod on lb1: lb1 is away: look at it"),
        ({"state": "waiting", "steps": 2, "waits": ["no change window is open: later"]},
         "prod on lb1: 2 steps wait: no change window is open: later"),
        ({"looked_age_s": 4000.0}, "prod on lb1 was last looked at 4000 s ago"),
        ({"drift": 2, "drifts": ["edited: The pool changed."]},
         "prod on lb1 differs from what was applied (2): edited: The pool changed. … (`stagedoor drift`)"),
    ],
)  # fmt: skip
def test_a_device_that_is_not_as_wanted_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], said: str | None
) -> None:
    assert findings(monkeypatch, engine={"devices": [DEVICE | changes]}) == ([said] if said else [])


TAGS = {"mode": "enforce", "state": "in-step", "fault": "", "waits": [], "users": 8, "addresses": 12, "revocations": 0}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"state": "fault", "fault": "edge: no answer"}, "tags of edge: edge: no answer"),
        ({"state": "fault", "fault": "edge: no answer", "revocations": 3},
         "tags of edge: edge: no answer (3 tags are still to be revoked)"),
        ({"state": "waiting", "waits": ["too many losses"]},
         "tags of edge: too many losses (`stagedoor plan --tags --device edge`)"),
        ({"refused": 2, "refusals": ["10.0.0.1: table full"]},
         "edge did not take the tags of 2 addresses or users: 10.0.0.1: table full"),
    ],
)  # fmt: skip
def test_tags_that_are_not_as_wanted_are_one_finding_of_their_firewall(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], said: str | None
) -> None:
    here = DEVICE | {"device": "edge", "tags": TAGS | changes}
    there = here | {"environment": "staging"}
    assert findings(monkeypatch, engine={"devices": [here, there]}) == ([said] if said else [])


def test_a_firewall_has_its_tags_in_the_stable_form(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ENGINES | {"devices": [DEVICE, DEVICE | {"tags": TAGS}, DEVICE | {"tags": {"users": "x", "waits": 7}}]}
    none, told_tags, odd = (each["tags"] for each in told(monkeypatch, engine=engine).as_json()["devices"])
    assert none is None
    assert (told_tags["state"], told_tags["users"], told_tags["never_mapped"]) == ("in-step", 8, 0)
    assert (odd["users"], odd["waits"]) == (0, ())


def test_a_feed_that_is_withheld_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = {"vendor": "bigip", "device": "lb1", "environment": "prod", "code": "held", "why": "takes away 8 of 10"}
    said = "the feed of prod on lb1 is withheld: takes away 8 of 10 (`stagedoor feeds list`)"
    assert findings(monkeypatch, engine={"feeds": [feed]}) == [said]
    assert told(monkeypatch, engine=ENGINES | {"feeds": [feed]}).as_json()["feeds"] == [feed]


@pytest.mark.parametrize("devices", [None, 7, [7], [{}], [{"device": 7, "steps": "x", "waits": "text"}]])
def test_what_an_engine_of_another_version_says_of_devices_is_survived(
    monkeypatch: pytest.MonkeyPatch, devices: Any
) -> None:
    found = told(monkeypatch, engine=ENGINES | {"devices": devices})
    assert all(each.device == "" and each.waits == () for each in found.devices)
    assert found.as_json()["devices"] == [each._asdict() for each in found.devices]
