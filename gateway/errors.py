"""The one screen of codes: what Stagedoor answers when it does not forward, and the exceptions of its outside world.

Anything a client or an upstream can cause is a value, :class:`Refused`, never an exception. Its code is a row of
:data:`FAULTS`: status, whether the connection ends, one public sentence, and what to do about it. The decision
reasons of `policy.reasons` are rows too, so that one table answers every code; the two lists of codes are disjoint.
`docs/reasons.md` is :func:`reasons_document` written to a file.

Public text says nothing about a caller, a rule or a host, and is a constant: no answer can leak through it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, final

from policy.reasons import PERMITS, REFUSALS, TEXTS, WORKLOAD_UNMET


class StagedoorError(Exception):
    """Something outside this program is not as it must be. The message is for the operator."""


class ConfigError(StagedoorError):
    """The operator's files do not say what they should."""


class Unauthorized(StagedoorError):
    """Nobody is signed in, or whoever signs in was refused. The message is for the one who asks."""


class Declined(StagedoorError):
    """What was asked for was understood and is not done. The message says why, for the one who asks."""


class StateError(StagedoorError):
    """The state folder cannot be used: held by another node, unreadable or unwritable."""


@final
class Refused(NamedTuple):
    """A refusal as a value. `detail` is public: it may name what is wrong with a request, never a secret."""

    code: str
    detail: str = ""


class Fault(NamedTuple):
    """How a code is answered. Status 499 never goes out: it marks, in records, a client that left."""

    code: str
    status: int
    close: bool  # the connection ends after the answer: what follows on it can't be trusted, or won't be read
    title: str
    todo: str


_SEND_AGAIN = "Send the request again in a moment."
_NEW_TOKEN = "Get a new token from your identity provider."
_ASK_OPERATORS = "Tell the operators the request id; the door itself is well."

_GATEWAY = (
    # What arrived is no request that has exactly one reading.
    Fault("request_malformed", 400, True, "The request is not well-formed HTTP/1.1.", "Fix the client that sent it."),
    Fault("request_framing", 400, True, "The request does not say clearly where its body ends.",
          "Send either one Content-Length or `Transfer-Encoding: chunked`."),
    Fault("request_host", 400, True, "The request does not name exactly one valid host.",
          "Send one Host field with a name, optionally with a port."),
    Fault("request_version", 505, True, "The request is not HTTP/1.1 or HTTP/1.0.", "Use HTTP/1.1."),
    Fault("request_timeout", 408, True, "The request did not arrive in time.", _SEND_AGAIN),
    Fault("request_too_large", 413, True, "The request's body is larger than this service accepts.",
          "Send less, or ask the operators about the limit."),
    Fault("request_head_too_large", 431, True, "The request's fields are too many or too large.",
          "Send fewer or smaller fields; large cookies are the usual cause."),
    Fault("path_malformed", 400, True, "The path has more than one reading.",
          "Send the path without dot segments, encoded slashes, `//`, `;`, double encoding or a fragment."),
    Fault("path_too_long", 414, True, "The path and query are too long.", "Send the data in the body."),
    Fault("method_unknown", 501, True, "The method is not known here.",
          "Use GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS."),
    Fault("method_refused", 405, True, "The method is never forwarded.",
          "Use GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS."),
    Fault("expectation_failed", 417, True, "The request expects something that is not offered.",
          "Send no Expect field, or `Expect: 100-continue`."),
    Fault("origin_refused", 403, False, "The page that asks belongs to another site.",
          "Open the connection from a page of this host, or with a bearer token."),
    Fault("origin_foreign", 403, False, "Nothing shows that a page of this host asks; a session cookie is no proof.",
          "Ask from a page of this host; programs send a bearer token instead; the owners may list the other origin."),
    # The bearer token does not say who is asking.
    Fault("token_malformed", 401, False, "The bearer token is not a valid signed token.", _NEW_TOKEN),
    Fault("token_algorithm", 401, False, "The token's algorithm is not accepted from its issuer.",
          "Ask the operators which algorithms the issuer may use."),
    Fault("token_issuer", 401, False, "The token's issuer is not known here.",
          "Get a token from an identity provider that is configured here."),
    Fault("token_audience", 401, False, "The token is meant for another audience.",
          "Ask for a token with the audience of this door."),
    Fault("token_expired", 401, False, "The token has expired.", _NEW_TOKEN),
    Fault("token_not_yet_valid", 401, False, "The token is not valid yet.", "Check the clocks, then try again."),
    Fault("token_type", 401, False, "The token is of a kind that is not accepted here.",
          "Send an access token, not an ID, logout or refresh token."),
    Fault("token_claims", 401, False, "The token lacks a claim, or has one of the wrong type.",
          "Ask the operators of the identity provider to add the required claims."),
    Fault("token_key_unknown", 401, False, "The token is signed with a key that its issuer does not publish.",
          _NEW_TOKEN),
    Fault("token_signature", 401, False, "The token's signature is wrong.", _NEW_TOKEN),
    Fault("token_inactive", 401, False, "The token's issuer says that it is not active.", _NEW_TOKEN),
    Fault("token_revoked", 401, False, "What was issued to this caller until now counts no more.", _NEW_TOKEN),
    # The session of somebody in a browser.
    Fault("session_ended", 401, False, "The session has ended.", "Sign in again: open a page of this host."),
    Fault("session_not_begun", 400, False, "The sign-in did not come to its end.",
          "Start again from the page that you wanted to see, and let your browser accept cookies."),
    Fault("session_unavailable", 503, False, "The session cannot be looked up now.", _SEND_AGAIN),
    # The door cannot decide or record now; nothing is let through meanwhile.
    Fault("issuer_unavailable", 503, False, "The identity provider cannot be asked now.", _SEND_AGAIN),
    Fault("policy_unavailable", 503, False, "The access policy is not loaded yet.", _SEND_AGAIN),
    Fault("audit_unavailable", 503, False, "Decisions cannot be recorded now, so none is made.",
          "Tell the operators; requests are refused until the audit log can be written."),
    Fault("overloaded", 503, True, "The door has more to do than it can.", _SEND_AGAIN),
    Fault("rate_limited", 429, False, "Too many requests came at once.", "Slow down, then send the request again."),
    Fault("shutting_down", 503, True, "The door is shutting down.", _SEND_AGAIN),
    # The way to the service.
    Fault("upstream_connect", 502, False, "The service behind the door cannot be reached.", _ASK_OPERATORS),
    Fault("upstream_refused", 502, False, "The service's address is not one the door may connect to.",
          "Tell the owners: the address lies outside the networks that the operators allow."),
    Fault("upstream_timeout", 504, False, "The service behind the door did not answer in time.", _SEND_AGAIN),
    Fault("upstream_closed", 502, False, "The service behind the door ended the connection without an answer.",
          _SEND_AGAIN),
    Fault("upstream_malformed", 502, False, "The service behind the door sent an answer that is not well-formed.",
          _ASK_OPERATORS),
    Fault("loop_detected", 508, False, "The request has already passed through this door.",
          "Tell the operators: an upstream points back to the door."),
    Fault("path_unknown", 404, False, "There is no such page of the door here.",
          "Paths below /.stagedoor/ belong to the door; check the address."),
    Fault("client_gone", 499, True, "The client left before its answer.", "Nothing: nobody was there to read it."),
)  # fmt: skip

#: Status of each refusal of the policy; 403 unless named. An unknown host has no service to be refused by.
_POLICY_STATUS = {"host_unknown": 404, "operation_unknown": 404, "identity_required": 401, "requirement_unmet": 401}

#: Codes of this module alone, without the policy's.
GATEWAY_CODES = frozenset(fault.code for fault in _GATEWAY)

#: Every code that can be answered.
FAULTS: Mapping[str, Fault] = MappingProxyType(
    {fault.code: fault for fault in _GATEWAY}
    | {
        code: Fault(code, _POLICY_STATUS.get(code, 403), False, TEXTS[code].sentence, TEXTS[code].todo)
        for code in sorted(REFUSALS)
    }
)


def fault_of(code: str, *, workload: bool = False) -> Fault:
    """The row of a code for this kind of caller: a workload cannot step up, so an unmet requirement is its end."""
    fault = FAULTS[code]
    if workload and code == "requirement_unmet":
        return fault._replace(status=403, title=WORKLOAD_UNMET.sentence, todo=WORKLOAD_UNMET.todo)
    return fault


def reasons_document() -> str:
    """`docs/reasons.md`: every code, its status, its sentence, what to do."""
    lines = [
        "# Reasons",
        "",
        "Every answer that Stagedoor gives itself, every audit record and `stagedoor explain` name one of these codes.",
        "They are stable within a major version. This page is generated: `python -m gateway.errors > docs/reasons.md`.",
        "",
        "## Why a request is let through",
        "",
        "| code | sentence |",
        "|---|---|",
        *(f"| `{code}` | {TEXTS[code].sentence} |" for code in sorted(PERMITS)),
        "",
        "## Why a request is refused by the policy",
        "",
        "`requirement_unmet` is answered with 403 to workloads, which cannot step up.",
        "",
        *_fault_table(sorted(REFUSALS)),
        "",
        "## Why a request is refused by the door",
        "",
        "`closes`: the connection ends after the answer. 499 is never sent; it marks the record of a client that left.",
        "",
        *_fault_table([fault.code for fault in _GATEWAY]),
    ]
    return "\n".join(lines) + "\n"


def _fault_table(codes: list[str]) -> list[str]:
    rows = [
        f"| `{fault.code}` | {fault.status} | {'yes' if fault.close else ''} | {fault.title} | {fault.todo} |"
        for fault in (FAULTS[code] for code in codes)
    ]
    return ["| code | status | closes | sentence | what to do |", "|---|---|---|---|---|", *rows]


if __name__ == "__main__":
    import sys

    sys.stdout.write(reasons_document())
