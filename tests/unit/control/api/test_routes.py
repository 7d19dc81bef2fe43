"""Promises about the registry: what is declared is answered, what fails says nothing of its inside, pages are whole."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from gateway import config
from gateway.control.api.assembly import Central
from gateway.control.api.callers import Caller, Callers
from gateway.control.api.engine import Engine
from gateway.control.api.problems import Problem
from gateway.control.api.questions import paged_members
from gateway.control.api.rights import owns_service
from gateway.control.api.routes import OPEN_EACH, Api, Asked, Route
from gateway.control.web import SOCKET, WebServer, make_app
from gateway.identity.assertion import Assertion, Request, SharedKey
from policy.builtin import API, BUILTIN_SERVICE, OWN_OPERATIONS
from policy.facts import Principal

IDP = config.Issuer("idp", "https://idp.test", ("api", "stagedoor"))
OTHER = config.Issuer("other", "https://other.test", ("api",))
JANE = Principal("person", "user:default/jane", frozenset({"user:default/jane", "group:default/a", "everyone"}))


async def nothing(_asked: Asked) -> dict[str, Any]:
    return {}


async def failing(_asked: Asked) -> dict[str, Any]:
    raise RuntimeError("a secret detail")


async def page(_request: web.Request) -> web.Response:
    return web.Response(text="not ours")


def routes(**answers: Any) -> list[Route]:
    return [Route(each.name, "", answers.get(each.name, nothing), None) for each in OWN_OPERATIONS]


def issued_by(issuer: str, who: Principal) -> Principal:
    return Principal(who.kind, who.ref, who.subjects, actors=who.actors, client_id=who.client_id, issuer=issuer)


def callers(*administrators: str) -> Callers:
    return Callers(administrators, (IDP, OTHER), lambda: 1_800_000_000)


def test_an_operation_without_an_answer_or_a_rule_ends_control_at_its_start() -> None:
    Api(callers(), routes())
    with pytest.raises(ValueError, match="are declared"):
        Api(callers(), routes()[1:])
    with pytest.raises(ValueError, match="are declared"):
        Api(callers(), [*routes(), Route("extra", "", nothing, None)])


def test_what_control_assembles_is_what_is_declared(tmp_path: Path) -> None:
    settings = config.Settings((), (), {}, config.Catalog(), "", str(tmp_path))
    central = Central(settings, tmp_path, "1")
    assert {each.name for each in central.routes()} == {each.name for each in OWN_OPERATIONS}
    central.close()


def test_the_description_is_made_once(tmp_path: Path) -> None:
    """It takes ten milliseconds of the loop that signs everybody in, and everybody may ask for it."""
    central = Central(config.Settings((), (), {}, config.Catalog(), "", str(tmp_path)), tmp_path, "1")
    (describe,) = [each for each in central.routes() if each.name == "describe"]
    caller = Caller(JANE, False, True)

    async def told(host: str) -> dict[str, Any]:
        return await describe.answers(Asked(caller, None, b"", {"Host": host}))

    first, second = (asyncio.run(told(host)) for host in ("a.test", "b.test"))
    assert first["paths"] is second["paths"]
    assert [each["servers"][0]["url"] for each in (first, second)] == ["https://a.test", "https://b.test"]
    central.close()


def test_a_failure_says_nothing_of_its_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Callers, "of", lambda self, request: Caller(JANE, False, True))

    async def story() -> tuple[int, str]:
        app = make_app()
        Api(callers(), routes(explain=failing)).add_to(app)
        app.router.add_get("/page", page)
        running = WebServer(app, tmp_path)
        await running.start()
        connector = aiohttp.UnixConnector(str(tmp_path / SOCKET))
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.get("http://localhost/page") as answer:
                assert await answer.text() == "not ours"
            async with session.get(f"http://localhost{API}/explain") as answer:
                found = answer.status, await answer.text()
            async with session.get(f"http://localhost{API}/none") as answer:
                assert (answer.status, (await answer.json(content_type=None))["code"]) == (404, "path_unknown")
            async with session.put(f"http://localhost{API}/explain") as answer:
                assert (answer.status, (await answer.json(content_type=None))["code"]) == (405, "method_refused")
                assert "GET" in answer.headers["Allow"]
        await running.close()
        return found

    status, text = asyncio.run(story())
    assert status == 500
    assert '"code":"failed"' in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("principal", "shown", "audiences", "is_administrator"),
    [
        (JANE, "token", ("stagedoor",), True),
        (JANE, "token", ("api", "stagedoor"), True),
        (JANE, "token", ("api",), False),
        (JANE, "certificate", ("stagedoor",), False),
        (JANE, "nothing", (), False),
        (Principal("person", "user:default/x", frozenset({"group:default/b"})), "token", ("stagedoor",), False),
        (Principal("workload", "component:default/ci", client_id="ci"), "token", ("stagedoor",), True),
        (Principal("person", "user:default/x", client_id="ci"), "token", ("stagedoor",), False),
        (Principal("anonymous", subjects=frozenset({"group:default/a"})), "token", ("stagedoor",), False),
        (Principal("person", "user:default/x", JANE.subjects, actors=(JANE,)), "token", ("stagedoor",), False),
    ],
)
def test_who_administers(principal: Principal, shown: Any, audiences: tuple[str, ...], is_administrator: bool) -> None:
    principal = issued_by("idp", principal)
    found = callers("group:default/A", "ci")._judged(Assertion(principal, shown, audiences, Request("", "", "", "")))
    assert found.is_administrator is is_administrator
    assert found.has_token is (shown == "token" and "stagedoor" in audiences)


@pytest.mark.parametrize("issuer", ["other", "gone", ""])
def test_an_issuer_that_is_trusted_for_other_audiences_makes_no_token_for_the_api(issuer: str) -> None:
    """Whatever else it writes into `aud`: the operator lists `stagedoor` with the issuers that may."""
    said = Assertion(issued_by(issuer, JANE), "token", ("api", "stagedoor"), Request("", "", "", ""))
    found = callers("group:default/a")._judged(said)
    assert (found.has_token, found.is_administrator) == (False, False)


def test_each_process_has_a_key_of_its_own() -> None:
    first, second = callers().message(), callers().message()
    assert first["secret"] != second["secret"]
    assert first["kid"] != second["kid"]
    assert SharedKey(first["kid"], first["secret"].encode()).kid == first["kid"]


MEMBERS = st.lists(st.lists(st.integers(0, 30), unique=True).map(sorted), max_size=4)


@given(MEMBERS, st.integers(1, 5))
def test_pages_of_members_hold_everybody_once_and_end(crowds: list[list[int]], most: int) -> None:
    def answer() -> dict[str, Any]:
        entries = [{"members": [{"ref": f"user:default/{each:03}"} for each in crowd]} for crowd in crowds]
        return {"allowed": entries[:2], "denied": entries[2:]}

    whole, seen, after = answer(), [], ""
    while True:
        page = paged_members(answer(), most, after)
        for position, entry in enumerate([*page["allowed"], *page["denied"]]):
            assert len(entry["members"]) <= most
            seen += [(position, each["ref"]) for each in entry["members"]]
        if not page["next"]:
            break
        assert page["next"] > after
        after = page["next"]
    entries = enumerate([*whole["allowed"], *whole["denied"]])
    assert sorted(seen) == sorted((position, each["ref"]) for position, entry in entries for each in entry["members"])


def test_nobody_listed_is_no_page_to_come() -> None:
    entries = [{"members": [{"ref": "user:default/a"}]}]
    assert paged_members({"allowed": entries, "denied": []}, 0, "") == {
        "allowed": [{"members": []}], "denied": [], "next": "",
    }  # fmt: skip


def test_nobody_has_more_than_a_few_questions_open() -> None:
    """One caller who asks much leaves the others their answers."""
    api = Api(callers(), routes())
    jane, joe = Caller(JANE, False, True), Caller(Principal("person", "user:default/joe"), True, True)
    with ExitStack() as open_questions:
        for _ in range(OPEN_EACH):
            open_questions.enter_context(api._one_of_few(jane))
        with pytest.raises(Problem, match="busy"), api._one_of_few(jane):
            pass
        with api._one_of_few(joe):
            pass
    with api._one_of_few(jane):
        pass
    assert not api._open


def test_the_owner_of_an_entry_that_calls_itself_stagedoor_does_not_own_it(tmp_path: Path) -> None:
    class Owning(Engine):
        async def owners(self, services: Iterable[str]) -> dict[str, str]:
            return dict.fromkeys(services, "group:default/a")

    jane, engine = Caller(JANE, False, True), Owning(tmp_path)
    assert asyncio.run(owns_service(jane, "component:default/x", engine))
    assert not asyncio.run(owns_service(jane, BUILTIN_SERVICE.ref, engine))
