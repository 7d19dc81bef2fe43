"""Losses are confirmed or held, broken entities stay, and what is there takes effect at once."""

from __future__ import annotations

from dataclasses import replace

from gateway.engine.acceptance import Acceptance, Judgement
from gateway.engine.sources.entities import Entity
from gateway.engine.sources.files import Pull
from gateway.engine.sources.openapi import Definition, broken
from policy.facts import Operation, Source


def one(ref: str, **changes: object) -> Entity:
    kind = ref.partition(":")[0]
    plain = Entity(ref, kind, ref, "", (), {}, {}, (), None, Source("f.yaml", 1, ref), digest=f"{ref} {changes}")
    return replace(plain, **changes)  # type: ignore[arg-type]  # the caller names fields of Entity


def many(kind: str, count: int) -> dict[str, Entity]:
    return {ref: one(ref) for ref in (f"{kind}:default/{number}" for number in range(count))}


def without(entities: dict[str, Entity], count: int) -> dict[str, Entity]:
    return dict(list(entities.items())[count:])


class Catalog:
    """What was accepted so far, one reading after the other."""

    def __init__(self, entities: dict[str, Entity]) -> None:
        self.acceptance = Acceptance()
        self.entities = entities

    def reads(self, entities: dict[str, Entity], **more: set[str]) -> Judgement:
        judgement = self.acceptance.judge(Pull(entities, **more), self.entities)
        self.entities = judgement.entities
        return judgement


def test_additions_and_changes_take_effect_at_once() -> None:
    catalog = Catalog(many("user", 3))
    changed = many("user", 4) | {"user:default/0": one("user:default/0", title="new")}
    assert catalog.reads(changed).entities == changed


def test_a_loss_needs_two_readings() -> None:
    catalog = Catalog(many("user", 30))
    less = without(catalog.entities, 1)
    first = catalog.reads(less)
    assert first.confirm
    assert len(first.entities) == 30
    second = catalog.reads(less)
    assert not second.confirm
    assert second.entities == less


def test_a_loss_that_the_second_reading_takes_back_never_happened() -> None:
    catalog = Catalog(many("user", 30))
    everything = dict(catalog.entities)
    catalog.reads(without(everything, 1))
    assert catalog.reads(everything).entities == everything
    assert catalog.reads(without(everything, 1)).confirm


def test_more_than_a_fifth_and_more_than_ten_at_once_are_held() -> None:
    for known, gone, held in ((100, 20, False), (100, 21, True), (40, 10, False), (40, 11, True), (1000, 150, False)):
        catalog = Catalog(many("user", known))
        less = without(catalog.entities, gone)
        for _ in range(3):
            judgement = catalog.reads(less)
        assert (len(judgement.entities) == known) is held, (known, gone)
        assert bool(judgement.held) is held
        assert bool(judgement.faults) is held


def test_an_empty_reading_takes_nothing_away() -> None:
    catalog = Catalog(many("user", 3) | many("group", 1))
    for _ in range(3):
        judgement = catalog.reads({})
    assert judgement.held == {"group": 1, "user": 3}
    assert len(judgement.entities) == 4


def test_while_held_additions_wait_and_single_losses_come_through() -> None:
    catalog = Catalog(many("user", 100))
    half = without(catalog.entities, 50) | {"user:default/new": one("user:default/new")}
    assert "user:default/new" not in catalog.reads(half).entities
    less = {ref: entity for ref, entity in half.items() if ref != "user:default/99"}
    assert "user:default/99" in catalog.reads(less).entities
    judgement = catalog.reads(less)
    assert "user:default/99" not in judgement.entities
    assert len(judgement.entities) == 99


def test_a_hold_of_one_kind_does_not_hold_another() -> None:
    catalog = Catalog(many("user", 100) | many("group", 30))
    less = without(many("user", 100), 60) | without(many("group", 30), 1)
    catalog.reads(less)
    judgement = catalog.reads(less)
    assert sum(ref.startswith("group:") for ref in judgement.entities) == 29
    assert sum(ref.startswith("user:") for ref in judgement.entities) == 100


def test_a_hold_ends_when_the_lost_are_back() -> None:
    everything = many("user", 100)
    catalog = Catalog(everything)
    catalog.reads(without(everything, 50))
    judgement = catalog.reads(everything | {"user:default/new": one("user:default/new")})
    assert judgement.held == {}
    assert "user:default/new" in judgement.entities


def test_an_operator_can_accept_the_loss() -> None:
    catalog = Catalog(many("user", 100))
    less = without(catalog.entities, 50)
    catalog.reads(less)
    catalog.acceptance.accept_losses()
    catalog.reads(less)
    assert catalog.reads(less).entities == less
    again = catalog.reads({})
    assert again.held == {"user": 50}


def test_a_broken_entity_keeps_its_last_good_form() -> None:
    catalog = Catalog(many("user", 3))
    rest = without(catalog.entities, 1)
    for _ in range(3):
        judgement = catalog.reads(rest, broken={"user:default/0"})
        assert judgement.entities.keys() == many("user", 3).keys()
        assert judgement.kept == {"user:default/0"}
        assert not judgement.confirm


def test_everything_in_a_broken_file_keeps_its_last_good_form() -> None:
    catalog = Catalog(many("user", 30))
    for _ in range(3):
        judgement = catalog.reads({}, broken_files={"f.yaml"})
    assert len(judgement.entities) == 30
    assert judgement.held == {}


def test_an_api_whose_definition_breaks_keeps_its_operations() -> None:
    good = Definition((Operation("GET", "/a"),), digest="1")
    catalog = Catalog({"api:default/a": one("api:default/a", definition=good)})
    bad = {"api:default/a": one("api:default/a", definition=broken(Source("f.yaml"), "no definition"))}
    for _ in range(2):
        kept = catalog.reads(bad).entities["api:default/a"].definition
        assert kept is not None
        assert kept.kept
        assert not kept.broken
        assert kept.operations == good.operations
        assert kept.faults[0].message == "no definition"
    assert (
        catalog.reads({"api:default/a": one("api:default/a", definition=good)}).entities["api:default/a"].definition
        == good
    )
