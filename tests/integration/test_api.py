"""The API of the central host, asked through a real door of a whole node: who is answered, what, and who is not.

One node serves the whole file; what changes its catalog or its control process puts it back or comes last.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from gateway.control.api.problems import PROBLEMS
from gateway.control.api.routes import STRANGERS_BODIES
from gateway.control.api.signatures import key_of, signature_of
from gateway.identity.assertion import Assertion, Request, SharedKey, sealed
from policy.builtin import API, BUILTIN_SERVICE, OWN_OPERATIONS
from policy.facts import Principal
from tests.support.central import HOST, SECRET, CentralNode, Reply, central_node, target_of
from tests.support.door import until

LEDGER = {"method": "GET", "url": "https://ledger.test/entries"}
ECHO = {"method": "GET", "url": "https://echo.test/"}
NOWHERE = {"method": "GET", "url": "https://nothing.test/"}
SLOW_BODIES = 250  # more than a worker has connections to one upstream


@pytest.fixture(scope="module")
def central(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CentralNode]:
    with central_node(tmp_path_factory.mktemp("central")) as node:
        yield node


@pytest.fixture(scope="module")
def document(central: CentralNode) -> dict[str, Any]:
    said: dict[str, Any] = central.ask("openapi.json", "joe").json
    return said


def problem(reply: Reply) -> str:
    """The code of a problem, once its form is what RFC 9457 and the documents promise."""
    assert reply.headers["content-type"] == "application/problem+json"
    said = reply.json
    assert said["status"] == reply.status
    assert said["type"].endswith("/" + said["code"])
    assert said["title"]
    assert said["todo"]
    return str(said["code"])


# === who is asking ===


def test_without_a_token_nobody_is_answered(central: CentralNode) -> None:
    reply = central.ask("explain", None, LEDGER)
    assert (reply.status, problem(reply)) == (401, "identity_required")


@pytest.mark.parametrize("audience", ["api", ["api"], ["api", "stagedoor.example.com"]])
def test_a_token_that_is_good_for_applications_is_no_token_for_the_api(central: CentralNode, audience: object) -> None:
    token = central.token("root", aud=audience)
    reply = central.ask("explain", None, LEDGER, token=token)
    assert (reply.status, problem(reply)) == (401, "token_audience")
    assert 'error="invalid_token"' in reply.headers["www-authenticate"]
    refused = central.ask("catalog/sync", None, method="POST", token=token)
    assert (refused.status, problem(refused)) == (401, "signature_refused")


def test_who_is_not_in_the_catalog_is_not_answered(central: CentralNode) -> None:
    reply = central.ask("explain", "stranger", LEDGER)
    assert (reply.status, problem(reply)) == (403, "identity_unknown")


def test_a_client_cannot_say_who_it_is(central: CentralNode) -> None:
    """What names a caller is taken away by the door, whatever it is called; an assertion of one's own too."""
    root = Principal("person", "user:default/root", frozenset({"user:default/root", "group:default/platform"}))
    request = Request("GET", HOST, target_of("who-can", LEDGER), "x")
    said = Assertion(root, "token", ("stagedoor",), request)
    forged = sealed(said, BUILTIN_SERVICE.ref, SharedKey("k", b"k" * 32), int(time.time()))
    for name in ("X-Stagedoor-Assertion", "x_stagedoor_assertion", "X-Stagedoor-User"):
        reply = central.ask("who-can", "joe", LEDGER, headers={name: forged.decode()})
        assert (reply.status, problem(reply)) == (403, "not_yours")


@pytest.mark.parametrize("form", ["none", "junk", "own key", "header of a door"])
def test_the_socket_alone_proves_nothing(central: CentralNode, form: str) -> None:
    """Who reaches control's socket, as a process of the node's own user may, is nobody without a door's word."""
    root = Principal("person", "user:default/root", frozenset({"user:default/root", "group:default/platform"}))
    request = Request("GET", HOST, target_of("who-can", LEDGER), "id-1")
    said = Assertion(root, "token", ("stagedoor",), request)
    own = sealed(said, BUILTIN_SERVICE.ref, SharedKey("k", b"k" * 32), int(time.time()))
    headers = {
        "none": {},
        "junk": {"X-Stagedoor-Assertion": "a.b.c"},
        "own key": {"X-Stagedoor-Assertion": own.decode()},
        "header of a door": {"X-Stagedoor-User": "user:default/root", "X-Stagedoor-Groups": "group:default/platform"},
    }[form]
    reply = central.ask_straight("who-can", LEDGER, {"X-Request-Id": "id-1", **headers})
    expected = (503, "control_starting") if form == "own key" else (403, "caller_unproved")
    assert (reply.status, problem(reply)) == expected


def test_an_own_endpoint_leaves_a_record_with_its_permit(central: CentralNode) -> None:
    central.ask("what-can", "joe")
    target = f"{API}/what-can"

    def written() -> list[dict[str, Any]]:
        joes = [each for each in central.records() if each["subject"] == "user:default/joe"]
        return [each for each in joes if each["path"] == target]

    until(lambda: bool(written()))
    record = written()[-1]
    assert (record["decision"], record["reason"], record["subject"]) == ("permit", "own_endpoint", "user:default/joe")


# === explain ===


def test_everybody_may_ask_about_themselves(central: CentralNode) -> None:
    mine = central.ask("explain", "olga", LEDGER).json
    assert (mine["decision"], mine["reason"], mine["caller"]) == ("permit", "owner", "user:default/olga")
    assert mine["exposure"] == "component:default/ledger@prod"
    assert mine["source"]["entity"] == "component:default/ledger"
    program = central.ask("explain", "robot-id", LEDGER).json
    assert (program["reason"], program["need"]) == ("scope_missing", ["ledger:read"])
    assert program["caller"] == "component:default/robot"


def test_scopes_of_the_token_for_the_api_say_nothing_about_oneself(central: CentralNode) -> None:
    token = central.token("robot-id", scope="some:thing")
    reply = central.ask("explain", None, {**LEDGER, "scope": "ledger:read"}, token=token).json
    assert (reply["decision"], reply["reason"]) == ("permit", "consumer")


def test_who_has_no_right_learns_nothing_about_the_service(central: CentralNode) -> None:
    reply = central.ask("explain", "joe", LEDGER).json
    assert (reply["reason"], reply["exposure"], reply["rule"], reply["source"]["file"]) == ("no_rule", "", "", "")
    assert "ledger" not in json.dumps(reply)
    other_path = central.ask("explain", "joe", {"method": "DELETE", "url": "https://ledger.test/no/such"}).json
    assert other_path == reply


def test_who_is_not_its_owner_is_not_told_where_a_rule_is_written(central: CentralNode) -> None:
    denied = central.ask("explain", "olga", ECHO).json
    assert (denied["reason"], denied["because"]) == ("denied", "Books keeps away from echo.")
    assert denied["source"] == {"file": "", "line": 0, "entity": ""}
    assert central.ask("explain", "root", {**ECHO, "user": "olga"}).json["source"]["file"].endswith("access.yaml")


@pytest.mark.parametrize(
    ("asker", "question", "status"),
    [
        ("joe", {"user": "olga"}, 403),
        ("joe", {"user": "nobody-at-all"}, 403),
        ("joe", {"user": "joe"}, 200),
        ("joe", {"user": "user:default/joe"}, 200),
        ("olga", {"user": "joe"}, 403),  # about another person, though the service is hers
        ("olga", {"client": "robot-id"}, 200),
        ("olga", {"anonymous": "true"}, 200),
        ("joe", {"client": "robot-id"}, 403),
        ("joe", {"client": "no-such-client"}, 403),
        ("joe", {"anonymous": ""}, 403),
        ("robot-id", {"client": "robot-id"}, 200),
        ("robot-id", {"client": "pipeline-id"}, 403),
        ("root", {"user": "olga"}, 200),
        ("pipeline-id", {"user": "olga"}, 200),
    ],
)
def test_who_may_ask_about_whom(central: CentralNode, asker: str, question: dict[str, str], status: int) -> None:
    reply = central.ask("explain", asker, {**LEDGER, **question})
    assert reply.status == status
    if status == 403:
        assert problem(reply) == "not_yours"


def test_what_one_may_not_ask_looks_the_same_whether_it_exists(central: CentralNode) -> None:
    refusals = [
        central.ask(operation, "joe", question).json | {"request_id": ""}
        for operation, question in [
            ("explain", {**LEDGER, "user": "olga"}),
            ("explain", {**NOWHERE, "user": "nobody-at-all"}),
            ("who-can", LEDGER),
            ("who-can", NOWHERE),
            ("who-can", {"method": "GET", "url": "https://ledger.test/no/such"}),
            ("what-can", {"user": "olga"}),
            ("what-can", {"user": "nobody-at-all"}),
            ("what-can", {"user": "component:default/robot"}),
            ("what-can", {"user": "component:default/none"}),
            ("what-can", {"user": "group:default/books"}),
            ("what-can", {"user": "group:default/none"}),
            ("why", {"rule": central.ask("explain", "olga", LEDGER).json["rule"]}),
            ("why", {"rule": "r-aaaaaaaaaa"}),
        ]
    ]
    assert all(each == refusals[0] for each in refusals)
    assert refusals[0]["code"] == "not_yours"


@pytest.mark.parametrize("delegated", [{"sub": "robot-id"}, {"sub": "pipeline-id", "client_id": "pipeline-id"}])
def test_who_uses_an_administrators_token_is_no_administrator(central: CentralNode, delegated: dict[str, str]) -> None:
    reply = central.ask("who-can", None, LEDGER, token=central.token("root", act=delegated))
    assert (reply.status, problem(reply)) == (403, "not_yours")


# === who-can and what-can ===


def test_owners_and_administrators_learn_who_can(central: CentralNode) -> None:
    for asker in ("olga", "root", "pipeline-id"):
        found = central.ask("who-can", asker, LEDGER).json
        members = {each["reason"]: [member["ref"] for member in each["members"]] for each in found["allowed"]}
        assert members == {"owner": ["user:default/olga"], "consumer": ["component:default/robot"]}
        assert found["operations"] == [{"name": "GET /entries", "scopes": [["ledger:read"]]}]
    denied = central.ask("who-can", "root", {**ECHO, "all": "true"}).json["denied"]
    assert [member["ref"] for entry in denied for member in entry["members"]] == ["user:default/olga"]
    assert central.ask("who-can", "root", NOWHERE).json["reason"] == "host_unknown"


def test_members_come_in_pages_that_hold_everybody_once(central: CentralNode) -> None:
    whole = central.ask("who-can", "root", {**ECHO, "all": "true"}).json
    seen: list[str] = []
    after = ""
    for _ in range(20):
        page = central.ask("who-can", "root", {**ECHO, "all": "true", "members": 1, "after": after}).json
        seen += [member["ref"] for entry in (*page["allowed"], *page["denied"]) for member in entry["members"]]
        if not (after := page["next"]):
            break
    everybody = [member["ref"] for entry in (*whole["allowed"], *whole["denied"]) for member in entry["members"]]
    assert len(everybody) > 3
    assert sorted(seen) == sorted(everybody)


def test_what_can_is_answered_about_oneself_and_in_pages(central: CentralNode) -> None:
    whole = central.ask("what-can", "olga").json
    (me,) = whole["callers"]
    assert me["caller"] == "user:default/olga"
    assert [each["service"] for each in me["exposures"]] == [BUILTIN_SERVICE.ref, "component:default/ledger"]
    assert whole["next"] == ""
    first = central.ask("what-can", "olga", {"exposures": 1}).json
    second = central.ask("what-can", "olga", {"exposures": 5, "after": first["next"]}).json
    pages = [each for page in (first, second) for each in page["callers"][0]["exposures"]]
    assert pages == me["exposures"]
    narrowed = central.ask("what-can", "olga", {"environment": "prod", "service": "ledger"}).json
    assert narrowed["callers"][0]["exposures"] == me["exposures"][1:]


def test_what_can_is_answered_about_ones_team_and_ones_programs(central: CentralNode) -> None:
    assert central.ask("what-can", "olga", {"user": "group:default/books"}).status == 200
    (robot,) = central.ask("what-can", "olga", {"user": "component:default/robot"}).json["callers"]
    assert [each["service"] for each in robot["exposures"]][-1] == "component:default/ledger"
    unknown = central.ask("what-can", "root", {"user": "olgga"})
    assert (unknown.status, problem(unknown)) == (404, "caller_unknown")
    assert "olga" in unknown.json["detail"]


# === why and lint ===


def test_a_rule_is_explained_to_its_owners_down_to_the_annotation(central: CentralNode) -> None:
    rule = central.ask("explain", "olga", {**LEDGER, "client": "robot-id", "scope": "ledger:read"}).json["rule"]
    told = central.ask("why", "olga", {"rule": rule}).json
    assert told["exposures"] == ["component:default/ledger@prod"]
    says = [each["says"] for each in told["statements"]]
    assert "annotation `allow-consumers` of `component:default/ledger` is `robot`" in says
    named = central.ask("why", "robot-id", {"rule": rule}).json
    assert named == {**told, "exposures": [], "counted": {}, "statements": []}
    assert central.ask("why", "root", {"rule": rule.upper()}).json == told


def test_findings_are_told_to_owners_about_what_is_theirs(central: CentralNode) -> None:
    everything = central.ask("lint", "root").json
    kinds = {each["kind"] for each in everything["findings"]}
    assert "everyone_everything" in kinds
    theirs = central.ask("lint", "jane").json
    assert all("echo" in each["about"] or "team" in each["about"] for each in theirs["findings"])
    assert central.ask("lint", "joe").json == {
        "counts": {"error": 0, "warning": 0, "note": 0, "waived": 0}, "findings": [], "next": None,
    }  # fmt: skip
    paged: list[Any] = []
    begin: int | None = 0
    while begin is not None:
        page = central.ask("lint", "root", {"findings": 1, "begin": begin}).json
        paged += page["findings"]
        begin = page["next"]
    assert paged == everything["findings"]


# === parameters and other refusals ===


@pytest.mark.parametrize(
    ("operation", "query", "named"),
    [
        ("explain", {}, ["method", "url"]),
        ("explain", {**LEDGER, "metod": "GET"}, ["metod"]),
        ("explain", {**LEDGER, "method": "BREW"}, ["method"]),
        ("explain", {**LEDGER, "url": "ledger.test"}, ["url"]),
        ("explain", {**LEDGER, "url": "https://ledger.test/ü"}, ["url"]),
        ("explain", {**LEDGER, "mfa": "perhaps"}, ["mfa"]),
        ("explain", {**LEDGER, "from": "here"}, ["from"]),
        ("explain", {**LEDGER, "issuer": "nobody"}, ["issuer"]),
        ("explain", {"method": ["GET", "PUT"], "url": LEDGER["url"]}, ["method"]),
        ("explain", {**LEDGER, "url": "https://ledger.test/" + "a" * 7000}, []),
        ("who-can", {**LEDGER, "members": "-1", "after": "x" * 600}, ["after", "members"]),
        ("what-can", {"exposures": "all", "usr": "x"}, ["exposures", "usr"]),
        ("why", {}, ["rule"]),
        ("lint", {"findings": "1001"}, ["findings"]),
        ("openapi.json", {"pretty": "1"}, ["pretty"]),
        ("entities/component:default/ledger", {"scope": "component:default"}, ["scope"]),
    ],
)
def test_every_bad_parameter_is_named_with_what_to_do(
    central: CentralNode, operation: str, query: dict[str, Any], named: list[str]
) -> None:
    reply = central.ask(operation, "root", query)
    if not named:
        assert reply.status == 200
        return
    assert (reply.status, problem(reply)) == (400, "parameters_invalid")
    assert [each["parameter"] for each in reply.json["errors"]] == named
    assert all(each["message"] and each["todo"] for each in reply.json["errors"])


def test_who_is_asked_about_is_said_once(central: CentralNode) -> None:
    reply = central.ask("explain", "root", {**LEDGER, "user": "jane", "anonymous": "true"})
    assert (reply.status, problem(reply)) == (400, "parameters_invalid")


def test_what_is_no_operation_is_refused_by_the_table(central: CentralNode) -> None:
    for operation, method in (("nothing", "GET"), ("explain", "POST"), ("explain/", "GET")):
        reply = central.ask(operation, "root", LEDGER, method=method)
        assert (reply.status, problem(reply)) == (404, "operation_unknown")


def test_a_head_is_answered_like_its_get(central: CentralNode) -> None:
    reply = central.ask("explain", "olga", LEDGER, method="HEAD")
    assert (reply.status, reply.text) == (200, b"")


# === sync ===


def sync(central: CentralNode, **changes: Any) -> Reply:
    """A signed call as a webhook sends it."""
    now = str(int(time.time()))
    said: dict[str, Any] = {
        "id": os.urandom(12).hex(),
        "at": now,
        "body": b'{"some": "event"}',
        "secret": SECRET,
    } | changes
    signed = signature_of(key_of(said["secret"]), said["id"], said["at"], said.get("signed", said["body"]))
    headers = {"Webhook-Id": said["id"], "Webhook-Timestamp": said["at"], "Webhook-Signature": signed}
    return central.ask("catalog/sync", None, method="POST", body=said["body"], headers=headers)


def in_time(call: Callable[[], Reply]) -> Reply:
    """The answer of a sender that is told to wait, and waits: the tests share one node and its limit."""
    replies: list[Reply] = []

    def answered() -> bool:
        replies.append(call())
        return replies[-1].status != 429

    until(answered, 20)
    return replies[-1]


def test_administrators_and_signed_calls_hasten_a_look_and_nobody_else(central: CentralNode) -> None:
    for asker in ("root", "pipeline-id"):
        reply = in_time(partial(central.ask, "catalog/sync", asker, method="POST"))
        assert (reply.status, reply.json) == (202, {"catalogs": []})  # this node follows files alone
    for asker in ("joe", "olga", "robot-id"):
        reply = in_time(partial(central.ask, "catalog/sync", asker, method="POST"))
        assert (reply.status, problem(reply)) == (403, "not_yours")
    assert in_time(lambda: sync(central)).status == 202
    unsigned = in_time(lambda: central.ask("catalog/sync", None, method="POST"))
    assert (unsigned.status, problem(unsigned)) == (401, "signature_refused")


def test_a_signed_call_counts_once_and_for_its_body_and_time(central: CentralNode) -> None:
    assert in_time(lambda: sync(central, id="once-and-no-more")).status == 202
    again = in_time(lambda: sync(central, id="once-and-no-more"))
    assert (again.status, problem(again)) == (409, "signature_used")
    for changes in ({"signed": b"{}"}, {"secret": "x" * 40}, {"at": str(int(time.time()) - 400)}):
        reply = in_time(partial(sync, central, **changes))
        assert (reply.status, problem(reply)) == (401, "signature_refused")
        assert SECRET not in reply.text.decode()


def test_an_unknown_catalog_is_named_as_such(central: CentralNode) -> None:
    reply = in_time(lambda: central.ask("catalog/sync", "root", {"catalog": "backstage"}, method="POST"))
    assert (reply.status, problem(reply)) == (404, "catalog_unknown")


@pytest.mark.parametrize("origin", ["https://evil.test", "null", f"http://{HOST}.evil.test", "https://app.test"])
def test_a_page_of_another_site_changes_nothing(central: CentralNode, origin: str) -> None:
    reply = in_time(partial(central.ask, "catalog/sync", "root", method="POST", headers={"Origin": origin}))
    assert (reply.status, problem(reply)) == (403, "origin_refused")
    own = in_time(lambda: central.ask("catalog/sync", "root", method="POST", headers={"Origin": f"http://{HOST}"}))
    assert own.status == 202


def test_a_large_body_is_refused(central: CentralNode) -> None:
    reply = in_time(lambda: sync(central, body=b"x" * (300 * 1024)))
    assert (reply.status, problem(reply)) == (413, "body_too_large")


def test_a_hint_that_was_refused_for_its_haste_is_heard_when_it_comes_again(central: CentralNode) -> None:
    """Senders of webhooks repeat what failed under the id it had."""
    said: dict[str, str] = {}

    def is_hasty() -> bool:
        said["id"] = os.urandom(12).hex()
        refused = sync(central, **said)
        return refused.status == 429 and problem(refused) == "rate_limited"

    until(is_hasty)
    until(lambda: sync(central, **said).status == 202)
    again = sync(central, **said)
    assert (again.status, problem(again)) == (409, "signature_used")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "own"])
def test_a_body_is_signed_and_bounded_as_it_was_sent(central: CentralNode, coding: str) -> None:
    """Nothing unpacks what nobody reads: no bomb opens, and a broken one is no failure of ours."""
    headers = {"Content-Encoding": coding, "Webhook-Id": os.urandom(12).hex(), "Webhook-Timestamp": "1"}
    unsigned = central.ask(
        "catalog/sync", None, method="POST", body=b"junk", headers={**headers, "Webhook-Signature": "v1,x"}
    )
    assert (unsigned.status, problem(unsigned)) == (401, "signature_refused")
    at, body = str(int(time.time())), gzip.compress(b"{}")
    signed = signature_of(key_of(SECRET), headers["Webhook-Id"], at, body)
    headers |= {"Webhook-Timestamp": at, "Webhook-Signature": signed}
    until(lambda: central.ask("catalog/sync", None, method="POST", body=body, headers=headers).status == 202)


@pytest.mark.slow
@pytest.mark.parametrize("signature", [b"", b"Webhook-Signature: v1,x\r\n"], ids=["unsigned", "signed"])
def test_slow_bodies_of_strangers_keep_nobody_from_an_answer(central: CentralNode, signature: bytes) -> None:
    """They would take every connection that the door has to control, and hold it."""
    head = f"POST {API}/catalog/sync HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000\r\n".encode()
    slow = []
    try:
        for _ in range(SLOW_BODIES):
            slow.append(socket.create_connection(("127.0.0.1", central.node.port), 10))
            slow[-1].sendall(head + signature + b"\r\nx")
        answers = sum(bool(select.select([each], [], [], 5)[0]) for each in slow[STRANGERS_BODIES:])
        assert answers == SLOW_BODIES - STRANGERS_BODIES
        assert central.ask("catalog/sync", "root", method="POST").status in (202, 429)
        assert central.ask("explain", "olga", LEDGER).status == 200
        assert slow[0].recv(64).split()[1] in (b"400", b"401")  # after BODY_S at the latest
    finally:
        for each in slow:
            each.close()


def test_the_documented_call_with_openssl_works(central: CentralNode) -> None:
    """The example of docs/api.md, as it stands there but for the address."""
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    script = text.partition("```sh\n# signed sync\n")[2].partition("```")[0]
    assert "openssl" in script
    where = f"http://127.0.0.1:{central.node.port}"
    script = script.replace("https://stagedoor.example.com", where).replace("curl ", f"curl -H 'Host: {HOST}' ")
    folder = central.node.folder

    def answer() -> dict[str, Any]:
        ran = subprocess.run(["sh", "-eu", "-c", script], cwd=folder, capture_output=True, text=True, check=False)
        said: dict[str, Any] = json.loads(ran.stdout)
        return said

    until(lambda: answer() == {"catalogs": []}, 20)  # it is told to wait where others called too


# === the description ===


def test_the_description_is_valid_openapi_of_what_is_routed(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert document["servers"] == [{"url": f"http://{HOST}"}]
    described = {
        (method.upper(), path): operation["operationId"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert described == {(each.method, each.path): each.name for each in OWN_OPERATIONS}
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation["parameters"]:
                jsonschema_rs.meta.validate(parameter["schema"])
                assert parameter["description"]


_TEXT = {"type": "string", "minLength": 1}
_CONTENT = {"type": "object", "minProperties": 1, "additionalProperties": {"type": "object", "required": ["schema"]}}
_PARAMETER = {
    "type": "object",
    "required": ["name", "in", "schema"],
    "properties": {
        "name": _TEXT, "in": {"enum": ["query", "path"]}, "required": {"type": "boolean"}, "description": _TEXT,
        "schema": {"type": "object"}, "style": {"const": "form"}, "explode": {"const": True},
    },
    "additionalProperties": False,
    "if": {"properties": {"in": {"const": "path"}}},
    "then": {"required": ["required"], "properties": {"required": {"const": True}}},
}  # fmt: skip
_OPERATION = {
    "type": "object",
    "required": ["operationId", "responses"],
    "properties": {
        "operationId": _TEXT, "summary": _TEXT, "security": {"type": "array"},
        "parameters": {"type": "array", "items": _PARAMETER},
        "requestBody": {"type": "object", "required": ["content"]},
        "responses": {
            "type": "object",
            "minProperties": 1,
            "patternProperties": {
                "^[1-5][0-9][0-9]$": {
                    "type": "object", "required": ["description", "content"], "additionalProperties": False,
                    "properties": {"description": _TEXT, "content": _CONTENT},
                },
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}  # fmt: skip
#: What of the OpenAPI 3.1 meta-schema bears on a document that uses this much of it.
_OPENAPI = {
    "type": "object",
    "required": ["openapi", "info", "paths", "components", "servers", "security"],
    "properties": {
        "openapi": {"pattern": r"^3\.1\.\d+$"},
        "info": {"type": "object", "required": ["title", "version"], "properties": {"title": _TEXT, "version": _TEXT}},
        "servers": {"type": "array", "items": {"type": "object", "required": ["url"]}},
        "paths": {
            "type": "object",
            "patternProperties": {
                "^/": {"type": "object", "propertyNames": {"enum": ["get", "post", "put", "delete", "patch"]},
                       "additionalProperties": _OPERATION},
            },
            "additionalProperties": False,
        },
        "components": {"type": "object", "propertyNames": {"enum": ["schemas", "securitySchemes"]}},
        "security": {"type": "array"},
    },
    "additionalProperties": False,
}  # fmt: skip


def everything_in(value: Any) -> Iterator[Any]:
    yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from everything_in(each)


def test_the_description_has_the_form_of_openapi_and_holds_together(document: dict[str, Any]) -> None:
    jsonschema_rs.validator_for(_OPENAPI).validate(document)
    schemas, schemes = (document["components"][name] for name in ("schemas", "securitySchemes"))
    names = {each["$ref"] for each in everything_in(document) if isinstance(each, dict) and "$ref" in each}
    assert names == {f"#/components/schemas/{name}" for name in schemas}
    operations = [each for operations in document["paths"].values() for each in operations.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    used = [each for found in (document, *operations) for each in found.get("security", [])]
    assert {name for each in used for name in each} == set(schemes)
    for path, of_path in document["paths"].items():
        templated = set(re.findall(r"\{(\w+)\}", path))
        for operation in of_path.values():
            assert {each["name"] for each in operation["parameters"] if each["in"] == "path"} == templated


def described_as(document: dict[str, Any], operation: str, status: int) -> jsonschema_rs.Validator:
    (method,) = document["paths"][f"{API}/{operation}"]
    (content,) = document["paths"][f"{API}/{operation}"][method]["responses"][str(status)]["content"].values()
    return jsonschema_rs.validator_for({**content["schema"], "components": document["components"]})


def test_every_answer_is_as_described(central: CentralNode, document: dict[str, Any]) -> None:
    rule = central.ask("explain", "olga", LEDGER).json["rule"]
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("explain", "root", {**LEDGER, "user": "olga"}), ("explain", "joe", LEDGER), ("explain", "joe", NOWHERE),
        ("explain", "joe", {}), ("explain", "joe", {**LEDGER, "user": "olga"}),
        ("who-can", "root", LEDGER), ("who-can", "root", {**ECHO, "all": "true"}), ("who-can", "root", NOWHERE),
        ("what-can", "root", {"user": "olga"}), ("what-can", "robot-id", {}), ("what-can", "root", {"user": "x"}),
        ("why", "root", {"rule": rule}), ("why", "root", {"rule": "r-none"}), ("why", "joe", {"rule": rule}),
        ("lint", "root", {}), ("lint", "joe", {"findings": 0}), ("openapi.json", "joe", {}),
    ]  # fmt: skip
    statuses = set()
    for operation, asker, query in asked:
        reply = central.ask(operation, asker, query)
        statuses.add(reply.status)
        described_as(document, operation, reply.status).validate(reply.json)
    for asker in ("root", "joe"):
        reply = in_time(partial(central.ask, "catalog/sync", asker, method="POST"))
        described_as(document, "catalog/sync", reply.status).validate(reply.json)
    assert statuses == {200, 400, 403, 404}


def test_an_undescribed_answer_would_be_seen(document: dict[str, Any]) -> None:
    validator = described_as(document, "explain", 200)
    assert not validator.is_valid({"decision": "permit"})
    assert not validator.is_valid({"anything": 1})


def test_every_problem_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    for code, kind in PROBLEMS.items():
        assert f"| `{code}` | {kind.status} | {kind.title} | {kind.todo} |" in text


# === what changes ===


def test_an_edit_of_the_catalog_is_in_the_next_answers(central: CentralNode) -> None:
    file = central.node.folder / "more" / "all.yaml"
    before = file.read_text()
    olga = "metadata: {{name: olga}}\nspec: {{memberOf: [{}]}}"
    file.write_text(before.replace(olga.format("books"), olga.format("")))
    try:
        until(lambda: central.ask("explain", "olga", LEDGER).json["reason"] == "no_rule")
        until(lambda: central.ask("who-can", "olga", LEDGER).status == 403)
    finally:
        file.write_text(before)
    until(lambda: central.ask("explain", "olga", LEDGER).json["reason"] == "owner")


def test_a_control_that_was_started_again_is_met_by_the_doors(central: CentralNode) -> None:
    """Its key is a new one; the doors hear it when they meet again, and the old one is worth nothing."""
    old = central.node.children("control")[0]
    os.kill(old, signal.SIGKILL)
    until(lambda: central.node.children("control")[0] != old)
    until(lambda: central.ask("explain", "olga", LEDGER).status == 200)


@pytest.mark.slow
def test_while_the_engine_is_away_owners_are_strangers_and_administrators_are_not(central: CentralNode) -> None:
    engine = central.node.children("engine")[0]
    os.kill(engine, signal.SIGSTOP)
    try:
        mine = central.ask("explain", "olga", LEDGER)
        assert (mine.json["reason"], mine.json["source"]["file"]) == ("owner", "")
        assert central.ask("who-can", "root", LEDGER).status == 200
        reply = central.ask("who-can", "olga", LEDGER)
        assert (reply.status, problem(reply)) == (503, "engine_away")
        assert "retry-after" in reply.headers
    finally:
        os.kill(engine, signal.SIGCONT)
    until(lambda: central.ask("who-can", "olga", LEDGER).status == 200)
