"""The registry: what the API answers, how a request is read, and who is let through to an answer.

An operation's method, path and audience are declared in `policy.builtin`, because the engine makes its rules of them.
Here each one gets its parameters, its answer and the function that finds it. The two lists must be the same: an
operation without an answer, or an answer without a rule, ends control at its start. `openapi` describes these routes.

To an answer there is one way: a door's word for the caller, a token for this API (or, where an operation looks at
signatures itself, a signature), this host's own pages, parameters that are all known and well-formed, a body that comes
in time, then the function. Nobody has more than a few questions open, and strangers send few bodies at once: however
slow those are, they leave a door its connections to control.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from gateway import telemetry
from gateway.control.api.callers import Caller, Callers
from gateway.control.api.problems import Problem, answer_of
from gateway.control.api.signatures import is_signed
from policy.builtin import API, OWN_OPERATIONS, OwnOperation
from policy.reading import did_you_mean

SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))
SLOW_S: Final = 2.0  # answers that take longer are logged
OPEN_EACH: Final = 8  # questions of one caller at once
STRANGERS_BODIES: Final = 32  # that are on their way at once from callers without a token
BODY_S: Final = 10.0  # in which a body arrives
TEXT_LIMIT: Final = 8 * 1024  # of one parameter: a URL is the longest


class Query(BaseModel):
    """The parameters of an operation: a field each, under its alias where the name is a word of Python."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False, str_max_length=TEXT_LIMIT)


class NoQuery(Query):
    """An operation without parameters."""


class Answer(BaseModel):
    """What an operation answers. Describes; the bodies themselves are plain values made by the code that all share."""

    model_config = ConfigDict(extra="forbid")


class Payload(BaseModel):
    """Anything: it is signed, and not read."""


class Asked(NamedTuple):
    """A request that was let through. ``body`` is b"" for operations that take none."""

    caller: Caller
    query: Any  # an instance of the route's `query`
    body: bytes
    headers: Mapping[str, str]


Answering = Callable[[Asked], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Route:
    """How one declared operation is answered. ``problems``: codes beside those that any operation may answer.

    ``body`` describes the body it takes; None: it takes none. ``signed``: the function itself looks at a signature, so
    nobody has to bring a token.
    """

    name: str
    summary: str
    answers: Answering
    answer: type[BaseModel] | None
    query: type[Query] = NoQuery
    problems: tuple[str, ...] = ()
    body: type[BaseModel] | None = None
    signed: bool = False
    status: int = 200

    @property
    def operation(self) -> OwnOperation:
        return next(each for each in OWN_OPERATIONS if each.name == self.name)


class Api:
    """The routes in an application."""

    def __init__(self, callers: Callers, routes: Iterable[Route]) -> None:
        self._callers = callers
        self._open: Counter[str] = Counter()  # by ref: questions that are being answered
        self._strangers = 0  # bodies that are on their way
        self.routes = tuple(routes)
        declared, answered = sorted(each.name for each in OWN_OPERATIONS), sorted(each.name for each in self.routes)
        if declared != answered:
            raise ValueError(f"operations {declared} are declared, {answered} are answered")

    def add_to(self, app: web.Application) -> None:
        app.middlewares.append(_as_problems)
        for route in self.routes:
            operation = route.operation
            handler = self._handler(route)
            if operation.method == "GET":
                app.router.add_get(operation.path, handler)
            else:
                app.router.add_route(operation.method, operation.path, handler)

    def _handler(self, route: Route) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle_request(request: web.Request) -> web.Response:
            began = time.monotonic()
            caller = self._let_through(request, route)
            query = query_of(route.query, request)
            with self._one_of_few(caller):
                body = await self._body_of(request, route, caller)
                found = await route.answers(Asked(caller, query, body, request.headers))
            if (took_s := time.monotonic() - began) > SLOW_S:
                telemetry.log("api_slow", operation=route.name, took_ms=int(took_s * 1000))
            return web.Response(
                status=route.status, body=orjson.dumps(found) + b"\n", headers={"Content-Type": "application/json"}
            )

        return handle_request

    def _let_through(self, request: web.Request, route: Route) -> Caller:
        caller = self._callers.of(request)
        if caller.principal.kind == "anonymous" or not caller.has_token:
            if not route.signed:
                raise Problem("token_audience" if "Authorization" in request.headers else "token_required")
            if not is_signed(request.headers):
                raise Problem("signature_refused", "neither a signature nor a token for this API came with it")
        origin = request.headers.get("Origin")
        if origin is not None and request.method not in SAFE and origin != own_origin(request.headers):
            raise Problem("origin_refused")
        return caller

    @contextmanager
    def _one_of_few(self, caller: Caller) -> Iterator[None]:
        """One more open question of somebody; a stranger has none before the body is there."""
        if caller.ref and self._open[caller.ref] >= OPEN_EACH:
            raise Problem("busy", f"{OPEN_EACH} questions of yours are being answered")
        self._open[caller.ref] += 1
        try:
            yield
        finally:
            self._open[caller.ref] -= 1
            if not self._open[caller.ref]:
                del self._open[caller.ref]

    async def _body_of(self, request: web.Request, route: Route, caller: Caller) -> bytes:
        if route.body is None:
            return b""
        stranger = not caller.has_token
        if stranger and self._strangers >= STRANGERS_BODIES:
            raise Problem("busy")
        self._strangers += stranger
        try:
            async with asyncio.timeout(BODY_S):
                return await request.read()
        except TimeoutError:
            raise Problem("body_invalid", f"it did not arrive within {BODY_S:g} s") from None
        finally:
            self._strangers -= stranger


def query_of(model: type[Query], request: web.Request) -> Query:
    """The parameters, or `Problem` with all that is wrong with them."""
    known = parameters_of(model)
    errors = []
    said: dict[str, Any] = {}
    path = {name: [value] for name, value in request.match_info.items()}
    query = {name: request.query.getall(name) for name in request.query}
    for name, values in (*path.items(), *query.items()):
        if name not in known or (name in path and values is not path[name]):
            shown = name if len(name) <= 64 and name.isprintable() else "…"
            hint = did_you_mean(shown, known.keys() - path.keys()) or f"known here: {', '.join(known) or 'none'}"
            errors.append({"parameter": shown, "message": "no such parameter", "todo": hint})
        elif known[name]:
            said[name] = values
        elif len(values) > 1:
            errors.append({"parameter": name, "message": "it is said twice", "todo": "say it once"})
        else:
            said[name] = values[0]
    try:
        read = model.model_validate(said)
    except ValidationError as faults:
        read = None
        for fault in faults.errors(include_url=False, include_input=False):
            if str(fault["loc"][0]) not in {each["parameter"] for each in errors}:
                errors.append(_in_our_words(fault))
    if errors or read is None:
        raise Problem("parameters_invalid", errors=sorted(errors, key=lambda each: each["parameter"]))
    return read


def parameters_of(model: type[Query]) -> dict[str, bool]:
    """Name to whether it may be said several times."""
    return {
        field.alias or name: "list" in str(field.annotation) or "tuple" in str(field.annotation)
        for name, field in model.model_fields.items()
    }


def _in_our_words(fault: Any) -> dict[str, str]:
    name = str(fault["loc"][0]) if fault["loc"] else ""
    bounds = fault.get("ctx", {})
    match fault["type"]:
        case "missing":
            message, todo = "it is missing", "say it"
        case "value_error":
            message, _, todo = str(fault["msg"]).removeprefix("Value error, ").partition("; ")
        case "bool_parsing":
            message, todo = "it is neither true nor false", "write `true`, or leave it out"
        case "int_parsing" | "int_parsing_size":
            message, todo = "it is no whole number", "write digits alone"
        case "greater_than_equal" | "less_than_equal":
            least = "ge" in bounds
            message = "it is too small" if least else "it is too large"
            todo = f"write {bounds['ge']} or more" if least else f"write {bounds['le']} or less"
        case "string_too_short":
            message, todo = "it is empty", "say something, or leave it out"
        case "string_too_long" | "too_long":
            message, todo = "it is too long", f"{bounds['max_length']} are taken at most"
        case _:
            message, todo = str(fault["msg"])[:1].lower() + str(fault["msg"])[1:], "correct it"
    return {"parameter": name, "message": message, "todo": todo or "correct it"}


def own_origin(headers: Mapping[str, str]) -> str:
    """As a browser writes it that shows a page of this host. The door has written both fields itself."""
    return f"{headers.get('X-Forwarded-Proto', 'https')}://{headers.get('Host', '')}".lower()


@web.middleware
async def _as_problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Every refusal below the API's path as a problem, faults of our own too."""
    if not request.path.startswith(f"{API}/"):
        return await handler(request)
    try:
        return await handler(request)
    except Problem as problem:
        return answer_of(problem, _request_id(request))
    except web.HTTPException as error:
        codes = {404: "path_unknown", 405: "method_refused", 413: "body_too_large"}
        answer = answer_of(Problem(codes.get(error.status, "failed")), _request_id(request))
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except Exception as failure:
        telemetry.log(
            "api_failed", level="error", path=request.path, request_id=_request_id(request),
            why=f"{type(failure).__name__}: {failure}",
        )  # fmt: skip
        return answer_of(Problem("failed"), _request_id(request))


def _request_id(request: web.Request) -> str:
    return cast(str, request.headers.get("X-Request-Id", "-"))
