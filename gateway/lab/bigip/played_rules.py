"""iRules that traffic really meets. Tcl is not run here: a few texts are known, and what they do is done in Python.

Known are AS3's own redirect to HTTPS, and the rule that writes a PROXY line (version 1) in front of each connection to
a member. Of everything else `missed` tells that it was not executed; nothing is left out in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.lab.bigip.collections import RULE
from gateway.lab.bigip.refusals import Json
from gateway.lab.bigip.tree import Tree

REDIRECT: Final = "/Common/_sys_https_redirect"
# Names of variables aside; `\1` of the first text is the line that the second writes.
PROXY: Final = re.compile(
    r"when CLIENT_ACCEPTED \{ "
    r'set (?P<family>\w+) \[expr \{\[IP::version\] == 6 \? "TCP6" : "TCP4"\}\] '
    r'set (?P<client>\w+) \[getfield \[IP::remote_addr\] "%" 1\] '
    r'set (?P<server>\w+) \[getfield \[IP::local_addr\] "%" 1\] '
    r'set (?P<line>\w+) "PROXY \$(?P=family) \$(?P=client) \$(?P=server) '
    r'\[TCP::remote_port\] \[TCP::local_port\]\\r\\n" \} '
    r"when SERVER_CONNECTED \{ TCP::respond \$(?P=line) \}"
)
PLAYED_PROFILES: Final = ("http", "one-connect", "tcp", "client-ssl", "server-ssl", "websocket")


@dataclass(frozen=True)
class Played:
    """``missed``: what is attached and has no effect here, each a sentence."""

    redirects: bool = False
    proxy_line: bool = False
    missed: tuple[str, ...] = ()


def played(tree: Tree, virtual: Json) -> Played:
    """What becomes of the rules and the profiles of a virtual server."""
    redirects = proxy_line = False
    missed = []
    for path in virtual.get("rules", []):
        text = " ".join(str((tree.find(RULE, path) or {}).get("apiAnonymous", "")).split())
        if path == REDIRECT:
            redirects = True
        elif PROXY.fullmatch(text):
            proxy_line = True
        else:
            missed.append(f"iRule {path} is not executed")
    missed += [f"profile {path} has no effect" for path in _unknown_profiles(tree, virtual)]
    return Played(redirects, proxy_line, tuple(missed))


def profiles_of(tree: Tree, virtual: Json) -> dict[str, Json]:
    """By kind: http, one-connect, client-ssl, server-ssl …"""
    return dict(_profiles(tree, virtual))


def _unknown_profiles(tree: Tree, virtual: Json) -> list[str]:
    known = {values["fullPath"] for kind, values in _profiles(tree, virtual) if kind in PLAYED_PROFILES}
    return [named["fullPath"] for named in virtual.get("profiles", []) if named["fullPath"] not in known]


def _profiles(tree: Tree, virtual: Json) -> Iterator[tuple[str, Json]]:
    for named in virtual.get("profiles", []):
        for collection in tree.collections():
            values = tree.find(collection, named["fullPath"])
            if collection.startswith("ltm/profile/") and values is not None:
                yield collection.rpartition("/")[2], values
