"""Promises about the example company: it is large enough to be interesting, and it hangs together."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.lab.calls import CALLS, EDIT_FROM, EDITED
from gateway.lab.directory import read_directory
from gateway.lab.folder import LabError

CATALOG = Path(__file__).parents[3] / "examples" / "catalog"


def entities(kind: str) -> dict[str, dict[str, Any]]:
    found = {}
    for path in CATALOG.glob("*.yaml"):
        for entity in yaml.safe_load_all(path.read_text()):
            if entity["kind"] == kind:
                found[entity["metadata"]["name"]] = entity
    return found


def test_the_company_is_large_enough() -> None:
    components = entities("Component")
    assert len(entities("User")) >= 6
    assert len(entities("Domain")) >= 2
    assert len({each["spec"]["system"] for each in components.values()}) >= 3
    assert sum(bool(each["spec"].get("providesApis")) for each in components.values()) >= 6
    assert any(each["spec"]["type"] == "website" for each in components.values())


def test_teams_are_nested_three_levels_deep_and_both_sides_agree() -> None:
    groups = entities("Group")
    depth: dict[str, int] = defaultdict(int)
    for name, group in groups.items():
        at, above = name, group["spec"].get("parent")
        while above:
            depth[name] += 1
            assert at in groups[above]["spec"]["children"]
            at, above = above, groups[above]["spec"].get("parent")
    assert max(depth.values()) >= 3


def test_every_reference_leads_somewhere() -> None:
    groups, systems, apis = entities("Group"), entities("System"), entities("API")
    for user in entities("User").values():
        assert set(user["spec"]["memberOf"]) <= groups.keys()
    for component in entities("Component").values():
        spec = component["spec"]
        assert spec["owner"].rpartition("/")[2] in groups
        assert spec["system"] in systems
        assert {*spec.get("providesApis", []), *spec.get("consumesApis", [])} <= apis.keys()


def test_each_subject_and_each_host_is_given_once() -> None:
    directory = read_directory(CATALOG)
    subjects = [user.subject for user in directory.users.values()]
    hosts = [host for service in directory.services for host in service.hosts.values()]
    assert len(set(subjects)) == len(subjects)
    assert len(set(hosts)) == len(hosts)
    assert {"payments.localhost", "payments.staging.localhost", "payments.dev.localhost"} <= set(hosts)


def test_the_suggested_calls_speak_of_this_company() -> None:
    directory = read_directory(CATALOG)
    for call in CALLS:
        assert call.url_host in directory.hosts
        assert not call.client or call.client in directory.clients
    assert EDIT_FROM in (CATALOG / EDITED).read_text()


def test_somebody_unknown_has_a_subject_nobody_has() -> None:
    directory = read_directory(CATALOG)
    assert directory.user("zoe").subject not in {user.subject for user in directory.users.values()}


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("kind: [")
    with pytest.raises(LabError, match=r"broken\.yaml"):
        read_directory(tmp_path)
