"""What the network should look like for one environment, in words that no vendor owns.

Made from what the engine has published, never from what it has merely read: a service that is held or refused has
here what its doors serve. Values only; each vendor's adapter turns them into its own objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

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


@dataclass(frozen=True, slots=True)
class Desired:
    """``places`` are in the order of host, path and entity."""

    environment: str
    version: str  # the base id that the doors serve
    places: tuple[Place, ...]


class Places:
    """Makes the desired state of one environment again and again: a place is made anew when what is published at it is
    another object. What comes out is the same as without a memory."""

    def __init__(self, environment: str) -> None:
        self._environment = environment
        self._made: dict[str, tuple[Published, Place]] = {}

    def desired(self, version: str, published: Iterable[Published]) -> Desired:
        """``published``: of any environment, in any order. ``version``: the base id that it is served under."""
        before, after = self._made, {}
        for each in published:
            if each.exposure.environment == self._environment:
                held = before.get(each.key)
                after[each.key] = held if held is not None and held[0] is each else (each, _place(each))
        self._made = after
        places = sorted(
            (place for _, place in after.values()), key=lambda place: (place.host, place.path, place.entity)
        )
        return Desired(self._environment, version, tuple(places))


def desired_of(environment: str, version: str, published: Iterable[Published]) -> Desired:
    return Places(environment).desired(version, published)


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
