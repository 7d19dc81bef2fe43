"""Several sources make one catalog: the first who describes an entity is believed, and people come from where the
operator trusts them to come from."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.sources import FILES, Origins
from gateway.engine.sources.entities import Entity, read_entity
from gateway.engine.sources.pulls import Joined, Pull, file_of
from policy.facts import Source
from policy.reading import Fault
from tests.support.catalogs import PREFIX, entity, service

MAIN, OTHER = "main", "other"
LDAP = "ldap://directory.example.com/ou=people"


def read(document: dict[str, Any], file: str) -> Entity:
    found = read_entity(document, lambda path: Source(file), PREFIX).entity
    assert found is not None
    return found


def pull_of(name: str, *documents: dict[str, Any], origin: str = "", **more: Any) -> tuple[str, Pull]:
    """Of a catalog by its name; of files when the name is `files`."""
    file = "/srv/catalog/all.yaml" if name == FILES else file_of(name)
    entities = {(each := read(document, file)).ref: each for document in documents}
    catalogs = frozenset(("",)) if name == FILES else frozenset((file,))
    origins = {} if name == FILES else dict.fromkeys(entities, origin)
    return name, Pull(entities, catalogs=catalogs, origins=origins, **more)


JANE, TEAM = entity("User", "jane", memberOf=["team"]), entity("Group", "team")


def test_the_only_source_is_taken_as_it_is() -> None:
    part = pull_of(MAIN, JANE, TEAM)
    assert Joined(None).pull([part]) is part[1]


def test_the_same_parts_are_the_very_same_pull() -> None:
    joined = Joined(Origins(("main",), ("main",)))
    parts = [pull_of(FILES, service("a")), pull_of(MAIN, JANE)]
    first = joined.pull(parts)
    assert joined.pull(list(parts)) is first
    assert joined.pull([parts[0], pull_of(MAIN, JANE)]) is not first


def test_of_several_sources_none_may_define_people_unless_that_is_said() -> None:
    joined = Joined(None).pull([pull_of(FILES, JANE), pull_of(MAIN, TEAM, service("a"))])
    assert set(joined.entities) == {"component:default/a"}
    assert joined.refused == {
        ("user:default/jane", "/srv/catalog/all.yaml"): "/srv/catalog/all.yaml",
        ("group:default/team", "catalog:main"): "",
    }


@pytest.mark.parametrize(
    ("entry", "trusted"),
    [
        ("main", True), (f"main {LDAP}", True), ("main ldap://*", True), ("main *", True),
        ("other", False), ("files", False), ("main ldap://directory", False), ("main url:*", False), ("mai*", False),
        (f"main {LDAP}x", False),
    ],
)  # fmt: skip
def test_people_come_from_the_catalog_and_the_place_that_are_named(entry: str, trusted: bool) -> None:
    joined = Joined(Origins((entry,), ())).pull([pull_of(MAIN, JANE, TEAM, origin=LDAP)])
    assert ("user:default/jane" in joined.entities) is trusted
    assert "group:default/team" not in joined.entities


def test_files_are_trusted_by_their_path() -> None:
    for entry, trusted in (("files", True), ("files /srv/catalog/*", True), ("files /srv/other/*", False)):
        joined = Joined(Origins((entry,), ())).pull([pull_of(FILES, JANE)])
        assert ("user:default/jane" in joined.entities) is trusted


def test_what_is_not_trusted_is_told_once_for_each_place() -> None:
    many = [entity("User", f"u-{number}") for number in range(50)]
    joined = Joined(Origins((), ())).pull([pull_of(MAIN, *many, TEAM, origin="url:https://git.example.com/x.yaml")])
    assert [str(fault) for fault in joined.faults] == [
        "catalog:main: 1 of kind `group` from `url:https://git.example.com/x.yaml` of catalog `main` are not read: not "
        "trusted with that; list it in `catalog.origins.groups`",
        "catalog:main: 50 of kind `user` from `url:https://git.example.com/x.yaml` of catalog `main` are not read: not "
        "trusted with that; list it in `catalog.origins.users`",
    ]


def test_an_untrusted_copy_of_a_person_changes_nothing() -> None:
    """A second catalog must not say who somebody is, nor win by being read first."""
    forged = entity("User", "jane", memberOf=["admins"])
    joined = Joined(Origins(("main",), ())).pull([pull_of(OTHER, forged), pull_of(MAIN, JANE)])
    assert joined.entities["user:default/jane"].source.file == "catalog:main"
    assert joined.rivals == {}


def test_what_two_sources_describe_is_the_firsts_and_the_other_is_told() -> None:
    joined = Joined(None).pull([pull_of(FILES, service("a")), pull_of(MAIN, service("a", access="everyone"))])
    assert joined.entities["component:default/a"].source.file == "/srv/catalog/all.yaml"
    assert [each.source.file for each in joined.rivals["component:default/a"]] == ["catalog:main"]
    (fault,) = joined.faults
    assert (fault.source.file, "/srv/catalog/all.yaml too" in fault.message) == ("catalog:main", True)


def test_everything_else_of_the_parts_is_kept() -> None:
    fault = Fault(Source("x"), "odd")
    first = pull_of(MAIN, broken={"user:default/x"}, broken_files={"catalog:main"}, faults=[fault])
    joined = Joined(None).pull([first, pull_of(OTHER, unread=True)])
    assert (joined.broken, joined.broken_files) == ({"user:default/x"}, {"catalog:main"})
    assert (joined.faults, joined.unread) == ([fault], True)
    assert joined.catalogs == {"catalog:main", "catalog:other"}
