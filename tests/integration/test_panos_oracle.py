"""Access as packets have it, on an emulated firewall: given by the catalog, ended by it, and never round the door.

Everything is asked of the packet oracle, and compared with what the coarse policy says of the company at that moment.
"""

from __future__ import annotations

from random import Random

import pytest

from gateway.config.devices import Closes
from tests.support.panos_company import DOOR, PORT, group
from tests.support.panos_oracle import BACK, DAY, HOUR, Scene, passes


@pytest.fixture
def scene() -> Scene:
    made = Scene()
    for who, team in (("jane", "ledger"), ("omar", "orders")):
        made.company.joins(who, team)
    made.company.joins("zoe")
    made.company.opens("books", "money", system="books")
    made.follow()
    return made


def test_a_team_comes_to_what_it_owns_and_nobody_else_does(scene: Scene) -> None:
    """Jane is in a team below the owners."""
    assert [scene.meets(who) for who in ("jane", "omar", "zoe", "nobody")] == [True, False, False, False]
    assert scene.differences() == []


def test_the_door_reaches_a_service_and_nobody_goes_round_it(scene: Scene) -> None:
    """Though somebody else's rule, behind ours, lets everybody do so."""
    assert scene.is_reached("books")
    assert not scene.goes_round("jane", "books")


def test_before_anything_is_written_the_way_round_is_open() -> None:
    """What the test above would see without us."""
    scene = Scene()
    scene.company.running["books"] = "192.0.2.7"
    assert scene.goes_round("jane", "books")


def test_who_leaves_the_team_or_the_company_is_stopped(scene: Scene) -> None:
    scene.company.joins("jane")
    scene.follow()
    assert not scene.meets("jane")
    scene.company.joins("jane", "money")
    scene.follow()
    assert scene.meets("jane")
    scene.company.leaves("jane")
    scene.follow()
    assert not scene.meets("jane")


def test_temporary_access_ends_by_itself_though_nobody_comes_to_end_it(scene: Scene) -> None:
    scene.company.grants("zoe", "books", HOUR)
    scene.follow()
    assert scene.meets("zoe")
    scene.clock.passes(HOUR - 1)
    assert scene.meets("zoe")
    scene.clock.passes(1)
    assert not scene.meets("zoe"), "no request was made since"
    assert scene.differences() == []


def test_a_new_picture_does_not_prolong_temporary_access(scene: Scene) -> None:
    scene.company.grants("zoe", "books", HOUR)
    scene.follow()
    scene.clock.passes(HOUR / 2)
    scene.follow()
    scene.clock.passes(HOUR / 2)
    assert not scene.meets("zoe")


def test_who_is_cut_off_is_stopped_and_a_grant_from_before_does_not_come_back(scene: Scene) -> None:
    scene.company.grants("zoe", "books", DAY)
    scene.company.cuts("user:default/zoe")
    scene.company.cuts(group("ledger"))
    scene.follow()
    assert not scene.meets("zoe")
    assert not scene.meets("jane")
    scene.clock.passes(60)
    scene.company.relents()
    scene.follow()
    assert not scene.meets("zoe")
    assert scene.meets("jane")


def test_a_service_that_moved_is_reached_where_it_is(scene: Scene) -> None:
    before = scene.company.running["books"]
    scene.company.moves("books")
    scene.follow()
    assert scene.is_reached("books")
    assert not scene.goes_round("jane", "books")
    assert not passes(scene.device, DOOR, before, zones=BACK, port=PORT)


def test_a_service_that_is_shut_is_reached_by_nobody(scene: Scene) -> None:
    scene.company.shuts("books")
    scene.follow()
    assert not scene.is_reached("books")
    assert not scene.goes_round("jane", "books")


def test_a_reboot_keeps_access_and_its_ends(scene: Scene) -> None:
    scene.company.grants("zoe", "books", HOUR)
    scene.follow()
    scene.device.reboot()
    assert scene.differences() == []
    scene.clock.passes(HOUR)
    assert not scene.meets("zoe")


# === a fortnight ===


@pytest.mark.parametrize("closes", ["addresses", "networks"])
@pytest.mark.parametrize(
    ("days", "seed"), [(3, 7), *(pytest.param(14, seed, marks=pytest.mark.slow) for seed in range(3))]
)
def test_after_random_days_packets_pass_as_the_policy_says(days: int, seed: int, closes: Closes) -> None:
    """Also between what happens and the engine's hearing of it: what is temporary ends by the firewall's clock."""
    scene, chance = Scene(closes=closes), Random(seed)
    until = scene.clock() + days * DAY
    scene.founded(chance)
    scene.follow()
    while scene.clock() < until:
        scene.clock.passes(chance.randrange(60, 8 * HOUR))
        assert scene.differences() == [], "time alone"
        scene.goes_on(chance)
        scene.follow()
        assert scene.differences() == []
