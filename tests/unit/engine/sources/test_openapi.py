"""Definitions as operations: base paths, scopes, and that nothing unknown is read as open."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import yaml

from gateway.engine.sources.openapi import TOLD, Definition, read_definition
from policy.paths import METHODS
from tests.support.catalogs import openapi


def read(document: object) -> Definition:
    text = document if isinstance(document, str) else yaml.safe_dump(document)
    return read_definition(text, "api:default/a", "f.yaml", 10)


def operations(document: object) -> list[tuple[str, str]]:
    definition = read(document)
    assert not definition.broken, definition.faults
    return [(each.method, each.template) for each in definition.operations]


def security(document: dict[str, Any]) -> list[tuple[list[list[str]], bool]]:
    return [([sorted(each) for each in op.scopes], op.unresolved) for op in read(document).operations]


def with_security(stated: object, whole: object = None, schemes: object = None) -> dict[str, Any]:
    document = openapi("GET /a")
    if stated is not None:
        document["paths"]["/a"]["get"]["security"] = stated
    if whole is not None:
        document["security"] = whole
    if schemes is not None:
        document["components"]["securitySchemes"] = schemes
    return document


def test_json_and_yaml_say_the_same() -> None:
    document = openapi("GET /a", "POST /a/{id}", base="/v1", scopes={"GET /a": ["r"]})
    as_yaml, as_json = read(document), read(json.dumps(document))
    assert [(o.method, o.template, o.scopes) for o in as_yaml.operations] == [
        (o.method, o.template, o.scopes) for o in as_json.operations
    ]


@pytest.mark.parametrize(
    ("servers", "expected"),
    [
        ([], ["/a"]),
        ([{"url": "https://api.example.com/v1/"}], ["/v1/a"]),
        ([{"url": "/"}], ["/a"]),
        (
            [{"url": "https://{host}/{base}", "variables": {"host": {"default": "h"}, "base": {"default": "v2"}}}],
            ["/v2/a"],
        ),
        ([{"url": "/v1"}, {"url": "https://staging/v1"}, {"url": "/v2"}], ["/v1/a", "/v2/a"]),
    ],
)
def test_the_base_path_of_every_server_is_part_of_the_template(servers: list[Any], expected: list[str]) -> None:
    document = openapi("GET /a") | {"servers": servers}
    assert [template for _, template in operations(document)] == expected


def test_the_nearest_servers_win() -> None:
    document = openapi("GET /a", "POST /a", base="/root")
    document["paths"]["/a"]["servers"] = [{"url": "/path"}]
    document["paths"]["/a"]["post"]["servers"] = [{"url": "/operation"}]
    assert operations(document) == [("GET", "/path/a"), ("POST", "/operation/a")]


def test_swagger_2_has_a_base_path_and_definitions_of_its_own() -> None:
    document = {
        "swagger": "2.0",
        "basePath": "/v1",
        "securityDefinitions": {"o": {"type": "oauth2"}},
        "paths": {"/a": {"get": {"security": [{"o": ["r"]}]}}},
    }
    assert operations(document) == [("GET", "/v1/a")]
    assert security(document) == [([["r"]], False)]


@pytest.mark.parametrize(
    ("stated", "whole", "expected"),
    [
        (None, None, ([], False)),
        (None, [{"oauth": ["w"]}], ([["w"]], False)),
        ([], [{"oauth": ["w"]}], ([], False)),
        ([{"oauth": ["r"]}], [{"oauth": ["w"]}], ([["r"]], False)),
        ([{"oauth": ["a", "b"]}, {"oauth": ["c"]}], None, ([["a", "b"], ["c"]], False)),
        ([{"oauth": ["a"]}, {}], None, ([], False)),
        ([{"oauth": []}], None, ([], False)),
        ([{"missing": ["a"]}], None, ([], True)),
        ([{"oauth": ["a"]}, {"missing": []}], None, ([], True)),
    ],
)
def test_requirements_are_alternatives_of_sets(stated: object, whole: object, expected: object) -> None:
    assert security(with_security(stated, whole)) == [expected]


def test_a_scheme_that_is_not_oauth_adds_no_scope_and_is_noted_once() -> None:
    schemes = {"key": {"type": "apiKey"}, "oidc": {"type": "openIdConnect"}}
    document = with_security([{"key": [], "oidc": ["r"]}], None, schemes)
    assert security(document) == [([["r"]], False)]
    assert ["`key`" in fault.message for fault in read(document).faults] == [True]


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ([{"key": []}], []),
        ([{"key": []}, {"oidc": ["r"]}], [["r"]]),
        ([{"oidc": ["r"]}, {"key": []}, {"oidc": ["w"]}], [["r"], ["w"]]),
        ([{"oidc": ["r"]}, {"key": []}, {}], []),
    ],
)
def test_a_way_in_without_oauth_is_no_way_around_the_scopes_of_the_others(stated: object, expected: object) -> None:
    """The door cannot check a key: taken for a way that needs no scope, it would open the operation to every token."""
    schemes = {"key": {"type": "apiKey"}, "oidc": {"type": "openIdConnect"}}
    assert security(with_security(stated, None, schemes)) == [(expected, False)]


def test_a_definition_tells_which_kinds_of_security_its_operations_name() -> None:
    schemes = {
        "key": {"type": "apiKey"}, "basic": {"type": "http", "scheme": "Basic"}, "odd": {"type": "http"},
        "unused": {"type": "openIdConnect"},
    }  # fmt: skip
    stated: list[dict[str, list[str]]] = [{"key": []}, {"basic": []}, {"odd": []}]
    assert read(with_security(stated, None, schemes)).schemes == ("apikey", "basic", "http")
    assert read(with_security([], None, schemes)).schemes == ()


def test_a_scheme_behind_a_remote_reference_is_not_defined() -> None:
    schemes = {"oauth": {"$ref": "https://evil.example/schemes.json"}}
    assert security(with_security([{"oauth": ["r"]}], None, schemes)) == [([], True)]


@pytest.mark.parametrize(
    "reference",
    ["https://evil.example/p.json", "file:///etc/passwd", "other.yaml#/a", "#/paths/~1nowhere", "#/paths/~1b"],
)
def test_a_path_behind_a_reference_that_cannot_be_followed_is_refused(reference: str) -> None:
    """Left out, it would be one of those that a template beside it stands for."""
    document = openapi("GET /a")
    document["paths"]["/b"] = {"$ref": reference}
    found = read(document)
    assert [(each.method, each.template) for each in found.operations if not each.unresolved] == [("GET", "/a")]
    refused = {(each.method, each.template) for each in found.operations if each.unresolved}
    assert refused == {(method, "/b") for method in METHODS}
    assert "cannot be followed" in found.faults[0].message


@pytest.mark.parametrize("kind", ["ouath2", "", " ", None, 2, ["oauth2"]])
def test_a_scheme_of_a_kind_that_nobody_knows_is_not_defined(kind: object) -> None:
    """A slip in `oauth2` must not take the scopes away."""
    assert security(with_security([{"oauth": ["r"]}], None, {"oauth": {"type": kind, "flows": {}}})) == [([], True)]


def test_a_path_behind_a_reference_inside_is_read() -> None:
    document = openapi("GET /a")
    document["paths"]["/b"] = {"$ref": "#/x-shared/item"}
    document["x-shared"] = {"item": {"put": {}}}
    assert operations(document) == [("GET", "/a"), ("PUT", "/b")]


@pytest.mark.parametrize(
    "path", ["/a//b", "/../b", "/%2e%2e/b", "/a%2Fb", "/a?x=1", "/a#b", "a", "/a/{id", "/**", "/%ff"]
)
def test_a_path_that_no_request_can_match_is_left_out_with_a_warning(path: str) -> None:
    document = openapi("GET /ok")
    document["paths"][path] = {"get": {}}
    assert operations(document) == [("GET", "/ok")]
    assert read(document).faults[0].severity == "warning"


def test_literals_are_decoded_once_as_requests_are() -> None:
    assert operations(openapi("GET /caf%C3%A9/{id}.json")) == [("GET", "/café/{id}.json")]


@pytest.mark.parametrize(
    "document",
    [
        "not: a definition", "[]", "", "{", '{"openapi": "3.0.0", "paths": {}, "paths": {}}', "a: 1\na: 2",
        "openapi: 3.0.0\npaths: []", "openapi: 3.0.0\npaths: {/a: {get: []}}",
        "openapi: 3.0.0\nservers: [{url: '{x}'}]\npaths: {/a: {get: {}}}",
        "openapi: 3.0.0\nsecurity: {}\npaths: {/a: {get: {}}}", "openapi: 3.0.0\n---\nopenapi: 3.0.0",
        "openapi: 3.0.0\npaths: {/a: {get: {security: [{x: y}]}}}\ncomponents: {securitySchemes: {x: {type: oauth2}}}",
        "swagger: '2.0'\npaths: {/a: {get: {}}}\nbasePath: 5",
    ],
)  # fmt: skip
def test_what_cannot_be_read_has_no_operations_and_a_fault(document: str) -> None:
    definition = read(document)
    assert definition.broken
    assert definition.operations == ()
    assert definition.faults


def test_a_definition_of_absurd_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.engine.sources.openapi.MAX_OPERATIONS", 3)
    assert read(openapi(*(f"GET /{n}" for n in range(4)))).broken
    monkeypatch.setattr("gateway.engine.sources.openapi.MAX_BYTES", 10)
    assert read(openapi("GET /a")).broken


def test_json_nested_without_end_is_refused() -> None:
    assert read('{"a":' * 100_000).broken


def test_an_operation_knows_its_line() -> None:
    definition = read("openapi: 3.0.0\npaths:\n  /a:\n    get: {}\n    post: {}\n")
    assert [operation.source.line for operation in definition.operations] == [13, 14]


def test_trace_and_extensions_are_no_operations() -> None:
    document = openapi("GET /a")
    document["paths"]["/a"] |= {"trace": {}, "x-get": {}, "parameters": []}
    document["paths"]["x-note"] = {"get": {}}
    assert operations(document) == [("GET", "/a")]


def test_an_operation_keeps_the_name_that_its_definition_gives_it() -> None:
    """Names are for tests and invariants; whatever else stands there is none."""
    document = {"openapi": "3.0.3", "paths": {f"/{n}": {"get": {"operationId": said}} for n, said in
                enumerate(["createRefund", 7, None, ["x"], "x" * 500])}}  # fmt: skip
    assert [each.operation_id for each in read(document).operations] == ["createRefund", "", "", "", ""]


def _shared(**more: Any) -> dict[str, Any]:
    """Many operations, each with what all of them share; none can match."""
    return {"openapi": "3.0.3", "paths": {f"/p{n}": {"get": {}} for n in range(2_000)}, **more}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (_shared(servers=[{"url": f"/s*{n}"} for n in range(30_000)]), "paths, server by server"),
        (_shared(security=[{"oauth": [f"s{n}"]} for n in range(30_000)],
                 components={"securitySchemes": {"oauth": {"type": "oauth2"}}}), "scopes and alternatives"),
        (_shared(security=[{"oauth": [f"s{n}" for n in range(30_000)]}],
                 components={"securitySchemes": {"oauth": {"type": "oauth2"}}}), "scopes and alternatives"),
    ],
)  # fmt: skip
def test_what_many_operations_share_does_not_cost_each_of_them(document: dict[str, Any], message: str) -> None:
    """Sixty million of them would keep a thread for hours."""
    before = time.thread_time()
    found = read(json.dumps(document))
    assert found.broken
    assert message in found.faults[0].message
    assert time.thread_time() - before < 10, "of the processor; it takes a tenth of a second"


def test_of_very_much_that_is_wrong_the_first_is_told() -> None:
    document = openapi("GET /a")
    document["paths"] |= {f"/b//{number}": {"get": {}} for number in range(20_000)}
    assert operations(document) == [("GET", "/a")]
    faults = read(document).faults
    assert len(faults) == TOLD + 1
    assert faults[-1].message == "definition: more of it is left out"
