"""Stagedoor's own pages and its API on the central host, as one more service of the table.

They need a permit and leave a record like every other operation. Their rules give the reason `own_endpoint`
and never compete with the catalog's; a deny that covers every service in every environment covers them too.

The table says who may ask at all. What somebody may ask about (themselves, a service of theirs, another person) depends
on the question and is decided by who answers it. The operations of the API are declared here once: control routes what
stands here and nothing else, so no operation is reachable without a rule and none has a rule without an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from policy.claims import key_of
from policy.facts import EVERYONE, Exposure, Operation, Service
from policy.paths import template_of
from policy.reasons import OWN_ENDPOINT
from policy.rule import Published, Rule, names_of, one_each, operation_order, with_id
from policy.statements import ANYONE

BUILTIN_ENVIRONMENT: Final = "central"
BUILTIN_SERVICE: Final = Service(
    ref="component:stagedoor/stagedoor",
    title="Stagedoor",
    type="stagedoor",
    owner="",
    system="",
    domain="",
    tags=(),
    access="owners",
    allow_groups=(),
    allow_consumers=(),
    provides=(),
    consumes=(),
    client_ids={},
    exposures=(),
    operations=(),
    has_definition=True,
)


API: Final = "/.stagedoor/api/v1"
API_AUDIENCE: Final = "stagedoor"  # of the tokens that programs bring to it
Audience = Literal["signed_in", "administrators"]
_REFS: Final = ("group:", "user:", "component:")


class OwnOperation(NamedTuple):
    """An operation of the API: its name, what it answers to, and whom the table lets ask."""

    name: str
    method: str
    path: str
    audience: Audience

    @property
    def text(self) -> str:
        """As `Builtin` lists it."""
        return f"{self.method} {self.path}"


SYNC: Final = OwnOperation("syncCatalogs", "POST", f"{API}/catalog/sync", "administrators")
OWN_OPERATIONS: Final = (
    OwnOperation("describe", "GET", f"{API}/openapi.json", "signed_in"),
    OwnOperation("explain", "GET", f"{API}/explain", "signed_in"),
    OwnOperation("whoCan", "GET", f"{API}/who-can", "signed_in"),
    OwnOperation("whatCan", "GET", f"{API}/what-can", "signed_in"),
    OwnOperation("why", "GET", f"{API}/why", "signed_in"),
    OwnOperation("lint", "GET", f"{API}/lint", "signed_in"),
    OwnOperation("path", "GET", f"{API}/path", "signed_in"),
    OwnOperation("inventory", "GET", f"{API}/inventory/{{scope}}/{{name}}", "signed_in"),
    OwnOperation("entities", "GET", f"{API}/entities", "signed_in"),
    OwnOperation("entity", "GET", f"{API}/entities/{{scope}}/{{name}}", "signed_in"),
    OwnOperation("sessions", "GET", f"{API}/sessions", "signed_in"),
    OwnOperation("endSessions", "DELETE", f"{API}/sessions", "signed_in"),
    OwnOperation("endSession", "DELETE", f"{API}/sessions/{{sid}}", "signed_in"),
    OwnOperation("pins", "GET", f"{API}/pins", "administrators"),
    OwnOperation("confirmPin", "PUT", f"{API}/pins", "administrators"),
    OwnOperation("removePin", "DELETE", f"{API}/pins", "administrators"),
    OwnOperation("devices", "GET", f"{API}/devices", "administrators"),
    OwnOperation("device", "GET", f"{API}/devices/{{device}}/{{environment}}", "administrators"),
    SYNC,
)
# What people come through who are nobody yet, and what their identity providers call.
SIGN_IN: Final = (
    "GET /.stagedoor/sign-in",
    "POST /.stagedoor/sign-in",
    "GET /.stagedoor/callback",
    "GET /.stagedoor/signed-out",
    "POST /.stagedoor/backchannel-logout/{issuer}",
)
STATIC: Final = "GET /.stagedoor/static/{name}"  # of the pages; everybody may look
COMMAND_LINE: Final = "GET /.stagedoor/command-line.json"  # what `stagedoor login` has to know, before anybody is known
FEEDS: Final = "/.stagedoor/feeds"  # of network devices; who reads one is judged by where it asks from
FEED_OPERATIONS: Final = tuple(f"{method} {FEEDS}/**" for method in ("GET", "DELETE", "PATCH", "POST", "PUT"))
PORTAL: Final = (
    "GET /portal",
    "GET /portal/services",
    "GET /portal/services/{scope}/{name}",
    "GET /portal/services/{scope}/{name}/inventory",
    "GET /portal/path",
    "GET /portal/sessions",
    "POST /portal/sessions/end",
)
DEVICE_PAGES: Final = (  # for administrators
    "GET /portal/devices",
    "GET /portal/devices/{device}/{environment}",
)
START: Final = "GET /"


@dataclass(frozen=True, slots=True)
class Builtin:
    """The host and, per audience, the operations (``GET /.stagedoor/api/v1/whoami``)."""

    host: str
    public: tuple[str, ...] = ()
    signed_in: tuple[str, ...] = ()
    administration: tuple[str, ...] = ()
    administrators: tuple[str, ...] = ()  # refs of teams, people or components; client ids of programs
    upstream: str = "unix:control"


def with_own_operations(builtin: Builtin, *, signed_sync: bool, feeds: bool = False) -> Builtin:
    """The same with the API's operations. ``signed_sync``: whoever signs a hint with the configured secret may send it
    without being anybody; the signature is then looked at where the hint is answered. ``feeds``: devices read them, who
    are nobody either; all methods are let through to where their addresses are looked at, and refused there."""
    of = {
        audience: tuple(each.text for each in OWN_OPERATIONS if each.audience == audience)
        for audience in ("signed_in", "administrators")
    }
    start = () if START in builtin.public else (START,)
    return replace(
        builtin,
        public=(
            *builtin.public,
            STATIC,
            COMMAND_LINE,
            *SIGN_IN,
            *((SYNC.text,) if signed_sync else ()),
            *(FEED_OPERATIONS if feeds else ()),
        ),
        signed_in=(*builtin.signed_in, *start, *PORTAL, *of["signed_in"]),
        administration=(*builtin.administration, *DEVICE_PAGES, *of["administrators"]),
    )


def publish_builtin(
    builtin: Builtin, denies: tuple[Rule, ...], services: Iterable[Service] = (), environments: tuple[str, ...] = ()
) -> Published:
    """The exposure of the central host. ``services`` say whose the client ids among the administrators are."""
    audiences = (
        (builtin.public, (ANYONE,)),
        (builtin.signed_in, (EVERYONE,)),
        (builtin.administration, tuple(_administrators(builtin, services, environments))),
    )
    operations = {_operation(text) for texts, _ in audiences for text in texts}
    rules = [
        _own_rule(subject, tuple(map(_operation, texts)))
        for texts, subjects in audiences
        if texts
        for subject in subjects
    ]
    exposure = Exposure(BUILTIN_ENVIRONMENT, builtin.host, "/", (builtin.upstream,))
    return Published(
        key_of(BUILTIN_SERVICE.ref, BUILTIN_ENVIRONMENT),
        replace(BUILTIN_SERVICE, exposures=(exposure,)),
        exposure,
        tuple(sorted(operations, key=operation_order)),
        one_each([*denies, *rules]),
    )


def is_ref(administrator: str) -> bool:
    """Whether an entry of `administrators` is a ref; else it is a client id, which may hold a colon too."""
    return administrator.lower().startswith(_REFS)


def _administrators(builtin: Builtin, services: Iterable[Service], environments: tuple[str, ...]) -> Iterator[str]:
    """The subjects of all administrators. A client id is that of the one component which calls with it."""
    programs = [each for each in builtin.administrators if each and not is_ref(each)]
    yield from (each.lower() for each in builtin.administrators if is_ref(each))
    if programs:
        with_clients = [each for each in services if each.client_ids]
        for client_id in programs:
            yield from _subjects_of_program(client_id, with_clients, environments)


def _subjects_of_program(client_id: str, services: Iterable[Service], environments: tuple[str, ...]) -> Iterator[str]:
    """None where several components claim the id: it means nobody then, as it does for callers."""
    holders = {each.ref: _valid_in(each.client_ids, client_id, environments) for each in services}
    holders = {ref: valid for ref, valid in holders.items() if valid}
    if len(holders) == 1:
        for ref, valid in holders.items():
            yield from [ref] if set(valid) == set(environments) else [names_of(ref, each)[1] for each in valid]


def _valid_in(client_ids: Mapping[str, str], client_id: str, environments: tuple[str, ...]) -> list[str]:
    return [each for each in environments if client_ids.get(each, client_ids.get("", "")) == client_id]


def _operation(text: str) -> Operation:
    method, _, template = text.partition(" ")
    return Operation(method, template)


def _own_rule(subject: str, operations: tuple[Operation, ...]) -> Rule:
    patterns = tuple(sorted((each.method, template_of(each.template)) for each in operations))
    rule = Rule("", OWN_ENDPOINT, "built-in", subject, BUILTIN_SERVICE.ref, BUILTIN_ENVIRONMENT)
    return with_id(replace(rule, operations=patterns, confers=None))
