"""A small company behind a firewall, for asking the packet oracle: people come and go, services move, access is given.

What the engine would know of it is made by the engine's own derivation; who should pass is counted here once more, from
the catalog and the coarse policy alone, without a tag, a group or a rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from gateway.config.devices import Direct, Leg, Panos, PanosEnvironment
from gateway.engine.network.desired import Desired, desired_of
from gateway.engine.network.fronts import Front
from gateway.engine.network.panos.wishing import Facts
from gateway.engine.network.whereabouts import Known
from gateway.engine.overheard import Overlay
from policy.coarse import Scope
from policy.compile import compile_frames
from policy.derive import derive
from policy.directory import Directory
from policy.facts import Catalog, Exposure, Grant, Person, Service, Team
from policy.statements import AccessPolicy, EnvironmentPolicy
from tests.support.panos import Clock
from tests.support.policy_worlds import HERE, catalog, service

ENVIRONMENT = "prod"
REALM = "corp"
SHARED = "198.51.100.10"
DOOR, STRANGER = "198.51.100.21", "203.0.113.250"
PORT = 8080  # where the door speaks to services
DATABASE = 5432  # where people come to some of them without it
DIRECT = ("system:default/books", "component:default/service4")
OWN = {"system:default/shop": "198.51.100.11"}  # with a virtual address of their own
TEAMS = {"commerce": (), "orders": ("commerce",), "stock": ("commerce",), "money": (), "ledger": ("money",)}
ALL = ("all",)
POLICY = AccessPolicy({ENVIRONMENT: EnvironmentPolicy(ENVIRONMENT, ALL, ALL, ALL, ALL, consent="any")})
LEGS = PanosEnvironment(
    ENVIRONMENT,
    mode="enforce",
    front=Leg(("trust",), ("dmz",)),
    back=Leg(("dmz",), ("untrust",)),
    direct=Leg(("trust",), ("untrust",)),
    directs=(Direct(DIRECT, (f"tcp/{DATABASE}",)),),
    doors=(DOOR,),
    networks=("192.0.2.0/24",),
)


def group(name: str) -> str:
    return f"group:default/{name}"


def firewall(url: str, key: str, ca: str, legs: PanosEnvironment = LEGS) -> Panos:
    return Panos(
        "edge", (url,), (key,), ca, tags="enforce", user_name=REALM + "\\{metadata.name}", environments=(legs,),
        commit_gap_s=0, settle_s=0,
    )  # fmt: skip


@dataclass
class Company:
    """``people``: name → teams. ``running``: name of a service → where it runs. ``clock``: the firewall's."""

    clock: Clock
    people: dict[str, tuple[str, ...]] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    running: dict[str, str] = field(default_factory=dict)
    overlay: Overlay = Overlay()
    version: int = 0
    places: int = 0  # addresses that were given out

    # === what happens ===

    def opens(self, name: str, owner: str, *, system: str = "", access: str = "owners") -> None:
        """A service that is published; again, to change it."""
        exposure = Exposure(ENVIRONMENT, f"{name}.example.com", "/", (f"http://{name}.internal:{PORT}",), HERE)
        changes = {"owner": group(owner), "access": access, "exposures": (exposure,)}
        self.services[name] = service(name, system=f"system:default/{system}" if system else "", **changes)
        if name not in self.running:
            self.moves(name)

    def moves(self, name: str) -> None:
        """To an address that nobody had."""
        self.places += 1
        self.running[name] = f"192.0.2.{self.places % 250 + 1}"

    def closes(self, name: str) -> None:
        del self.services[name], self.running[name]

    def joins(self, who: str, *teams: str) -> None:
        """Or is in other teams from now on."""
        self.people[who] = teams

    def leaves(self, who: str) -> None:
        del self.people[who]

    def grants(self, who: str, what: str, seconds: int) -> None:
        now = int(self.clock())
        made = Grant(f"g{len(self.overlay.grants)}-{now}", f"user:default/{who}", f"component:default/{what}",
                     ENVIRONMENT, (), frozenset(), now, now + seconds, "a test", "user:default/root")  # fmt: skip
        self._says(grants=(*self.overlay.grants, made))

    def revokes(self) -> None:
        """The oldest grant."""
        self._says(grants=self.overlay.grants[1:])

    def cuts(self, subject: str) -> None:
        self._says(denied=self.overlay.denied | {subject})

    def shuts(self, name: str) -> None:
        self._says(shut=self.overlay.shut | {f"component:default/{name}"})

    def relents(self) -> None:
        """Nobody is cut off any more, nothing shut. What began before stays refused."""
        since = dict.fromkeys(self.overlay.denied, int(self.clock()))
        self._says(denied=frozenset(), shut=frozenset(), not_before={**self.overlay.not_before, **since})

    def _says(self, **changes: Any) -> None:
        self.overlay = replace(self.overlay, seq=self.overlay.seq + 1, **changes)

    # === what the engine knows ===

    def picture(self) -> Picture:
        self.version += 1
        teams = [Team(group(name), name, tuple(map(group, above)), {}, HERE) for name, above in TEAMS.items()]
        people = [
            Person(f"user:default/{name}", name, tuple(map(group, held)), {"metadata.name": name}, HERE)
            for name, held in self.people.items()
        ]
        facts = catalog(*teams, *people, *self.services.values())
        return Picture(f"v{self.version}", facts, dict(self.running), self.overlay)


@dataclass(frozen=True)
class Picture:
    """One moment of the company. Nothing of it changes but the time."""

    version: str
    catalog: Catalog
    running: Mapping[str, str]
    overlay: Overlay

    @cached_property
    def facts(self) -> Facts:
        derived = derive(self.catalog, POLICY, (ENVIRONMENT,))
        desired = desired_of(ENVIRONMENT, self.version, derived.published, with_scopes=True)
        directory = Directory(compile_frames(self.catalog, derived, ()))
        known = Known({f"component:default/{name}": (at,) for name, at in self.running.items()}, frozenset(), True)
        fronts = tuple(_fronts(desired))
        return Facts(
            self.version, {ENVIRONMENT: desired}, {ENVIRONMENT: fronts}, {ENVIRONMENT: known}, self.catalog, directory,
            self.overlay,
        )  # fmt: skip

    @property
    def desired(self) -> Desired:
        return self.facts.desired[ENVIRONMENT]

    @property
    def fronts(self) -> tuple[Front, ...]:
        return tuple(self.facts.fronts[ENVIRONMENT])

    # === who should pass ===

    def meets(self, who: str, address: str, now: float) -> bool:
        """Whether a person should come to a virtual address."""
        scopes = [scope for scope in self.desired.scopes if OWN.get(scope.ref, SHARED) == address]
        return any(self._is_let_in(who, scope, now) for scope in scopes)

    def reaches_directly(self, who: str, name: str, now: float) -> bool:
        """Whether a person should come to a service's database."""
        ref = f"component:default/{name}"
        scopes = [scope for scope in self.desired.scopes if ref in scope.services and {ref, scope.ref} & {*DIRECT}]
        return self.reaches(name) and any(self._is_let_in(who, scope, now) for scope in scopes)

    def _is_let_in(self, who: str, scope: Scope, now: float) -> bool:
        person = self.catalog.people.get(f"user:default/{who}")
        if person is None:
            return False
        subjects = {person.ref, *_with_those_above(person)}
        return subjects.isdisjoint(self.overlay.denied) and self._is_named(scope, subjects, now)

    def _is_named(self, scope: Scope, subjects: set[str], now: float) -> bool:
        if scope.everyone or not subjects.isdisjoint({*scope.teams, *scope.people}):
            return True
        since = max((self.overlay.not_before.get(each, 0) for each in subjects), default=0)
        return any(
            grant.subject in subjects and grant.service in scope.services and since <= grant.starts <= now < grant.ends
            for grant in self.overlay.grants
        )

    def reaches(self, name: str) -> bool:
        """Whether the door should come to a service."""
        return f"component:default/{name}" not in self.overlay.shut


def _with_those_above(person: Person) -> Iterator[str]:
    for ref in person.member_of:
        yield ref
        yield from map(group, TEAMS[ref.rpartition("/")[2]])


def _fronts(desired: Desired) -> Iterator[Front]:
    for place in desired.places:
        address = OWN.get(place.system or place.domain or place.entity, SHARED)
        yield Front(place.entity, place.title, place.owner, place.host, place.path, address, 443, "vs")
