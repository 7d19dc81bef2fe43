"""Catalog files: folders, globs, links between files, and that nothing outside the folder or on the net is read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from gateway.engine.sources.file_reading import stamp_of
from gateway.engine.sources.files import FileSource, root_of
from tests.support.catalogs import PREFIX, api, entity, openapi, pull, service, write


def messages(folder: Path | str) -> list[str]:
    return [fault.message for fault in pull(folder).faults]


def test_a_folder_is_read_with_all_below_it_but_hidden_ones(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", entity("Group", "a"), entity("Group", "b"))
    write(tmp_path, "deep/er/c.yml", entity("Group", "c"))
    write(tmp_path, ".hidden/d.yaml", entity("Group", "d"))
    write(tmp_path, ".e.yaml", entity("Group", "e"))
    write(tmp_path, "notes.txt", "no: yaml")
    assert sorted(pull(tmp_path).entities) == ["group:default/a", "group:default/b", "group:default/c"]


def test_globs_and_single_files(tmp_path: Path) -> None:
    write(tmp_path, "x/a.yaml", entity("Group", "a"))
    write(tmp_path, "y/a.yaml", entity("Group", "b"))
    assert sorted(pull(f"{tmp_path}/*/a.yaml").entities) == ["group:default/a", "group:default/b"]
    assert sorted(pull(f"{tmp_path}/x/a.yaml").entities) == ["group:default/a"]
    assert root_of(f"{tmp_path}/*/a.yaml") == tmp_path
    assert root_of(f"{tmp_path}/x/a.yaml") == tmp_path / "x"


def test_an_entry_that_names_nothing_is_a_fault(tmp_path: Path) -> None:
    assert "names no file" in messages(tmp_path / "missing")[0]


def test_an_included_definition_is_read_with_its_own_lines(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", api("a", {"$text": "./apis/a.yaml"}))
    write(tmp_path, "apis/a.yaml", "openapi: 3.0.0\npaths:\n  /a:\n    get: {}\n")
    found = pull(tmp_path)
    definition = found.entities["api:default/a"].definition
    assert found.faults == []
    assert definition is not None
    assert definition.operations[0].source.file == str(tmp_path / "apis/a.yaml")
    assert definition.operations[0].source.line == 4


def test_a_definition_written_in_place_has_the_lines_of_its_file(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: API\nmetadata: {name: a}\nspec:\n  type: openapi\n  definition: |\n"
    text += "    openapi: 3.0.0\n    paths:\n      /a:\n        get: {}\n"
    write(tmp_path, "a.yaml", text)
    definition = pull(tmp_path).entities["api:default/a"].definition
    assert definition is not None
    assert definition.operations[0].source.line == 10


@pytest.mark.parametrize(
    "target",
    ["../outside.yaml", "/etc/passwd", "https://evil.example/a.yaml", "//evil.example/a", "file:///etc/passwd",
     "link.yaml", "missing.yaml", "linked/outside.yaml", "\0"],
)  # fmt: skip
def test_an_include_outside_the_folder_is_never_read(tmp_path: Path, target: str) -> None:
    outside = write(tmp_path, "outside.yaml", openapi("GET /secret"))
    folder = tmp_path / "catalog"
    write(folder, "a.yaml", api("a", {"$text": target}))
    os.symlink(outside, folder / "link.yaml")
    os.symlink(tmp_path, folder / "linked", target_is_directory=True)
    definition = pull(f"{folder}/a.yaml").entities["api:default/a"].definition
    assert definition is not None
    assert definition.broken
    assert "secret" not in repr(definition)


def test_a_catalog_file_that_is_a_link_out_of_the_folder_is_not_read(tmp_path: Path) -> None:
    outside = write(tmp_path, "outside.yaml", entity("Group", "evil"))
    (tmp_path / "catalog").mkdir()
    os.symlink(outside, tmp_path / "catalog/a.yaml")
    found = pull(tmp_path / "catalog")
    assert found.entities == {}
    assert "leads out of" in found.faults[0].message


def test_locations_are_followed_inside_the_folder_only(tmp_path: Path) -> None:
    folder = tmp_path / "catalog"
    write(tmp_path, "outside.yaml", entity("Group", "evil"))
    targets = ["./teams.yaml", "../outside.yaml", "https://evil.example/x.yaml", "./missing.yaml"]
    write(folder, "all.yaml", entity("Location", "all", targets=targets))
    write(folder, "teams.yaml", entity("Group", "a"))
    found = pull(folder / "all.yaml")
    assert sorted(found.entities) == ["group:default/a"]
    assert len(found.faults) == 2


def test_locations_that_name_each_other_end(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", entity("Location", "a", target="./b.yaml"))
    write(tmp_path, "b.yaml", entity("Location", "b", target="./a.yaml"), entity("Group", "g"))
    assert sorted(pull(tmp_path / "a.yaml").entities) == ["group:default/g"]


def test_of_two_entities_with_one_ref_the_first_stands(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", entity("Group", "g", type="first"))
    write(tmp_path, "b.yaml", entity("Group", "G", type="second"))
    found = pull(tmp_path)
    assert found.entities["group:default/g"].type == "first"
    assert "is described in" in found.faults[0].message


def test_a_broken_file_is_broken_and_not_empty(tmp_path: Path) -> None:
    file = write(tmp_path, "a.yaml", entity("Group", "a"), "b: [")
    write(tmp_path, "c.yaml", entity("Group", "c"))
    found = pull(tmp_path)
    assert found.broken_files == {str(file)}
    assert sorted(found.entities) == ["group:default/a", "group:default/c"]


def test_a_broken_entity_is_known_by_its_ref(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "kind: Group\nmetadata: {name: a}\nspec: {members: [5]}\n", entity("Group", "b"))
    found = pull(tmp_path)
    assert found.broken == {"group:default/a"}
    assert found.broken_files == set()
    assert sorted(found.entities) == ["group:default/b"]


def test_a_document_with_a_key_said_twice_is_broken_alone(tmp_path: Path) -> None:
    text = "kind: Group\nkind: Group\nmetadata: {name: a}\n"
    write(tmp_path, "a.yaml", text, entity("Group", "b"))
    found = pull(tmp_path)
    assert found.broken == {"group:default/a"}
    assert sorted(found.entities) == ["group:default/b"]


def test_a_definition_in_the_folder_is_no_entity_and_no_fault(tmp_path: Path) -> None:
    write(tmp_path, "openapi.yaml", openapi("GET /a"))
    write(tmp_path, "empty.yaml", "")
    assert messages(tmp_path) == []


def test_only_what_changed_is_read_again(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", entity("Group", "a"))
    write(tmp_path, "b.yaml", api("b", {"$text": "b.json"}))
    write(tmp_path, "b.json", openapi("GET /a"))
    source = FileSource([str(tmp_path)], PREFIX)
    first = source.pull().entities
    write(tmp_path, "b.json", openapi("GET /a", "GET /b"))
    second = source.pull().entities
    assert second["group:default/a"] is first["group:default/a"]
    definition = second["api:default/b"].definition
    assert definition is not None
    assert len(definition.operations) == 2
    (tmp_path / "a.yaml").unlink()
    assert sorted(source.pull().entities) == ["api:default/b"]


def test_other_definitions_are_not_read(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", api("a", "type Query { a: Int }", type="graphql"), service("b"))
    definition = pull(tmp_path).entities["api:default/a"].definition
    assert definition is not None
    assert not definition.openapi


# ---- knowing what was touched ----


class Touched:
    """A source that is told which paths were touched; every reading is held against one that looks at everything."""

    def __init__(self, folder: Path, patterns: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.patterns = patterns or (str(folder),)
        self.source = FileSource(self.patterns, PREFIX)
        self.source.pull()

    def looks(self, *paths: str) -> list[str]:
        """The names of the files that were looked at."""
        with patch("gateway.engine.sources.files.stamp_of", side_effect=stamp_of) as stamped:
            found = self.source.pull(frozenset(str(self.folder / path) for path in paths))
        whole = FileSource(self.patterns, PREFIX).pull()
        assert found == whole
        return sorted({os.path.relpath(call.args[0], self.folder) for call in stamped.call_args_list})


@pytest.fixture
def three(tmp_path: Path) -> Touched:
    for name in ("a", "b", "c"):
        write(tmp_path, f"{name}.yaml", service(name), api(name, openapi("GET /x")))
    return Touched(tmp_path)


def test_only_the_file_that_was_touched_is_looked_at(three: Touched) -> None:
    write(three.folder, "b.yaml", service("b", access="everyone"), api("b", openapi("GET /y")))
    assert three.looks("b.yaml") == ["b.yaml"]
    assert three.looks("b.yaml", ".b.yaml.swp", ".git/index.lock") == ["b.yaml"]


def test_an_entity_that_left_its_file_is_gone_and_one_that_came_is_there(three: Touched) -> None:
    write(three.folder, "b.yaml", service("b2"))
    assert three.looks("b.yaml") == ["b.yaml"]
    assert "component:default/b2" in three.source.pull(frozenset()).entities


@pytest.mark.parametrize(
    "act",
    [
        lambda folder: write(folder, "d.yaml", service("d")),
        lambda folder: (folder / "b.yaml").unlink(),
        lambda folder: write(folder, "b.yaml", "kind: [broken"),
        lambda folder: write(folder, "b.yaml", service("a")),  # what another file describes
        lambda folder: write(folder, "b.yaml", service("b"), service("b")),
        lambda folder: write(folder, "b.yaml", entity("Location", "more", targets=["./more/*.yaml"])),
        lambda folder: write(folder, "b.yaml", api("b", {"$text": "c.yaml"})),
        lambda folder: write(folder, "sub/d.yaml", service("d")),
        lambda folder: (folder / "b.yaml").rename(folder / "e.yaml"),
    ],
)
def test_whatever_is_not_a_plain_edit_makes_it_look_at_everything(three: Touched, act: Any) -> None:
    before = {path.name for path in three.folder.rglob("*")}
    act(three.folder)
    touched = {"b.yaml", *({path.name for path in three.folder.rglob("*")} ^ before)}
    three.looks(*touched)
    three.looks(*touched)


def test_a_file_that_is_included_is_looked_at_with_those_that_include_it(tmp_path: Path) -> None:
    (tmp_path / "definition.json").write_text(json.dumps(openapi("GET /x")))
    write(tmp_path, "a.yaml", api("a", {"$text": "definition.json"}))
    write(tmp_path, "b.yaml", service("b"))
    source = Touched(tmp_path)
    (tmp_path / "definition.json").write_text(json.dumps(openapi("GET /y", "GET /z")))
    assert source.looks("definition.json") == ["a.yaml", "definition.json"]


def test_where_links_lead_to_files_everything_is_looked_at(tmp_path: Path) -> None:
    """A mounted folder whose files are links through a hidden one that is swapped as a whole."""
    for version in ("..1", "..2"):
        write(tmp_path, f"{version}/a.yaml", service("a", access="owners" if version == "..1" else "everyone"))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    source = Touched(tmp_path)
    (tmp_path / "new").symlink_to("..2")
    (tmp_path / "new").rename(tmp_path / "..data")
    assert "a.yaml" in source.looks("..data")


def test_what_lies_elsewhere_is_of_no_matter(three: Touched, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert three.looks(str(tmp_path_factory.mktemp("other") / "access.yaml")) == []


def test_a_glob_makes_nothing_hidden(three: Touched) -> None:
    source = Touched(three.folder, (f"{three.folder}/**/*.yaml", f"{three.folder}/.late.yaml"))
    write(three.folder, ".late.yaml", service("late"))
    assert source.looks(".late.yaml")  # everything


def test_what_editors_put_beside_a_file_is_of_no_matter(three: Touched) -> None:
    write(three.folder, "b.yaml", service("b", access="everyone"), api("b", openapi("GET /y")))
    (three.folder / "b.yaml~").write_text("kind: Component")
    assert three.looks("b.yaml", "b.yaml~", "4913", ".b.yaml.swp") == ["b.yaml"]


@pytest.mark.parametrize("moves", [("full", "away"), ("away", "full")])
def test_a_folder_that_came_or_went_is_no_editor_s_file(tmp_path: Path, moves: tuple[str, str]) -> None:
    outside = tmp_path / "outside"
    write(tmp_path, "catalog/a.yaml", service("a"))
    write(tmp_path, "catalog/full/b.yaml", service("b"))
    if moves[0] == "away":
        (tmp_path / "catalog/full").rename(outside)
    source = Touched(tmp_path / "catalog")
    if moves[0] == "away":
        outside.rename(tmp_path / "catalog/full")
    else:
        (tmp_path / "catalog/full").rename(outside)
    assert "a.yaml" in source.looks("full")  # everything


def test_where_locations_lead_any_name_may_be_read(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", entity("Location", "more", targets=["./more.txt"]))
    source = Touched(tmp_path)
    write(tmp_path, "more.txt", service("late"))
    assert source.looks("more.txt") == ["a.yaml"]  # everything that was known
    assert "component:default/late" in source.source.pull(frozenset()).entities


# ---- looking for what nobody told ----


def test_a_look_beside_the_readings_names_what_differs_and_changes_nothing(three: Touched) -> None:
    assert three.source.unread() == frozenset()
    before = three.source.pull(frozenset())
    write(three.folder, "b.yaml", service("b", access="everyone"), api("b", openapi("GET /y")))
    assert three.source.unread() == three.source.unread() == frozenset({str(three.folder / "b.yaml")})
    assert three.source.pull(frozenset()) is before
    assert three.looks(*(three.source.unread() or ())) == ["b.yaml"]
    assert three.source.unread() == frozenset()


@pytest.mark.parametrize(
    "act",
    [
        lambda folder: write(folder, "sub/d.yaml", service("d")),
        lambda folder: (folder / "b.yaml").unlink(),
        lambda folder: (folder / "b.yaml").rename(folder / "e.yaml"),
    ],
)
def test_a_look_that_finds_files_come_or_gone_asks_for_a_whole_reading(three: Touched, act: Any) -> None:
    act(three.folder)
    assert three.source.unread() is None


def test_a_look_follows_what_is_included_and_where_locations_lead(tmp_path: Path) -> None:
    (tmp_path / "definition.json").write_text(json.dumps(openapi("GET /x")))
    write(tmp_path, "a.yaml", api("a", {"$text": "definition.json"}), entity("Location", "l", targets=["./m/*.yaml"]))
    source = FileSource((str(tmp_path / "a.yaml"),), PREFIX)
    assert source.unread() is None  # nothing was read yet
    source.pull()
    assert source.unread() == frozenset()
    (tmp_path / "definition.json").write_text(json.dumps(openapi("GET /y", "GET /z")))
    assert source.unread() == frozenset({str(tmp_path / "a.yaml")})
    source.pull()
    write(tmp_path, "m/late.yaml", service("late"))
    assert source.unread() is None
