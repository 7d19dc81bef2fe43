"""What the network should look like for one environment, in words that no vendor owns.

Made from what the engine has published, never from what it has merely read: a service that is held or refused has
here what its doors serve. Values only; each vendor's adapter turns them into its own objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from policy.coarse import Scope, Scopes
from policy.rule import Published

VERSION_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Place:
    """One exposure as the network sees it: a host and a path of it, and whose they are."""

    entity: str  # component ref
    title: str
    owner: str  # group ref, "" when nobody owns it
    system: str
    domain: str
    host: str  # lower case, no port; may begin with "*." where the operator lists it so
    path: str  # prefix, "/" or "/v1/payments"
    address: str = ""  # the service's own virtual address; "" where the environment's plan decides
    version: str = ""  # of what is decided at this place: changes when its rules or routes do
    upstreams: tuple[str, ...] = ()  # where the door finds it: "http://10.0.0.1:8080", "https://name"
    addresses: tuple[str, ...] = ()  # hosts and networks where it runs, as far as its owner says so


@dataclass(frozen=True, slots=True)
class Desired:
    """``places`` are in the order of host, path and entity; ``scopes``, for firewalls alone, in that of refs."""

    environment: str
    version: str  # the base id that the doors serve
    places: tuple[Place, ...]
    scopes: tuple[Scope, ...] = ()


class Places:
    """Makes the desired state of one environment again and again: a place is made anew when what is published at it is
    another object. What comes out is the same as without a memory. ``with_scopes``: for environments that a firewall
    has."""

    def __init__(self, environment: str, *, with_scopes: bool = False) -> None:
        self._environment = environment
        self._scopes = Scopes(environment) if with_scopes else None
        self._made: dict[str, tuple[Published, Place]] = {}

    def desired(self, version: str, published: Iterable[Published]) -> Desired:
        """``published``: of any environment, in any order. ``version``: the base id that it is served under."""
        here = [each for each in published if each.exposure.environment == self._environment]
        before, after = self._made, {}
        for each in here:
            held = before.get(each.key)
            after[each.key] = held if held is not None and held[0] is each else (each, _place(each))
        self._made = after
        places = sorted((place for _, place in after.values()), key=_order)
        scopes = self._scopes.scopes(here) if self._scopes is not None else ()
        return Desired(self._environment, version, tuple(places), scopes)


def desired_of(environment: str, version: str, published: Iterable[Published], *, with_scopes: bool = False) -> Desired:
    return Places(environment, with_scopes=with_scopes).desired(version, published)


def _order(place: Place) -> tuple[str, str, str]:
    return (place.host, place.path, place.entity)


def _place(published: Published) -> Place:
    service, exposure = published.service, published.exposure
    return Place(
        entity=service.ref,
        title=service.title,
        owner=service.owner,
        system=service.system,
        domain=service.domain,
        host=exposure.host,
        path=exposure.prefix,
        address=service.virtual_addresses.get(exposure.environment, ""),
        version=_version(published),
        upstreams=exposure.upstreams,
        addresses=service.addresses.get(exposure.environment, ()),
    )


def _version(published: Published) -> str:
    """Over what is said, not over how this program writes it down: an upgrade alone changes no device."""
    service, exposure = published.service, published.exposure
    digest = blake2b(digest_size=VERSION_DIGITS // 2)
    digest.update(repr((service.ref, exposure.host, exposure.prefix, exposure.upstreams, service.cors)).encode())
    digest.update(repr((sorted(service.options), [rule.id for rule in published.rules])).encode())
    for each in published.operations:
        scopes = sorted(sorted(needed) for needed in each.scopes)
        digest.update(repr((each.method, each.template, each.api, scopes, each.unresolved, each.public)).encode())
    return digest.hexdigest()
