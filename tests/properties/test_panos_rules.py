"""Whatever a device says about rules and objects, it is read, told in plain words, and put right by one change."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from copy import deepcopy
from random import Random
from typing import Any, cast
from xml.etree.ElementTree import Element, SubElement

from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.network.panos import names
from gateway.engine.network.panos.device.answers import Answer
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.places import place_of_rules
from gateway.engine.network.panos.device.sifting import Sieve
from gateway.engine.network.panos.rules.block import Block, Sighted
from gateway.engine.network.panos.rules.changing import change_between
from gateway.engine.network.panos.rules.codec import HOLDERS, RULES, element_of
from gateway.engine.network.panos.rules.content import content_of
from gateway.engine.network.panos.rules.drifting import drifts
from gateway.engine.network.panos.rules.review import findings
from gateway.engine.network.panos.rules.steps import steps_between
from gateway.engine.network.plans.plan import Observed
from gateway.lab.panos import xpath as paths
from gateway.lab.panos.tree import Change, apply, identify
from tests.support.panos_rules import CLOSED, DESIRED, EDGE, ENVIRONMENT

WANTED, STATIC = (content_of(DESIRED, EDGE, each, ()) for each in (ENVIRONMENT, CLOSED))
PLACE = place_of_rules(EDGE)
MARKS = [names.MARK, names.block_tag("prod"), names.block_tag("test"), "other"]


class Saying:
    """As much of a client as reading needs: a configuration that a test made up."""

    def __init__(self, held: Mapping[str, Element]) -> None:
        self._held = held

    async def read(self, said: Mapping[str, str], sieve: Sieve) -> Answer:
        sieve.begin()
        for each in self._held[said["xpath"]].findall("entry"):
            if sieve.wants(each.get("name", "")):
                sieve.take(each)
        return Answer(200, "xml", "success", "19", (), Element("response", status="success", code="19"))


def seen(held: Mapping[str, Element]) -> Sighted:
    return asyncio.run(Block(EDGE, "prod").sighted(cast(Client, Saying(held)), "running"))


texts = st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF), max_size=20)
tags = st.sampled_from(
    ["from", "to", "source", "destination", "source-user", "service", "action", "tag", "description", "disabled",
     "filter", "dynamic", "protocol", "tcp", "port", "comments", "ip-netmask",
     "schedule", "profile-setting", "group", "member"]
)  # fmt: skip
nodes: st.SearchStrategy[tuple[str, str, list[Any]]] = st.recursive(
    st.tuples(tags, texts, st.just([])),
    lambda inner: st.tuples(tags, texts, st.lists(inner, max_size=3)),
    max_leaves=8,
)
own = [rule["name"] for rule in WANTED["rules"]]
STANDING = ["sd-begin", "sd-end", names.MARK]
entries = st.tuples(
    st.one_of(texts, st.sampled_from([*own, *WANTED["services"], *STATIC["addresses"], *STANDING])),
    st.lists(st.sampled_from(MARKS), max_size=3),
    st.lists(nodes, max_size=4),
)


def _grown(holder: Element, said: tuple[str, str, list[Any]]) -> None:
    node = SubElement(holder, said[0])
    node.text = said[1]
    for each in said[2]:
        _grown(node, each)


def _entry(said: tuple[str, list[str], list[Any]]) -> Element:
    entry = Element("entry", name=said[0])
    for each in said[2]:
        _grown(entry, each)
    marks = SubElement(entry, "tag")
    for mark in said[1]:
        SubElement(marks, "member").text = mark
    return entry


@given(st.lists(entries, max_size=6), st.lists(entries, max_size=4))
def test_whatever_a_device_holds_is_told_in_plain_words(rules: list[Any], objects: list[Any]) -> None:
    held = {PLACE.rules: Element(RULES)}
    held |= {f"{PLACE.base}/{holder}": Element(holder) for holder in HOLDERS.values()}
    for said in {each[0]: each for each in rules}.values():
        held[PLACE.rules].append(_entry(said))
    for said in {each[0]: each for each in objects}.values():
        for holder in HOLDERS.values():
            held[f"{PLACE.base}/{holder}"].append(_entry(said))
    sighted = seen(held)
    observed = Observed("f", sighted.content, parts={"extra": sighted.extra, "alike": sighted.alike})
    told = [
        *(step.sentence for wanted in (WANTED, STATIC) for step in steps_between(sighted.content, wanted)),
        *(drift.sentence for drift in drifts("prod", STATIC, WANTED, observed)),
        *(finding.sentence for finding in findings(sighted, (), 1.8e9)),
    ]
    assert all(sentence.isprintable() and len(sentence) < 3000 for sentence in told)
    assert {rule["name"] for rule in sighted.content["rules"]} <= {
        name for name in sighted.order if names.is_ours(name)
    }
    change_between(PLACE, sighted.content, STATIC)


@given(st.randoms(use_true_random=False), st.integers(0, 5), st.booleans(), st.permutations([WANTED, STATIC]))
def test_one_change_puts_everything_right_and_moves_nobody_else(
    random: Random, lost: int, is_open: bool, contents: list[dict[str, Any]]
) -> None:  # fmt: skip
    """On the emulator's own tree: any part of ours, in any order, amid rules of others; what is closed is another."""
    before, wanted = deepcopy(contents[0]), contents[random.randrange(2)]
    random.shuffle(before["rules"])
    del before["rules"][:lost]
    if is_open and before["rules"]:
        before["rules"][0]["source_user"] = ["any"]
    others = [f"other-{number}" for number in range(3)]
    ours = [rule["name"] for rule in before["rules"]]
    order = ["first", "sd-begin", *_mixed(ours, others, random), "sd-end", "last"]
    root = _tree(before, order)
    for edit in change_between(PLACE, before, wanted).edits:
        apply(root, Change(*edit))
    found = seen(_holders(root))
    assert found.content == wanted and not found.astray
    assert [name for name in found.order if name not in own] == [name for name in order if name not in own]


def _mixed(ours: list[str], others: list[str], random: Random) -> list[str]:
    mixed = list(ours)
    for position, name in zip(sorted(random.sample(range(len(ours) + len(others)), len(others))), others, strict=True):
        mixed.insert(position, name)
    return mixed


def _tree(content: Mapping[str, Any], order: list[str]) -> Element:
    root = Element("config")
    rules = {rule["name"]: rule for rule in content["rules"]}
    for kind in HOLDERS:
        for name, fields in content[kind].items():
            _put(root, f"{PLACE.base}/{HOLDERS[kind]}", element_of(kind, name, fields))
    for name in order:
        entry = element_of(RULES, name, rules[name]) if name in rules else Element("entry", name=name)
        _put(root, PLACE.rules, entry)
    identify(root)
    return root


def _put(root: Element, xpath: str, entry: Element) -> None:
    paths.made(root, paths.one(xpath))[-1].append(entry)


def _holders(root: Element) -> dict[str, Element]:
    found = [PLACE.rules, *(f"{PLACE.base}/{holder}" for holder in HOLDERS.values())]
    return {xpath: paths.made(root, paths.one(xpath))[-1] for xpath in found}
