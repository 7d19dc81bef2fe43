"""What somebody can reach, as a page shows it: services by domain, with their places, the sentences, and what is asked.

The table says what is reachable, the sentences of the published base say why, and the engine knows what a service is
called and who owns it. For one person it is worked out once for each base, in a thread: a page of it, or a search in
it, is then a look.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple
from urllib.parse import quote

from gateway.questions.explain import WhyFrames
from gateway.questions.rights import why_of
from policy.builtin import BUILTIN_SERVICE
from policy.offers import Offer, what_can
from policy.probe import Asker, needs_in_words
from policy.table import Table

OPERATIONS_SHOWN: Final = 30  # of one way
_CALLED: Final = {"mfa": "a second factor"}  # what rules call by a word of their own
_PATH: Final = "/%:@!$&'()+,=-._~"  # RFC 3986, 3.3, without `;`; a `%` stands for itself: templates are spelled as sent


class Card(NamedTuple):
    """What a service is called: of the engine, and made up from its ref while that is away."""

    title: str
    owner: str  # ref of the team, "" = nobody
    domain: str  # its name, "" = none


class Way(NamedTuple):
    """Operations that one rule permits."""

    sentence: str
    because: str
    operations: tuple[str, ...]
    more: int  # that are not listed
    needs: str  # in words; "" = nothing
    scopes: tuple[str, ...]


class Place(NamedTuple):
    """A service in one environment. ``link``: the first page of it that they may open, "" where there is none to go to;
    ``whole``: every operation of it is permitted."""

    environment: str
    url: str
    link: str
    total: int
    allowed: int
    ways: tuple[Way, ...]

    @property
    def whole(self) -> bool:
        return self.allowed == self.total


class Reached(NamedTuple):
    """A service with the places that somebody reaches."""

    ref: str
    card: Card
    places: tuple[Place, ...]


def offers_of(table: Table, asker: Asker, now: int) -> tuple[Offer, ...]:
    """What of every service they may call, our own pages aside."""
    exposures = (each for each in table.exposures.values() if each.service != BUILTIN_SERVICE.ref)
    return tuple(what_can(table, asker, sorted(exposures, key=lambda each: (each.service, each.environment)), now))


def found(offers: Iterable[Offer], cards: Mapping[str, Card], words: str, environment: str) -> Iterator[list[Offer]]:
    """By service, those in whose names every word is; in the order of domain and title."""
    wanted = words.casefold().split()
    by_service: dict[str, list[Offer]] = {}
    for offer in offers:
        exposure = offer.exposure
        if environment in ("", exposure.environment):
            by_service.setdefault(exposure.service, []).append(offer)

    def order(service: str) -> tuple[bool, str, str]:
        card = card_of(cards, service)
        return not card.domain, card.domain.casefold(), card.title.casefold()

    for service in sorted(by_service, key=order):
        card, theirs = card_of(cards, service), by_service[service]
        hosts = " ".join(each.exposure.host + each.exposure.prefix for each in theirs)
        text = f"{service} {card.title} {card.owner} {card.domain} {hosts}".casefold()
        if all(word in text for word in wanted):
            yield theirs


def card_of(cards: Mapping[str, Card], service: str) -> Card:
    return cards.get(service) or Card(service.rpartition("/")[2], "", "")


def shown(offers: list[Offer], cards: Mapping[str, Card], frames: WhyFrames, port: str) -> Reached:
    """One service in words. ``port``: ``:8443`` where people need it to come here."""
    service = offers[0].exposure.service
    return Reached(service, card_of(cards, service), tuple(_place(each, frames, port) for each in offers))


def by_domain(reached: Iterable[Reached]) -> list[tuple[str, list[Reached]]]:
    """In the order they come."""
    domains: dict[str, list[Reached]] = {}
    for each in reached:
        domains.setdefault(each.card.domain, []).append(each)
    return list(domains.items())


def environments_of(table: Table) -> list[str]:
    return sorted({each.environment for each in table.exposures.values() if each.service != BUILTIN_SERVICE.ref})


def _place(offer: Offer, frames: WhyFrames, port: str) -> Place:
    exposure = offer.exposure
    ways = []
    for way, names in offer.ways:
        told = why_of(frames, exposure.key, way.permit.rule)
        ways.append(
            Way(
                told.sentence, told.because, tuple(names[:OPERATIONS_SHOWN]),
                max(0, len(names) - OPERATIONS_SHOWN),
                needs_in_words(tuple(_CALLED.get(each, each) for each in way.needs)), way.scopes,
            )
        )  # fmt: skip
    prefix = "" if exposure.prefix == "/" else exposure.prefix
    base = f"https://{exposure.host}{port}{prefix}"
    first = first_page(name for _, names in offer.ways for name in names)
    allowed = sum(len(names) for _, names in offer.ways)
    link = base + quote(first, safe=_PATH) if first else ""
    return Place(exposure.environment, f"{base}/", link, offer.total, allowed, tuple(ways))


def first_page(names: Iterable[str]) -> str:
    """Where a link can lead: the root where it may be opened, else the shortest path that leaves nothing to be filled
    in; "" where there is none."""
    paths = [path for method, _, path in (each.partition(" ") for each in names) if method == "GET"]
    if "/**" in paths:
        return "/"
    return min(
        (path for path in paths if "{" not in path and "*" not in path), key=lambda path: (len(path), path), default=""
    )
