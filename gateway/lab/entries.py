"""What became of the catalog's entries, for the start page: asked of the engine, as `stagedoor entity` asks it.

The engine is asked a few times a second, because an edit that changes nothing at the doors tells nobody; the answer is
news only when something in it is another. While the engine is away the page says so and nothing else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gateway.lab.folder import LabFacts
from gateway.link import LinkClient, Message
from policy.explain import short_name

QUESTION: Final[Message] = {"t": "entities", "whole": True}
_NOTES: Final = 6  # of one entry on the page
_LABELS: Final = {"not_seen": "not seen"}
_WORST_FIRST: Final = ("refused", "held", "not_seen", "published")

Card = dict[str, Any]


class Entries:
    """``on_news``: the cards are others than before. ``command``: what says the same on a terminal."""

    def __init__(self, state: Path, facts: LabFacts, on_news: Callable[[], None]) -> None:
        self._facts = facts
        self._on_news = on_news
        self.command = command_of(facts, state.parent / "stagedoor.yaml")
        self._said: list[Any] | None = None  # None: the engine has not answered
        self._client = LinkClient(state / "engine.sock", lambda: QUESTION, self._hear, self._met)

    def start(self) -> None:
        self._client.start()

    def close(self) -> None:
        self._client.close()

    def ask(self) -> None:
        self._client.send(QUESTION)

    def cards(self) -> Card:
        said = sorted(self._said or (), key=lambda each: (_WORST_FIRST.index(each["state"]), each["ref"]))
        return {"entries": [_card(each, self._facts) for each in said], "engine": self._said is not None}

    # === told by the link ===

    def _hear(self, message: Message) -> None:
        """Doors hear other things on this socket."""
        if message["t"] != "entities" or message.get("unread") or "entities" not in message:
            return
        if message["entities"] != self._said:
            self._said = message["entities"]
            self._on_news()

    def _met(self, connected: bool) -> None:
        if not connected and self._said is not None:
            self._said = None
            self._on_news()


def coded(text: str) -> list[tuple[str, bool]]:
    """The text in pieces: what stands between two backticks is code."""
    pieces = re.split(r"`([^`]+)`", text)
    return [(piece, bool(position % 2)) for position, piece in enumerate(pieces) if piece]


def command_of(facts: LabFacts, settings: Path) -> str:
    """`stagedoor entity` as somebody here types it."""
    shown = os.path.relpath(settings)
    found = shown == os.path.join(".lab", "stagedoor.yaml")  # where commands look by themselves
    return f"{facts.command} entity" + ("" if found else f" --config {shown}")


def _card(entity: Card, facts: LabFacts) -> Card:
    state = str(entity["state"])
    notes = [_note(note, "") for note in entity["notes"] if note["severity"] != "note"]
    notes += [_note(note, place["environment"]) for place in entity["exposures"] for note in place["notes"]]
    return {
        "id": f"entry/{entity['ref']}",
        "title": entity["title"] or short_name(entity["ref"]),
        "ref": entity["ref"],
        "state": state,
        "label": _LABELS.get(state, state),
        "sentence": entity["sentence"],
        "places": [_place(place, facts) for place in entity["exposures"]],
        "notes": notes[:_NOTES],
        "more": max(0, len(notes) - _NOTES),
        "asks": [_who(contact) for contact in entity["contacts"]] if state != "published" else [],
    }


def _place(place: Card, facts: LabFacts) -> Card:
    """Linked where something is published; an address that was refused may be somebody else's."""
    host, slash, path = str(place["url"]).removeprefix("https://").partition("/")
    origin = facts.origin(host) + slash + path if host and place["state"] in ("published", "held") else ""
    return {"name": place["environment"], "state": place["state"], "address": "" if "*" in host else origin}


def _note(note: Card, environment: str) -> Card:
    file, line = str(note["source"]["file"]), int(note["source"]["line"])
    shown = os.path.relpath(file) if os.path.isabs(file) else file
    return {
        "environment": environment,
        "severity": note["severity"],
        "says": note["says"],
        "todo": note["todo"],
        "source": f"{shown}:{line}" if line else shown,
    }


def _who(contact: Card) -> str:
    """`Payments (Jane Okafor, Omar Haddad)`"""
    if contact["ref"] == "administrators":
        return "Stagedoor's administrators"
    people = ", ".join(str(each["title"] or each["ref"]) for each in contact["members"][:3])
    more = " and others" if contact["people"] > min(3, len(contact["members"])) else ""
    return f"{contact['title'] or contact['ref']}" + (f" ({people}{more})" if people else "")
