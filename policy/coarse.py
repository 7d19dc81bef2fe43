"""What a packet filter can be told of the policy: who may come near which services at all. Never less than the door
lets through, and as little more as a filter without paths, tokens and methods can say.

The services of a system belong together (without one: those of a domain, else each for itself), because systems are
what rules of firewalls are reviewed by. A subject is listed for a scope when some permit for it is about one of the
scope's services in that environment; what the door asks for beyond that (scopes, requirements, denies, paths) stays the
door's business. Grants are none of this: they are told apart, with their ends. Workloads come through the door from
places that have no people: they are none of the subjects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from policy.rule import Published


@dataclass(frozen=True, slots=True)
class Scope:
    """Services that coarse rules speak of together, in one environment. All in canonical order."""

    ref: str  # "system:default/payments", "domain:default/money" or the component's own ref
    environment: str
    owner: str  # the group that owns all of them; "" where several do, or nobody
    services: tuple[str, ...]  # component refs
    teams: tuple[str, ...]  # group refs: their members, and those of teams below them
    people: tuple[str, ...]  # user refs that rules name themselves
    everyone: bool  # whoever the catalog knows
    anyone: bool  # without being signed in
    rules: tuple[str, ...]  # ids of the permits that say so

    @property
    def is_closed(self) -> bool:
        """Whether nobody of the catalog may come near by a standing rule."""
        return not (self.teams or self.people or self.everyone or self.anyone)


def scopes_of(environment: str, published: Iterable[Published]) -> tuple[Scope, ...]:
    """The scopes of one environment, ordered by ref."""
    raise NotImplementedError
