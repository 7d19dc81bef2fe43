"""Answers to "what became of my entry?", for the command line, the API and the lab's page: one entity, or many.

Who asks over the API brings the subjects they act as, and sees what is theirs: an entity of somebody else is answered
exactly as one that does not exist. Without subjects an administrator asks. Answers are made in a thread of their own,
one after the other, from what the last round left behind: however many ask, neither a round nor the loop waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from gateway.engine.entries.causes import ADMINISTRATORS, OWNER, Note
from gateway.engine.entries.chronicle import Since
from gateway.engine.entries.states import STATES, Place, Standing, States, contacts, counted, suggestion
from gateway.engine.ground import Ground
from gateway.engine.sources.pulls import CATALOG
from gateway.engine.sources.refs import full_ref
from gateway.link import Message
from policy.facts import Source

LISTED: Final = 500  # entities of one answer, unless fewer are asked for
_PEOPLE: Final = 10  # of a team, named as contacts
_UNREAD: Final = "the catalog has not been read yet: ask again in a moment"


class Known(NamedTuple):
    """What an answer is made from. ``catalogs``: how those that are followed are. ``read_at_s``: epoch seconds of the
    last round; ``failure``: why the newest one came to nothing."""

    ground: Ground | None
    since: Mapping[str, Since]
    catalogs: Sequence[Mapping[str, Any]]
    read_at_s: float | None
    failure: str
    now_s: float


class Enquiries:
    """``give_way`` is called between one entity and the next."""

    def __init__(self, give_way: Callable[[], None] = lambda: None) -> None:
        self._give_way = give_way
        self._worker = ThreadPoolExecutor(1, "enquiries")
        self._listed: tuple[Ground | None, tuple[Standing, ...]] = (None, ())

    async def answer(self, known: Known, message: Message) -> Message:
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._answer, known, message)

    def close(self) -> None:
        self._worker.shutdown(wait=False, cancel_futures=True)

    # === in the thread ===

    def _answer(self, known: Known, message: Message) -> Message:
        said = message.get("subjects")
        subjects = None if said is None else frozenset(map(str, said))
        one = message["t"] == "entity"
        if known.ground is None:
            nobody = {"counts": dict.fromkeys(STATES, 0), "entities": [], "next": ""}
            notices = [known.failure or _UNREAD]
            return {"t": message["t"], "notices": notices, "unread": True, **({"entity": None} if one else nobody)}
        notices = _notices(known, known.ground) if subjects is None else []
        if one:
            ref = full_ref(str(message.get("ref", "")), "component", "default")
            return {"t": "entity", "notices": notices, "entity": _one(ref, known, known.ground, subjects)}
        return {"t": "entities", "notices": notices, **self._many(message, known, known.ground, subjects)}

    def _many(self, message: Message, known: Known, ground: Ground, subjects: Collection[str] | None) -> Message:
        if self._listed[0] is not ground:
            standings = []
            for standing in States(ground).all():
                standings.append(standing)
                self._give_way()
            self._listed = (ground, tuple(standings))
        visible = [each for each in self._listed[1] if is_visible(each, subjects)]
        state, after = str(message.get("state") or ""), str(message.get("after") or "")
        words = str(message.get("words") or "").casefold().split()
        limit = max(1, min(int(message.get("limit") or LISTED), LISTED))
        found = [each for each in visible if state in ("", each.state) and each.ref > after and _is_named(each, words)]
        page = found[:limit]
        return {
            "counts": counted(visible),
            "entities": [_whole(each, known, ground) if message.get("whole") else _short(each, known) for each in page],
            "next": page[-1].ref if len(found) > limit else "",
        }


def _is_named(standing: Standing, words: Collection[str]) -> bool:
    """Whether each of the words is in what the entity is called, or where it is."""
    if not words:
        return True
    text = " ".join((standing.ref, standing.title, *(each.url for each in standing.places))).casefold()
    return all(word in text for word in words)


def is_visible(standing: Standing, subjects: Collection[str] | None) -> bool:
    """Whether it is theirs; None: an administrator asks. Nobody but administrators asks for what nobody owns."""
    return subjects is None or any(owner in subjects for owner in standing.owners)


def _one(ref: str, known: Known, ground: Ground, subjects: Collection[str] | None) -> Message | None:
    if not ref:
        return None
    standing = States(ground).of(ref)
    return _whole(standing, known, ground) if is_visible(standing, subjects) else None


def _whole(standing: Standing, known: Known, ground: Ground) -> Message:
    lacking = standing.state == "not_seen" and standing.ref not in ground.said
    return {
        **_short(standing, known),
        "source": _source(standing.source),
        "location": ground.pull.locations.get(standing.ref, ""),
        "owners": list(standing.owners),
        "exposures": [_place(each, standing) for each in standing.places],
        "notes": [_note(each, standing) for each in standing.notes],
        "needs": [each._asdict() for each in standing.needs],
        "contacts": [_contact(each, ground) for each in _resolved(contacts(standing), ground)],
        "catalogs": _catalogs(known, ground, standing.source.file),
        "suggestion": suggestion(standing.ref, ground) if lacking else "",
    }


def _short(standing: Standing, known: Known) -> Message:
    since = known.since.get(standing.ref)
    fits = since is not None and since.state == standing.state
    return {
        "ref": standing.ref,
        "kind": standing.kind,
        "title": standing.title,
        "state": standing.state,
        "sentence": standing.sentence,
        "since": _instant(since.at_ms / 1000) if since is not None and fits else None,
        "base": since.base if since is not None and fits else "",
        "exposures": [{"environment": each.environment, "state": each.state, "url": each.url}
                      for each in standing.places],
    }  # fmt: skip


def _place(place: Place, standing: Standing) -> Message:
    return {
        "environment": place.environment,
        "state": place.state,
        "url": place.url,
        "upstreams": list(place.upstreams),
        "sentence": place.sentence,
        "notes": [_note(each, standing) for each in place.notes],
    }


def _note(note: Note, standing: Standing) -> Message:
    owners = standing.owners or (ADMINISTRATORS,)
    ask = dict.fromkeys(ref for each in note.ask for ref in (owners if each == OWNER else (each,)))
    return {
        "says": note.says,
        "todo": note.todo,
        "severity": note.severity,
        "source": _source(note.source),
        "ask": list(ask),
    }


def _source(source: Source) -> Message:
    return {"file": source.file, "line": source.line, "entity": source.entity}


# ---- whom to ask ----


def _resolved(asked: Iterable[str], ground: Ground) -> list[str]:
    """The administrators by name, where the settings name any."""
    found: dict[str, None] = {}
    for each in asked:
        named = ground.settings.administrators if each == ADMINISTRATORS else ()
        found.update(dict.fromkeys(named or (each,)))
    return list(found)


def _contact(ref: str, ground: Ground) -> Message:
    people = ground.members.get(ref, ())
    return {
        **_name(ref, ground),
        "administers": ref == ADMINISTRATORS or ref in ground.settings.administrators,
        "people": len(people),
        "members": [_name(each, ground) for each in people[:_PEOPLE]],
    }


def _name(ref: str, ground: Ground) -> dict[str, Any]:
    entity = ground.said.get(ref)
    mail = entity.fields.get("spec.profile.email", "") if entity is not None else ""
    return {"ref": ref, "title": entity.title if entity is not None else "", "mail": mail}


# ---- how old the answer is ----


def _catalogs(known: Known, ground: Ground, file: str) -> list[Message]:
    """Where it comes from; every catalog when it is in none."""
    found: list[Message] = []
    if ground.settings.catalog.files and not file.startswith(CATALOG):
        found.append({"name": "files", "read_at": _instant(known.read_at_s), "fault": ""})
    for each in known.catalogs:
        if file in ("", CATALOG + str(each["name"])):
            read_at_s = None if each["age_s"] is None else known.now_s - each["age_s"]
            found.append({"name": each["name"], "read_at": _instant(read_at_s), "fault": each["fault"]})
    return found


def _notices(known: Known, ground: Ground) -> list[str]:
    """What bears on every answer."""
    notices = [ground.waits] if ground.waits else []
    if known.failure:
        notices.append(f"the newest round failed, so this is the one before: {known.failure}")
    return notices


def _instant(at_s: float | None) -> str | None:
    if at_s is None:
        return None
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
