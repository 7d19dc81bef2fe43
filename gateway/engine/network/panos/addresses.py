"""Which addresses carry which tags in one environment: services where they run, doors, and virtual addresses.

Where a service runs is said by its owner or by DNS, so it is judged: it has to lie in the operator's networks, and is
neither anybody's special address nor a door or a virtual address, which a tag of a service would open or close to the
wrong people. What is shut keeps the environment's tag alone: nobody is let in, and the way round the door stays closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, NamedTuple

from gateway.config.devices import PanosEnvironment
from gateway.egress.addresses import is_nobodys
from gateway.engine.network.desired import Desired
from gateway.engine.network.fronts import some
from gateway.engine.network.panos import names
from gateway.engine.network.panos.meeting import Meeting
from gateway.engine.network.whereabouts import Known

Network = IPv4Network | IPv6Network
Tags = Mapping[str, frozenset[str]]  # by address

REMEMBERED: Final = 200_000  # judgements; starts afresh when it is full
_MET: Final = "a door or a virtual address"


class Tagged(NamedTuple):
    """``shut``: what addresses would carry, too, were nothing shut. ``remarks``: what a reader should know."""

    tags: Tags
    shut: Tags
    remarks: tuple[str, ...] = ()


class Judged(NamedTuple):
    """What somebody says is an address: as PAN-OS writes it, and why it may not be written, "" where it may."""

    text: str
    network: Network
    why: str


class Barred:
    """Addresses that are no service's, whatever is said: doors and virtual addresses of all environments."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._all = tuple(ip_network(text, strict=False) for text in sorted(set(texts)))
        self._hosts = frozenset(written(each) for each in self._all if _is_host(each))
        self._wide = tuple(each for each in self._all if not _is_host(each))

    def __contains__(self, text: object) -> bool:
        """Whether it is one of them, as it is written."""
        return text in self._hosts

    def hold(self, judged: Judged) -> bool:
        if _is_host(judged.network):
            return judged.text in self._hosts or _meets(judged.network, self._wide)
        return _meets(judged.network, self._all)


class AddressTags:
    """Of one environment on one firewall. Judgements of addresses are remembered."""

    def __init__(self, environment: PanosEnvironment) -> None:
        self._environment = environment
        networks = [ip_network(each, strict=False) for each in environment.networks]
        self._networks = tuple((each, is_nobodys(each)) for each in networks)
        self._judged: dict[str, Judged] = {}
        self._alone = frozenset(ref for each in environment.directs for ref in each.services)

    def tags(self, desired: Desired, known: Known, meeting: Meeting, barred: Barred, shut: frozenset[str]) -> Tagged:
        said, found, lost = self._environment, dict[str, set[str]](), dict[str, set[str]]()
        remarks: tuple[str, ...] = ()
        if said.tells(said.back):
            for door in said.doors:
                found.setdefault(_canonical(door), set()).add(names.doors_tag(said.environment))
        if said.tells(said.front):
            for ref, addresses in (*meeting.own.items(), ("", meeting.shared)):
                for address in addresses:
                    found.setdefault(_canonical(address), set()).add(names.front_tag(ref, said.environment))
        if said.networks and (said.tells(said.back) or said.tells(said.direct)):
            remarks = tuple(self._place(desired, known, barred, shut, found, lost))
        return Tagged(_frozen(found), _frozen(lost), remarks)

    def judged(self, text: str, barred: Barred) -> Judged:
        judged = self._judged.get(text) or self._judge(text)
        return judged._replace(why=_MET) if not judged.why and barred.hold(judged) else judged

    def _place(
        self, desired: Desired, known: Known, barred: Barred, shut: frozenset[str], found: dict[str, set[str]],
        lost: dict[str, set[str]],
    ) -> Iterator[str]:  # fmt: skip
        nowhere: list[str] = []
        refused: list[str] = []
        domains = {place.entity: place.domain for place in desired.places}
        for scope in desired.scopes:
            for service in scope.services:
                (tags, taken), is_placed = self._tags_of(service, scope.ref, domains.get(service, ""), shut), False
                for text in known.addresses.get(service, ()):
                    judged = self.judged(text, barred)
                    if judged.why:
                        refused.append(f"{text} of {service} ({judged.why})")
                    else:
                        found.setdefault(judged.text, set()).update(tags)
                        is_placed = True
                        if taken:
                            lost.setdefault(judged.text, set()).update(taken)
                if not is_placed:
                    nowhere.append(service)
        name = self._environment.environment
        if refused:
            yield f"{name}: {len(refused)} addresses of services are left out: {some(sorted(refused))}"
        for what, services in known.doubts():
            yield f"{name}: {len(services)} services have names that {what}: {some(sorted(services))}"
        if nowhere:
            yield f"{name}: {len(nowhere)} services have no address here, so nobody reaches them: {some(nowhere)}"

    def _tags_of(
        self, service: str, scope: str, domain: str, shut: frozenset[str]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What its addresses carry, and what they would carry, too, were it not shut."""
        name = self._environment.environment
        alone = (names.service_tag(service, name),) if service in self._alone else ()
        of_domain = (names.domain_tag(domain, name),) if domain else ()
        closing, opening = (names.environment_tag(name),), (names.services_tag(scope, name), *alone, *of_domain)
        if service in shut or f"@{name}" in shut:
            return closing, opening
        return (*closing, *opening), ()

    def _judge(self, text: str) -> Judged:
        network = ip_network(text, strict=False)
        around = [has_special for each, has_special in self._networks if _holds(each, network)]
        why = "" if around else "outside `networks`"
        if all(around) and is_nobodys(network):  # one that lies in a network without any is none
            why = "a special address"
        if len(self._judged) >= REMEMBERED:
            self._judged.clear()
        judged = self._judged[text] = Judged(written(network), network, why)
        return judged


def _frozen(found: Mapping[str, set[str]]) -> Tags:
    return {address: frozenset(tags) for address, tags in found.items()}


def written(network: Network) -> str:
    """As PAN-OS writes it: a host without its prefix."""
    return str(network.network_address) if _is_host(network) else str(network)


def _canonical(text: str) -> str:
    return written(ip_network(text, strict=False))


def _meets(network: Network, others: Iterable[Network]) -> bool:
    return any(each.version == network.version and network.overlaps(each) for each in others)


def _holds(network: Network, other: Network) -> bool:
    """Quicker than `subnet_of`, which is asked for every address."""
    is_wider = network.version == other.version and network.prefixlen <= other.prefixlen
    return is_wider and other.network_address in network


def _is_host(network: Network) -> bool:
    return network.prefixlen == network.max_prefixlen
