"""The description of the API: an OpenAPI 3.1 document made of the declarations that route and check the requests.

Nothing is written twice: paths and methods come from `policy.builtin`, parameters and answers from the models, refusals
from the list of problems. It takes milliseconds to make and is made once, when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway.control.api.problems import CONTENT_TYPE, PROBLEMS
from gateway.control.api.routes import Payload, Query, Route, parameters_of

VERSION: Final = "3.1.0"
EVERYWHERE: Final = (
    "caller_unproved", "control_starting", "token_required", "token_audience", "parameters_invalid", "busy", "failed",
)  # fmt: skip
_REF: Final = "#/components/schemas/{model}"
_ABOUT: Final = (
    "Questions to the access policy, answered by the table that the doors decide by. About yourself you may ask when "
    "you are signed in, about a service when your team owns it; administrators may ask about everything. A door may "
    "refuse a request before it arrives here: its problems are described in docs/reasons.md."
)
_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "RFC 9457.",
    "required": ["type", "title", "status", "code", "todo", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "enum": sorted(PROBLEMS)},
        "detail": {"type": "string"},
        "todo": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["parameter", "message", "todo"],
                "properties": {
                    "parameter": {"type": "string"},
                    "message": {"type": "string"},
                    "todo": {"type": "string"},
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}
_SECURITY: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of a configured issuer whose `aud` holds `stagedoor`.",
    },
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Webhook-Signature",
        "description": "HMAC-SHA256 with the configured secret, as in docs/api.md.",
    },
}


def document_of(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The description without `servers`: who asks has found the central host."""
    routes = tuple(routes)
    answers = [each.answer for each in routes if each.answer is not None]
    _, schemas = models_json_schema([(each, "serialization") for each in dict.fromkeys(answers)], ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = route.operation
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(route)
    return {
        "openapi": VERSION,
        "info": {"title": "Stagedoor", "version": version, "description": _ABOUT},
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": {**schemas.get("$defs", {}), "Problem": _PROBLEM},
            "securitySchemes": _SECURITY,
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": _parameters(route.query, route.operation.path),
        "responses": {str(route.status): _answer(route.answer, route.status), **_refusals(route)},
    }
    if route.body is not None:
        anything = {"schema": {}} if route.body is Payload else {"schema": route.body.model_json_schema()}
        found["requestBody"] = {"required": False, "content": {"*/*": anything}}
    if route.signed:
        found["security"] = [{"bearer": []}, {"signature": []}]
    return found


def _parameters(query: type[Query], path: str) -> list[dict[str, Any]]:
    schema = query.model_json_schema(by_alias=True)
    required = schema.get("required", [])
    found = []
    for name, is_list in parameters_of(query).items():
        said = {key: value for key, value in schema["properties"][name].items() if key not in ("title", "description")}
        in_path = f"{{{name}}}" in path
        parameter = {
            "name": name,
            "in": "path" if in_path else "query",
            "required": in_path or name in required,
            "description": schema["properties"][name].get("description", ""),
            "schema": said,
        }
        found.append(parameter | ({"style": "form", "explode": True} if is_list else {}))
    return found


def _answer(answer: type[BaseModel] | None, status: int) -> dict[str, Any]:
    schema = {"type": "object"} if answer is None else {"$ref": _REF.format(model=answer.__name__)}
    return {"description": HTTPStatus(status).phrase, "content": {"application/json": {"schema": schema}}}


def _refusals(route: Route) -> dict[str, Any]:
    """By status, the codes that it may have."""
    codes = [*EVERYWHERE, *route.problems]
    codes += ["body_too_large", "body_invalid"] if route.body is not None else []
    codes += [] if route.operation.method == "GET" else ["origin_refused"]
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(PROBLEMS[code].status, []).append(code)
    return {
        str(status): {
            "description": "; ".join(f"`{code}`: {PROBLEMS[code].title}" for code in listed),
            "content": {CONTENT_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}},
        }
        for status, listed in sorted(by_status.items())
    }
