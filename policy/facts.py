"""What the policy speaks about: people, teams, services, exposures, operations, grants, and the verdicts.

Every value here is immutable and plain. Facts are keyed by the lower-cased entity ref
(``kind:namespace/name``); a fact carries the :class:`Source` it came from, so that every rule compiled out
of it can name a file and a line. Nothing here reads a clock, a file or a socket.

Facts (compile time) are frozen dataclasses: clarity counts. What the hot path builds for each request
(:class:`Permit`, :class:`Refusal`) are named tuples: they cost a fifth as much to build.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, final

from policy.principal import ANONYMOUS as ANONYMOUS
from policy.principal import Principal as Principal

# Subjects every principal of a kind has beside its own ref and its teams' refs.
ALL_PEOPLE = "all-people"
ALL_WORKLOADS = "all-workloads"
EVERYONE = "everyone"  # catalog-matched people and known workloads


@dataclass(frozen=True, slots=True)
class Source:
    """Where a fact was said: a file (or a catalog's address), a line (0 = unknown) and the entity's ref."""

    file: str
    line: int = 0
    entity: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """A Backstage User. ``fields`` holds what an issuer may match on, keyed ``metadata.name``,
    ``annotations.KEY`` or ``spec.profile.email``; values are compared exactly, e-mail case-folded."""

    ref: str
    title: str
    member_of: tuple[str, ...]  # direct teams, refs; targets may be absent from the catalog
    fields: Mapping[str, str]
    source: Source


@dataclass(frozen=True, slots=True)
class Team:
    """A Backstage Group. Members of a child count as members of its parents, transitively."""

    ref: str
    title: str
    parents: tuple[str, ...]
    fields: Mapping[str, str]
    source: Source


@dataclass(frozen=True, slots=True)
class Operation:
    """A method and a path template below the exposure's prefix, with the scopes it needs.

    ``scopes``: alternatives (OR) of sets that are needed together (AND); ``()`` means no scope is needed.
    ``unresolved``: the definition names a security scheme it does not define, so the operation is refused.
    """

    method: str  # upper case
    template: str  # "/refunds/{id}", below prefix; server base path included
    scopes: tuple[frozenset[str], ...] = ()
    api: str = ""  # ref of the API entity; "" when declared by the annotation `paths`
    unresolved: bool = False
    public: bool = False  # listed by the owner's `public` annotation
    source: Source = Source("")
    stands_for: str = ""  # the template that rules know it by, where it is a second spelling of another operation
    operation_id: str = ""  # what the definition calls it, for tests and invariants; never needed to decide

    @property
    def name(self) -> str:
        """``GET /refunds/{id}``: how rules, records and people call it."""
        return f"{self.method} {self.template}"


@dataclass(frozen=True, slots=True)
class Exposure:
    """A service in one environment: where people reach it and where it runs."""

    environment: str
    host: str  # lower case, no port
    prefix: str  # "/" or "/v1/payments", no trailing slash
    upstreams: tuple[str, ...]  # "http://10.0.0.1:8080", "https://name", "unix:control"
    source: Source = Source("")
    common: bool = False  # the operator lets teams share this host, by path


@dataclass(frozen=True, slots=True)
class Instance:
    """A Component that is another one in one environment. ``agreed``: both have one owner, so an allow to the other is
    about it too; what forbids counts either way, and what the other one may do is never its own."""

    of: str  # component ref, maybe absent from the catalog
    environment: str
    agreed: bool


@dataclass(frozen=True, slots=True)
class Service:
    """A Backstage Component exposed through the door."""

    ref: str
    title: str
    type: str
    owner: str  # group ref, "" when the owner dangles: then nobody owns it
    system: str
    domain: str
    tags: tuple[str, ...]
    access: Literal["owners", "consumers", "everyone", ""]  # "" = the annotation is absent
    allow_groups: tuple[str, ...]
    allow_consumers: tuple[str, ...]
    provides: tuple[str, ...]  # API refs
    consumes: tuple[str, ...]  # API refs
    client_ids: Mapping[str, str]  # environment ("" = every) -> OAuth client id it calls with, "" = none
    exposures: tuple[Exposure, ...]
    operations: tuple[Operation, ...]  # of all provided APIs and `paths`
    has_definition: bool  # False: one implicit operation per verb over /** (websites)
    options: frozenset[str] = frozenset()
    cors: tuple[str, ...] = ()  # origins whose scripts may read answers; ("upstream",) leaves it to the service
    annotations: Mapping[str, str] = field(default_factory=dict)
    source: Source = Source("")
    instance: Instance | None = None
    approvers: tuple[str, ...] = ()  # refs: who may approve temporary access beside whom the access policy names
    longest_s: int = 0  # of temporary access, 0 = the owner does not say
    virtual_addresses: Mapping[str, str] = field(default_factory=dict)  # environment -> its own address on BIG-IP
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # environment -> where it really runs


@dataclass(frozen=True, slots=True)
class KeyField:
    """How one issuer's tokens find people or teams: ``claim`` of the token equals ``field`` of the entity."""

    issuer: str  # the issuer's name in stagedoor.yaml
    kind: Literal["person", "team"]
    claim: str
    field: str


@dataclass(frozen=True, slots=True)
class Grant:
    """Temporary access: who, what, where, until when (epoch seconds, half-open), why, approved by whom."""

    id: str
    subject: str
    service: str
    environment: str
    operations: tuple[str, ...]  # "POST /refunds"; () = all
    scopes: frozenset[str]
    starts: int
    ends: int
    because: str
    approver: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """All facts of one pull, each keyed by ref."""

    people: Mapping[str, Person]
    teams: Mapping[str, Team]
    services: Mapping[str, Service]


@final
class Circumstances(NamedTuple):
    """How a request came, for requirements that are about more than the token. Of one request, never remembered."""

    address: str = ""  # of the client, as far as those who say it are trusted; "" = none
    certified: bool = False  # a client certificate was verified, and it is no other workload's


UNSEEN = Circumstances()


@final
class Permit(NamedTuple):
    """The only value that opens the way upstream."""

    reason: str  # a permit code of policy.reasons
    rule: str  # "r-…" id of the rule that decided
    operation: str  # "GET /refunds/{id}"


@final
class Refusal(NamedTuple):
    """A denial is a value. ``reason`` is a refusal code of policy.reasons."""

    reason: str
    rule: str = ""  # the deny rule, or the permit that lacked scope or requirement
    operation: str = ""
    need: tuple[str, ...] = ()  # scopes or requirements that are missing
