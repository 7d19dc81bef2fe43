"""Who may claim which host, path and upstream: the operator's lists, one holder for each host and path, one team for
each host.

A component states host, path and upstream itself, and anybody who may edit a catalog entry may edit these. So
the operator lists the suffixes and networks an environment may use, and a claim on a place that is already
held never moves it.

To a browser a host is one: a page below one path of it acts, with its script, as whoever looks at it below every
other path, and sees what they see. So a host is the team's that holds a place on it, and nobody else gets one beside
it, longer or shorter, unless the operator says that teams share this host.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from policy.facts import Exposure, Service
from policy.reading import Fault

Claim = tuple[str, str]  # host, prefix
Claimant = tuple[Service, Exposure]

_NAMED = 20  # of those who are in somebody's way

# Addresses on which clouds hand credentials to whoever asks.
_METADATA = frozenset(map(ip_address, ("169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254")))


class Incumbent(NamedTuple):
    """Who held a place last. ``team``: whose it was then; "" = nobody remembers."""

    key: str
    team: str = ""


class Tenure(NamedTuple):
    """Who was on a host, at whatever path. ``teams``: of those who are not there any more under their key, because a
    Component that is renamed stays whose it was."""

    keys: frozenset[str]
    teams: frozenset[str]

    def has(self, claimant: Claimant) -> bool:
        return _key_of(claimant) in self.keys or team_of(claimant) in self.teams


NOBODY = Incumbent("")
NO_TENURE = Tenure(frozenset(), frozenset())


def key_of(service: str, environment: str) -> str:
    return f"{service}@{environment}"


def team_of(claimant: Claimant) -> str:
    """Whose a service is; one without an owner is nobody else's."""
    return claimant[0].owner or claimant[0].ref


def tenure_of(incumbents: Collection[Incumbent], present: Container[str]) -> Tenure:
    """Of the incumbents of a host. ``present``: the keys that claim a place on it now."""
    teams = frozenset(each.team for each in incumbents if each.team and each.key not in present)
    return Tenure(frozenset(each.key for each in incumbents), teams)


def claimable(exposure: Exposure, hosts: Iterable[str], upstreams: Iterable[str]) -> tuple[str, ...]:
    """What the operator's lists forbid about this exposure, a message each; empty when it may be published.

    ``hosts`` holds names and suffixes (``.apps.example.com`` stands for names below it); a wildcard host must
    be listed as it is. ``upstreams`` holds networks, names and suffixes.
    """
    complaints = []
    allowed_hosts = tuple(host.lower() for host in hosts)
    if not name_listed(exposure.host, allowed_hosts):
        complaints.append(
            f"host `{exposure.host}` is outside what `{exposure.environment}` may use: {_listed(allowed_hosts)}"
        )
    allowed_upstreams = tuple(upstream.lower() for upstream in upstreams)
    for upstream in exposure.upstreams:
        complaint = _upstream_complaint(upstream, allowed_upstreams)
        if complaint:
            complaints.append(f"upstream `{upstream}` {complaint}: {_listed(allowed_upstreams)}")
    if not exposure.upstreams:
        complaints.append("no upstream is named")
    return tuple(complaints)


def holders(
    claimants: Iterable[Claimant], incumbents: Mapping[Claim, Incumbent], reserved: str, tenure: Tenure = NO_TENURE
) -> tuple[list[Claimant], list[Fault]]:
    """Those who hold what they claim, and a fault for each who does not.

    Of several claimants the incumbent stays, or who has ``tenure`` of the host; without just one of these among them,
    nobody gets the place: which of two newcomers is right is for people to say. The ``reserved`` host is nobody's.
    """
    claims: dict[Claim, dict[str, Claimant]] = {}
    for each in claimants:
        claims.setdefault((each[1].host, each[1].prefix), {})[_key_of(each)] = each
    held: list[Claimant] = []
    faults: list[Fault] = []
    for claim, rivals in claims.items():
        host, prefix = claim
        if host == reserved:
            faults += [_refused(each, f"host `{host}` belongs to stagedoor itself") for each in rivals.values()]
            continue
        holder = _entitled(rivals, incumbents.get(claim, NOBODY), tenure)
        if holder:
            held.append(rivals[holder])
        for key, rival in rivals.items():
            if key == holder:
                continue
            others = ", ".join(f"`{other}`" for other in sorted(rivals) if other != key)
            verb, named = ("holds", f"`{holder}`") if holder else ("claims", others)
            faults.append(_refused(rival, f"`{key}` claims `{host}{prefix}`, which {named} {verb} too"))
    return held, faults


def _entitled(rivals: Mapping[str, Claimant], incumbent: Incumbent, tenure: Tenure) -> str:
    """The key of who gets the place that all of them claim; "" for nobody."""
    if len(rivals) == 1 or incumbent.key in rivals:
        return next(iter(rivals)) if len(rivals) == 1 else incumbent.key
    renamed = [key for key, each in rivals.items() if team_of(each) == incumbent.team and tenure.has(each)]
    own = [key for key, each in rivals.items() if not each[1].common and tenure.has(each)]
    there = renamed or [key for key in own if key in tenure.keys] or own
    return there[0] if len(there) == 1 else ""


def residents(
    held: Mapping[Claim, Claimant],
    tenure: Tenure,
    above: Collection[Claimant] = (),
    beside: Collection[Claimant] = (),
) -> tuple[dict[Claim, Claimant], list[Fault]]:
    """Of those who hold the places of one host, those who stay, and a fault for each who does not.

    Who was there stays, and whoever is of their team may come; ``above`` are those of the wildcard that stood for this
    host so far. Where nobody was there, newcomers of several teams all go: which of them is right is for people to say.
    ``beside`` are others who count: those who dispute a place of this host, newcomers at the wildcard that would stand
    for it, or at names that this wildcard would stand for. On a host that the operator lets teams share, everybody may
    come.
    """
    old = [each for each in (*held.values(), *beside) if tenure.has(each)] or list(above)
    judged = old or [each for each in (*held.values(), *beside) if not each[1].common]
    teams = {team_of(each) for each in judged}
    stay: dict[Claim, Claimant] = {}
    faults: list[Fault] = []
    for claim, each in held.items():
        team, host = team_of(each), claim[0]
        if each[1].common or (team in teams and (old or len(teams) == 1)):
            stay[claim] = each
            continue
        others = sorted({(_key_of(other), other[1].host) for other in judged if team_of(other) != team})
        verb = ("has" if old else "claims") if len(others) == 1 else ("have" if old else "claim")
        named = ", ".join(f"`{key}`" for key, _ in others[:_NAMED]) + (" and more" if len(others) > _NAMED else "")
        hosts = sorted({other for _, other in others})
        where = f"`{hosts[0]}`" if len(hosts) == 1 and not old else f"`{host}`"
        message = f"`{_key_of(each)}` claims `{host}{claim[1]}`, and {named} of another team {verb} the host {where}"
        hint = f"choose another `host`, or ask the operators to list `{host}` under `shared_hosts`"
        faults.append(_refused(each, message, hint))
    return stay, faults


def _key_of(claimant: Claimant) -> str:
    return key_of(claimant[0].ref, claimant[1].environment)


def _refused(claimant: Claimant, message: str, suggestion: str = "choose another `host` or `path`") -> Fault:
    return Fault(claimant[1].source, message, suggestion, environment=claimant[1].environment)


def name_listed(name: str, listed: Iterable[str]) -> bool:
    """A suffix stands for names below it; a wildcard is only ever listed literally."""
    wildcard = "*" in name
    return any(name == entry or (entry.startswith(".") and not wildcard and name.endswith(entry)) for entry in listed)


def _upstream_complaint(upstream: str, listed: tuple[str, ...]) -> str:
    try:
        parts = urlsplit(upstream)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return "is no URL"
    if parts.scheme not in ("http", "https") or not host or port == 0:
        return "is no `http://` or `https://` URL"
    if parts.username is not None or parts.path not in ("", "/") or parts.query or parts.fragment:
        return "may only name scheme, host and port"
    try:
        address = ip_address(host)
    except ValueError:
        return "" if name_listed(host, listed) else "is outside what this environment may use"
    return "" if address_listed(address, listed) else "is outside what this environment may use"


def address_listed(address: IPv4Address | IPv6Address, listed: Iterable[str]) -> bool:
    """Whether a network of the list holds the address.

    Loopback and link-local addresses need a network that is itself loopback or link-local: ``0.0.0.0/0`` is
    never meant to open the door's own machine. Metadata addresses are never allowed.
    """
    target = getattr(address, "ipv4_mapped", None) or address
    if target in _METADATA or target.is_unspecified or target.is_multicast:
        return False
    return any(
        target in network
        and (network.is_loopback or not target.is_loopback)
        and (network.is_link_local or not target.is_link_local)
        for network in _networks(listed)
    )


def network_listed(network: IPv4Network | IPv6Network, listed: Iterable[str]) -> bool:
    """Whether a network of the list holds all of the network, by the rules for a single address."""
    if network.is_unspecified or network.is_multicast or any(each in network for each in _METADATA):
        return False
    ends = (network.network_address, network.broadcast_address)
    return any(all(address_listed(end, (str(within),)) for end in ends) for within in _networks(listed))


def _networks(listed: Iterable[str]) -> Iterator[IPv4Network | IPv6Network]:
    for entry in listed:
        network = _network(entry)
        if network is not None:
            yield network


@lru_cache(1024)  # the operator's lists, asked of every exposure
def _network(entry: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(entry, strict=False)
    except ValueError:
        return None  # a name or a suffix


def _listed(entries: tuple[str, ...]) -> str:
    return ", ".join(f"`{entry}`" for entry in entries) if entries else "nothing is listed"
