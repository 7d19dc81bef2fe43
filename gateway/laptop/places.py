"""Which hosts there are for a sign-in: the central host it was made at, and those its tokens may be sent to.

A token goes to the central host and to hosts that an environment of that node may publish, matched as the node matches
them, always with https and at the port of the central host: another port of the same machine is another program. Who
writes an address any other way than plainly gets a refusal, because curl might read it another way than we do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import click

from gateway.errors import StagedoorError
from gateway.terminal import plain
from policy.builtin import COMMAND_LINE
from policy.claims import name_listed

HTTPS_PORT: Final = 443
PATH: Final = COMMAND_LINE.partition(" ")[2]
FORM: Final = 1
MOST_HOSTS: Final = 1000
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME: Final = rf"{_LABEL}(?:\.{_LABEL})*"
_HOST: Final = re.compile(rf"(?P<host>{_NAME})(?::(?P<port>[0-9]{{1,5}}))?")
_URL: Final = re.compile(r"https://(?P<authority>[^/?#]*)(?P<rest>(?:[/?][!-~]*)?)", re.IGNORECASE)
_PATTERN: Final = re.compile(rf"(?:\*?\.)?{_NAME}")
_WORD: Final = re.compile(r"[!#-\[\]-~]{1,256}")  # RFC 6749, appendix A: what ids and scopes are made of


class Place(NamedTuple):
    """A host with its port, 443 unless said."""

    host: str
    port: int

    def __str__(self) -> str:
        return self.host if self.port == HTTPS_PORT else f"{self.host}:{self.port}"

    @property
    def origin(self) -> str:
        return f"https://{self}"


class Offered(NamedTuple):
    """An issuer at which people sign in for the command line. ``parameters`` are sent along with each request;
    ``mfa_acr_values`` are its words for a second factor."""

    name: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    parameters: dict[str, str]
    mfa_acr_values: tuple[str, ...] = ()


class Described(NamedTuple):
    """What a central host says to command lines."""

    offers: tuple[Offered, ...]
    hosts: tuple[str, ...]  # patterns


def central_at(text: str) -> Place:
    """The central host that somebody wrote: `stagedoor.example.com`, with a port, or as an https address."""
    bare = text.removeprefix("https://").removesuffix("/")
    place = _place(bare)
    if place is None:
        raise click.UsageError(f"`{plain(text)}` is no central host; write `stagedoor.example.com`, or with `:8443`")
    return place


def target_at(url: str) -> tuple[str, Place]:
    """The address in its plain spelling, and the host it leads to."""
    said = _URL.fullmatch(url)
    place = _place(said["authority"]) if said else None
    if said is None or place is None:
        hint = "write `https://HOST/PATH`, percent-encoded and without a name or password in it"
        raise click.UsageError(f"`{plain(url)}` is no address that a token is sent to: {hint}")
    return place.origin + ("" if said["rest"].startswith("/") else "/") + said["rest"].partition("#")[0], place


def is_word(said: Any) -> bool:
    """Whether it is what ids, scopes and names of strengths are made of."""
    return isinstance(said, str) and _WORD.fullmatch(said) is not None


def may_have_token(target: Place, central: Place, hosts: Iterable[str]) -> bool:
    """Whether a token of the sign-in at ``central`` may be sent there. ``hosts`` as `environments.X.hosts`."""
    if target.port != central.port:
        return False
    listed = tuple(hosts)
    wildcard = "*." + target.host.partition(".")[2]
    return target.host == central.host or name_listed(target.host, listed) or name_listed(wildcard, listed)


def described(central: Place, said: Any) -> Described:
    """What the document of the central host says. Raises `StagedoorError` for one that is none."""
    odd = StagedoorError(f"`{central.origin}{PATH}` is not of this version's form: use the node's own `stagedoor`")
    if not isinstance(said, dict) or said.get("form") != FORM:
        raise odd
    if said.get("central_host") != central.host:
        raise StagedoorError(f"`{central}` answers for another central host: `{plain(str(said.get('central_host')))}`")
    hosts, issuers = said.get("hosts"), said.get("issuers")
    if not isinstance(hosts, list) or not isinstance(issuers, list) or len(hosts) > MOST_HOSTS:
        raise odd
    if not all(isinstance(each, str) and _PATTERN.fullmatch(each) for each in hosts):
        raise odd
    offers = tuple(_offered(each) for each in issuers)
    if None in offers:
        raise odd
    return Described(tuple(each for each in offers if each), tuple(hosts))


def chosen(central: Place, offers: Sequence[Offered], name: str) -> Offered:
    """The issuer to sign in at: the one that was named, or the only one."""
    if not offers:
        todo = "its operators add `command_line` to an issuer in its configuration"
        raise StagedoorError(f"`{central}` lets nobody sign in from a command line: {todo}")
    names = ", ".join(f"`{each.name}`" for each in offers)
    if name:
        found = [each for each in offers if each.name == name]
        if not found:
            raise click.UsageError(f"`{plain(name)}` is no issuer of `{central}`; there are {names}")
        return found[0]
    if len(offers) > 1:
        raise click.UsageError(f"people sign in to `{central}` at {names}: choose with --issuer")
    return offers[0]


def _place(authority: str) -> Place | None:
    said = _HOST.fullmatch(authority.lower())
    if said is None or len(said["host"]) > 253:
        return None
    port = int(said["port"] or HTTPS_PORT)
    return Place(said["host"], port) if 0 < port < 65536 else None


def _offered(said: Any) -> Offered | None:
    """None where a member is missing or of another kind."""
    if not isinstance(said, dict):
        return None
    words = [said.get(key) for key in ("name", "issuer", "client_id")]
    scopes, parameters = said.get("scopes"), said.get("parameters")
    if not isinstance(scopes, list) or not isinstance(parameters, dict):
        return None
    strengths = said.get("mfa_acr_values", [])  # a node of an earlier version says none
    known = {"resource", "audience"}
    if not isinstance(strengths, list) or not known.issuperset(parameters):
        return None
    if not all(map(is_word, [*words, *scopes, *parameters.values(), *strengths])):
        return None
    name, issuer, client_id = map(str, words)
    return Offered(name, issuer, client_id, tuple(scopes), dict(parameters), tuple(strengths))
