"""The whole examination: a closed list of checks, in one order, whatever breaks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway import config
from gateway.config.devices import Devices, Panos
from gateway.doctor import examination
from gateway.doctor.examination import CHECKS, catalog_lines, examine
from gateway.doctor.lines import Line
from gateway.engine.offline import compile_offline
from tests.support.catalogs import people, service, settings, write
from tests.support.node import ROOT
from tests.support.ports import free_port


def examined(said: config.Settings) -> list[Line]:
    async def run() -> list[Line]:
        return [line async for lines in examine(said) for line in lines]

    return asyncio.run(run())


def prepared(folder: Path, **changes: object) -> config.Settings:
    write(folder, "catalog/all.yaml", *people("team"), service("a", upstream=f"http://127.0.0.1:{free_port()}"))
    environment = config.Environment("prod", (".example.com",), ("127.0.0.0/8",))
    issuer = config.Issuer("idp", f"http://127.0.0.1:{free_port()}", ("api",))
    listener = config.Listener("main", f"127.0.0.1:{free_port()}", bigip=True)
    usual: dict[str, object] = {
        "environments": {"prod": environment}, "issuers": (issuer,), "listeners": (listener,),
        "admin_address": f"127.0.0.1:{free_port()}",
        "devices": Devices(panos=(Panos("edge", (f"https://127.0.0.1:{free_port()}",), ("away",)),)),
    }  # fmt: skip
    return settings(folder, **usual | changes)


def test_every_check_is_told_in_the_order_of_the_list(tmp_path: Path) -> None:
    told = [line.check for line in examined(prepared(tmp_path))]
    assert list(dict.fromkeys(told)) == list(CHECKS)
    assert told == sorted(told, key=CHECKS.index)


def test_every_failure_and_warning_has_a_fix(tmp_path: Path) -> None:
    lines = examined(prepared(tmp_path))
    assert {line.check for line in lines if line.verdict == "FAIL"} >= {"issuer", "upstream", "firewall"}
    assert [line for line in lines if bool(line.fix) == (line.verdict == "OK")] == []


def test_a_catalog_that_cannot_be_compiled_breaks_what_needs_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_settings: config.Settings) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(examination, "compile_offline", fail)
    lines = examined(prepared(tmp_path, issuers=()))
    broken = {(line.check, line.subject) for line in lines if "a defect" in line.found}
    assert broken == {("dns", "upstreams"), ("catalog", "files"), ("upstream", "services")}
    assert {line.check for line in lines} == set(CHECKS) - {"issuer", "clock"}


@pytest.mark.parametrize(
    ("documents", "verdict", "said"),
    [
        ([], "FAIL", "0 entities"),
        (people("team"), "WARN", "nothing is published"),
        ([*people("team"), service("a")], "OK", "3 entities, 1 exposure"),
        ([*people("team"), service("a"), service("b", host="b.evil.example")], "WARN", "1 error, the first:"),
    ],
)
def test_the_catalog_is_judged_by_what_comes_of_it(
    tmp_path: Path, documents: list[object], verdict: str, said: str
) -> None:
    write(tmp_path, "catalog/all.yaml", *documents)
    (line,) = catalog_lines(compile_offline(settings(tmp_path)))
    assert line.verdict == verdict
    assert said in line.found


def test_an_absent_catalog_and_a_broken_access_policy_fail(tmp_path: Path) -> None:
    (line,) = catalog_lines(compile_offline(settings(tmp_path)))
    assert (line.verdict, "names no file" in line.found) == ("FAIL", True)
    write(tmp_path, "access.yaml", "version: 2\n")
    (line,) = catalog_lines(compile_offline(settings(tmp_path)))
    assert (line.subject, line.verdict) == ("access policy", "FAIL")


def test_every_check_is_explained_in_the_documents() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    assert [check for check in CHECKS if f"| `{check}` |" not in text] == []
