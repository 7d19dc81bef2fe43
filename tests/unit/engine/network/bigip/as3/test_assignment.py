"""Addresses: one component each, for as long as it is there, nobody's for 30 days after, over restarts and losses."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import telemetry
from gateway.engine.network.bigip.as3 import assignment as written
from gateway.engine.network.bigip.as3 import names
from gateway.engine.network.bigip.as3.assignment import REST_S, RESTING_MOST, Assignment
from gateway.engine.network.bigip.as3.declaration import declaration_of
from gateway.engine.network.desired import Desired
from gateway.engine.network.faults import DeviceFault
from tests.support.declarations import desired, device, environment, place
from tests.support.examples import examples

POOL = environment(addresses="pool", virtual_address="", networks=("10.200.0.0/28",))
SHARED = environment(networks=("10.200.0.0/28",))
ON = device(POOL)
NOW = 1_800_000_000
DAY = 86_400


def of(*names: str, **addresses: str) -> Desired:
    return desired(*(place(name, address=addresses.get(name, "")) for name in names))


def ref(name: str) -> str:
    return f"component:default/{name}"


def test_everybody_gets_an_address_of_the_pool_and_keeps_it(tmp_path: Path) -> None:
    assignment = Assignment(tmp_path)
    found = assignment.assign(ON, POOL, of("a", "b", "c"), NOW)
    assert set(found) == {ref("a"), ref("b"), ref("c")}
    assert len(set(found.values())) == 3
    hosts = {str(address) for address in ip_network("10.200.0.0/28").hosts()}
    assert set(found.values()) <= hosts  # neither .0 nor .15
    more = assignment.assign(ON, POOL, of("a", "b", "c", "d", "0"), NOW + 1)
    assert {entity: more[entity] for entity in found} == found


def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    found = Assignment(tmp_path).assign(ON, POOL, of(*"abcdef"), NOW)
    assert Assignment(tmp_path).assign(ON, POOL, of(*"abcdef"), NOW + DAY) == found


def test_who_says_another_address_each_day_takes_the_pool_from_nobody(tmp_path: Path) -> None:
    """Only the last few of theirs rest, over restarts too; what rests for others stays theirs."""
    gone = Assignment(tmp_path).assign(ON, POOL, of("gone"), NOW)[ref("gone")]
    said = [str(address) for address in ip_network("10.200.0.0/28").hosts() if str(address) != gone]
    for number, address in enumerate(said):
        found = Assignment(tmp_path).assign(ON, POOL, of("evil", evil=address), NOW + DAY + number)
        assert found == {ref("evil"): address}
    crowd = [f"n{number:02d}" for number in range(14)]
    found = Assignment(tmp_path).assign(ON, POOL, of("evil", *crowd, evil=said[-1]), NOW + 2 * DAY)
    free = set(said[: -1 - RESTING_MOST])
    assert set(found.values()) == {*free, said[-1]}
    assert gone not in found.values()


def test_an_address_is_nobodys_for_thirty_days(tmp_path: Path) -> None:
    """The pool has 14 addresses: with one resting, the fourteenth newcomer waits."""
    assignment = Assignment(tmp_path)
    gone = assignment.assign(ON, POOL, of("gone"), NOW)[ref("gone")]
    crowd = [f"n{number}" for number in range(14)]
    found = assignment.assign(ON, POOL, of(*crowd), NOW + 1)
    assert len(found) == 13
    assert gone not in found.values()
    assert assignment.assign(ON, POOL, of(*crowd), NOW + REST_S) == found
    later = Assignment(tmp_path).assign(ON, POOL, of(*crowd), NOW + 1 + REST_S)
    assert len(later) == 14
    assert gone in later.values()


def test_who_comes_back_finds_their_own_address(tmp_path: Path) -> None:
    """A catalog that was empty for a day moves nobody."""
    assignment = Assignment(tmp_path)
    found = assignment.assign(ON, POOL, of(*"abc"), NOW)
    assert assignment.assign(ON, POOL, of(), NOW + 1) == {}
    assert assignment.assign(ON, POOL, of(*"abcxyz"), NOW + DAY).items() >= found.items()


def test_a_lost_file_gives_the_same_addresses_again(tmp_path: Path) -> None:
    wide = environment(addresses="pool", virtual_address="", networks=("10.0.0.0/16",))
    names = [f"n{number}" for number in range(100)]
    before = Assignment(tmp_path / "one").assign(ON, wide, of(*names), NOW)
    after = Assignment(tmp_path / "two").assign(ON, wide, of(*reversed(names)), NOW)
    assert after == before


def test_an_owners_word_counts_unless_somebody_has_the_address(tmp_path: Path) -> None:
    assignment = Assignment(tmp_path)
    first = assignment.assign(ON, POOL, of("pay"), NOW)
    taken = first[ref("pay")]
    found = assignment.assign(ON, POOL, of("pay", "a", a=taken), NOW + 1)
    assert found[ref("pay")] == taken
    assert ref("a") not in found
    found = assignment.assign(
        ON, POOL, of("pay", "a", a="10.200.0.14" if taken != "10.200.0.14" else "10.200.0.13"), NOW + 2
    )
    assert found[ref("a")] in ("10.200.0.14", "10.200.0.13")


def test_who_is_away_for_one_look_does_not_lose_their_address_to_whoever_says_it(tmp_path: Path) -> None:
    for at, said in ((POOL, ""), (SHARED, "10.200.0.9")):
        assignment = Assignment(tmp_path / at.addresses)
        had = assignment.assign(ON, at, of("pay", pay=said), NOW)[ref("pay")]
        for later in (1, 2):  # as soon as it is gone, and while it rests
            assert assignment.assign(ON, at, of("a", a=had), NOW + later) == {}
        assert assignment.assign(ON, at, of("a", "pay", a=had, pay=said), NOW + 3) == {ref("pay"): had}


def test_an_address_that_an_owner_says_is_theirs_when_it_has_rested(tmp_path: Path) -> None:
    assignment = Assignment(tmp_path)
    had = assignment.assign(ON, POOL, of("gone"), NOW)[ref("gone")]
    assignment.assign(ON, POOL, of(), NOW + 1)
    assert assignment.assign(ON, POOL, of("b", b=had), NOW + REST_S) == {}
    assert assignment.assign(ON, POOL, of("b", b=had), NOW + 1 + REST_S) == {ref("b"): had}


def test_who_says_another_address_leaves_the_first_to_others(tmp_path: Path) -> None:
    """The way to hand one over: while both are there."""
    assignment = Assignment(tmp_path)
    assignment.assign(ON, SHARED, of("old", old="10.200.0.9"), NOW)
    both = assignment.assign(ON, SHARED, of("old", "new", old="10.200.0.8", new="10.200.0.9"), NOW + 1)
    assert both == {ref("old"): "10.200.0.8", ref("new"): "10.200.0.9"}
    assert assignment.assign(ON, SHARED, of("new", new="10.200.0.9"), NOW + 2) == {ref("new"): "10.200.0.9"}


def test_what_the_pool_gave_is_given_up_by_nobody(tmp_path: Path) -> None:
    """Who has said nothing has left nothing, and is back with the next look."""
    assignment = Assignment(tmp_path)
    had = assignment.assign(ON, POOL, of("pay"), NOW)[ref("pay")]
    assignment.assign(ON, POOL, of(), NOW + 1)
    assert assignment.assign(ON, POOL, of("pay", "a", a=had), NOW + 2) == {ref("pay"): had}


def test_full_networks_are_told_once_and_cost_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look asks again; whoever waits behind one who got nothing is not looked for."""
    told: list[Any] = []
    looked: list[int] = []
    address_at = written._address_at

    def counted(index: int, ranges: list[tuple[int, int, int]]) -> str:
        looked.append(index)
        return address_at(index, ranges)

    monkeypatch.setattr(telemetry, "log", lambda event, **said: told.append((event, said["components"])))
    crowd = of(*(f"n{number}" for number in range(500)))
    made = Assignment(tmp_path)
    made.assign(ON, POOL, crowd, NOW)
    monkeypatch.setattr(written, "_address_at", counted)
    made.assign(ON, POOL, crowd, NOW + 1)
    assert len(looked) == 14
    assert [event for event, _ in told] == ["device_addresses_exhausted"]
    made.assign(ON, POOL, of("n1"), NOW + 2)
    made.assign(ON, POOL, crowd, NOW + 3)
    assert len(told) == 2


def test_of_two_that_say_the_same_the_first_one_keeps_it(tmp_path: Path) -> None:
    assignment = Assignment(tmp_path)
    assert assignment.assign(ON, SHARED, of("b", b="10.200.0.9"), NOW) == {ref("b"): "10.200.0.9"}
    both = of("a", "b", a="10.200.0.9", b="10.200.0.9")
    assert assignment.assign(ON, SHARED, both, NOW) == {ref("b"): "10.200.0.9"}
    assert Assignment(tmp_path).assign(ON, SHARED, both, NOW) == {ref("b"): "10.200.0.9"}
    assert assignment.assign(ON, SHARED, of("a", "b", a="10.200.0.9"), NOW) == {ref("a"): "10.200.0.9"}


def test_with_a_shared_address_only_those_who_say_one_have_one(tmp_path: Path) -> None:
    said = of("a", "b", "c", a="10.200.0.9", b="10.99.0.1", c=SHARED.virtual_address)
    assert Assignment(tmp_path).assign(ON, SHARED, said, NOW) == {ref("a"): "10.200.0.9"}


def test_an_address_outside_of_the_networks_is_given_up(tmp_path: Path) -> None:
    assignment = Assignment(tmp_path)
    assignment.assign(ON, POOL, of("a"), NOW)
    moved = environment(addresses="pool", virtual_address="", networks=("10.201.0.0/30",))
    assert ip_address(assignment.assign(ON, moved, of("a"), NOW)[ref("a")]) in ip_network("10.201.0.0/30")


@pytest.mark.parametrize(
    ("networks", "room"),
    [(("10.0.0.0/30",), 2), (("10.0.0.0/31",), 2), (("10.0.0.7/32",), 1), (("2001:db8::/126",), 3),
     (("10.0.0.0/30", "10.1.0.0/30"), 4), (("2001:db8::/64",), 20)],
)  # fmt: skip
def test_a_pool_is_used_to_its_last_address(tmp_path: Path, networks: tuple[str, ...], room: int) -> None:
    at = environment(addresses="pool", virtual_address="", networks=networks)
    found = Assignment(tmp_path).assign(ON, at, of(*(f"n{number}" for number in range(20))), NOW)
    assert len(set(found.values())) == len(found) == room
    assert all(any(ip_address(each) in ip_network(network) for network in networks) for each in found.values())


def test_asking_keeps_nothing(tmp_path: Path) -> None:
    asked = Assignment(tmp_path).assign(ON, POOL, of("a"), NOW, keep=False)
    assert set(asked) == {ref("a")}
    assert not list(tmp_path.rglob("*.addresses"))


def test_devices_and_environments_have_their_own(tmp_path: Path) -> None:
    assignment = Assignment(tmp_path)
    assignment.assign(ON, POOL, of("a"), NOW)
    assert assignment.assign(device(POOL, name="dc2"), POOL, of(), NOW) == {}
    assert len(list(tmp_path.rglob("*.addresses"))) == 1


@pytest.mark.parametrize("damage", [b"", b"x", b"stagedoor-addresses 2 x\n{}"])
def test_a_damaged_file_is_not_taken_for_none(tmp_path: Path, damage: bytes) -> None:
    Assignment(tmp_path).assign(ON, POOL, of("a"), NOW)
    (file,) = tmp_path.rglob("*.addresses")
    file.write_bytes(file.read_bytes()[:-3] if damage == b"x" else damage)
    with pytest.raises(DeviceFault, match="put back a copy"):
        Assignment(tmp_path).assign(ON, POOL, of("a"), NOW)


def test_an_address_that_somebody_edited_is_not_believed(tmp_path: Path) -> None:
    found = Assignment(tmp_path).assign(ON, POOL, of("a"), NOW)[ref("a")]
    (file,) = tmp_path.rglob("*.addresses")
    file.write_bytes(file.read_bytes().replace(found.encode(), b"10.200.0.250"))
    with pytest.raises(DeviceFault, match="it is damaged"):
        Assignment(tmp_path).assign(ON, POOL, of("a"), NOW)


def test_a_disk_that_cannot_be_written_gives_nobody_an_address(tmp_path: Path) -> None:
    (tmp_path / "devices").write_text("no folder")
    with pytest.raises(DeviceFault):
        Assignment(tmp_path).assign(ON, POOL, of("a"), NOW)


def test_the_file_is_private(tmp_path: Path) -> None:
    Assignment(tmp_path).assign(ON, POOL, of("a"), NOW)
    (file,) = tmp_path.rglob("*.addresses")
    assert file.stat().st_mode & 0o777 == 0o600


@settings(max_examples=examples(100), deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 20 * DAY),
            st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(["", "10.0.0.1", "10.0.0.5"]), max_size=8),
        ),
        max_size=8,
    ),
    st.sampled_from(["pool", "shared"]),
)
def test_over_any_history_nobody_gets_what_was_anothers_a_moment_ago(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[int, dict[str, str]]], plan: str
) -> None:
    at = environment(addresses=plan, virtual_address="", networks=("10.0.0.0/28",))
    folder, now = tmp_path_factory.mktemp("state"), NOW
    last_of: dict[str, tuple[str, int]] = {}  # address → who had it, and when last
    before: dict[str, str] = {}
    for pause, said in history:
        now += pause
        found = dict(Assignment(folder).assign(ON, at, of(*said, **said), now))
        assert len(set(found.values())) == len(found)
        wanted = {ref(name): address for name, address in said.items()}
        for entity, address in found.items():
            assert entity in wanted
            whose, when = last_of.get(address, (entity, 0))
            gave_up = whose in wanted and (plan == "shared" or wanted[whose]) and wanted[whose] != address
            assert whose == entity or when <= now - REST_S or (wanted[entity] == address and gave_up)
            if before.get(entity) and not wanted[entity] and plan == "pool" and before[entity] not in wanted.values():
                assert address == before[entity]
        for entity, address in before.items():  # they had it until now
            last_of[address] = (entity, now)
        last_of.update({address: (entity, now) for entity, address in found.items()})
        before = found


@pytest.mark.parametrize("at", [POOL, SHARED], ids=["pool", "said"])
def test_who_would_be_called_like_another_gets_no_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: Any
) -> None:
    """A catalog author who finds a ref with the name of another's application takes neither its virtual server nor
    ends the plans of all: who is there keeps the name, over restarts too, and the log says so once."""
    monkeypatch.setattr(names, "_DIGITS", 0)
    told: list[tuple[str, Any]] = []
    monkeypatch.setattr(telemetry, "log", lambda event, **said: told.append((event, said["components"])))
    victim = place("pay", entity="component:shop/pay", address="10.200.0.3")
    evil = place("evil", entity="component:default/pay", address="10.200.0.4")
    assert names.application_name(victim.entity) == names.application_name(evil.entity)
    found = held = Assignment(tmp_path).assign(ON, at, desired(victim), NOW)
    again = Assignment(tmp_path)
    for seconds in (1, 2):
        found = again.assign(ON, at, desired(evil, victim), NOW + seconds)
        assert found == held
        assert victim.entity in found
        declaration_of(desired(evil, victim), ON, at, found)
    assert told == [("device_names_taken", ["component:default/pay"])]
    with pytest.raises(DeviceFault, match="both called"):
        declaration_of(desired(evil, victim), ON, at, {**found, evil.entity: "10.200.0.4"})
    after = again.assign(ON, at, desired(evil), NOW + 3)
    assert set(after) == {evil.entity}  # who is gone holds no name


@pytest.mark.parametrize("at", [POOL, SHARED], ids=["pool", "said"])
def test_no_more_have_addresses_than_one_tenant_holds_and_who_has_one_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: Any
) -> None:
    """A catalog that grows beyond that stops nobody's changes."""
    monkeypatch.setattr(written, "MOST_APPLICATIONS", 3)
    said = {name: f"10.200.0.{number}" for number, name in enumerate("abcde", start=2)}
    assignment = Assignment(tmp_path)
    held = assignment.assign(ON, at, of("c", "d", **{name: said[name] for name in "cd"}), NOW)
    assert len(held) == 2
    found = assignment.assign(ON, at, of(*"abcde", **said), NOW + 1)
    assert len(found) == 3
    assert {ref(name): found[ref(name)] for name in "cd"} == held
    assert assignment.assign(ON, at, of(*"abcde", **said), NOW + 2) == found
