"""What the API answers instead of an answer: problem+json (RFC 9457) of a closed list of codes.

A code is stable within a major version and stands in `docs/api.md` with what to do about it. The text is a constant but
for `detail` and `errors`, which repeat what the request itself said. Nothing here tells whether a thing exists that the
caller may not ask about: `not_yours` is one answer, whatever was asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson
from aiohttp import web

TYPE: Final = "https://stagedoor.dev/api/problems/"
CONTENT_TYPE: Final = "application/problem+json"


class Kind(NamedTuple):
    """One row of the list."""

    status: int
    title: str
    todo: str
    retry_s: int = 0


PROBLEMS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "caller_unproved": Kind(
            403, "No door of this node vouches for the request.", "Send it to the central host, through a door."
        ),
        "control_starting": Kind(503, "The door has not met this process yet.", "Send the request again.", 1),
        "token_required": Kind(401, "The API is for bearer tokens.", "Send a token with the audience `stagedoor`."),
        "token_audience": Kind(
            401, "The token is meant for another audience.", "Get a token with the audience `stagedoor`."
        ),
        "origin_refused": Kind(
            403, "The page that asks belongs to another site.", "Call it from a page of the central host, or a program."
        ),
        "parameters_invalid": Kind(
            400, "The request's parameters are not what this operation takes.", "Correct what `errors` names."
        ),
        "body_invalid": Kind(400, "The body is not what this operation takes.", "Send what the description asks for."),
        "body_too_large": Kind(413, "The body is too large.", "Send less."),
        "not_yours": Kind(
            403,
            "You may not ask about this.",
            "Ask about yourself or about a service that your team owns; administrators may ask about everything.",
        ),
        "caller_unknown": Kind(404, "The catalog knows no such person, team or program.", "Correct the name."),
        "rule_unknown": Kind(
            404, "No rule has this id now.", "The files may have changed since it was recorded; ask `explain` anew."
        ),
        "session_unknown": Kind(404, "You have no such session.", "List yours; one that has ended is in no list."),
        "sessions_away": Kind(503, "The memory of sessions does not answer.", "Send the request again in a moment.", 2),
        "pin_refused": Kind(409, "The pin cannot be changed like this.", "Correct what `detail` names."),
        "device_unknown": Kind(
            404, "No device has this name, or it has no such environment.", "`GET devices` lists them all."
        ),
        "catalog_unknown": Kind(404, "No Backstage catalog has this name.", "Leave the name out, or correct it."),
        "signature_refused": Kind(
            401, "The call is not signed as it must be.", "Sign id, time and body with the secret: docs/api.md."
        ),
        "signature_used": Kind(409, "This signed call was made before.", "Sign a new one, with another nonce."),
        "rate_limited": Kind(429, "Too many calls came at once.", "Slow down; one hint serves all who wait.", 1),
        "path_unknown": Kind(404, "There is no such operation.", "The description lists what there is."),
        "method_refused": Kind(405, "The operation is not asked for by this method.", "The description says which."),
        "busy": Kind(503, "Too many questions are being answered.", "Send the request again in a moment.", 2),
        "engine_away": Kind(503, "The engine does not answer.", "Send the request again in a moment.", 2),
        "policy_unavailable": Kind(503, "The access policy is not loaded yet.", "Send it again in a moment.", 2),
        "failed": Kind(500, "The question could not be answered.", "Tell the operators the request id."),
    }
)


class Problem(Exception):
    """Raised by whoever answers; becomes the answer."""

    def __init__(self, code: str, detail: str = "", *, errors: Iterable[Mapping[str, str]] = ()) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)


def answer_of(problem: Problem, request_id: str) -> web.Response:
    kind = PROBLEMS[problem.code]
    body: dict[str, Any] = {
        "type": TYPE + problem.code,
        "title": kind.title,
        "status": kind.status,
        "code": problem.code,
        "todo": kind.todo,
        "request_id": request_id,
    }
    if problem.detail:
        body["detail"] = problem.detail
    if problem.errors:
        body["errors"] = [dict(each) for each in problem.errors]
    headers = {"Content-Type": CONTENT_TYPE}
    if kind.retry_s:
        headers["Retry-After"] = str(kind.retry_s)
    if kind.status == 401:
        headers["WWW-Authenticate"] = _challenge(problem.code)
    return web.Response(status=kind.status, body=orjson.dumps(body) + b"\n", headers=headers)


def _challenge(code: str) -> str:
    """RFC 6750, 3; a signature has a scheme of its own, which names what is looked at."""
    if code == "signature_refused":
        return 'Stagedoor-Signature realm="stagedoor"'
    invalid = ', error="invalid_token"' if code == "token_audience" else ""
    return f'Bearer realm="stagedoor"{invalid}'
