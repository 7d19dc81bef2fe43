"""The options of curl that `stagedoor curl` passes on, and the one address among them.

A list of what is known, not of what is forbidden: an option that is not here could name another host, take a
certificate unlooked at, or write the token down, and a new release of curl brings new ones. Because each is known by
its exact name and by whether it takes a value, there is no doubt what the address is.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import Final

import click

from gateway.terminal import plain

SHORT: Final = {
    "s": "silent", "S": "show-error", "f": "fail", "i": "include", "I": "head", "G": "get", "g": "globoff",
    "L": "location", "v": "verbose", "N": "no-buffer", "O": "remote-name", "J": "remote-header-name",
    "R": "remote-time", "#": "progress-bar", "4": "ipv4", "6": "ipv6", "j": "junk-session-cookies",
    "X": "request", "H": "header", "d": "data", "F": "form", "o": "output", "T": "upload-file", "A": "user-agent",
    "e": "referer", "m": "max-time", "w": "write-out", "b": "cookie", "c": "cookie-jar", "r": "range",
    "C": "continue-at", "z": "time-cond", "x": "proxy", "y": "speed-time", "Y": "speed-limit",
}  # fmt: skip
FLAGS: Final = frozenset((
    "silent", "show-error", "fail", "include", "head", "get", "globoff", "location", "verbose", "no-buffer",
    "remote-name", "remote-header-name", "remote-time", "progress-bar", "ipv4", "ipv6", "junk-session-cookies",
    "compressed", "fail-with-body", "no-progress-meter", "create-dirs", "retry-connrefused", "retry-all-errors",
    "http1.1", "http2", "path-as-is", "no-keepalive", "tcp-nodelay", "styled-output", "no-styled-output",
    "post301", "post302", "post303", "tr-encoding", "raw",
))  # fmt: skip
VALUES: Final = frozenset((
    "request", "header", "data", "form", "output", "upload-file", "user-agent", "referer", "max-time", "write-out",
    "cookie", "cookie-jar", "range", "continue-at", "time-cond", "proxy", "speed-time", "speed-limit",
    "json", "data-raw", "data-binary", "data-ascii", "data-urlencode", "form-string", "url-query", "output-dir",
    "connect-timeout", "retry", "retry-delay", "retry-max-time", "max-redirs", "limit-rate", "max-filesize", "resolve",
    "connect-to", "noproxy", "interface", "expect100-timeout", "keepalive-time", "etag-save", "etag-compare",
))  # fmt: skip
OURS: Final = frozenset(("ca", "cacert", "at"))
_WHY_NOT: Final = {
    "insecure": "the token would go to whoever answers; name the authorities with --ca",
    "k": "the token would go to whoever answers; name the authorities with --ca",
    "location-trusted": "the token would follow to other hosts; -L follows without it",
    "url": "there is one address, and it stands alone", "next": "one request at a time",
    "config": "the token comes to curl that way", "K": "the token comes to curl that way",
    "dump-header": "the answer's head is read here; -i shows it", "D": "the answer's head is read here; -i shows it",
    "trace": "it would write the token down; -v leaves it out",
    "trace-ascii": "it would write the token down; -v leaves it out",
    "libcurl": "it would write the token down",
    "user": "you are who signed in", "u": "you are who signed in", "oauth2-bearer": "you are who signed in",
}  # fmt: skip
_FROM_STDIN: Final = re.compile(r"-|\.|[^=]*=?[@<]-(?:[;,].*)?")  # of the options below: a value that reads stdin
_READERS: Final = frozenset((
    "upload-file", "data", "json", "data-binary", "data-ascii", "data-urlencode", "form", "header",
))  # fmt: skip
BODY_ELSEWHERE: Final = frozenset(("output", "remote-name", "remote-header-name"))


@dataclass
class Asked:
    """``words`` are for curl, in its long spelling."""

    url: str = ""
    words: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    ca: str = ""
    at: str = ""
    output: str = ""
    reads_stdin: bool = False

    @property
    def can_be_made_again(self) -> bool:
        """Whether a second call sends the same, and its answer is not written behind the first one's."""
        is_elsewhere = bool(self.names & BODY_ELSEWHERE) and self.output != "-"
        return not self.reads_stdin and (is_elsewhere or sys.stdout.isatty())


def read_options(arguments: tuple[str, ...]) -> Asked:
    """Raises `UsageError` for what is not passed on, and without exactly one address."""
    asked = Asked()
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        if word.startswith("--") and len(word) > 2:
            _long(asked, word[2:], waiting)
        elif word.startswith("-") and len(word) > 1 and word != "--":
            _cluster(asked, word[1:], waiting)
        elif asked.url:
            raise click.UsageError(f"one address at a time: after `{plain(asked.url)}` came `{plain(word)}`")
        else:
            asked.url = word
    if not asked.url:
        raise click.UsageError("which address? `stagedoor curl https://HOST/PATH`")
    return asked


def _long(asked: Asked, name: str, waiting: list[str]) -> None:
    if name in FLAGS:
        _put(asked, name, None)
    elif name in VALUES or name in OURS:
        _put(asked, name, _value(f"--{name}", waiting))
    else:
        raise _refused(f"--{name}", name)


def _cluster(asked: Asked, letters: str, waiting: list[str]) -> None:
    """`-sSX POST`, `-XPOST`: letters without value, and one with it at the end."""
    for position, letter in enumerate(letters):
        name = SHORT.get(letter, "")
        if not name:
            raise _refused(f"-{letter}", letter)
        if name in FLAGS:
            _put(asked, name, None)
            continue
        rest = letters[position + 1 :]
        _put(asked, name, rest if rest else _value(f"-{letter}", waiting))
        return


def _put(asked: Asked, name: str, value: str | None) -> None:
    asked.names.add(name)
    if name in ("ca", "cacert"):
        asked.ca = value or ""
    elif name == "at":
        asked.at = value or ""
    else:
        if name == "header" and re.split("[:;]", value or "")[0].strip().lower() in ("authorization", "host"):
            raise click.UsageError("`Authorization` and `Host` are set here: they decide who gets the token")
        if name == "output":
            asked.output = value or ""
        asked.reads_stdin |= name in _READERS and _FROM_STDIN.fullmatch(value or "") is not None
        asked.words.append(f"--{name}")
        asked.words += [] if value is None else [value]


def _value(option: str, waiting: list[str]) -> str:
    if not waiting:
        raise click.UsageError(f"`{option}` needs a value")
    return waiting.pop(0)


def _refused(option: str, name: str) -> click.UsageError:
    why = _WHY_NOT.get(name, "what it does with a token is not known here; `stagedoor token URL` prints one")
    return click.UsageError(f"`{plain(option)}` is not passed on to curl: {why}")
