"""`who-can`, `what-can`, `why` and `lint`: asked of files, in words and as JSON, with exit codes scripts can trust."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.linting import ground_of
from gateway.engine.offline import compile_offline
from gateway.terminal import settings_at
from policy.lint.checks import lint as findings_of
from policy.lint.findings import CHECKS
from tests.support.commands import run, told
from tests.support.node import ROOT

CONFIG = """\
listeners: [{name: main, address: "127.0.0.1:8443"}]
central_host: door.example.com
environments: {prod: {hosts: [.apps.example.com], upstreams: [10.0.0.0/8]}}
catalog: {files: [catalog.yaml]}
access_policy: access.yaml
state: {folder: state}
"""
ACCESS = """\
version: 1
environments:
  prod: {owners: [all], consumers: [declared], everyone: [read], people: {require: [mfa]}}
rules:
  - deny: group:default/contractors
    because: Contractors never come in.
"""
CATALOG = """\
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: payments}
spec: {type: team, children: []}
---
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: contractors}
spec: {type: team, children: []}
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {name: jane}
spec: {memberOf: [payments]}
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {name: omar}
spec: {memberOf: [contractors]}
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {name: joe}
spec: {memberOf: []}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: shop
  annotations:
    stagedoor.dev/environments: prod
    stagedoor.dev/host: shop.apps.example.com
    stagedoor.dev/upstream: http://10.0.0.1:8080
    stagedoor.dev/access: everyone
    stagedoor.dev/allow-consumers: component:default/orders
spec: {type: service, lifecycle: production, owner: payments, providesApis: [shop-api]}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: orders, annotations: {stagedoor.dev/client-id: orders-client}}
spec: {type: service, lifecycle: production, owner: payments, consumesApis: [shop-api]}
---
apiVersion: backstage.io/v1alpha1
kind: API
metadata: {name: shop-api}
spec:
  type: openapi
  lifecycle: production
  owner: payments
  definition: |
    openapi: 3.0.3
    paths:
      /items/{id}:
        get: {security: [], responses: {}}
        post: {security: [{login: [shop:write]}], responses: {}}
    components: {securitySchemes: {login: {type: oauth2, flows: {}}}}
"""
URL = "https://shop.apps.example.com/items/7"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for name, text in (("stagedoor.yaml", CONFIG), ("access.yaml", ACCESS), ("catalog.yaml", CATALOG)):
        (tmp_path / name).write_text(text)
    return tmp_path / "stagedoor.yaml"


def line_of(text: str) -> int:
    return CATALOG.splitlines().index(next(line for line in CATALOG.splitlines() if text in line)) + 1


# === who-can ===


def test_who_can_names_people_with_their_team_programs_and_whom_a_deny_keeps_away(config: Path) -> None:
    said = told("who-can", "post", URL, "--config", config)
    owner, consumer = said["allowed"]
    assert owner["members"] == [{"ref": "user:default/jane", "teams": ["group:default/payments"]}]
    assert (owner["reason"], owner["needs"], owner["scopes"], owner["everybody"]) == ("owner", ["mfa"], [], False)
    assert owner["sentence"] == "Team payments may call every operation of shop in prod, with mfa, because it owns it."
    assert owner["source"] == {
        "file": str(config.parent / "catalog.yaml"), "line": line_of("name: shop"), "entity": "component:default/shop",
    }  # fmt: skip
    assert (consumer["kind"], consumer["scopes"]) == ("workload", ["shop:write"])
    assert [each["ref"] for each in consumer["members"]] == ["component:default/orders"]
    (denied,) = said["denied"]
    assert [each["ref"] for each in denied["members"]] == ["user:default/omar"]
    assert said["operations"] == [{"name": "POST /items/{id}", "scopes": [["shop:write"]]}]
    assert said["public"] is None
    shown = run("who-can", "POST", URL, "--config", config).stdout
    assert "1 person Team payments may call every operation of shop in prod, with mfa, because it owns it." in shown
    assert "user:default/jane  through payments" in shown
    assert "denied to 1 person" in shown


def test_everybody_is_counted_and_listed_when_asked_for(config: Path) -> None:
    (common,) = (each for each in told("who-can", "GET", URL, "--config", config)["allowed"] if each["everybody"])
    assert (common["kind"], common["count"], common["members"]) == ("person", 1, [])
    (common,) = (
        each for each in told("who-can", "GET", URL, "--all", "--config", config)["allowed"] if each["everybody"]
    )
    assert common["members"] == [{"ref": "user:default/joe", "teams": []}]
    assert "all people not named here (1)" in run("who-can", "GET", URL, "--config", config).stdout


@pytest.mark.parametrize(
    ("url", "reason", "sentence"),
    [
        ("https://no.apps.example.com/", "host_unknown", "No service is published under this host name."),
        ("https://shop.apps.example.com/a/%2e%2e/b", "path_malformed", ""),
        ("https://shop.apps.example.com/.stagedoor/x", "operation_unknown", ""),
        ("https://shop.apps.example.com/nothing", "", "the service does not offer this operation"),
    ],
)
def test_what_nobody_may_says_why(config: Path, url: str, reason: str, sentence: str) -> None:
    said = told("who-can", "GET", url, "--config", config, code=1)
    assert (said["reason"], said["allowed"]) == (reason, [])
    shown = run("who-can", "GET", url, "--config", config)
    assert shown.exit_code == 1
    assert shown.stdout.startswith("nobody")
    assert sentence in shown.stdout


@pytest.mark.parametrize("arguments", [("BREW", URL), ("GET", "shop/cart")])
def test_a_question_that_is_none_is_a_usage_error(config: Path, arguments: tuple[str, str]) -> None:
    assert run("who-can", *arguments, "--config", config).exit_code == 2


# === what-can ===


def test_what_can_lists_operations_by_rule_and_what_must_be_shown(config: Path) -> None:
    (caller,) = told("what-can", "jane", "--config", config)["callers"]
    assert (caller["caller"], caller["kind"]) == ("user:default/jane", "person")
    shop = next(each for each in caller["exposures"] if each["service"] == "component:default/shop")
    assert (shop["environment"], shop["host"], shop["prefix"], shop["operations"]) == (
        "prod",
        "shop.apps.example.com",
        "/",
        2,
    )
    (way,) = shop["allowed"]
    assert (way["reason"], way["needs"], way["operations"]) == (
        "owner",
        ["mfa"],
        ["GET /items/{id}", "POST /items/{id}"],
    )
    assert "all 2 operations" in run("what-can", "jane", "--config", config).stdout


def test_what_can_is_asked_for_teams_and_programs_too(config: Path) -> None:
    for name, operations in (
        ("group:default/payments", ["GET /items/{id}", "POST /items/{id}"]),
        ("joe", ["GET /items/{id}"]),
        ("component:default/orders", ["GET /items/{id}", "POST /items/{id}"]),
    ):
        arguments = ("what-can", name, "--service", "shop", "--environment", "prod", "--config", config)
        (caller,) = told(*arguments)["callers"]
        found = {each for shop in caller["exposures"] for way in shop["allowed"] for each in way["operations"]}
        assert found == set(operations)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["jnae"], "did you mean `user:default/jane`?"),
        (["orders"], "did you mean `component:default/orders`?"),
        (["payments"], "did you mean `group:default/payments`?"),
        (["component:default/shop"], "has no `client-id`"),
        (["component:shop"], "has no `client-id`"),
        (["jane", "--environment", "dev"], "nothing is published in `dev`"),
        (["jane", "--service", "ledger"], "`component:default/ledger` is published nowhere"),
    ],
)
def test_a_name_that_means_nobody_is_a_usage_error(config: Path, arguments: list[str], message: str) -> None:
    result = run("what-can", *arguments, "--config", config)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("ref", ["group:payments", "component:orders", "user:jane"])
def test_a_ref_needs_no_namespace(config: Path, ref: str) -> None:
    kind, name = ref.split(":")
    full = told("what-can", f"{kind}:default/{name}", "--config", config)
    assert full["callers"]
    assert told("what-can", ref, "--config", config) == full


def test_who_may_nothing_is_a_finding(config: Path) -> None:
    assert told("what-can", "omar", "--service", "shop", "--config", config, code=1)["callers"][0]["exposures"] == []


# === why ===


def test_why_leads_to_every_statement_with_its_line(config: Path) -> None:
    rules = {each["reason"]: each["rule"] for each in told("who-can", "GET", URL, "--config", config)["allowed"]}
    said = told("why", rules["owner"], "--config", config)
    assert said["sentence"] == "Team payments may call every operation of shop in prod, with mfa, because it owns it."
    assert said["exposures"] == ["component:default/shop@prod"]
    places = [(each["says"], Path(each["source"]["file"]).name, each["source"]["line"]) for each in said["statements"]]
    assert places == [
        ("`spec.owner` of `component:default/shop` is `group:default/payments`", "catalog.yaml", line_of("name: shop")),
        ("environment `prod` says `owners: [all]`", "access.yaml", 3),
    ]
    lines = [each["source"]["line"] for each in told("why", rules["everyone"], "--config", config)["statements"]]
    assert lines == [line_of("stagedoor.dev/access"), 3]
    consumer = told("why", rules["consumer"], "--config", config)["statements"]
    assert [each["source"]["line"] for each in consumer] == [
        line_of("name: orders"), line_of("name: shop"), line_of("stagedoor.dev/access"),
        line_of("stagedoor.dev/allow-consumers"), 3,
    ]  # fmt: skip


def test_why_knows_a_rule_of_the_access_policy_that_is_about_nothing(config: Path) -> None:
    (config.parent / "access.yaml").write_text(
        ACCESS + "  - {allow: group:payments, to: {service: gone}, in: [prod], because: It was there.}\n"
    )
    (finding,) = (each for each in lint(config, code=1)["findings"] if each["kind"] == "rule_never_matches")
    said = told("why", finding["about"], "--config", config)
    assert said["exposures"] == []
    assert said["statements"][0]["source"]["line"] == 7
    assert "nothing that is published" in run("why", finding["about"], "--config", config).stdout


def test_an_id_that_no_rule_has_is_told(config: Path) -> None:
    assert told("why", "r-aaaaaaaaaa", "--config", config, code=1) == {"rule": "r-aaaaaaaaaa", "known": False}
    assert "no rule is called" in run("why", "r-aaaaaaaaaa", "--config", config).stderr


@pytest.mark.parametrize("arguments", [("who-can", "GET", URL), ("what-can", "jane"), ("why", "r-aaaaaaaaaa")])
def test_without_a_usable_access_policy_nothing_is_answered(config: Path, arguments: tuple[str, ...]) -> None:
    (config.parent / "access.yaml").write_text("version: 2\n")
    result = run(*arguments, "--config", config)
    assert result.exit_code == 3
    assert result.stdout == ""


# === lint ===


def lint(config: Path, *arguments: str, code: int = 0) -> Any:
    return told("lint", *arguments, "--config", config, code=code)


@pytest.fixture
def careless(config: Path) -> Path:
    """With one error, one warning and one note."""
    access = ACCESS.replace("everyone: [read]", "everyone: [all]")
    (config.parent / "access.yaml").write_text(access)
    text = CATALOG.replace("security: [], ", "").replace("{security: [{login: [shop:write]}], ", "{")
    (config.parent / "catalog.yaml").write_text(
        text + "---\n" + CATALOG.split("---\n")[0].replace("payments", "ghosts")
    )
    return config


def test_files_without_a_finding_are_clean(config: Path) -> None:
    assert lint(config) == {
        "fail_on": "warning", "counts": {"error": 0, "warning": 0, "note": 0, "waived": 0}, "findings": [],
    }  # fmt: skip
    assert run("lint", "--config", config).stdout == "nothing found\n"


def test_every_finding_has_its_keys_and_place(careless: Path) -> None:
    found = {each["kind"]: each for each in lint(careless, code=1)["findings"]}
    assert {kind: each["severity"] for kind, each in found.items()} == {
        "everyone_everything": "error", "definition_without_security": "warning", "team_without_people": "note",
    }  # fmt: skip
    keys = {"id", "kind", "severity", "about", "sentence", "fix", "source", "waived"}
    assert all(each.keys() == keys for each in found.values())
    assert found["everyone_everything"]["source"] == {
        "file": str(careless.parent / "access.yaml"),
        "line": 3,
        "entity": "",
    }
    shown = run("lint", "--config", careless).stdout
    assert "error: Everyone may write" in shown
    assert "to do   write `everyone: [read]`" in shown
    assert shown.endswith("1 error, 1 warning, 1 note\n")


@pytest.mark.parametrize(("fail_on", "code"), [("note", 1), ("warning", 1), ("error", 0), ("never", 0)])
def test_what_fails_is_chosen(config: Path, fail_on: str, code: int) -> None:
    text = CATALOG.replace("security: [], ", "").replace("{security: [{login: [shop:write]}], ", "{")
    (config.parent / "catalog.yaml").write_text(text)
    assert run("lint", "--fail-on", fail_on, "--config", config).exit_code == code


@pytest.mark.parametrize("name", ["stagedoor.yaml", "access.yaml"])
def test_files_that_cannot_be_used_are_no_clean_files(config: Path, name: str) -> None:
    (config.parent / name).write_text("version: [\n")
    result = run("lint", "--config", config)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "error:" in result.stderr
    assert name in result.stderr


def test_a_waiver_accepts_and_an_expired_one_fails(careless: Path) -> None:
    found = {each["kind"]: each["id"] for each in lint(careless, code=1)["findings"]}
    access = careless.parent / "access.yaml"
    text = access.read_text()
    waivers = [f"  - {{finding: {each}, until: 2999-12-31, because: It is meant.}}\n" for each in found.values()]
    access.write_text(text + "waive:\n" + "".join(waivers))
    assert lint(careless, "--fail-on", "note")["counts"] == {"error": 0, "warning": 0, "note": 0, "waived": 3}
    assert "waived" in run("lint", "--waived", "--config", careless).stdout
    access.write_text(text + "waive:\n" + waivers[0].replace("2999", "2020"))
    kinds = [each["kind"] for each in lint(careless, "--fail-on", "error", code=1)["findings"]]
    assert sorted(kinds) == sorted([*found, "waiver_expired"])


@pytest.mark.parametrize(
    ("waiver", "message"),
    [
        ("{finding: wildcard, until: 2027-01-31, because: x}", "say for what with `for`"),
        ("{finding: f-aaaaaaaaaa, for: shop, until: 2027-01-31, because: x}", "is one finding already"),
        ("{finding: wildcrad, for: shop, until: 2027-01-31, because: x}", "did you mean `wildcard`?"),
        ("{finding: f-aaaaaaaaaa, until: 2027-02-30, because: x}", "is no day"),
        ("{finding: f-aaaaaaaaaa, until: soon, because: x}", "is no day"),
        ("{finding: f-aaaaaaaaaa, because: x}", "`until` must be text, not nothing"),
        ("{finding: f-aaaaaaaaaa, until: 2027-01-31}", "`because` must be text, not nothing"),
        ("{until: 2027-01-31, because: x}", "`finding` must be text, not nothing"),
        ("{finding: f-aaaaaaaaaa, till: 2027-01-31, because: x}", "unknown key `till`"),
    ],
)
def test_a_waiver_without_reason_day_or_thing_is_refused(config: Path, waiver: str, message: str) -> None:
    (config.parent / "access.yaml").write_text(f"{ACCESS}waive:\n  - {waiver}\n")
    result = run("lint", "--config", config)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "access.yaml:8:" in result.stderr


def test_sarif_is_what_code_hosts_read(careless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(careless.parent)
    result = run("lint", "--sarif", "--config", "stagedoor.yaml")
    assert result.exit_code == 1
    (sarif,) = json.loads(result.stdout)["runs"]
    found = {each["ruleId"]: each for each in sarif["results"]}
    place = found["everyone_everything"]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "access.yaml"}, "region": {"startLine": 3}}
    assert run("lint", "--sarif", "--json", "--config", "stagedoor.yaml").exit_code == 2


# === the lab and the documents ===


def test_what_the_labs_catalog_shows_is_meant(tmp_path: Path) -> None:
    """Every finding of the example is waived with a reason, and it has some to show."""
    text = CONFIG.replace("[catalog.yaml]", f"[{ROOT / 'examples' / 'catalog'}]")
    text = text.replace("access.yaml", str(ROOT / "examples" / "access-policy.yaml"))
    bounds = "{hosts: [.localhost], upstreams: [127.0.0.1/32]}"
    text = text.replace(
        "prod: {hosts: [.apps.example.com], upstreams: [10.0.0.0/8]}",
        f"dev: {bounds}, staging: {bounds}, prod: {bounds}",
    )
    (tmp_path / "stagedoor.yaml").write_text(text)
    compiled = compile_offline(settings_at(tmp_path / "stagedoor.yaml", with_named_files=False))
    assert compiled.access.policy is not None
    found = findings_of(ground_of(compiled, compiled.access.policy), "2027-01-01")
    assert found
    assert [each.sentence for each in found if each.waived is None] == []


def test_the_documents_list_every_kind_of_finding_with_its_severity() -> None:
    page = (ROOT / "docs" / "questions.md").read_text()
    assert re.findall(r"^\| `(\w+)` \| (error|warning|note) \|", page, re.MULTILINE) == [
        (kind, check.severity) for kind, check in CHECKS.items()
    ]
