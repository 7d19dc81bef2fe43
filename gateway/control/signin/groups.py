"""Groups that Entra ID leaves out of a token because there are too many (more than 200): Microsoft Graph has the list.

The token points somewhere (`_claim_names`, `_claim_sources`), and where it points is not where we go: the question goes
to Graph, whose address follows from the configured issuer, with the person's own access token. Page by page, each on
the same host; so many pages, so many groups, one deadline. Half a list is no list: who cannot be told all groups has
none, and rights by groups are refused.

The question is the plain one, and what is no group is left out here: Graph answers one for groups alone from an index
that lags behind the directory (https://learn.microsoft.com/graph/api/user-list-transitivememberof), and somebody who
was taken out of a group would stay in it for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from gateway import telemetry
from gateway.config import Issuer
from gateway.control.signin.exchange import Exchange, GrantRefused, ProviderAway, ProviderRefused
from gateway.identity.claims import GROUPS_LIMIT
from gateway.identity.issuers import IssuerRules
from gateway.identity.strict import is_clean

PAGES: Final = 10
DEADLINE_S: Final = 8.0
# https://learn.microsoft.com/graph/deployments: the national clouds have a Graph of their own.
GRAPHS: Final = {
    "login.microsoftonline.com": "https://graph.microsoft.com",
    "login.microsoftonline.us": "https://graph.microsoft.us",
    "login.partner.microsoftonline.cn": "https://microsoftgraph.chinacloudapi.cn",
}
QUESTION: Final = "/v1.0/me/transitiveMemberOf?$select=id&$top=999"
GROUP: Final = "#microsoft.graph.group"  # beside directory roles and administrative units


def are_left_out(claims: Mapping[str, Any], rules: IssuerRules) -> bool:
    """Whether the token says that the person is in groups, and not in which."""
    names = claims.get("_claim_names")
    listed = rules.groups is not None and isinstance(names, dict) and rules.groups.name in names
    return rules.groups is not None and (bool(claims.get("hasgroups")) or listed)


def graph_of(issuer: Issuer) -> str:
    """Where this issuer's groups are asked for; "" = nowhere."""
    if issuer.preset != "entra":
        return ""
    parts = urlsplit(issuer.issuer)
    if parts.scheme == "http":  # of a test on loopback: fetch allows no other
        return f"http://{parts.netloc}"
    return GRAPHS.get(parts.hostname or "", "")


async def with_groups(
    claims: dict[str, Any], rules: IssuerRules, exchange: Exchange, access_token: str
) -> dict[str, Any]:
    """The claims with the whole list in place of the pointer; as they were where there is none."""
    graph = graph_of(exchange.issuer)
    if rules.groups is None or not are_left_out(claims, rules) or not graph or not access_token:
        return claims
    try:
        async with asyncio.timeout(DEADLINE_S):
            found = await _listed(exchange, graph, access_token)
    except (ProviderAway, ProviderRefused, GrantRefused, TimeoutError) as fault:
        telemetry.log("groups_not_read", level="warning", issuer=exchange.issuer.name, why=str(fault) or "no answer")
        return claims
    rest = {name: value for name, value in claims.items() if name not in ("hasgroups", "_claim_names")}
    return {**rest, rules.groups.name: found}


async def _listed(exchange: Exchange, graph: str, access_token: str) -> list[str]:
    address, found = graph + QUESTION, list[str]()
    for _ in range(PAGES):
        try:
            page = orjson.loads(await exchange.get(address, access_token))
        except orjson.JSONDecodeError:
            raise ProviderAway("its list of groups is not json") from None
        entries = page.get("value") if isinstance(page, dict) else None
        if not isinstance(entries, list):
            raise ProviderAway("its list of groups is none")
        known = [(each.get("@odata.type"), each.get("id")) for each in entries if isinstance(each, dict)]
        if len(known) != len(entries) or not all(is_clean(kind) and is_clean(name) for kind, name in known):
            raise ProviderAway("its list of groups holds something else")
        found += [str(name) for kind, name in known if kind == GROUP]
        following = page.get("@odata.nextLink")
        if following is None:
            return found
        if not isinstance(following, str) or not following.startswith(graph + "/"):
            raise ProviderAway("its list of groups goes on elsewhere")
        if len(found) > GROUPS_LIMIT:
            break
        address = following
    raise ProviderRefused(f"somebody is in more than {GROUPS_LIMIT} groups")
