"""Stagedoor's own pages on the central host, as one more service of the table.

They need a permit and leave a record like every other operation. Their rules give the reason `own_endpoint`
and never compete with the catalog's; a deny that covers every service in every environment covers them too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from policy.claims import key_of
from policy.facts import EVERYONE, Exposure, Operation, Service
from policy.paths import template_of
from policy.reasons import OWN_ENDPOINT
from policy.rule import Published, Rule, one_each, operation_order, with_id
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


@dataclass(frozen=True, slots=True)
class Builtin:
    """The host and, per audience, the operations (``GET /.stagedoor/api/v1/whoami``)."""

    host: str
    public: tuple[str, ...] = ()
    signed_in: tuple[str, ...] = ()
    administration: tuple[str, ...] = ()
    administrators: tuple[str, ...] = ()  # refs of teams, people or components
    upstream: str = "unix:control"


def publish_builtin(builtin: Builtin, denies: tuple[Rule, ...]) -> Published:
    """The exposure of the central host."""
    audiences = (
        (builtin.public, (ANYONE,)),
        (builtin.signed_in, (EVERYONE,)),
        (builtin.administration, builtin.administrators),
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


def _operation(text: str) -> Operation:
    method, _, template = text.partition(" ")
    return Operation(method, template)


def _own_rule(subject: str, operations: tuple[Operation, ...]) -> Rule:
    patterns = tuple(sorted((each.method, template_of(each.template)) for each in operations))
    rule = Rule("", OWN_ENDPOINT, "built-in", subject, BUILTIN_SERVICE.ref, BUILTIN_ENVIRONMENT)
    return with_id(replace(rule, operations=patterns, confers=None))
