"""The way of a person to a service, hop by hop: name, virtual server, firewalls, door, firewalls, upstream.

A hop is a value: open, or the sentence why not, or that nobody can tell. The engine knows the network's hops, and the
published table the door's; control, the command line and the pages put them together here and in no other way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

from gateway.node.careful import objects_in, text_in
from gateway.questions.explain import Answer
from policy.reasons import IDENTITY_UNKNOWN

State = Literal["open", "stops", "unknown"]
Kind = Literal["name", "virtual-server", "firewall", "door", "upstream"]
KINDS: Final[tuple[Kind, ...]] = ("name", "virtual-server", "firewall", "door", "upstream")
TITLES: Final = {
    "name": "Name", "virtual-server": "Virtual server", "firewall": "Firewall", "door": "Door", "upstream": "Upstream",
}  # fmt: skip


class Hop(NamedTuple):
    """``at``: which one of its kind, `edge, clients to virtual addresses`. ``todo``: what opens it, where it stops.
    ``own``: whether it is about the person, who may read it, or about nobody's device; else it tells of devices."""

    kind: Kind
    at: str
    state: State
    sentence: str
    todo: str = ""
    own: bool = False

    def as_json(self) -> dict[str, Any]:
        """As the engine tells it."""
        return self._asdict()

    def as_told(self) -> dict[str, str]:
        """The stable form."""
        return {name: value for name, value in self._asdict().items() if name != "own"}


class Way(NamedTuple):
    """``clients``: the hops before the door, ``upstreams``: those behind it."""

    clients: tuple[Hop, ...]
    door: Hop
    upstreams: tuple[Hop, ...]

    @property
    def hops(self) -> tuple[Hop, ...]:
        return (*self.clients, self.door, *self.upstreams)

    @property
    def state(self) -> State:
        """Stopped by one is stopped; open is what every hop says so of."""
        states = {hop.state for hop in self.hops}
        return "stops" if "stops" in states else "unknown" if "unknown" in states else "open"

    @property
    def sentence(self) -> str:
        first = next((hop for hop in self.hops if hop.state == self.state), self.door)
        if self.state == "open":
            return "Every hop is open."
        if not first.at:
            return first.sentence
        where = f"{TITLES[first.kind].lower()} {first.at}"
        return f"It stops at the {where}." if self.state == "stops" else f"Nobody can tell at the {where}."

    def as_json(self, person: str, method: str, url: str) -> dict[str, Any]:
        """The stable form."""
        return {
            "person": person, "method": method, "url": url, "state": self.state, "sentence": self.sentence,
            "hops": [hop.as_told() for hop in self.hops],
        }  # fmt: skip


def door_hop(answer: Answer, host: str) -> Hop:
    if answer.reason == IDENTITY_UNKNOWN:  # what a door says is about tokens, and nobody has shown one
        said = f"{answer.caller} is nobody whom the catalog knows."
        return Hop("door", host, "stops", said, "Check the name, or add their User to the catalog.")
    return Hop("door", host, "open" if answer.allowed else "stops", answer.sentence, answer.todo)


def way_of(said: dict[str, Any] | None, door: Hop) -> Way:
    """``said``: the engine's answer to `path_hops`; None where it gave none. Of the door it says who is cut off, which
    the table does not know."""
    if said is None:
        away = Hop("name", "", "unknown", "The engine does not answer, so nothing is known of the network.",
                   "Ask again in a moment.", own=True)  # fmt: skip
        return Way((away,), door, ())
    clients, upstreams = _read(objects_in(said, "clients")), _read(objects_in(said, "upstreams"))
    cuts = [hop for hop in clients if hop.kind == "door"]
    return Way(
        tuple(hop for hop in clients if hop.kind != "door"), cuts[0] if cuts else door, tuple(upstreams)
    )  # fmt: skip


def _read(said: Iterable[dict[str, Any]]) -> Sequence[Hop]:
    """An engine of another version may say more, or other words: what is no word of ours is not known."""
    found = []
    for each in said:
        state, kind = text_in(each, "state"), text_in(each, "kind")
        of_kind: Kind = next((known for known in KINDS if known == kind), "name")
        is_state: State = "open" if state == "open" else "stops" if state == "stops" else "unknown"
        at, sentence, todo = (text_in(each, name) for name in ("at", "sentence", "todo"))
        found.append(Hop(of_kind, at, is_state, sentence, todo, each.get("own") is True))
    return found
