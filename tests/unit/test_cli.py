"""The command line: data on stdout, talk on stderr, exit codes that scripts can trust."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

import click
import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.door.downstream import Downstream
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
  prod: {owners: [all]}
rules:
  - deny: user:default/mallory
    in: [prod]
    because: Mallory left.
"""
CATALOG = """\
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: payments}
spec: {type: team, children: []}
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {name: jane}
spec: {memberOf: [payments]}
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
    stagedoor.dev/client-id: shop-client
spec: {type: website, lifecycle: production, owner: payments}
"""
URL = "https://shop.apps.example.com/cart?x=1"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for name, text in (("stagedoor.yaml", CONFIG), ("access.yaml", ACCESS), ("catalog.yaml", CATALOG)):
        (tmp_path / name).write_text(text)
    return tmp_path / "stagedoor.yaml"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def explain(config: Path, *arguments: str) -> dict[str, object]:
    result = run("explain", "--config", config, "--json", *arguments)
    answer = json.loads(result.stdout)
    assert result.exit_code == (0 if answer["decision"] == "permit" else 1)
    assert isinstance(answer, dict)
    return answer


# === explain ===


def test_an_allowed_call_says_why_and_where_it_was_said(config: Path) -> None:
    result = run("explain", "--config", config, "--user", "jane", "GET", URL)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == "allowed owner"
    assert "Team payments may call every operation of shop in prod because it owns it." in result.stdout
    assert f"{config.parent / 'catalog.yaml'}:" in result.stdout


def test_a_refused_call_says_what_to_do(config: Path) -> None:
    result = run("explain", "--config", config, "--user", "joe", "GET", URL)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == "refused no_rule (403)"
    assert "to do" in result.stdout


def test_output_has_no_colour_without_a_terminal(config: Path) -> None:
    for arguments in (["--user", "jane"], ["--user", "joe"], ["--user", "jane", "--json"]):
        assert "\x1b" not in run("explain", "--config", config, *arguments, "GET", URL).output


def test_the_json_form_has_all_its_keys_whatever_the_decision(config: Path) -> None:
    keys = {
        "decision", "reason", "status", "sentence", "todo", "caller", "exposure", "operation", "rule", "because",
        "source", "need",
    }  # fmt: skip
    for who in (["--user", "jane"], ["--user", "nobody"], ["--anonymous"]):
        assert explain(config, *who, "GET", URL).keys() == keys
    assert explain(config, "--user", "jane", "GET", "https://other.example.com/%2e%2e/").keys() == keys


@pytest.mark.parametrize(
    ("arguments", "reason", "status"),
    [
        pytest.param(["--anonymous", "GET", URL], "identity_required", 401, id="anonymous"),
        pytest.param(["--user", "stranger", "GET", URL], "identity_unknown", 401, id="stranger"),
        pytest.param(["--client", "stranger", "GET", URL], "identity_unknown", 401, id="unknown-client"),
        pytest.param(["--client", "shop-client", "GET", URL], "no_rule", 403, id="client"),
        pytest.param(["--user", "jane", "GET", "https://no.apps.example.com/"], "host_unknown", 404, id="host"),
        pytest.param(["--user", "jane", "GET", "https://shop.apps.example.com/a/%2e%2e/b"], "path_malformed", 400,
                     id="dots"),
        pytest.param(["--user", "jane", "GET", "https://shop.apps.example.com/a;b"], "path_malformed", 400,
                     id="path-parameter-without-opt-in"),
        pytest.param(["--user", "jane", "GET", "https://shop.apps.example.com/.stagedoor/x"], "operation_unknown", 404,
                     id="the-doors-own-path"),
    ],
)  # fmt: skip
def test_a_refusal_is_the_one_the_door_gives(config: Path, arguments: list[str], reason: str, status: int) -> None:
    answer = explain(config, *arguments)
    assert (answer["decision"], answer["reason"]) == ("refusal", reason)
    assert answer["status"] == status or reason == "identity_unknown"
    assert answer["todo"]


def test_what_programs_must_show_is_explained_with_what_they_do_show(config: Path) -> None:
    """The rule reads as a sentence, the refusal says what is missing, and showing it is a permit."""
    issuer = "{name: ci, preset: github-actions, issuer: 'https://ci.test', audiences: [door]}"
    config.write_text(f"{CONFIG}issuers: [{issuer}]\n")
    (config.parent / "access.yaml").write_text(
        ACCESS.replace("owners: [all]", "owners: [all], workloads: {require: [certificate, {issuer: [ci, main]}]}")
        + "  - {allow: component:default/shop, to: {service: shop}, in: [prod], because: It calls itself., "
        "require: {workloads: {network: 10.0.0.0/8}}}\n"
    )
    lacking = explain(config, "--client", "shop-client", "GET", URL)
    assert (lacking["reason"], lacking["status"]) == ("requirement_unmet", 403)
    assert lacking["need"] == ["certificate", "issuer=ci,main", "network"]
    assert lacking["sentence"] == (
        "The caller may come, but the call lacks what is asked of programs: a verified client certificate, "
        "a token of issuer ci or main, an address in an allowed network."
    )
    shown = ["--issuer", "ci", "--from", "10.1.2.3", "--certificate"]
    permit = explain(config, "--client", "shop-client", *shown, "GET", URL)
    assert permit["decision"] == "permit"
    assert permit["sentence"] == (
        "Service shop may call every operation of shop in prod, with certificate and ci|main token and 10.0.0.0/8 "
        "address, because the access policy says so."
    )
    for wrong, said in ((["--issuer", "idp"], "no issuer is called `idp`; configured are ci"),
                        (["--from", "office"], "'office' does not appear to be an IPv4 or IPv6 address")):  # fmt: skip
        result = run("explain", "--config", config, "--client", "shop-client", *wrong, "GET", URL)
        assert result.exit_code == 2
        assert said in result.output


def test_a_full_ref_and_a_short_name_are_one_person(config: Path) -> None:
    short = explain(config, "--user", "jane", "POST", URL)
    full = explain(config, "--user", "user:default/Jane", "post", URL)
    assert short == full
    assert short["caller"] == "user:default/jane"


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["GET", URL], id="nobody-named"),
        pytest.param(["--user", "jane", "--anonymous", "GET", URL], id="two-callers"),
        pytest.param(["--user", "jane", "BREW", URL], id="method"),
        pytest.param(["--user", "jane", "GET", "shop/cart"], id="no-url"),
        pytest.param(["--user", "jane", "GET", "ftp://shop.apps.example.com/"], id="scheme"),
        pytest.param(["--user", "jane", "GET", "https://shop.apps.example.com/ä"], id="not-ascii"),
        pytest.param(["--user", "jane", "GET", "https://shop.apps.example.com:x/"], id="port"),
    ],
)
def test_a_question_that_is_none_is_a_usage_error(config: Path, arguments: list[str]) -> None:
    result = run("explain", "--config", config, *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error:" in result.stderr


def test_a_faulty_configuration_is_told_with_its_line(config: Path) -> None:
    config.write_text(CONFIG + "centralhost: x\n")
    result = run("explain", "--config", config, "--user", "jane", "GET", URL)
    assert result.exit_code == 3
    assert result.stdout == ""
    assert f"error: {config}:7:" in result.stderr
    assert "central_host" in result.stderr


def test_without_an_access_policy_nothing_is_decided(config: Path) -> None:
    (config.parent / "access.yaml").write_text("version: [")
    result = run("explain", "--config", config, "--user", "jane", "GET", URL)
    assert result.exit_code == 3
    assert result.stdout == ""
    assert "access.yaml" in result.stderr


def test_a_fault_in_the_catalog_is_mentioned_beside_the_answer(config: Path) -> None:
    with (config.parent / "catalog.yaml").open("a") as file:
        file.write(
            CATALOG[CATALOG.index("---\napiVersion: backstage.io/v1alpha1\nkind: Component") :]
            .replace("name: shop", "name: other")
            .replace("shop.apps.example.com", "not a host")
        )
    result = run("explain", "--config", config, "--user", "jane", "GET", URL)
    assert result.exit_code == 0
    assert "catalog.yaml:" in result.stderr


def test_the_usual_places_are_looked_at_in_order(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (config.parent / ".lab").mkdir()
    for name in ("stagedoor.yaml", "access.yaml", "catalog.yaml"):
        (config.parent / name).rename(config.parent / ".lab" / name)
    monkeypatch.chdir(config.parent)
    assert run("explain", "--user", "jane", "GET", URL).exit_code == 0
    (config.parent / "stagedoor.yaml").write_text("broken: yes\n")
    assert run("explain", "--user", "jane", "GET", URL).exit_code == 3


# === audit verify ===


def written_trail(folder: Path) -> Path:
    from gateway.audit.writer import AuditWriter
    from tests.support.records import LINE

    writer = AuditWriter(folder, "door-0", "batch")
    writer.start()
    for _ in range(3):
        writer.append(LINE)
    writer.close()
    (file,) = folder.glob("*.jsonl")
    return file


def test_a_whole_trail_is_whole(tmp_path: Path) -> None:
    written_trail(tmp_path)
    result = run("audit", "verify", tmp_path)
    assert result.exit_code == 0
    assert "whole" in result.stdout
    report = json.loads(run("audit", "verify", "--json", tmp_path).stdout)
    assert report["ok"] is True
    (chain,) = report["chains"]
    assert chain["name"].startswith("door-0")
    assert chain["records"] >= 3
    assert report["findings"] == []


def test_a_changed_trail_is_a_finding(tmp_path: Path) -> None:
    file = written_trail(tmp_path)
    file.write_bytes(file.read_bytes().replace(b"GET", b"PUT", 1))
    result = run("audit", "verify", tmp_path)
    assert result.exit_code == 1
    assert f"{file}:" in result.stdout
    report = json.loads(run("audit", "verify", "--json", tmp_path).stdout)
    assert report["ok"] is False
    assert report["findings"]


def test_a_folder_without_a_trail_is_no_success(tmp_path: Path) -> None:
    assert run("audit", "verify", tmp_path).exit_code == 1


def test_a_trail_that_is_not_there_is_no_finding_and_no_success(tmp_path: Path, config: Path) -> None:
    assert run("audit", "verify", tmp_path / "nowhere").exit_code == 2
    result = run("audit", "verify", "--config", config)
    assert result.exit_code == 4
    assert f"`{tmp_path / 'state' / 'audit'}` is not there" in result.stderr


def test_without_paths_the_trail_of_the_node_is_verified(tmp_path: Path, config: Path) -> None:
    folder = tmp_path / "state" / "audit"
    folder.mkdir(parents=True)
    file = written_trail(folder)
    assert run("audit", "verify", "--config", config).exit_code == 0
    file.write_bytes(file.read_bytes().replace(b"GET", b"PUT", 1))
    assert run("audit", "verify", "--config", config).exit_code == 1
    assert run("audit", "verify", "--config", config, folder).exit_code == 2


# === the rest ===


def test_serve_names_what_is_wrong_with_the_configuration(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "serve", "--config", str(tmp_path / "absent.yaml")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 3
    assert ended.stdout == ""
    assert "absent.yaml: cannot read `absent.yaml`: there is no such file; name another, or write" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_version_is_data() -> None:
    assert re.fullmatch(r"stagedoor \S+ \(door (compiled|interpreted)\)\n", run("version").stdout)
    assert run("--version").stdout == run("version").stdout
    assert run("version", "--json").exit_code == 0
    assert set(json.loads(run("version", "--json").stdout)) == {"stagedoor", "python", "door"}
    is_python = isinstance(Downstream.data_received, FunctionType)
    assert json.loads(run("version", "--json").stdout)["door"] == ("interpreted" if is_python else "compiled")


def commands(group: click.Group, *words: str) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group) and name != "lab":
            yield from commands(command, *words, name)
        else:
            yield (*words, name)


EVERY = tuple(commands(main))


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_a_command_is_in_the_documents_and_explains_itself(words: tuple[str, ...]) -> None:
    assert f"| `stagedoor {' '.join(words)}` |" in (ROOT / "docs" / "operations.md").read_text()
    helped = run(*words, "--help")
    assert helped.exit_code == 0
    assert len(helped.stdout.splitlines()) > 4


@pytest.mark.parametrize("words", [words for words in EVERY if words not in (("serve",), ("lab",))], ids=" ".join)
def test_a_command_has_a_form_for_programs(words: tuple[str, ...]) -> None:
    assert "--json" in run(*words, "--help").stdout


def test_asking_for_help_loads_nothing_heavy() -> None:
    """The list of commands comes at once, and a command that only asks a socket starts like one."""
    script = (
        "import sys; from click.testing import CliRunner; from gateway.cli import main; "
        "CliRunner().invoke(main, ['--help']); "
        "sys.exit(bool({'pydantic', 'aiohttp', 'cryptography', 'gateway.engine', 'policy.compile'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


def test_help_has_every_command_under_a_heading_with_its_whole_sentence() -> None:
    shown = run("--help").stdout
    for words in EVERY:
        assert re.search(rf"^  {words[0]} +\S", shown, re.MULTILINE), words[0]
    assert "..." not in shown.partition("Options:")[2]
    assert shown.index("Run a node:") < shown.index("Ask the policy:") < shown.index("On your own machine:")


@pytest.mark.parametrize(("typed", "meant"), [("explian", "did you mean `explain`"), ("zzz", "`stagedoor --help`")])
def test_a_misspelt_command_is_told_what_there_is(typed: str, meant: str) -> None:
    result = run(typed, "--json")
    assert result.exit_code == 2
    assert meant in result.stderr


def test_the_lab_is_listed_and_found() -> None:
    assert "lab" in run("--help").stdout
    assert run("lab", "--help").exit_code == 0


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gateway.lab.cli", None)
    result = run("lab", "run")
    assert result.exit_code == 2
    assert "stagedoor[lab]" in result.stderr


def test_serving_loads_no_compiler_and_no_lab() -> None:
    """The supervisor lives in the process of `stagedoor serve`: it stays small."""
    script = (
        "import sys, gateway.cli, gateway.supervisor; "
        "sys.exit(bool({'pydantic', 'yaml', 'policy.compile', 'gateway.lab', 'aiohttp'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0
