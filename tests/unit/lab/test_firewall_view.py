"""Promises about the firewall's page: what the device has at that moment, escaped, and packets that are no hits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
import pytest

from gateway.lab import control as lab_control
from gateway.lab.entries import coded
from gateway.lab.firewall_view import FirewallView, left_words
from gateway.lab.folder import LabFacts
from gateway.lab.panos import furnishing
from gateway.lab.panos.device import Device
from gateway.lab.panos.tree import Change
from tests.support.panos import RULES, VSYS1, Clock, RunningFirewall, rule, running
from tests.support.panos_oracle import written

FACTS = LabFacts(8443, "http://127.0.0.1:1", "127.0.0.1:2", "catalog", "access", "stagedoor", "ca.pem", 8444)
ASKED = {"source": "203.0.113.10", "destination": "198.51.100.10", "port": "443"}


def rendered(cards: dict[str, Any]) -> str:
    folder = Path(lab_control.__file__).parent / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["coded"] = coded
    return environment.get_template("firewall.html").render(**cards)


def device_with_a_rule(clock: Clock) -> Device:
    """Whoever carries a tag comes to an address that carries another one."""
    device = Device(clock=clock)
    zone = "<zone><entry name='clients'><network><layer3/></network></entry></zone>"
    groups = "<dynamic-user-group><entry name='readers'><filter>'reader'</filter></entry></dynamic-user-group>"
    groups += "<address-group><entry name='books'><dynamic><filter>'book'</filter></dynamic></entry></address-group>"
    service = "<service><entry name='web'><protocol><tcp><port>443</port></tcp></protocol></entry></service>"
    said = rule("reading", from_="clients", to="dmz", source_user="readers", destination="books", service="web",
                description="&lt;b&gt;Readers&lt;/b&gt; come to books.")  # fmt: skip
    written(device, [Change("set", VSYS1, zone + groups + service), Change("set", RULES, said)], "admin")
    furnishing.add_person(device, "203.0.113.10", r"marlow\jane")
    held = device.identities_of("")
    held.addresses.register("198.51.100.10", "book", 0, persistent=True, refresh=True)
    held.users.register(r"marlow\jane", "reader", 600, persistent=True, refresh=True)
    return device


@asynccontextmanager
async def looking(folder: Path, device: Device) -> AsyncIterator[tuple[FirewallView, RunningFirewall]]:
    async with running(folder, device) as (firewall,):
        lab = folder / ".lab"
        (lab / "certs").mkdir(parents=True)
        (lab / "certs" / "ca.pem").write_bytes(firewall.ca.read_bytes())
        yield FirewallView(lab / "state", replace(FACTS, firewall=firewall.url)), firewall


def looked(folder: Path, device: Device, story: Callable[[FirewallView], Awaitable[None]]) -> None:
    async def scene() -> None:
        async with looking(folder, device) as (view, _):
            await story(view)

    asyncio.run(asyncio.wait_for(scene(), 50))


def test_a_device_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    async def story() -> None:
        (tmp_path / "certs").mkdir()
        async with running(tmp_path, Device()) as (firewall,):
            (tmp_path / "certs" / "ca.pem").write_bytes(firewall.ca.read_bytes())
        view = FirewallView(tmp_path / "state", replace(FACTS, firewall=firewall.url))
        assert f"The device does not answer at {firewall.url}" in rendered(await view.cards({}))

    asyncio.run(asyncio.wait_for(story(), 50))


def test_rules_groups_and_tags_are_shown_as_the_device_has_them(tmp_path: Path) -> None:
    async def story(view: FirewallView) -> None:
        text = rendered(await view.cards({}))
        assert "&lt;b&gt;Readers&lt;/b&gt; come to books." in text
        assert "clients → dmz" in text
        assert text.count("1 now") == 2, "who and what is in the groups"
        assert "tcp/443" in text
        assert "10 min left" in text

    looked(tmp_path, device_with_a_rule(Clock()), story)


def test_a_packet_is_judged_and_counts_as_no_hit(tmp_path: Path) -> None:
    clock = Clock()
    device = device_with_a_rule(clock)

    async def story(view: FirewallView) -> None:
        passing = await view.cards(ASKED)
        assert passing["verdict"]["label"] == "passes"
        assert "come to books" in passing["verdict"]["why"]
        assert r"marlow\jane at 203.0.113.10" in rendered(passing)
        clock.passes(600)
        assert (await view.cards(ASKED))["verdict"]["label"] == "is stopped"
        assert [hits.count for hits in device.hits.values()] == [0]

    looked(tmp_path, device, story)


@pytest.mark.parametrize("wrong", [{"source": "jane"}, {"port": "ssh"}, {"port": "70000"}, {"port": "-1"}])
def test_what_is_no_packet_is_said(tmp_path: Path, wrong: Mapping[str, str]) -> None:
    async def story(view: FirewallView) -> None:
        cards = await view.cards({**ASKED, **wrong})
        assert cards["verdict"]["label"] == "no packet"
        assert rendered(cards)

    looked(tmp_path, Device(), story)


def test_what_a_form_says_is_shown_as_text(tmp_path: Path) -> None:
    async def story(view: FirewallView) -> None:
        text = rendered(await view.cards({**ASKED, "source": '"><script>'}))
        assert "<script>" not in text.replace('<script src="/lab/', "")

    looked(tmp_path, Device(), story)


@pytest.mark.parametrize(
    ("left_s", "words"), [(None, ""), (0, "0 s"), (119, "119 s"), (600, "10 min"), (7200, "2 h"), (172_800, "2 d")]
)
def test_the_time_left_is_told_in_round_words(left_s: int | None, words: str) -> None:
    assert left_words(left_s) == words
