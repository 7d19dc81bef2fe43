"""Losses are confirmed or held, broken entities stay, and what is there takes effect at once."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from gateway.config.sources import Origins
from gateway.engine.acceptance import Acceptance, Judgement
from gateway.engine.sources.entities import Entity, read_entity
from gateway.engine.sources.openapi import Definition, broken
from gateway.engine.sources.pulls import Joined, Pull, file_of
from policy.facts import Operation, Source
from policy.tracking import Comparison, differing
from tests.support.catalogs import PREFIX, entity, service


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

    def reads(self, entities: dict[str, Entity], **more: Any) -> Judgement:
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


# === several catalogs ===


def from_catalog(name: str, *documents: dict[str, Any], **more: Any) -> Pull:
    """One reading of a Backstage catalog."""
    file = file_of(name)
    found = [read_entity(document, lambda path: Source(file), PREFIX).entity for document in documents]
    return Pull({each.ref: each for each in found if each is not None}, catalogs=frozenset((file,)), **more)


def both(*pulls: Pull) -> Pull:
    return Joined(None).pull(list(zip(("main", "other"), pulls, strict=True)))


def test_a_catalog_that_goes_blind_is_not_hidden_by_another_that_is_well() -> None:
    """Ten of a hundred services are no large loss, but they are all that one catalog had."""
    acceptance = Acceptance()
    small = from_catalog("main", *(service(f"m-{number}") for number in range(10)))
    large = from_catalog("other", *(service(f"o-{number}") for number in range(90)))
    accepted = acceptance.judge(both(small, large), {}).entities
    for _ in range(3):
        judged = acceptance.judge(both(from_catalog("main"), large), accepted)
    assert len(judged.entities) == 100
    assert judged.held == {"component": 10}
    assert judged.faults[0].source.file == "catalog:main"


def test_additions_of_another_catalog_do_not_wait_for_the_held_one() -> None:
    acceptance = Acceptance()
    main, other = from_catalog("main", service("m")), from_catalog("other", service("o"))
    accepted = acceptance.judge(both(main, other), {}).entities
    judged = acceptance.judge(both(from_catalog("main"), from_catalog("other", service("o"), service("new"))), accepted)
    assert set(judged.entities) == {f"component:default/{name}" for name in ("m", "o", "new")}


def test_another_catalog_takes_nothing_over_while_the_first_one_is_blind() -> None:
    """It would only have to wait for the other to fail."""
    acceptance = Acceptance()
    mine, forged = service("a"), service("a", upstream="http://10.6.6.6:80")
    accepted = acceptance.judge(both(from_catalog("main", mine), from_catalog("other", forged)), {}).entities
    for _ in range(3):
        judged = acceptance.judge(both(from_catalog("main"), from_catalog("other", forged)), accepted)
    assert judged.entities["component:default/a"].source.file == "catalog:main"
    acceptance.accept_losses()
    judged = acceptance.judge(both(from_catalog("main"), from_catalog("other", forged)), accepted)
    assert judged.entities["component:default/a"].source.file == "catalog:other"


def test_a_catalog_that_was_never_read_or_is_away_loses_nothing() -> None:
    acceptance = Acceptance()
    main, other = from_catalog("main", service("a")), from_catalog("other", service("o"))
    accepted = acceptance.judge(both(main, other), {}).entities
    unread = Pull(unread=True, broken_files={"catalog:main"}, catalogs=frozenset(("catalog:main",)))
    judged = acceptance.judge(both(unread, from_catalog("other", service("a", access="everyone"))), accepted)
    assert judged.entities["component:default/a"].source.file == "catalog:main"
    assert judged.held == {"component": 1}  # of the other catalog, whose own service is gone


def test_who_moves_from_files_to_a_catalog_is_followed_at_once() -> None:
    acceptance = Acceptance()
    files = Pull({"component:default/a": from_catalog("x", service("a")).entities["component:default/a"]})
    moved = replace(files.entities["component:default/a"], source=Source("/srv/a.yaml"))
    judged = acceptance.judge(from_catalog("main", service("a", access="everyone")), {moved.ref: moved})
    assert judged.entities["component:default/a"].annotations["access"] == "everyone"
    assert judged.faults == ()


def test_people_whom_the_operator_trusts_no_more_are_gone_at_once() -> None:
    """However many: nothing failed, somebody decided."""
    acceptance = Acceptance()
    people = [entity("User", f"u-{number}") for number in range(30)]
    pull = from_catalog("main", *people)
    accepted = acceptance.judge(pull, {}).entities
    judged = acceptance.judge(Joined(Origins((), ())).pull([("main", pull)]), accepted)
    assert (judged.entities, judged.confirm, judged.held) == ({}, False, {})


def test_what_it_says_differs_from_what_was_accepted_does_over_any_history() -> None:
    """Who works on with what was accepted asks for that, and must never be told too little."""
    luck = Random("history")
    refs = [f"{kind}:default/{number}" for kind in ("user", "api") for number in range(14)]
    comparison = Comparison[str, Entity]()
    acceptance, anew, accepted = Acceptance(None, comparison), Acceptance(), dict[str, Entity]()
    entities: dict[str, Entity] = {}
    for turn in range(400):
        entities = dict(entities)
        for ref in luck.sample(refs, luck.choice((0, 1, 1, 2, 20))):
            if luck.random() < 0.4:
                entities.pop(ref, None)
            else:
                entities[ref] = one(
                    ref, title=str(turn), definition=broken(Source("f.yaml"), "it") if luck.random() < 0.2 else None
                )
        more: dict[str, Any] = {}
        if luck.random() < 0.2:
            more["broken"] = {ref for ref in luck.sample(refs, 2) if ref not in entities}
        judgement = acceptance.judge(Pull(entities, **more), accepted)
        anew._plain = None
        assert judgement == anew.judge(Pull(entities, **more), accepted)
        assert set(comparison.differing(accepted, judgement.entities)) == set(differing(accepted, judgement.entities))
        if luck.random() < 0.8:  # else that round came to nothing
            accepted = judgement.entities
