"""Answers that are errors, as values: what any part of the device raises and the HTTP side writes down."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LOG = logging.getLogger(__name__)
Json = dict[str, Any]


class Refusal(Exception):
    """``body`` is sent as JSON; a string is sent as HTML."""

    def __init__(self, status: int, body: Json | str) -> None:
        super().__init__(body if isinstance(body, str) else str(body.get("message", "")))
        self.status = status
        self.body = body


def refused(status: int, message: str, api_error: int | None = None) -> Refusal:
    """In the form of iControl REST."""
    body: Json = {"code": status, "message": message, "errorStack": []}
    if api_error is not None:
        body["apiError"] = api_error
    return Refusal(status, body)


def not_found(kind: str, path: str) -> Refusal:
    return refused(404, f"01020036:3: The requested {kind} ({path}) was not found.", 3)


def exists_already(kind: str, path: str, partition: str) -> Refusal:
    return refused(409, f"01020066:3: The requested {kind} ({path}) already exists in partition {partition}.", 3)


def invalid(message: str) -> Refusal:
    """What mcpd refuses to hold."""
    return refused(400, message, 3)


@contextmanager
def legible(status: int) -> Iterator[None]:
    """What cannot be read is the caller's fault: refused and, in case it is not, logged with where it went wrong."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        LOG.warning("a request could not be read", exc_info=True)
        raise refused(status, f"the emulator cannot read this: {type(error).__name__}: {error}") from None


def not_registered(path: str) -> Refusal:
    return refused(404, f"Public URI path not registered: {path}")
