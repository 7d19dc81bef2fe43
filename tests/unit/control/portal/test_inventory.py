"""The page of a service's inventory: who lags is said first, and whatever a catalog holds, it is short and counts."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, cast

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.control.api.callers import Caller
from gateway.control.api.way_models import InventoryAnswer
from gateway.control.pages import Pages
from gateway.control.portal.filters import FILTERS
from gateway.control.portal.inventory import ENVIRONMENTS_SHOWN, ROWS_SHOWN, InventoryPages
from policy.facts import Principal

if TYPE_CHECKING:
    from gateway.control.api.ways import Ways

PAGE = "/portal/services/component:default/pay/inventory"
JANE = Caller(Principal("person", "user:default/jane", frozenset(("user:default/jane",))), True, True)


def leg(**changes: Any) -> dict[str, Any]:
    said: dict[str, Any] = {
        "device": "edge", "leg": "front", "rule": "sd-front-prod-1", "sentence": "Lets some come near.",
        "tags": ["sd-g-1"], "users": 14, "state": "open", "why": "",
    }  # fmt: skip
    return {**said, **changes}


def device(**changes: Any) -> dict[str, Any]:
    said: dict[str, Any] = {
        "device": "dc1", "state": "in-step", "version": "v2", "applied_version": "v2", "steps": 0, "why": "",
        "lags": False,
    }  # fmt: skip
    return {**said, **changes}


def environment(name: str = "prod", **changes: Any) -> dict[str, Any]:
    said: dict[str, Any] = {
        "environment": name, "url": "https://pay.test/", "is_closed": False,
        "upstreams": [{"url": "http://10.0.0.1:8080", "up": True}],
        "virtual_servers": [{
            "environment": name, "device": "dc1", "object": "/t/vs", "address": "192.0.2.1", "port": 443,
            "state": "in-step", "sentence": "On dc1 clients meet it.",
        }],
        "firewalls": [leg(), leg(leg="back", rule="sd-back-prod-1", tags=[], users=0)],
        "addresses": [{"device": "edge", "address": "10.0.0.1", "tags": ["sd-e-1"], "state": "open"}],
        "more_addresses": 0, "doubts": [], "people": 14, "more_rules": 0, "devices": [device()],
        "rules": [{
            "rule": "r-1", "effect": "permit", "sentence": "Team pay may.", "subject": "group:default/pay", "people": 14
        }],
    }  # fmt: skip
    return {**said, **changes}


def inventory(*environments: dict[str, Any], **changes: Any) -> dict[str, Any]:
    service = {"ref": "component:default/pay", "title": "Pay", "owner": "group:default/pay", "system": "", "domain": ""}
    doors = [{"slot": 0, "base": "b1", "lags": False}]
    found = {"service": service, "base": "b1", "doors": doors, "environments": list(environments), **changes}
    InventoryAnswer.model_validate(found, strict=True)
    return found


def drawn(found: dict[str, Any] | None, query: str = "", status: int = 200) -> str:
    class Asked:
        async def inventory(self, caller: Caller, ref: str) -> dict[str, Any] | None:
            assert (caller, ref) == (JANE, "component:default/pay")
            return found

    def who(_caller: Caller, here: str) -> dict[str, Any]:
        return {"person": "jane", "here": here, "devices_nav": True}

    pages = InventoryPages(cast("Ways", Asked()), Pages("gateway.control.portal", FILTERS), who, lambda _: ":8443")
    request = make_mocked_request(
        "GET", f"{PAGE}{query}", match_info={"scope": "Component:default", "name": "Pay"}
    )  # fmt: skip
    page = asyncio.run(pages.one(request, JANE))
    assert page.status == status
    return str(getattr(page, "text", ""))


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def test_it_tells_host_servers_rules_people_and_versions() -> None:
    said = words(drawn(inventory(environment())))
    for told in (
        "What was made of Pay", "nobody lags behind", "https://pay.test:8443/", "192.0.2.1 port 443 on dc1",
        "14 people with its tag", "14 people of the catalog, by 1 rule.", "Team pay may.", "doors to the service",
        "http://10.0.0.1:8080", "has policy v2", "the door of this node serves it",
    ):  # fmt: skip
        assert told in said, told


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"devices": [device(state="waiting", steps=2, lags=True)]}, "dc1 in prod: 2 steps wait to be applied"),
        ({"devices": [device(state="unread", lags=True)]}, "dc1 in prod: it was not looked at yet"),
        ({"devices": [device(lags=True)]}, "dc1 in prod: it names another policy version than the doors serve"),
        ({"devices": [device(state="fault", why="it is away", lags=True)]}, "dc1 in prod: it is away"),
        ({"firewalls": [leg(state="stops", why="It is gone.")]}, "edge in prod, front: It is gone."),
        (
            {"addresses": [{"device": "edge", "address": "10.0.0.1", "tags": [], "state": "stops"}]},
            "not tagged in prod: 10.0.0.1 on edge",
        ),
    ],
)
def test_who_lags_stands_before_everything_else(changes: dict[str, Any], said: str) -> None:
    page = words(drawn(inventory(environment(**changes))))
    assert "One thing is not as the catalog wants it." in page
    assert page.index(said) < page.index("Where clients meet it")
    assert "lags behind" in page


def test_a_door_that_serves_something_else_is_named() -> None:
    doors = [{"slot": 0, "base": "b1", "lags": False}, {"slot": 3, "base": "b0", "lags": True}]
    page = words(drawn(inventory(environment(), doors=doors)))
    assert "door 3 serves b0" in page
    assert "door 3 of this node serves something else" in page


def test_long_lists_are_folded_after_their_beginning_and_counted() -> None:
    rule = environment()["rules"][0]
    rules = [{**rule, "rule": f"r-{number}", "people": 5000} for number in range(200)]
    page = drawn(inventory(environment(rules=rules, more_rules=1234, people=5000)))
    said = words(page)
    assert "5,000 people of the catalog, by 1,434 rules." in said
    assert f"{200 - ROWS_SHOWN} more rules" in said
    assert "1,234 rules that are not shown" in said
    assert page.count("<details") == 3  # the rules, and the tags of a rule and an address
    assert page.index("r-9<") < page.index("more rules") < page.index("r-10<")


def test_the_longest_page_is_bounded() -> None:
    rule, address = environment()["rules"][0], environment()["addresses"][0]
    crowded = [
        environment(
            f"e{number}",
            rules=[{**rule, "sentence": "x" * 300}] * 200,
            addresses=[{**address, "tags": ["t" * 60] * 5}] * 200,
            firewalls=[leg(tags=["t" * 60] * 5000, state="stops", why="w" * 300)] * 6,
        )
        for number in range(40)
    ]
    page = drawn(inventory(*crowded))
    assert len(page) < 3 * 1024 * 1024
    assert page.count("<section") == ENVIRONMENTS_SHOWN
    assert f"Environments 1–{ENVIRONMENTS_SHOWN} of 40." in words(page)
    last = drawn(inventory(*crowded), "?from=36")
    assert last.count("<section") == 4
    assert "More</a>" not in last
    for beyond in ("40", "9999", "99999", "-1", "x"):
        assert drawn(inventory(*crowded), f"?from={beyond}").count("<section") == ENVIRONMENTS_SHOWN, beyond


def test_what_is_doubtful_of_names_stands_with_addresses() -> None:
    page = words(drawn(inventory(environment(doubts=["It has names that nobody knows."]))))
    assert page.index("Where it runs") < page.index("It has names that nobody knows.") < page.index("As firewalls")


def test_a_device_that_nothing_new_concerns_does_not_look_late() -> None:
    said = "has policy v1 : nothing since then changes it"
    for lags, is_said in ((False, True), (True, False)):
        page = words(drawn(inventory(environment(devices=[device(applied_version="v1", lags=lags)]))))
        assert (said in page, "the doors serve v2" in page) == (is_said, lags)


def test_production_stands_first() -> None:
    page = drawn(inventory(environment("dev"), environment("prod"), environment("staging")))
    assert re.findall(r'<section id="in-(\w+)"', page) == ["prod", "dev", "staging"]


def test_what_a_catalog_or_device_says_is_text() -> None:
    hostile = '<img src=x onerror="alert(1)">'
    page = drawn(
        inventory(
            environment(
                url=f"https://pay.test/{hostile}",
                firewalls=[leg(sentence=hostile, rule=hostile, why=hostile, tags=[hostile], state="stops")],
                devices=[device(device=hostile, why=hostile, lags=True, state="fault")],
            )
        )
    )
    assert "<img src=x" not in page
    assert "onerror=&#34;" in page


def test_what_is_not_published_says_so_and_leads_to_why() -> None:
    page = drawn(None, status=404)
    assert "Nothing was made of pay" in words(page)
    assert 'href="/portal/services/component:default/pay"' in page
