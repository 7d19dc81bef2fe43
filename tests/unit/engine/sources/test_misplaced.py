"""Annotations of ours count on Components alone, and whoever wrote them elsewhere is told once."""

from __future__ import annotations

from typing import Any

from gateway.engine.sources.entities import read_entity
from gateway.engine.sources.misplaced import misplaced
from policy.facts import Source
from tests.support.catalogs import PREFIX, entity, service


def said(document: dict[str, Any]) -> list[str]:
    read = read_entity(document, lambda path: Source("f.yaml", 1), PREFIX).entity
    assert read is not None
    return [str(fault) for fault in misplaced(document, read, PREFIX)]


def test_on_a_system_they_have_no_effect() -> None:
    document = entity("System", "shop", owner="team", annotations={"environments": "prod"})
    assert said(document) == [
        "f.yaml:1: `stagedoor.dev/environments` on `system:default/shop` has no effect: only a Component is exposed; "
        "write it on the Component"
    ]


def test_of_many_the_first_are_named() -> None:
    document = entity("API", "shop", owner="team", annotations=dict.fromkeys(("path", "host", "cors", "access"), "x"))
    (message,) = said(document)
    assert "`stagedoor.dev/access`, `stagedoor.dev/cors`, `stagedoor.dev/host`, … on" in message


def test_a_component_and_annotations_of_others_are_not_spoken_of() -> None:
    assert said(service("a")) == []
    user = entity("User", "jane", annotations={"subject": "an operator's own word below our prefix"})
    user["metadata"]["annotations"]["example.com/host"] = "x"
    assert said(user) == []
