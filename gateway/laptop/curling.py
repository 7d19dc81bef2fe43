"""Runs curl with a token: everybody knows its options, and nobody would know those of a client of our own.

The token reaches curl as configuration on a pipe of its own, never in its arguments, where every user of the machine
could read it, and not on stdin, which stays free for `-d @-`. The user's own configuration of curl is left aside, since
it may say what is refused here. curl itself drops the header on the way to another host, port or scheme (7.83 and
later); it speaks https alone.

Where the door refuses, its sentence and what to do come last, on stderr, read from the answer that passes through. What
the door said counts as that alone where no other could have said it: the answer is marked as the door's own, which a
service behind it cannot do, and every redirect on the way to it led to a host that may have the token.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Any, Final, NamedTuple

import click

from gateway.errors import StagedoorError
from gateway.laptop.curl_options import BODY_ELSEWHERE, Asked
from gateway.laptop.keeping import SignIn
from gateway.laptop.places import may_have_token, target_at
from gateway.laptop.stronger import Wanted, wanted_by
from gateway.terminal import FOUND, PARTLY, UNREACHABLE, USAGE, plain

OLDEST: Final = (7, 83)  # that keeps the header from another port or scheme of the same host, too
MOST_HEAD: Final = 64 * 1024
PIECE: Final = 64 * 1024
CONFIG: Final = 'header = "Authorization: Bearer {token}"\n'
_OWN_STATUS: Final = "stagedoor;"  # how Proxy-Status (RFC 9209) of an answer of the door begins
_STATUS_LINE: Final = re.compile("HTTP/[0-9.]+ ([0-9]{3})(?: .*)?")
_LINE: Final = re.compile(r"[!-9;-~]+:[\t -~\x80-\xff]*")  # and none that goes on in the next one
_SAME_HOST: Final = re.compile(r"(?:/(?!/)|[.?])[!-\[\]-~]*")  # without a scheme, an authority, a backslash
# curl's exit codes that are no "cannot reach": wrong use, an answer above 400 with --fail, an answer in part.
_CODES: Final = {0: 0, 1: USAGE, 2: USAGE, 3: USAGE, 4: USAGE, 18: PARTLY, 22: FOUND, 26: USAGE, 43: USAGE, 48: USAGE}


class Refusal(NamedTuple):
    """What the door said instead of an answer. ``code`` "": it cannot be seen from here. ``wanted``: the sign-in that
    would do, where one would."""

    status: int
    code: str
    lines: tuple[str, ...]
    wanted: Wanted | None = None


class Outcome(NamedTuple):
    """``code``: our exit code; ``curl``: its own; ``refusal``: None where the door let it through."""

    code: int
    curl: int
    refusal: Refusal | None


def curl_here(asked: Asked) -> str:
    """The curl of this machine. Raises `StagedoorError` where there is none, or none that is safe for this."""
    found = shutil.which("curl")
    if found is None:
        raise StagedoorError("curl is not installed: install it, or take `stagedoor token URL` to a client of yours")
    said = subprocess.run([found, "-q", "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    version = re.match(r"curl ([0-9]+)\.([0-9]+)", said)
    old = version is None or (int(version[1]), int(version[2])) < OLDEST
    if old and "location" in asked.names:
        wanted = ".".join(map(str, OLDEST))
        raise StagedoorError(f"`{plain(said[:20])}` may show the token to another port: -L needs curl {wanted}")
    return found


def run(curl: str, asked: Asked, url: str, sign_in: SignIn, ca: str) -> Outcome:
    """What curl writes passes through; ctrl-C ends both."""
    token = sign_in.access
    config_in, config_out = os.pipe()
    head_in, head_out = os.pipe()
    body = _Captured()
    verbose = "verbose" in asked.names
    try:
        os.write(config_out, CONFIG.format(token=token).encode("ascii"))  # shorter than a pipe holds
        os.close(config_out)
        words = [
            curl, "-q", "--config", f"/dev/fd/{config_in}", "--dump-header", f"/dev/fd/{head_out}", "--globoff",
            "--suppress-connect-headers", "--proto", "=https", "--proto-redir", "=https",
            *(["--cacert", ca] if ca else []), *_quiet(asked), *asked.words, "--url", url,
        ]  # fmt: skip
        process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE if verbose else None, pass_fds=(config_in, head_out)
        )
    finally:
        os.close(config_in)
        os.close(head_out)
    head = bytearray()
    readers = [threading.Thread(target=_drain, args=(head_in, head), daemon=True)]
    if verbose and process.stderr is not None:
        readers.append(threading.Thread(target=_without, args=(process.stderr, token.encode()), daemon=True))
    for reader in readers:
        reader.start()
    with process:
        assert process.stdout is not None
        try:
            passed = _pass(process.stdout, body.take)
        except BaseException:
            process.terminate()
            raise
        if not passed:
            process.terminate()  # whoever read us has gone
        code = process.wait()
        for reader in readers:
            reader.join()
    return _outcome(code if passed else 0, _refusal(bytes(head), body, asked, sign_in))


def _quiet(asked: Asked) -> list[str]:
    """curl draws its progress where stdout is no terminal; ours passes through, so it cannot know."""
    shown = asked.names & {"progress-bar", "output", "remote-name"}
    return ["--no-progress-meter"] if sys.stdout.isatty() and not shown else []


class _Captured:
    """The beginning of what passes."""

    def __init__(self) -> None:
        self.text = bytearray()

    def take(self, piece: bytes) -> None:
        if len(self.text) < MOST_HEAD:
            self.text += piece[: MOST_HEAD - len(self.text)]


def _pass(source: IO[bytes], also: Callable[[bytes], None]) -> bool:
    """Everything to stdout, as it comes. False where nobody reads it any more."""
    while piece := os.read(source.fileno(), PIECE):
        also(piece)
        try:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python writes what is left at its end
            return False
    return True


def _drain(descriptor: int, into: bytearray) -> None:
    with open(descriptor, "rb", buffering=0) as source:
        while piece := source.read(PIECE):
            if len(into) <= MOST_HEAD:  # all heads count, or none
                into += piece


def _without(source: IO[bytes], token: bytes) -> None:
    """What curl tells with -v, line by line, but for the token."""
    for line in source:
        sys.stderr.buffer.write(line.replace(token, b"[the token]"))
        sys.stderr.buffer.flush()


# === what the door said ===


def _outcome(curl: int, refusal: Refusal | None) -> Outcome:
    if refusal is not None:
        return Outcome(UNREACHABLE if refusal.status >= 500 else FOUND, curl, refusal)
    return Outcome(_CODES.get(curl, UNREACHABLE), curl, None)


class _Head(NamedTuple):
    """``fields``: in lower case; one that is there twice is joined (RFC 9110, 5.2)."""

    status: int
    fields: dict[str, str]


def _refusal(heads: bytes, body: _Captured, asked: Asked, sign_in: SignIn) -> Refusal | None:
    """None for an answer that is not the door's own, or may not be."""
    answers = [each for each in _read(heads) if each.status >= 200]
    if not answers or answers[-1].status < 400 or not all(_stays(each, sign_in) for each in answers):
        return None
    status, said = answers[-1]
    if not said.get("proxy-status", "").startswith(_OWN_STATUS):
        return None
    is_mixed = "retry" in asked.names and len(answers) > 1  # what an earlier answer wrote stands in front
    text = b"" if is_mixed else _body(heads, body, asked)
    problem = _problem(text, said.get("x-request-id", "")) if "problem+json" in said.get("content-type", "") else {}
    wanted = wanted_by(said.get("www-authenticate", ""), sign_in.mfa_acr_values)
    told = ("title", "detail", "todo") if wanted is None else ("title",)  # the rest is told as what to type
    lines = [str(problem[key]) for key in told if problem.get(key)]
    if not lines:
        lines = [f"The door answered {status} itself; what it says is in the body of its answer."]
    if said.get("x-request-id"):
        lines.append(f"Request id: {said['x-request-id']}")
    return Refusal(status, str(problem.get("code", "")), tuple(plain(line) for line in lines), wanted)


def _read(heads: bytes) -> list[_Head]:
    """All heads that curl saw, the last one last; [] where one of them cannot be read, or they are too many."""
    found: list[_Head] = []
    text = heads.decode("latin-1").replace("\r\n", "\n")
    if len(heads) > MOST_HEAD:
        return found
    for head in text.strip("\n").split("\n\n"):
        first, *lines = head.split("\n")
        status = _STATUS_LINE.fullmatch(first)
        if status is None:
            return []
        fields: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not _LINE.fullmatch(line):
                return []
            key = name.lower()
            fields[key] = f"{fields[key]}, {value.strip()}" if key in fields else value.strip()
        found.append(_Head(int(status[1]), fields))
    return found


def _stays(answer: _Head, sign_in: SignIn) -> bool:
    """Whether it is no redirect, or one to a host that may have the token, written so that curl reads it as we do."""
    to = answer.fields.get("location", "")
    if answer.status >= 400 or not to or _SAME_HOST.fullmatch(to):
        return True
    try:
        _, place = target_at(to)
    except click.UsageError:
        return False
    return may_have_token(place, sign_in.place, sign_in.hosts)


def _body(heads: bytes, body: _Captured, asked: Asked) -> bytes:
    """The beginning of the answer, wherever curl put it; b"" where that cannot be known."""
    names = asked.names
    if names & {"head", "fail", "continue-at"}:
        return b""
    text = bytes(body.text)
    if asked.output and asked.output != "-":
        text = _beginning(asked.output) if "output-dir" not in names else b""
    elif names & (BODY_ELSEWHERE - {"output"}):
        return b""
    if "include" not in names:
        return text
    return text[len(heads) :] if text.startswith(heads) else b""


def _beginning(file: str) -> bytes:
    try:
        with open(file, "rb") as opened:
            return opened.read(MOST_HEAD)
    except OSError:
        return b""


def _problem(text: bytes, request_id: str) -> dict[str, Any]:
    """RFC 9457, of this very request; -w writes behind it."""
    try:
        found, _ = json.JSONDecoder().raw_decode(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and found.get("request_id") == request_id else {}
