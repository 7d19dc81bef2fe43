"""Questions to a running node over its central host (`--url`), for who has no access to its files.

The API answers with the values that the command makes of files, so what is shown is the same. The token is read from a
file or from the variable STAGEDOOR_TOKEN, never from the command line, where every user of the machine could read it.
It is sent to the one address that was named: no redirect is followed, and no proxy is asked.
"""

from __future__ import annotations

import http.client
import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

import click
import orjson

from gateway.errors import ConfigError, StagedoorError
from gateway.terminal import plain
from policy.builtin import API

F = TypeVar("F", bound=Callable[..., Any])

TOKEN_VARIABLE: Final = "STAGEDOOR_TOKEN"
TOKEN_BYTES: Final = 32 * 1024
ANSWER_BYTES: Final = 64 * 1024 * 1024
PATIENCE_S: Final = 60.0
PAGES: Final = 10_000
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_USAGE: Final = frozenset(("parameters_invalid", "caller_unknown"))


class Unanswered(StagedoorError):
    """The node cannot be reached, or does not answer the question. ``code`` is a problem's; "" where there is none."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


def central_options(command: F) -> F:
    """`--url`, `--token-file` and `--ca`: the three arguments of :func:`central_at`."""
    command = click.option(
        "--ca", "ca_file", type=click.Path(dir_okay=False, path_type=Path), help="With --url: PEM file of authorities."
    )(command)
    command = click.option(
        "--token-file", type=click.Path(dir_okay=False, path_type=Path),
        help=f"With --url: a token of audience `stagedoor`. Default: the variable {TOKEN_VARIABLE}.",
    )(command)  # fmt: skip
    return click.option("--url", "central", help="Ask the node behind this central host instead of files.")(command)


class Central:
    """One node's API."""

    def __init__(self, url: str, token: str, ca_file: Path | None) -> None:
        self.url = plain(url).rstrip("/")
        scheme, host, port = _place_in(url)
        if scheme == "http" and host not in _LOOPBACK:
            raise click.UsageError(f"`{self.url}` would show the token to everybody in between; use https")
        self._token = token
        self._connection: http.client.HTTPConnection
        if scheme == "https":
            self._connection = http.client.HTTPSConnection(host, port, timeout=PATIENCE_S, context=_context(ca_file))
        else:
            self._connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_S)

    def close(self) -> None:
        self._connection.close()

    def ask(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The answer, of the form that the API describes. What is None, "" or False is not sent.

        Raises `Unanswered`, and `UsageError` for a bad question.
        """
        given = {name: value for name, value in parameters.items() if value not in (None, "", False, ())}
        given = {name: "true" if value is True else value for name, value in given.items()}
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json", "User-Agent": "stagedoor"}
        try:
            self._connection.request("GET", f"{API}/{operation}?{urlencode(given, doseq=True)}", headers=headers)
            answer = self._connection.getresponse()
            text = answer.read(ANSWER_BYTES + 1)
        except ssl.SSLCertVerificationError as error:
            why = f"{error.verify_message}; name its authorities with --ca"
            raise Unanswered(f"the certificate of `{self.url}` is not trusted: {why}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = plain(str(getattr(error, "strerror", None) or error))  # it may quote what came
            raise Unanswered(f"cannot ask `{self.url}`: {why}") from None
        if len(text) > ANSWER_BYTES:
            raise Unanswered(f"`{self.url}` answers with more than {ANSWER_BYTES >> 20} MiB")
        said = _read(self.url, answer.status, text)
        if not _is_answer(operation, said):
            raise Unanswered(f"`{self.url}` answers like another version: use its own `stagedoor`")
        return said

    def pages(self, operation: str, parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """All answers of a question whose answer comes in pages."""
        after = ""
        for _ in range(PAGES):
            answer = self.ask(operation, {**parameters, "after": after})
            following = str(answer.pop("next"))
            yield answer
            if following <= after:
                return
            after = following
        raise Unanswered(f"`{self.url}` never comes to the end of its answer")


def central_at(url: str | None, token_file: Path | None, ca_file: Path | None, file: Path | None) -> Central | None:
    """The node to ask; None when files are asked. ``file`` is what `--config` says."""
    if url is None:
        if token_file is not None or ca_file is not None:
            raise click.UsageError("--token-file and --ca belong to --url")
        return None
    if file is not None:
        raise click.UsageError("say either --url or --config")
    central = Central(url, _token(token_file), ca_file)
    click.get_current_context().call_on_close(central.close)
    return central


def _token(file: Path | None) -> str:
    if file is None:
        said = os.environ.get(TOKEN_VARIABLE, "")  # noqa: TID251 - a secret of this one call, no setting of a node
        place = f"variable {TOKEN_VARIABLE}"
    else:
        try:
            with file.open("rb") as opened:
                said = opened.read(TOKEN_BYTES).decode("ascii", "replace")
        except OSError as error:
            raise ConfigError(f"cannot read `{file}`: {str(error.strerror).lower()}") from None
        place = f"`{file}`"
    token = said.strip()
    if not token:
        raise ConfigError(f"there is no token: {place} is empty; name a file with --token-file")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(f"{place} holds no token: it is more than one word of plain text")
    return token


def _place_in(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port; a URL that says more, or is none, is a `UsageError`."""
    refused = click.UsageError(f"`{plain(url)}` is no central host; write `https://stagedoor.example.com`")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise refused from None
    more = parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc
    if more or parts.scheme not in ("https", "http") or not host.isprintable() or not host or " " in host:
        raise refused
    return parts.scheme, host, port


def _is_answer(operation: str, said: dict[str, Any]) -> bool:
    """Whether it is what this version shows; what a later one adds is no fault."""
    from pydantic import BaseModel, ValidationError

    from gateway.control.api import models, way_models

    forms: dict[str, type[BaseModel]] = {
        "inventory": way_models.InventoryAnswer,
        "path": way_models.PathAnswer,
        "explain": models.ExplainAnswer,
        "who-can": models.WhoCanAnswer,
        "what-can": models.WhatCanAnswer,
        "why": models.WhyAnswer,
    }
    try:
        forms[operation.partition("/")[0]].model_validate(said, strict=True, extra="ignore")
    except ValidationError:
        return False
    return True


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (ssl.SSLError, OSError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigError(f"`{ca_file}` holds no certificates: {why}") from None


def _read(url: str, status: int, text: bytes) -> dict[str, Any]:
    """The answer's value; whatever it says is another machine's word and shown as plain text."""
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict):
        raise Unanswered(f"`{url}` answers with status {status} and no JSON: is it Stagedoor's central host?")
    if status == 200:
        return said
    code = str(said.get("code", ""))
    lines = [str(said.get("title") or f"`{url}` answers with status {status}")]
    lines += [str(said["detail"])] if said.get("detail") else []
    errors = said.get("errors")
    for each in [each for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []:
        lines.append("`{parameter}`: {message}; {todo}".format(**{"parameter": "", "message": "", "todo": "", **each}))
    lines += [str(said["todo"])] if said.get("todo") else []
    message = "\n".join(plain(line) for line in lines)
    if code in _USAGE:
        raise click.UsageError(message)
    raise Unanswered(message, code)
