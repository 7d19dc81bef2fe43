"""Pins over the API: what `stagedoor pin` does, for administrators and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.control.api.callers import Caller
from gateway.control.api.pins import ConfirmPinQuery, PeoplePins, PinsQuery, RemovePinQuery
from gateway.control.api.problems import Problem
from gateway.control.api.routes import Asked
from gateway.control.signin.pins import Pins
from gateway.control.store import Store
from policy.facts import Principal
from tests.support.scripted_provider import ScriptedProvider
from tests.support.signing_control import Place, signing_control

JANE = "user:default/jane"
NAMED = {"user": "jane", "issuer": "sso", "because": "A new account."}


def caller(name: str, *, administrator: bool = False) -> Caller:
    ref = f"user:default/{name}"
    principal = Principal("person", ref, frozenset({ref}), issuer="sso", subject=name)
    return Caller(principal, administrator, True)


ROOT, JOE = caller("root", administrator=True), caller("joe")


def told(folder: Path, story: Callable[[PeoplePins, Store], Awaitable[None]]) -> None:
    async def run() -> None:
        async with ScriptedProvider() as provider, signing_control(folder, provider) as place:
            await story(_connected(place), place.sign_in.context.store)

    asyncio.run(run())


def _connected(place: Place) -> PeoplePins:
    people = PeoplePins()
    pins: Pins = place.sign_in.context.pins
    people.connect(pins)
    return people


async def ask(people: PeoplePins, name: str, who: Caller, query: object) -> Any:
    route = next(each for each in people.routes() if each.name == name)
    answer = await route.answers(Asked(who, query, b"", {}))
    assert route.answer is not None
    route.answer.model_validate(answer)
    return answer


def test_administrators_list_confirm_and_remove(tmp_path: Path) -> None:
    async def story(people: PeoplePins, store: Store) -> None:
        await store.pin("sso", "old", JANE, 1_800_000_000)
        (pin,) = (await ask(people, "pins", ROOT, PinsQuery(user="jane")))["pins"]
        assert (pin["subject"], pin["by"]) == ("old", "")
        done = await ask(people, "confirmPin", ROOT, ConfirmPinQuery(**NAMED, subject="new"))
        assert done == {"user": JANE, "issuer": "sso", "subject": "new", "ended": 0}
        (pin,) = (await ask(people, "pins", ROOT, PinsQuery()))["pins"]
        assert (pin["subject"], pin["by"]) == ("new", "user:default/root")
        await ask(people, "removePin", ROOT, RemovePinQuery(**NAMED))
        assert (await ask(people, "pins", ROOT, PinsQuery()))["pins"] == []
        assert [(each.verb, each.by) for each in await store.acts()] == [
            ("confirm pin", "user:default/root"), ("remove pin", "user:default/root"),
        ]  # fmt: skip

    told(tmp_path, story)


def test_nobody_else_sees_or_changes_any(tmp_path: Path) -> None:
    async def story(people: PeoplePins, store: Store) -> None:
        await store.pin("sso", "joe", "user:default/joe", 1_800_000_000)
        for name, query in (
            ("pins", PinsQuery(user="joe")), ("confirmPin", ConfirmPinQuery(**NAMED, subject="joe")),
            ("removePin", RemovePinQuery(**NAMED)),
        ):  # fmt: skip
            with pytest.raises(Problem, match="not_yours"):
                await ask(people, name, JOE, query)
        assert await store.acts() == []

    told(tmp_path, story)


def test_what_cannot_be_done_is_a_problem_that_says_why(tmp_path: Path) -> None:
    async def story(people: PeoplePins, store: Store) -> None:
        for name, query, why in (
            ("removePin", RemovePinQuery(**NAMED), "has no pin"),
            ("confirmPin", ConfirmPinQuery(**{**NAMED, "issuer": "none"}, subject="x"), "nobody signs in"),
            ("pins", PinsQuery(user="group:default/x"), "a person is a user"),
        ):
            with pytest.raises(Problem, match="pin_refused") as refused:
                await ask(people, name, ROOT, query)
            assert why in refused.value.detail
        with pytest.raises(ValidationError):
            RemovePinQuery(user="jane", issuer="sso", because="")
        await store.close()
        with pytest.raises(Problem, match="sessions_away"):
            await ask(people, "pins", ROOT, PinsQuery())
        with pytest.raises(Problem, match="sessions_away"):
            await ask(PeoplePins(), "pins", ROOT, PinsQuery())

    told(tmp_path, story)
