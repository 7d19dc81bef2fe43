"""`GET /.stagedoor/api/v1/entities/REF` and `/entities`: what became of an entry of the catalog, and whom to ask.

The engine knows, and decides by the subjects that are handed on what is whose: the owners of an entity and
administrators see it, to everybody else it is as one that does not exist.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from gateway.control.api.callers import Caller
from gateway.control.api.engine import Engine
from gateway.control.api.models import SourceAnswer
from gateway.control.api.problems import Problem
from gateway.control.api.rights import require
from gateway.control.api.routes import Answer, Asked, Query, Route

LISTED: Final = 200  # of one answer
MOST_LISTED: Final = 500

State = Literal["published", "held", "refused", "not_seen"]
Instant = Annotated[str | None, Field(description="RFC 3339, UTC; null: not known.")]


class EntityQuery(Query):
    scope: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]{0,62}:[A-Za-z0-9-]{1,63}$")] = Field(
        description="Kind and namespace: `component:default`."
    )
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,63}$")] = Field(description="Its name: `payments`.")


class EntitiesQuery(Query):
    state: State | None = Field(None, description="Only those.")
    after: Annotated[str, Field(max_length=512)] = Field("", description="List those behind this ref: `next`.")
    limit: int = Field(LISTED, ge=1, le=MOST_LISTED, description="How many are listed.")


class PlaceAnswer(Answer):
    environment: str
    state: State
    url: str = Field(description="Where people reach it; of a refused one, what it asks for.")


class EntityInBriefAnswer(Answer):
    ref: str
    kind: str
    title: str
    state: State
    sentence: str
    since: Instant = Field(description="Since when it has this state and says what it says.")
    base: str = Field(description="The version of the policy that showed it first.")
    exposures: list[PlaceAnswer]


class NoteAnswer(Answer):
    says: str
    todo: str
    severity: Literal["error", "warning", "note"]
    source: SourceAnswer
    ask: list[str] = Field(description="Refs, or `administrators`.")


class ExposureAnswer(PlaceAnswer):
    upstreams: list[str]
    sentence: str
    notes: list[NoteAnswer]


class NeedAnswer(Answer):
    relation: Literal["owner", "system", "api"]
    ref: str
    state: State
    sentence: str


class PersonAnswer(Answer):
    ref: str
    title: str
    mail: str


class ContactAnswer(PersonAnswer):
    administers: bool
    people: int
    members: list[PersonAnswer] = Field(description="The first ten who are in it directly.")


class ReadAnswer(Answer):
    name: str
    read_at: Instant
    fault: str


class EntityAnswer(EntityInBriefAnswer):
    source: SourceAnswer
    location: str = Field(description="Where its text is, as far as its catalog says it.")
    owners: list[str]
    exposures: list[ExposureAnswer]  # type: ignore[assignment]  # the same, with more of each
    notes: list[NoteAnswer]
    needs: list[NeedAnswer] = Field(description="What it stands on and what does not count as it is said.")
    contacts: list[ContactAnswer]
    catalogs: list[ReadAnswer] = Field(description="Where it is read, and when that was.")
    suggestion: str
    notices: list[str] = Field(description="What bears on every answer; for administrators.")


class EntitiesAnswer(Answer):
    counts: dict[State, int]
    entities: list[EntityInBriefAnswer]
    next: str = Field(description="Give it as `after`; empty: that was all.")
    notices: list[str]


class Entities:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def routes(self) -> tuple[Route, ...]:
        problems = ("not_yours", "policy_unavailable", "engine_away")
        one = "What became of an entry of the catalog, why, and whom to ask. For its owners, and administrators."
        many = "The entries that are yours, by state; for administrators all that there is something to say of."
        return (
            Route("entity", one, self.entity, EntityAnswer, EntityQuery, problems),
            Route("entities", many, self.entities, EntitiesAnswer, EntitiesQuery, problems),
        )

    async def entity(self, asked: Asked) -> dict[str, Any]:
        query: EntityQuery = asked.query
        answer = await self._ask(asked, {"t": "entity", "ref": f"{query.scope}/{query.name}"})
        found = answer.get("entity")
        require(found is not None)
        return {**(found or {}), "notices": answer["notices"]}

    async def entities(self, asked: Asked) -> dict[str, Any]:
        query: EntitiesQuery = asked.query
        question = {"t": "entities", "state": query.state or "", "after": query.after, "limit": query.limit}
        answer = await self._ask(asked, question)
        return {key: answer[key] for key in ("counts", "entities", "next", "notices")}

    async def _ask(self, asked: Asked, question: dict[str, Any]) -> dict[str, Any]:
        answer = await self._engine.ask({**question, **_whose(asked.caller)})
        if answer.get("unread"):
            raise Problem("policy_unavailable", str(answer["notices"][0]))
        return answer


def _whose(caller: Caller) -> dict[str, Any]:
    """Whoever uses somebody's token on their behalf sees what is about that person alone."""
    if caller.is_administrator:
        return {}
    return {"subjects": [caller.ref] if caller.principal.actors else sorted(caller.principal.subjects)}
