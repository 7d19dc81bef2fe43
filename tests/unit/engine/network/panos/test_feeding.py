"""What a firewall reads by itself: one entry a line, nothing empty, nothing that is no service's, no loss unweighed."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.devices import Leg, Panos, PanosEnvironment
from gateway.control.feeds.memory import NAME
from gateway.engine.network.desired import Desired, Place
from gateway.engine.network.documents import Recipe
from gateway.engine.network.fronts import Front
from gateway.engine.network.panos import feeding, names
from gateway.engine.network.panos.feeding import MOST, documents_of, faults_of, recipe_of, steps_between
from gateway.engine.network.plans.guards import removed
from gateway.engine.network.plans.plan import Kind, Observed
from gateway.engine.network.whereabouts import NOTHING_KNOWN, Known
from policy.coarse import Scope

SYSTEM = "system:default/payments"
AT = PanosEnvironment(
    "prod", back=Leg(), virtual_addresses=("203.0.113.10",), doors=("198.51.100.21",), networks=("10.0.0.0/8",)
)
EDGE = Panos("edge", ("https://192.0.2.30",), ("key",), environments=(AT,))


def ref(name: str) -> str:
    return f"component:default/{name}"


def wish(*places: tuple[str, str]) -> Desired:
    """Of `NAME, PATH`; all belong to one system."""
    made = tuple(Place(ref(name), name, "", SYSTEM, "", f"{name}.example.com", path) for name, path in places)
    services = tuple(sorted({place.entity for place in made}))
    return Desired("prod", "v1", made, (Scope(SYSTEM, "prod", "", services, (), (), False, False, ()),))


class World:
    """What a recipe looks at besides the wish."""

    def __init__(self) -> None:
        self.known = Known()
        self.shut: frozenset[str] = frozenset()
        self.fronts: tuple[str, ...] = ()

    def says(self, **addresses: str) -> None:
        self.known = Known({ref(name): tuple(text.split()) for name, text in addresses.items()}, self.known.unasked)

    @property
    def recipe(self) -> Recipe:
        def met(_desired: Desired) -> list[Front]:
            return [Front(ref("pay"), "", "", "", "/", address, 443, "/t/vs") for address in self.fronts]

        return recipe_of(EDGE, AT, met, lambda _: self.fronts, lambda _: self.known, lambda: self.shut)

    def lists(self, desired: Desired) -> dict[str, list[str]]:
        recipe = self.recipe
        content = recipe.content(desired)
        assert not recipe.faults(content)
        return {name: document.text.splitlines() for name, document in recipe.documents(content).items()}


@pytest.fixture
def world() -> World:
    return World()


def test_there_is_a_list_of_each_kind_for_everybody_and_for_each_system(world: World) -> None:
    world.says(pay="10.0.0.2 10.0.0.1", fees="10.1.0.0/16 10.0.0.1")
    lists = world.lists(wish(("pay", "/v1"), ("fees", "/")))
    system = names.services_tag(SYSTEM, "prod")
    assert sorted(lists) == sorted(
        ["addresses/doors.txt", "addresses/fronts.txt", "addresses/services.txt", f"addresses/{system}.txt",
         "domains/hosts.txt", f"domains/{system}.txt", "urls/hosts.txt", f"urls/{system}.txt"]
    )  # fmt: skip
    assert lists["addresses/services.txt"] == ["10.0.0.1", "10.0.0.2", "10.1.0.0/16"]
    assert lists["addresses/doors.txt"] == ["198.51.100.21"]
    assert lists["addresses/fronts.txt"] == ["203.0.113.10"]
    assert lists["domains/hosts.txt"] == ["fees.example.com", "pay.example.com"]
    assert lists["urls/hosts.txt"] == ["fees.example.com/", "pay.example.com/v1/"]
    assert all(NAME.fullmatch(name) for name in lists)


def test_virtual_addresses_of_other_devices_are_listed_too(world: World) -> None:
    world.fronts = ("203.0.113.77",)
    assert world.lists(wish(("pay", "/")))["addresses/fronts.txt"] == ["203.0.113.10", "203.0.113.77"]


def test_a_list_that_nothing_belongs_into_holds_nobody(world: World) -> None:
    """An empty one would be taken for the truth, and a missing one leaves what was there in force."""
    lists = world.lists(wish(("pay", "/")))
    assert lists["addresses/services.txt"] == [names.CANARY_ADDRESS]
    assert IPv6Address(names.CANARY_ADDRESS) in IPv6Network("2001:db8::/32")
    world.shut = frozenset((ref("pay"),))
    assert world.lists(wish(("pay", "/")))["domains/hosts.txt"] == ["nobody.invalid"]


@pytest.mark.parametrize(
    "address", ["192.0.2.1", "198.51.100.21", "203.0.113.10", "127.0.0.1", "169.254.169.254", "0.0.0.0/0", "::1"]
)
def test_what_is_no_address_of_a_service_is_left_out(world: World, address: str) -> None:
    """Outside the operator's networks, a door's, a virtual server's, this machine's, the cloud's metadata."""
    world.says(pay=f"10.0.0.1 {address}")
    assert world.lists(wish(("pay", "/")))["addresses/services.txt"] == ["10.0.0.1"]


def test_nothing_is_given_while_a_name_is_asked_for_the_first_time(world: World) -> None:
    world.known = Known({}, frozenset((ref("pay"), ref("elsewhere"))))
    (fault,) = faults_of(world.recipe.content(wish(("pay", "/"))))
    assert ref("pay") in fault
    world.known = replace(world.known, addresses={ref("pay"): ("10.0.0.1",)})  # of another name, which is no whole
    assert faults_of(world.recipe.content(wish(("pay", "/"))))
    world.known = replace(world.known, is_settled=True)  # what it had before is remembered
    assert not faults_of(world.recipe.content(wish(("pay", "/"))))


def test_nothing_is_given_before_anybody_has_looked_where_services_run(world: World) -> None:
    world.known = NOTHING_KNOWN
    (fault,) = faults_of(world.recipe.content(wish(("pay", "/"))))
    assert ref("pay") in fault


def test_what_is_closed_leaves_its_lists_and_is_no_loss_that_waits(world: World) -> None:
    world.says(pay="10.0.0.1", fees="10.0.0.2")
    before = world.recipe.content(wish(("pay", "/"), ("fees", "/")))
    world.shut = frozenset(("@prod",))
    after = world.recipe.content(wish(("pay", "/"), ("fees", "/")))
    assert documents_of(after)["addresses/services.txt"].text == f"{names.CANARY_ADDRESS}\n"
    steps = steps_between(after, Observed("", before))
    assert [step.kind for step in steps] == [Kind.CHANGE] * 2
    assert removed(steps) == ()


def test_a_service_without_its_last_address_is_lost_and_one_that_moves_is_not(world: World) -> None:
    world.says(pay="10.0.0.1", fees="10.0.0.2")
    desired = wish(("pay", "/"), ("fees", "/"))
    before = world.recipe.content(desired)
    world.says(pay="10.9.9.9")
    assert removed(steps_between(world.recipe.content(desired), Observed("", before))) == (ref("fees"),)
    gone = world.recipe.content(wish(("pay", "/")))
    assert removed(steps_between(gone, Observed("", before))) == (ref("fees"),)
    assert steps_between(before, Observed("", before)) == ()


def test_whatever_lists_are_made_of_makes_them_anew(world: World) -> None:
    recipe = world.recipe
    marks = [recipe.beside()]
    world.says(pay="10.0.0.1")
    marks.append(recipe.beside())
    world.shut = frozenset((ref("pay"),))
    marks.append(recipe.beside())
    world.fronts = ("203.0.113.77",)
    marks.append(recipe.beside())
    assert len(marks) == len([each for index, each in enumerate(marks) if each not in marks[:index]])
    assert recipe.beside() == recipe.beside()


def test_a_path_too_long_for_a_list_is_nobody_elses_trouble(world: World) -> None:
    lists = world.lists(wish(("pay", "/" + "x" * 300), ("fees", "/")))
    assert lists["urls/hosts.txt"] == ["fees.example.com/"]
    assert "pay.example.com" in lists["domains/hosts.txt"]


def test_a_list_longer_than_firewalls_hold_is_not_given(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    monkeypatch.setattr(feeding, "MOST", {**MOST, "domains": 1})
    faults = faults_of(world.recipe.content(wish(("pay", "/"), ("fees", "/"))))
    assert any("domains/hosts" in fault and "2 entries" in fault for fault in faults)


@given(path=st.text(max_size=60).map(lambda text: "/" + text))
def test_no_path_of_the_catalog_ends_an_entry_or_is_a_pattern(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        return
    content: dict[str, Any] = World().recipe.content(wish(("pay", path)))
    assert not faults_of(content)
    for line in documents_of(content)["urls/hosts.txt"].text.splitlines():
        assert line.startswith(("pay.example.com/", "nobody.invalid"))
        assert not set(line) & set(" *^#;?\t")
        assert line.endswith("/")
