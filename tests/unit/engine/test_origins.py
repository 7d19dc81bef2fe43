"""A rule leads to every statement it rests on: entity, annotation, default, environment or rule, with its line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.engine.offline import Compilation, compile_offline
from gateway.engine.origins import origin_of
from tests.support.catalogs import api, entity, openapi, people, service, settings, write

ACCESS = """\
version: 1
environments:
  prod: {owners: [all], consumers: [declared], everyone: [read], groups: [read], consent: any, public: declared}
defaults:
  - {for: {type: website}, access: consumers}
  - {for: {type: website}, access: everyone}
rules:
  - {deny: group:guests, because: Guests stay out.}
"""


@pytest.fixture
def compiled(tmp_path: Path) -> Compilation:
    (tmp_path / "access.yaml").write_text(ACCESS)
    user = entity("Component", "user", annotations={"client-id": "user"}, owner="team", consumesApis=["a"])
    shop = service("a", type="website", providesApis=["a"], allow_groups="guests", public="GET /a")
    write(tmp_path, "catalog/org.yaml", *people("team", "guests"))
    write(tmp_path, "catalog/a.yaml", shop, api("a", openapi("GET /a", "POST /a")), user)
    return compile_offline(replace(settings(tmp_path), central_host="door.example.com", central_public=("GET /",)))


def told(compiled: Compilation, reason: str) -> list[tuple[str, str, int]]:
    """What the first rule of a reason comes from: what is said, in which file, at which line."""
    rules = [rule.id for published in compiled.published for rule in published.rules if rule.reason == reason]
    origin = origin_of(compiled, rules[0])
    assert origin is not None
    return [(each.says, Path(each.source.file).name, each.source.line) for each in origin.statements]


def line_of(compiled: Compilation, text: str) -> int:
    (file,) = {published.service.source.file for published in compiled.published if published.service.source.file}
    lines = Path(file).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_a_default_that_opens_a_service_is_one_of_the_statements(compiled: Compilation) -> None:
    assert told(compiled, "everyone") == [
        ("a default of the access policy, because `component:default/a` has no `access`", "access.yaml", 6),
        ("environment `prod` says `everyone: [read]`", "access.yaml", 3),
    ]


def test_a_use_that_nobody_named_is_accepted_by_the_environment(compiled: Compilation) -> None:
    said = told(compiled, "consumer")
    assert said[0][0] == "`spec.consumesApis` of `component:default/user` names `api:default/a`"
    assert said[2] == (
        "a default of the access policy, because `component:default/a` has no `access`",
        "access.yaml",
        6,
    )
    assert said[3] == ("environment `prod` accepts it: `consent: any`", "access.yaml", 3)
    assert said[4] == ("environment `prod` says `consumers: [declared]`", "access.yaml", 3)


def test_an_annotation_is_placed_at_its_own_line(compiled: Compilation) -> None:
    public, environment = told(compiled, "public")
    assert public == (
        "annotation `public` of `component:default/a` is `GET /a`",
        "a.yaml",
        line_of(compiled, "dev/public"),
    )
    assert environment[1:] == ("access.yaml", 3)
    groups, _ = told(compiled, "rule")
    line = line_of(compiled, "dev/allow-groups")
    assert groups == ("annotation `allow-groups` of `component:default/a` is `guests`", "a.yaml", line)


def test_a_rule_of_the_access_policy_is_one_statement(compiled: Compilation) -> None:
    assert told(compiled, "denied") == [("a rule of the access policy", "access.yaml", 8)]


def test_stagedoors_own_pages_come_from_no_file(compiled: Compilation) -> None:
    assert told(compiled, "own_endpoint") == [("Stagedoor's own pages: no file says it", "", 0)]


def test_an_id_that_no_rule_has_leads_nowhere(compiled: Compilation) -> None:
    assert origin_of(compiled, "r-aaaaaaaaaa") is None
