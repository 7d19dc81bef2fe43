"""The loader: whole bases only, in slices, old ones let go of in slices, and last good on doubt."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.compilation import COMPILER, Compiler, no_past
from gateway.frames import FrameStore, Manifest, write_manifest
from gateway.identity.jwks import KeyRing
from gateway.snapshot import BaseLoader, Snapshot
from policy.exposure import Exposure
from policy.facts import Refusal
from tests.support.catalogs import people, pull, service, settings, write
from tests.unit.engine.test_compilation import access_of


def frames_of(folder: Path, *services: dict[str, Any]) -> Mapping[str, Any]:
    write(folder, "catalog/all.yaml", *people("team"), *services)
    entities = pull(folder / "catalog").entities
    return Compiler(settings(folder)).compile(entities, access_of(), no_past()).frames


def publish(folder: Path, base: str, frames: Mapping[str, Any]) -> Manifest:
    store = FrameStore(folder)
    manifest = Manifest(base, COMPILER, {name: store.write(frame) for name, frame in frames.items()})
    write_manifest(folder, manifest)
    return manifest


def hosts(loader: BaseLoader) -> set[str]:
    return {exposure.host for exposure in loader.table.exposures.values()}


def finish(loader: BaseLoader) -> int:
    steps = 0
    while loader.busy:
        loader.step()
        steps += 1
    return steps


def test_before_the_first_base_nothing_is_allowed(tmp_path: Path) -> None:
    loader = BaseLoader(tmp_path)
    assert not loader.load().ready
    assert isinstance(loader.table.match("a.example.com", ("",)), Refusal)
    snapshot = Snapshot.allow_none(KeyRing())
    assert (snapshot.base, snapshot.seq, snapshot.table.ready) == ("", 0, False)


def test_the_manifest_on_disk_is_loaded_whole(tmp_path: Path) -> None:
    publish(tmp_path, "one", frames_of(tmp_path, service("a"), service("b")))
    loader = BaseLoader(tmp_path)
    assert loader.load().ready
    assert loader.base == "one"
    assert hosts(loader) == {"a.example.com", "b.example.com"}
    assert not any(name.startswith("why/") for name in loader.names)


def test_sentences_are_loaded_for_those_who_explain(tmp_path: Path) -> None:
    publish(tmp_path, "one", frames_of(tmp_path, service("a")))
    loader = BaseLoader(tmp_path, with_why=True)
    loader.load()
    assert list(loader.why) == ["why/component:default/a@prod"]
    assert loader.names.keys() >= loader.why.keys()


def test_a_delta_from_the_own_base_touches_what_it_names(tmp_path: Path) -> None:
    first = publish(tmp_path, "one", frames_of(tmp_path, service("a"), service("b")))
    loader = BaseLoader(tmp_path)
    kept = loader.load().exposures["component:default/a@prod"]
    second = publish(tmp_path, "two", frames_of(tmp_path, service("a"), service("c")))
    changed = {name: digest for name, digest in second.frames.items() if first.frames.get(name) != digest}
    dropped = [name for name in first.frames if name not in second.frames]
    loader.begin({"t": "base", "base": "two", "from": "one", "set": changed, "drop": dropped})
    finish(loader)
    assert (loader.base, loader.fault) == ("two", "")
    assert hosts(loader) == {"a.example.com", "c.example.com"}
    assert loader.table.exposures["component:default/a@prod"] is kept


def test_a_delta_from_another_base_sends_the_loader_to_the_manifest(tmp_path: Path) -> None:
    publish(tmp_path, "one", frames_of(tmp_path, service("a")))
    loader = BaseLoader(tmp_path)
    loader.load()
    publish(tmp_path, "three", frames_of(tmp_path, service("c")))
    loader.begin({"t": "base", "base": "three", "from": "two", "set": {}, "drop": []})
    finish(loader)
    assert loader.base == "three"
    assert hosts(loader) == {"c.example.com"}


def test_an_old_table_stays_as_it_was_while_it_is_used(tmp_path: Path) -> None:
    publish(tmp_path, "one", frames_of(tmp_path, service("a")))
    loader = BaseLoader(tmp_path)
    old = loader.load()
    publish(tmp_path, "two", frames_of(tmp_path, service("b")))
    loader.begin()
    finish(loader)
    assert not isinstance(old.match("a.example.com", ("",)), Refusal)
    assert isinstance(loader.table.match("a.example.com", ("",)), Refusal)


def test_the_table_changes_once_when_everything_is_there(tmp_path: Path) -> None:
    publish(tmp_path, "one", frames_of(tmp_path, *(service(f"a{n}") for n in range(20))))
    loader = BaseLoader(tmp_path)
    loader.begin()
    seen: list[int] = []
    while loader.busy:
        made = loader.step(0)
        assert (made is not None) == (loader.table.ready and not seen)
        if made is not None:
            seen.append(len(made.exposures))
    assert seen == [20]


def test_work_is_done_in_slices_of_the_given_time(tmp_path: Path) -> None:
    """The loader stops at the first unit after its time is up: by the clock it is given, a unit a step."""
    publish(tmp_path, "one", frames_of(tmp_path, *(service(f"a{n}") for n in range(20))))
    loader = BaseLoader(tmp_path, clock=iter(range(10**6)).__next__)
    loader.begin()
    assert finish(loader) > 20


@pytest.fixture
def young() -> Iterator[None]:
    """What lives already is left out of `gc.get_objects`: a run of thousands of tests holds millions of them."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("young")
def test_the_old_exposures_are_let_go_of_one_by_one(tmp_path: Path) -> None:
    publish(tmp_path, "one", frames_of(tmp_path, *(service(f"a{n}") for n in range(20))))
    loader = BaseLoader(tmp_path)
    loader.load()
    before = {id(exposure) for exposure in loader.table.exposures.values()}
    assert len(before) == 20
    publish(tmp_path, "two", frames_of(tmp_path, *(service(f"b{n}") for n in range(20))))
    loader.begin()
    while loader.step(0) is None:
        pass
    assert loader.base == "two"
    held = [20]
    while loader.busy:
        loader.step(0)
        held.append(len([each for each in gc.get_objects() if id(each) in before and type(each) is Exposure]))
    assert held[1] > 17, "they are found where they are still held"
    assert max(first - second for first, second in zip(held[1:], held[2:], strict=False)) <= 2


def test_a_missing_frame_keeps_the_base_that_is_there_and_says_so(tmp_path: Path) -> None:
    publish(tmp_path, "one", frames_of(tmp_path, service("a")))
    loader = BaseLoader(tmp_path)
    loader.load()
    manifest = publish(tmp_path, "two", frames_of(tmp_path, service("b")))
    digest = manifest.frames["exposure/component:default/b@prod"]
    (tmp_path / "frames" / digest).unlink()
    loader.begin()
    finish(loader)
    assert (loader.base, hosts(loader)) == ("one", {"a.example.com"})
    assert digest in loader.fault
    publish(tmp_path, "two", frames_of(tmp_path, service("b")))
    loader.begin()
    finish(loader)
    assert (loader.base, loader.fault) == ("two", "")


def test_a_manifest_replaced_while_it_is_followed_is_read_again(tmp_path: Path) -> None:
    manifest = publish(tmp_path, "one", frames_of(tmp_path, service("a")))
    loader = BaseLoader(tmp_path, clock=iter(range(10**6)).__next__)
    loader.begin()
    loader.step()
    publish(tmp_path, "two", frames_of(tmp_path, service("b")))
    (tmp_path / "frames" / manifest.frames["exposure/component:default/a@prod"]).unlink()
    finish(loader)
    assert (loader.base, loader.fault, hosts(loader)) == ("two", "", {"b.example.com"})


def test_of_several_changes_that_wait_only_the_last_is_loaded(tmp_path: Path) -> None:
    publish(tmp_path, "one", frames_of(tmp_path, service("a")))
    loader = BaseLoader(tmp_path)
    loader.load()
    publish(tmp_path, "three", frames_of(tmp_path, service("c")))
    loader.begin({"t": "base", "base": "two", "from": "one", "set": {"exposure/x": "gone"}, "drop": []})
    loader.begin({"t": "base", "base": "three", "from": "two", "set": {}, "drop": []})
    finish(loader)
    assert (loader.base, loader.fault) == ("three", "")


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_left_as_it_was(tmp_path: Path, enabled: bool) -> None:
    publish(tmp_path, "one", frames_of(tmp_path, service("a")))
    loader = BaseLoader(tmp_path)
    loader.begin()
    (gc.enable if enabled else gc.disable)()
    try:
        loader.step()
        assert gc.isenabled() is enabled
    finally:
        gc.enable()


def test_a_snapshot_is_replaced_never_changed() -> None:
    keys = KeyRing()
    first = Snapshot.allow_none(keys)
    second = first.replaced(seq=5, denied=frozenset({"user:default/jane"}))
    assert (first.seq, first.version) == (0, ".0")
    assert (second.seq, second.version, second.keys) == (5, ".5", keys)


EXPOSURE = "exposure/component:default/a@prod"


def frame_in_an_old_layout(frames: Mapping[str, Any]) -> tuple[object, ...]:
    """As another version of this program may have left it: sound bytes, other parts."""
    return (0, *frames[EXPOSURE][1:10], (("somebody",),), *frames[EXPOSURE][11:])


@pytest.mark.parametrize("name", [EXPOSURE, "teams", "workloads", "roles", "people/00", "keys/00"])
@pytest.mark.parametrize("frame", ["text", (1, 2), {"a": [1]}, 7])
def test_a_sound_frame_of_another_shape_is_a_fault_and_no_crash(tmp_path: Path, name: str, frame: object) -> None:
    publish(tmp_path, "one", {**frames_of(tmp_path, service("a")), name: frame})
    loader = BaseLoader(tmp_path)
    assert not loader.load().ready
    assert name in loader.fault


def test_an_exposure_in_the_layout_of_another_version_is_a_fault_and_the_next_base_is_taken(tmp_path: Path) -> None:
    frames = frames_of(tmp_path, service("a"))
    publish(tmp_path, "one", {**frames, EXPOSURE: frame_in_an_old_layout(frames)})
    loader = BaseLoader(tmp_path)
    assert not loader.load().ready
    assert "layout" in loader.fault
    publish(tmp_path, "two", frames)
    loader.begin()
    finish(loader)
    assert (loader.base, loader.fault, hosts(loader)) == ("two", "", {"a.example.com"})


def test_a_message_that_lacks_something_sends_the_loader_to_the_manifest(tmp_path: Path) -> None:
    publish(tmp_path, "one", frames_of(tmp_path, service("a")))
    loader = BaseLoader(tmp_path)
    loader.load()
    publish(tmp_path, "two", frames_of(tmp_path, service("b")))
    loader.begin({"t": "base", "base": "two", "from": "one"})
    finish(loader)
    assert (loader.base, loader.fault, hosts(loader)) == ("two", "", {"b.example.com"})
