"""The catalog's digest depends on what is said alone: not on what was said before, nor on the order."""

from __future__ import annotations

from pathlib import Path

from gateway.engine.digests import CatalogDigest
from gateway.engine.sources.entities import Entity
from tests.support.catalogs import pull, service, write


def entities(folder: Path, *names: str, access: str = "owners") -> dict[str, Entity]:
    write(folder, "catalog/all.yaml", *(service(name, access=access) for name in names))
    return pull(folder / "catalog").entities


def test_one_history_or_another_gives_one_digest(tmp_path: Path) -> None:
    names = [f"s{n}" for n in range(30)]
    first, other = entities(tmp_path, *names), entities(tmp_path, *names[3:], access="everyone")
    followed = CatalogDigest()
    seen = [followed.of(each) for each in (first, other, {}, dict(reversed(first.items())), other)]
    assert seen == [CatalogDigest().of(each) for each in (first, other, {}, first, other)]
    assert len(set(seen)) == 3


def test_what_one_entity_says_changes_it(tmp_path: Path) -> None:
    followed = CatalogDigest()
    before = followed.of(entities(tmp_path, "a", "b"))
    assert followed.of(entities(tmp_path, "a", "b", access="everyone")) != before
    assert followed.of(entities(tmp_path, "a")) != before
    assert followed.of(entities(tmp_path, "a", "b")) == before
