"""The emulated firewall against definitions that fit a screen: who has access, and whose changes run.

Names are theorems: `access_is_what_the_tags_say` over any order of registrations and any passing of time,
`a_partial_commit_runs_its_admins_changes_and_no_others` over any interleaving of administrators.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.lab.panos import filters, requests
from gateway.lab.panos.admins import Admin
from gateway.lab.panos.device import Device
from gateway.lab.panos.oracle import Packet
from tests.support.panos import RULES, VSYS1, Clock, rule

HOSTS = ("10.0.0.1", "10.0.0.2")
USERS = ("ann", "bob")
ADMINS = tuple(Admin(name, "x") for name in ("a", "b", "c"))


def ask(device: Device, admin: str = "a", **parameters: str) -> str:
    key = device.admins.keygen(admin, "x")
    return requests.answer(device, {"X-PAN-KEY": key}, parameters).body.decode()


def tell(device: Device, section: str, who: str, key: str, tag: str, timeout: int) -> None:
    member = f"<member timeout='{timeout}'>{tag}</member>"
    entry = f"<{section}><entry {who}='{key}'><tag>{member}</tag></entry></{section}>"
    ask(device, type="user-id", cmd=f"<uid-message><payload>{entry}</payload></uid-message>")


def guarded() -> tuple[Device, Clock]:
    """`ann` and `bob` reach what is tagged `svc`, while they are tagged `team` or `grant`."""
    clock = Clock()
    device = Device(admins=ADMINS, clock=clock)
    for kind, element in (
        ("address-group", "<entry name='svc'><dynamic><filter>'svc'</filter></dynamic></entry>"),
        ("dynamic-user-group", "<entry name='people'><filter>'team' or 'grant'</filter></entry>"),
        ("rulebase/security/rules", rule("r", source_user="people", destination="svc")),
    ):
        assert 'code="20"' in ask(device, type="config", action="set", xpath=f"{VSYS1}/{kind}", element=element)
    ask(device, type="commit", cmd="<commit/>")
    device.settle()
    return device, clock


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["register", "unregister", "register-user", "unregister-user", "wait", "reboot"]),
        st.integers(0, 1),
        st.sampled_from(["team", "grant", "svc"]),
        st.sampled_from([0, 5, 30]),
    ),
    max_size=25,
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_access_is_what_the_tags_say(steps: list[tuple[str, int, str, int]]) -> None:
    device, clock = guarded()
    ends: dict[tuple[str, str], float] = {}
    for action, which, tag, timeout in steps:
        who, key = ("user", USERS[which]) if action.endswith("user") else ("ip", HOSTS[which])
        if action == "wait":
            clock.passes(timeout)
        elif action == "reboot":
            device.reboot()
        else:
            tell(device, action, who, key, tag, timeout)
        ends = {held: end for held, end in ends.items() if end > clock.at}
        if action.startswith("register"):  # a second registration changes nothing, its end included
            ends.setdefault((key, tag), clock.at + timeout if timeout else float("inf"))
        elif action.startswith("unregister"):
            ends.pop((key, tag), None)
        for user in USERS:
            for host in HOSTS:
                has_right = (user, "team") in ends or (user, "grant") in ends
                verdict = device.evaluate(Packet("10.9.9.9", host, user=user))
                assert verdict.allowed == (has_right and (host, "svc") in ends), (user, host, steps)


WRITES = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["write", "remove", "commit", "revert"]), st.integers(0, 2)),
    max_size=25,
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(WRITES)
def test_a_partial_commit_runs_its_admins_changes_and_no_others(steps: list[tuple[str, str, int]]) -> None:
    """Each administrator has tags of their own, so what should run is plain."""
    device = Device(admins=ADMINS, clock=Clock())
    running: dict[str, set[str]] = {name: set() for name in "abc"}
    candidate: dict[str, set[str]] = {name: set() for name in "abc"}
    for admin, action, number in steps:
        tag, partial = f"{admin}{number}", f"<partial><admin><member>{admin}</member></admin></partial>"
        if action == "write":
            ask(device, admin, type="config", action="set", xpath=f"{VSYS1}/tag", element=f"<entry name='{tag}'/>")
            candidate[admin].add(tag)
        elif action == "remove":
            ask(device, admin, type="config", action="delete", xpath=f"{VSYS1}/tag/entry[@name='{tag}']")
            candidate[admin].discard(tag)
        elif action == "commit":
            ask(device, admin, type="commit", cmd=f"<commit>{partial}</commit>")
            running[admin] = set(candidate[admin])
        else:
            ask(device, admin, type="op", cmd=f"<revert><config>{partial}</config></revert>")
            candidate[admin] = set(running[admin])
        assert tags_of(device.configuration.running) == set().union(*running.values()), steps
        assert tags_of(device.configuration.candidate) == set().union(*candidate.values()), steps


def tags_of(root: Any) -> set[str]:
    return {entry.get("name") for entry in root.findall("./devices/entry/vsys/entry/tag/entry")}


TREES = st.recursive(
    st.sampled_from(["a", "b", "c"]),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["and", "or"]), inner, inner),
        st.tuples(st.just("not"), inner),
    ),
    max_leaves=8,
)  # fmt: skip


def spelled(tree: Any) -> str:
    if isinstance(tree, str):
        return f"'{tree}'"
    if tree[0] == "not":
        return f"not ({spelled(tree[1])})"
    return f"({spelled(tree[1])}) {tree[0]} ({spelled(tree[2])})"


def meant(tree: Any, tags: set[str]) -> bool:
    if isinstance(tree, str):
        return tree in tags
    if tree[0] == "not":
        return not meant(tree[1], tags)
    both = meant(tree[1], tags), meant(tree[2], tags)
    return all(both) if tree[0] == "and" else any(both)


@settings(deadline=None)
@given(TREES, st.sets(st.sampled_from(["a", "b", "c"])))
def test_a_filter_means_what_it_says(tree: Any, tags: set[str]) -> None:
    assert filters.parse(spelled(tree))(tags) == meant(tree, tags)


@settings(deadline=None)
@given(st.sets(st.sampled_from(["a", "b", "c"])))
def test_and_binds_closer_than_or(tags: set[str]) -> None:
    assert filters.parse("'a' or 'b' and 'c'")(tags) == ("a" in tags or {"b", "c"} <= tags)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_text_breaks_the_reading_of_filters_and_paths(text: str) -> None:
    device = Device(admins=ADMINS, clock=Clock())
    assert ask(device, type="config", action="get", xpath=f"/config/{text}").startswith("<response")
    assert ask(device, type="config", action="get", xpath=f"{RULES}/entry[@name={text!r}]").startswith("<response")
    try:
        assert filters.parse(text)(set()) in (True, False)
    except filters.BadFilter:
        pass
