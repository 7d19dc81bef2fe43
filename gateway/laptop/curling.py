"""Runs curl with a token: everybody knows its options, and nobody would know those of a client of our own.

The token reaches curl as configuration on a pipe of its own, never in its arguments, where every user of the machine
could read it, and not on stdin, which stays free for `-d @-`. The user's own configuration of curl is left aside, since
it may say what is refused here. curl itself drops the header on the way to another host, port or scheme (7.83 and
later); it speaks https alone.

Where the door refuses, its sentence and what to do come last, on stderr, read from the answer that passes through.
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

from gateway.commands.terminal import FOUND, PARTLY, UNREACHABLE, USAGE, plain
from gateway.errors import StagedoorError
from gateway.laptop.curl_options import BODY_ELSEWHERE, Asked
from gateway.laptop.stronger import Wanted, wanted_by

OLDEST: Final = (7, 83)  # that keeps the header from another port or scheme of the same host, too
MOST_HEAD: Final = 64 * 1024
PIECE: Final = 64 * 1024
CONFIG: Final = 'header = "Authorization: Bearer {token}"\n'
_OWN_STATUS: Final = "stagedoor;"  # how Proxy-Status (RFC 9209) of an answer of the door begins
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


def run(curl: str, asked: Asked, url: str, token: str, ca: str) -> Outcome:
    """What curl writes passes through; ctrl-C ends both."""
    config_in, config_out = os.pipe()
    head_in, head_out = os.pipe()
    body = _Captured()
    verbose = "verbose" in asked.names
    try:
        os.write(config_out, CONFIG.format(token=token).encode("ascii"))  # shorter than a pipe holds
        os.close(config_out)
        words = [
            curl, "-q", "--config", f"/dev/fd/{config_in}", "--dump-header", f"/dev/fd/{head_out}", "--globoff",
            "--proto", "=https", "--proto-redir", "=https", *(["--cacert", ca] if ca else []), *_quiet(asked),
            *asked.words, "--url", url,
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
    return _outcome(code if passed else 0, bytes(head), body, asked)


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
            into += piece
            del into[:-MOST_HEAD]  # the last head counts


def _without(source: IO[bytes], token: bytes) -> None:
    """What curl tells with -v, line by line, but for the token."""
    for line in source:
        sys.stderr.buffer.write(line.replace(token, b"[the token]"))
        sys.stderr.buffer.flush()


# === what the door said ===


def _outcome(curl: int, head: bytes, body: _Captured, asked: Asked) -> Outcome:
    refusal = _refusal(head, body, asked)
    if refusal is not None:
        return Outcome(UNREACHABLE if refusal.status >= 500 else FOUND, curl, refusal)
    return Outcome(_CODES.get(curl, UNREACHABLE), curl, None)


def _refusal(heads: bytes, body: _Captured, asked: Asked) -> Refusal | None:
    """None for an answer that is not the door's own."""
    head = heads.decode("latin-1").replace("\r\n", "\n").strip("\n").rpartition("\n\n")[2]
    first, _, fields = head.partition("\n")
    pairs = [each.partition(":") for each in fields.split("\n")]
    said = {name.strip().lower(): value.strip() for name, _, value in pairs}
    status = re.match(r"HTTP/[0-9.]+ ([0-9]{3})", first)
    if status is None or int(status[1]) < 400 or not said.get("proxy-status", "").startswith(_OWN_STATUS):
        return None
    problem = _problem(_body(body, asked)) if "problem+json" in said.get("content-type", "") else {}
    wanted = wanted_by(said.get("www-authenticate", ""))
    told = ("title", "detail", "todo") if wanted is None else ("title",)  # the rest is told as what to type
    lines = [str(problem[key]) for key in told if problem.get(key)]
    if not lines:
        lines = [f"The door answered {status[1]} itself; what it says is in the body of its answer."]
    if said.get("x-request-id"):
        lines.append(f"Request id: {said['x-request-id']}")
    return Refusal(int(status[1]), str(problem.get("code", "")), tuple(plain(line) for line in lines), wanted)


def _body(body: _Captured, asked: Asked) -> bytes:
    """The beginning of the answer, wherever curl put it, where that can be known."""
    if asked.output and asked.output != "-" and "output-dir" not in asked.names:
        try:
            with open(asked.output, "rb") as opened:
                return opened.read(MOST_HEAD)
        except OSError:
            return b""
    return b"" if asked.names & (BODY_ELSEWHERE - {"output"}) else bytes(body.text)


def _problem(text: bytes) -> dict[str, Any]:
    """RFC 9457; with -i a head stands before it, and -w writes behind it."""
    said = text.decode("utf-8", "replace")
    try:
        found, _ = json.JSONDecoder().raw_decode(said, said.index("{"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
