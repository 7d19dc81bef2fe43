"""Names of ours on a firewall: what they are made of, and how they are told from everybody else's.

`sd-KIND-WORDS-DIGEST`: the kind and the words are for readers, the digest of what it stands for tells apart what reads
alike. Where a catalog says what it stands for the digest has 64 bits, in two groups: of 32 somebody who may name teams
could find one that is called like another's. Catalog text goes into no xpath and no filter but through here. Names are
compared without regard to case by PAN-OS (tags) and are lower case here.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

PREFIX: Final = "sd-"
MARK: Final = "stagedoor"  # the tag that objects and rules of ours carry
FIRST, LAST = "sd-begin", "sd-end"  # the anchors, which the operator makes
WATERMARK: Final = "sd-managed"  # the tag that every address and user with tags of ours carries
CANARY_ADDRESS: Final = "2001:db8:5d::1"  # of documentation (RFC 3849): nobody's, and so nothing is opened by it
NAME: Final = re.compile(r"sd-[a-z0-9-]{1,40}-[0-9a-f]{8}\Z")
LONGEST: Final = 50  # characters
SHORT, LONG = 4, 8  # bytes of digests
_DIGEST: Final = re.compile(r"(?:-[0-9a-f]{8}){1,2}\Z")
_OTHER: Final = re.compile(r"[^a-z0-9]+")


def is_ours(name: str) -> bool:
    """Whether a name on a device has the form of ours; that alone makes nothing ours."""
    return NAME.match(name.lower()) is not None


def kind_of(name: str) -> str:
    """Of a name of ours what it stands for: `g` of `sd-g-payments-0a1b2c3d`."""
    return name.removeprefix(PREFIX).partition("-")[0]


def team_tag(ref: str) -> str:
    """Of the people of a team, `group:default/payments`; also the name of the dynamic user group."""
    return _named("g", ref)


def person_tag(ref: str) -> str:
    """Of a person whom a rule names; also the name of the dynamic user group."""
    return _named("u", ref)


def everyone_tag() -> str:
    """Of whoever the catalog knows."""
    return _named("g", "everyone")


def grant_tag(scope: str, environment: str) -> str:
    """Of people with a running grant for one of a scope's services; also the name of the dynamic user group."""
    return _named("t", f"{environment} {scope}")


def environment_tag(environment: str) -> str:
    """Of objects, rules and service addresses of an environment."""
    return _named("e", environment)


def block_tag(environment: str) -> str:
    """Of rules and objects of an environment, and of no address: no filter asks for it."""
    return _named("block", environment)


def group_name(tag: str, environment: str) -> str:
    """Of the dynamic user group that holds whoever carries a tag: each environment has groups of its own."""
    kind, _, words = _DIGEST.sub("", tag.removeprefix(PREFIX)).partition("-")
    words = words.removeprefix(f"{_words(environment)}-")
    return _made(kind, f"{_words(environment)}-{words}", f"{environment} {tag}", LONG)


def service_name(port: str, environment: str) -> str:
    """Of the service object of a port, `tcp/5432` or `tcp/6000-6010`."""
    protocol, _, number = port.partition("/")
    return _named(protocol, f"{environment} {number}")


def services_tag(scope: str, environment: str) -> str:
    """Of the addresses where a scope's services run; also the name of the dynamic address group."""
    return _named("s", f"{environment} {scope}")


def service_tag(ref: str, environment: str) -> str:
    """Of the addresses where one service runs, where only it is reached directly."""
    return _named("c", f"{environment} {ref}")


def domain_tag(domain: str, environment: str) -> str:
    """Of the addresses of all services of a domain, for rules of other people's."""
    return _named("d", f"{environment} {domain}")


def front_tag(scope: str, environment: str) -> str:
    """Of the virtual addresses where clients meet a scope; of an environment's shared ones where ``scope`` is ""."""
    return _named("v", f"{environment} {scope}")


def doors_tag(environment: str) -> str:
    """Of the gateway's nodes."""
    return _named("doors", environment)


def network_name(network: str, environment: str) -> str:
    """Of the address object of an operator's network, `10.30.0.0/16`."""
    return _made("net", _words(f"{environment} {network}"), f"net {environment} {network}", SHORT)


def rule_name(leg: str, scope: str, environment: str) -> str:
    """``leg``: front, back, direct or closing."""
    return _named(leg, f"{environment} {scope}")


def canary_tag(instance: str) -> str:
    return _named("canary", instance)


def _named(kind: str, what: str) -> str:
    """``what`` is reduced to its last words for readers, and digested whole. One with a colon is of a catalog."""
    told = what.rpartition(" ")[0] + " " + what.rpartition(" ")[2].rpartition("/")[2]
    return _made(kind, _words(told), f"{kind} {what}", LONG if ":" in what else SHORT)


def _made(kind: str, words: str, what: str, digest_bytes: int) -> str:
    digest = blake2b(what.encode(), digest_size=digest_bytes).hexdigest()
    groups = "".join(f"-{digest[at : at + 8]}" for at in range(0, len(digest), 8))
    return f"{PREFIX}{kind}-{words}"[: LONGEST - len(groups)].rstrip("-") + groups


def _words(text: str) -> str:
    return _OTHER.sub("-", text.lower()).strip("-")
