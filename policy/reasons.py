"""The closed list of decision reasons: every :class:`Permit` and :class:`Refusal` carries one of these.

What the protocol, the tokens and the upstreams can refuse has its own list in the gateway; the two lists are
disjoint. A reason is part of the public surface: logs, metrics and problem documents carry the code, people
read the sentence and do what ``todo`` says. Adding a code is a feature, changing the meaning of one is not
allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

# Permits: why someone may come. The order is the order of preference when several apply.
OWNER: Final = "owner"
CONSUMER: Final = "consumer"
EVERYONE: Final = "everyone"
RULE: Final = "rule"
GRANT: Final = "grant"
PUBLIC: Final = "public"
OWN_ENDPOINT: Final = "own_endpoint"  # the door's own pages and API; never competes with the others

# Refusals, in the order in which they are given.
HOST_UNKNOWN: Final = "host_unknown"
IDENTITY_REQUIRED: Final = "identity_required"
IDENTITY_UNKNOWN: Final = "identity_unknown"
IDENTITY_AMBIGUOUS: Final = "identity_ambiguous"
DENIED: Final = "denied"
OPERATION_UNKNOWN: Final = "operation_unknown"
NO_RULE: Final = "no_rule"
SCOPE_MISSING: Final = "scope_missing"
REQUIREMENT_UNMET: Final = "requirement_unmet"

PERMIT_ORDER: Final = (OWNER, CONSUMER, EVERYONE, RULE, GRANT, PUBLIC, OWN_ENDPOINT)
REFUSAL_ORDER: Final = (
    HOST_UNKNOWN,
    IDENTITY_REQUIRED,
    IDENTITY_UNKNOWN,
    IDENTITY_AMBIGUOUS,
    DENIED,
    OPERATION_UNKNOWN,
    NO_RULE,
    SCOPE_MISSING,
    REQUIREMENT_UNMET,
)
PERMITS: Final = frozenset(PERMIT_ORDER)
REFUSALS: Final = frozenset(REFUSAL_ORDER)


class ReasonText(NamedTuple):
    """What a person is told: why, and what to do about it (empty for permits)."""

    sentence: str
    todo: str = ""


TEXTS: Final[Mapping[str, ReasonText]] = MappingProxyType(
    {
        OWNER: ReasonText("The caller belongs to the team that owns the service."),
        CONSUMER: ReasonText("The calling service declares that it uses this API, and that is accepted."),
        EVERYONE: ReasonText("The service is open to everyone the catalog knows."),
        RULE: ReasonText("A rule names the caller."),
        GRANT: ReasonText("The caller holds temporary access."),
        PUBLIC: ReasonText("This operation is open to the public."),
        OWN_ENDPOINT: ReasonText("This is one of Stagedoor's own pages."),
        HOST_UNKNOWN: ReasonText(
            "No service is published under this host name.",
            "Check the spelling of the host; a new service appears once its catalog entry names this environment.",
        ),
        IDENTITY_REQUIRED: ReasonText(
            "This service needs to know who is asking.",
            "Sign in, or send a bearer token of a configured issuer.",
        ),
        IDENTITY_UNKNOWN: ReasonText(
            "The token or certificate is valid, but nobody in the catalog matches it.",
            "Ask the platform team to add your User, or the client id of your service, to the catalog.",
        ),
        IDENTITY_AMBIGUOUS: ReasonText(
            "The token or certificate matches more than one entry of the catalog, so it counts for none.",
            "Ask the platform team to make the matching annotation unique.",
        ),
        DENIED: ReasonText(
            "A rule forbids this access, whatever else would allow it.",
            "Ask the platform team about the rule named here; no other permission overrides it.",
        ),
        OPERATION_UNKNOWN: ReasonText(
            "The service does not offer this operation.",
            "Compare method and path with the service's definition; its owners can add the operation there.",
        ),
        NO_RULE: ReasonText(
            "No rule gives the caller access.",
            "Ask the owners of the service to open it to your team or your service.",
        ),
        SCOPE_MISSING: ReasonText(
            "The operation needs a scope that the caller does not have.",
            "Request a token with the scopes named here, or ask for a role that carries them.",
        ),
        REQUIREMENT_UNMET: ReasonText(
            "The caller may come, but the sign-in is not strong or recent enough.",
            "Sign in again in the way named here.",
        ),
    }
)

# `requirement_unmet` as programs are told: they do not sign in.
WORKLOAD_UNMET: Final = ReasonText(
    "The caller may come, but the call lacks what is asked of programs.",
    "Call again with what is named here.",
)
