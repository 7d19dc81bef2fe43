"""The engine's brain: compiling again gives the same, what is broken only shrinks, the base id covers what was said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway import config
from gateway.engine.access_files import read_access_texts
from gateway.engine.compilation import Compiled, Compiler, Past, no_past
from gateway.engine.sources.entities import Entity
from policy.access import AccessPolicy
from policy.facts import Principal, Refusal
from policy.table import Table
from policy.table_builder import TableBuilder
from tests.support.catalogs import ACCESS, api, environments, openapi, people, pull, service, settings, write


def access_of(text: str = ACCESS) -> AccessPolicy:
    read = read_access_texts({"access.yaml": text.encode()})
    assert read.policy is not None, read.faults
    return read.policy


def entities_of(folder: Path, *documents: dict[str, Any]) -> dict[str, Entity]:
    write(folder, "catalog/all.yaml", *documents)
    found = pull(folder / "catalog")
    assert found.faults == []
    return found.entities


def table_of(compiled: Compiled) -> Table:
    builder = TableBuilder(Table.allow_none())
    for name, frame in compiled.frames.items():
        if not name.startswith("why/"):
            builder.put(name, frame)
    return builder.finish()


def reason(table: Table, host: str, method: str, path: str, ref: str) -> str:
    match = table.match(host, tuple(path[1:].split("/")))
    if isinstance(match, Refusal):
        return match.reason
    return table.decide(match, method, Principal("person", ref, table.subjects_of(ref)), 0).reason


JANE = "user:default/jane"


def test_a_catalog_becomes_a_table_that_decides(tmp_path: Path) -> None:
    entities = entities_of(
        tmp_path, *people("team"), service("a", providesApis=["a"]), api("a", openapi("GET /x", "POST /x", base="/v1"))
    )
    table = table_of(Compiler(settings(tmp_path)).compile(entities, access_of(), no_past()))
    assert reason(table, "a.example.com", "GET", "/v1/x", JANE) == "owner"
    assert reason(table, "a.example.com", "POST", "/v1/x", JANE) == "no_rule"
    assert reason(table, "a.example.com", "GET", "/v1/y", JANE) == "operation_unknown"
    assert reason(table, "b.example.com", "GET", "/", JANE) == "host_unknown"


def test_compiling_on_gives_what_compiling_anew_gives(tmp_path: Path) -> None:
    """What a compiler remembers saves work and changes nothing."""
    compiler = Compiler(settings(tmp_path))
    steps: list[tuple[list[dict[str, Any]], str]] = [
        ([*people("team"), service("a"), service("b")], ACCESS),
        ([*people("team"), service("a", access="everyone"), service("b", consumesApis=["a"])], ACCESS),
        ([*people("team"), service("a", providesApis=["a"], access="consumers", allow_consumers="b"),
          api("a", openapi("GET /x")), service("b", consumesApis=["a"])], ACCESS),
        ([*people("team", "other"), service("a", owner="other"), service("b")], ACCESS),
        ([*people("team"), service("b")], ACCESS.replace("owners: [read]", "owners: [all]")),
    ]  # fmt: skip
    past = no_past()
    for documents, text in steps:
        entities = entities_of(tmp_path, *documents)
        on = compiler.compile(entities, access_of(text), past)
        anew = Compiler(settings(tmp_path)).compile(entities, access_of(text), past)
        assert on.frames == anew.frames
        assert list(on.frames) == list(anew.frames)
        assert on.past == anew.past
        assert set(on.faults) == set(anew.faults)
        past = on.past


def test_frames_of_what_did_not_change_are_the_same_objects(tmp_path: Path) -> None:
    compiler = Compiler(settings(tmp_path))
    documents = [*people("team"), service("a"), service("b")]
    first = compiler.compile(entities_of(tmp_path, *documents), access_of(), no_past())
    documents[-1] = service("b", access="everyone")
    second = compiler.compile(entities_of(tmp_path, *documents), access_of(), first.past)
    different = {name for name, frame in second.frames.items() if first.frames[name] is not frame}
    assert different == {"exposure/component:default/b@prod", "why/component:default/b@prod"}


def test_an_incumbent_keeps_its_place_and_both_are_named(tmp_path: Path) -> None:
    compiler = Compiler(settings(tmp_path))
    first = compiler.compile(entities_of(tmp_path, *people("team"), service("b")), access_of(), no_past())
    entities = entities_of(tmp_path, *people("team"), service("b"), service("a", host="b.example.com"))
    second = compiler.compile(entities, access_of(), first.past)
    assert [name for name in second.frames if name.startswith("exposure/")] == ["exposure/component:default/b@prod"]
    (fault,) = second.faults
    assert "component:default/a" in fault.message
    assert "component:default/b" in fault.message


def test_a_broken_exposure_keeps_its_route_and_its_rights_only_shrink(tmp_path: Path) -> None:
    compiler = Compiler(settings(tmp_path))
    first = compiler.compile(entities_of(tmp_path, *people("team"), service("a")), access_of(), no_past())
    broken = entities_of(tmp_path, *people("team"), service("a", host="a.evil.example", access="everyone"))
    second = compiler.compile(broken, access_of(), first.past)
    assert reason(table_of(second), "a.example.com", "GET", "/", JANE) == "owner"
    assert reason(table_of(second), "a.evil.example", "GET", "/", JANE) == "host_unknown"
    assert second.past.rules["component:default/a@prod"] == first.past.rules["component:default/a@prod"]
    assert any(fault.severity == "error" for fault in second.faults)
    elsewhere = entities_of(tmp_path, *people("team", "other"), service("a", host="a.evil.example", owner="other"))
    third = compiler.compile(elsewhere, access_of(), second.past)
    assert reason(table_of(third), "a.example.com", "GET", "/", JANE) == "no_rule"


def test_a_deny_holds_on_a_broken_exposure_too(tmp_path: Path) -> None:
    compiler = Compiler(settings(tmp_path))
    first = compiler.compile(entities_of(tmp_path, *people("team"), service("a")), access_of(), no_past())
    broken = entities_of(tmp_path, *people("team"), service("a", host="a.evil.example"))
    deny = ACCESS.replace("rules: []", "rules: [{deny: group:default/team, because: No.}]")
    second = compiler.compile(broken, access_of(deny), first.past)
    assert reason(table_of(second), "a.example.com", "GET", "/", JANE) == "denied"


def test_the_central_host_is_a_service_of_its_own(tmp_path: Path) -> None:
    central = settings(tmp_path, central_host="door.example.com", central_public=("GET /",))
    entities = entities_of(tmp_path, *people("team"), service("a", host="door.example.com"))
    compiled = Compiler(central).compile(entities, access_of(), no_past())
    table = table_of(compiled)
    match = table.match("door.example.com", ("",))
    assert not isinstance(match, Refusal)
    assert match.exposure.service == "component:stagedoor/stagedoor"
    assert match.exposure.upstreams == ("unix:control",)
    assert table.decide(match, "GET", Principal("anonymous", refusal="identity_required"), 0).reason == "own_endpoint"
    assert "Stagedoor's own" in compiled.faults[0].message


def test_the_base_id_covers_catalog_policy_and_the_settings_that_bear_on_them(tmp_path: Path) -> None:
    plain = settings(tmp_path)
    entities = entities_of(tmp_path, *people("team"), service("a"))
    base = Compiler(plain).base(entities, "1")
    assert len(base) == 12
    assert Compiler(plain).base(dict(reversed(entities.items())), "1") == base
    assert Compiler(replace(plain, workers=7)).base(entities, "1") == base
    others = [
        Compiler(plain).base(entities, "2"),
        Compiler(plain).base(entities_of(tmp_path, *people("team"), service("a", access="everyone")), "1"),
        Compiler(replace(plain, environments=environments("prod"))).base(entities, "1"),
        Compiler(replace(plain, central_host="x.example.com")).base(entities, "1"),
    ]
    assert base not in others
    assert len(set(others)) == 4


def test_client_ids_that_no_issuer_shares_are_named(tmp_path: Path) -> None:
    entities = entities_of(tmp_path, *people("team"), service("a", client_id="a"), service("b"))
    corp, partner = (config.Issuer(name, f"https://{name}.example", ("api",)) for name in ("corp", "partner"))

    def faults(*issuers: config.Issuer) -> list[str]:
        compiler = Compiler(settings(tmp_path, issuers=issuers))
        return [fault.message for fault in compiler.compile(entities, access_of(), no_past()).faults]

    assert faults() == faults(corp) == faults(replace(corp, clients="ours"), partner) == []
    (message,) = faults(corp, partner)
    assert "component:default/a" in message


def test_a_past_of_nothing() -> None:
    assert no_past() == Past({}, {}, {})
