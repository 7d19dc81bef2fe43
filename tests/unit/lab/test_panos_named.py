"""Children of the emulator's configuration are found by name, whatever happened to their list before."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement

from hypothesis import given
from hypothesis.strategies import integers, lists, sampled_from, tuples

from gateway.lab.panos import named
from gateway.lab.panos.named import child_named, forget

NAMES = [f"n{number}" for number in range(40)]
ACTIONS = sampled_from(["append", "delete", "move", "rename", "look"])


def looked_for(node: Element, name: str) -> Element | None:
    return next((child for child in node if child.get("name") == name), None)


@given(lists(tuples(ACTIONS, integers(0, 60), integers(0, 39)), max_size=60))
def test_whatever_was_done_each_is_found_as_one_who_looks_through_all_finds_it(
    done: list[tuple[str, int, int]],
) -> None:
    node = Element("rules")
    for name in NAMES[: named.FEW + 2]:
        SubElement(node, "entry", name=name)
    for action, place, number in done:
        name, there = NAMES[number], looked_for(node, NAMES[number])
        if action == "append" and there is None:
            SubElement(node, "entry", name=name)
        elif action == "delete" and there is not None:
            node.remove(there)
        elif action == "move" and there is not None:
            node.remove(there)
            node.insert(place, there)
        elif action == "rename" and there is None and len(node):
            node[place % len(node)].set("name", name)
            forget(node)
        else:
            assert child_named(node, "entry", name) is there
    assert all(child_named(node, "entry", name) is looked_for(node, name) for name in NAMES)


def test_an_element_of_another_kind_is_another() -> None:
    node = Element("rules")
    for name in NAMES:
        SubElement(node, "entry", name=name)
    assert child_named(node, "member", NAMES[0]) is None
