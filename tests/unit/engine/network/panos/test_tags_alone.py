"""A firewall whose rules are other people's, or its Panorama's: it gets none, and is told all that rules ask for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.config.devices import Direct, Leg, PanosEnvironment
from gateway.engine.network.panos.membership import Membership
from gateway.engine.network.panos.rules.content import content_of, empty
from gateway.engine.network.panos.wishing import Wishing
from tests.support.panos import Clock
from tests.support.panos_company import LEGS, Company, Picture, firewall

NOW = 1_800_000_000
DIRECTS = (Direct(("component:default/books",), ("tcp/5432",)),)
ALL_LEGS = replace(LEGS, direct=Leg(), directs=DIRECTS)
NONE = replace(ALL_LEGS, front=None, back=None, direct=None)
EDGE = firewall("https://192.0.2.1", "", "")


@pytest.fixture
def picture() -> Picture:
    company = Company(Clock())
    company.joins("jane", "ledger")
    company.joins("zoe")
    company.opens("books", "money", system="books")
    company.opens("till", "orders", system="shop")
    company.grants("zoe", "books", 3600)
    return company.picture()


def told(picture: Picture, environment: PanosEnvironment) -> Membership:
    found = Wishing(replace(EDGE, environments=(environment,))).membership(picture.facts, NOW)
    assert found is not None
    return found


def test_without_a_leg_it_is_told_what_all_legs_together_ask_for(picture: Picture) -> None:
    expected = told(picture, ALL_LEGS)
    assert expected.addresses
    assert expected.users
    assert expected.timed
    assert told(picture, NONE) == expected


ONE_LEG = [replace(NONE, front=Leg()), replace(NONE, back=Leg()), replace(NONE, direct=Leg())]


@pytest.mark.parametrize("environment", ONE_LEG, ids=["front", "back", "direct"])
def test_with_one_it_is_told_no_more_than_that_asks_for(picture: Picture, environment: PanosEnvironment) -> None:
    assert told(picture, environment) != told(picture, NONE)


def test_without_a_leg_there_is_no_rule_and_nothing_to_do_about_them(picture: Picture) -> None:
    desired = picture.facts.desired["prod"]
    nothing, made = empty(EDGE, "prod"), content_of(desired, EDGE, NONE, picture.fronts)
    assert {**made, "tags": {}} == nothing
    assert content_of(desired, EDGE, ALL_LEGS, picture.fronts)["rules"]
