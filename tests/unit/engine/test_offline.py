"""Offline the same files mean the same, nothing is published, and nothing is allowed on doubt."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.engine.offline import compile_offline
from tests.support.catalogs import people, service, settings, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "catalog/org.yaml", *people("team"))
    write(tmp_path, "catalog/a.yaml", service("a"))
    return tmp_path


def test_the_same_files_give_table_sentences_counts_and_faults(folder: Path) -> None:
    write(folder, "catalog/b.yaml", service("b", host="b.evil.example"))
    compiled = compile_offline(settings(folder))
    assert compiled.table.ready
    assert set(compiled.table.exposures) == {"component:default/a@prod"}
    assert set(compiled.why) == {"why/component:default/a@prod"}
    assert compiled.kinds == {"component": 2, "group": 1, "user": 1}
    assert compiled.rules == len(compiled.why["why/component:default/a@prod"]) > 0
    assert [fault.source.entity for fault in compiled.faults] == ["component:default/b"]
    assert not Path(settings(folder).state_folder).exists()


def test_without_a_good_access_policy_nothing_is_allowed_and_the_catalog_is_counted_all_the_same(folder: Path) -> None:
    write(folder, "access.yaml", "version: 1\nenvironmens: {}\n")
    compiled = compile_offline(settings(folder))
    assert not compiled.table.ready
    assert compiled.why == {}
    assert compiled.kinds["component"] == 1
    assert any("did you mean" in fault.suggestion for fault in compiled.faults)
