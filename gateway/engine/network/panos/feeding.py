"""What a PAN-OS firewall reads by itself: external dynamic lists, for who gives us no right to write at all.

    addresses/doors.txt        the gateway's nodes
    addresses/fronts.txt       the virtual addresses that clients meet
    addresses/services.txt     where all services of the environment run
    addresses/sd-s-….txt       where those of one system run, named like the tag of the same addresses
    domains/hosts.txt          host names, for DNS and application rules
    domains/sd-s-….txt         those of one system
    urls/hosts.txt             hosts with their paths, for URL categories
    urls/sd-s-….txt            those of one system

A firewall keeps what it has when it gets an error, and believes whatever else it gets. So a list that nothing belongs
into any more holds one entry of nobody instead of none, and where an address is still being asked for the first time
nothing is given at all. What a service loses is weighed by the guards of every apply: only one that loses its last
address or host counts as taken away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_network
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from gateway.config.devices import Panos, PanosEnvironment
from gateway.engine.network.desired import Desired, Place
from gateway.engine.network.documents import Document, Recipe, lines_document
from gateway.engine.network.fronts import Front
from gateway.engine.network.panos import names
from gateway.engine.network.panos.addresses import AddressTags, Barred, written
from gateway.engine.network.plans.plan import Kind, Observed, Step
from gateway.engine.network.whereabouts import NOTHING_KNOWN, Known

VENDOR: Final = "panos"
MOST: Final = {"addresses": 150_000, "domains": 50_000, "urls": 50_000}  # entries; firewalls skip what is beyond
LONGEST: Final = 255  # characters of an entry
WIDEST: Final = {4: 8, 6: 16}  # prefix lengths: what is wider is nobody's service
# Nobody's: of documentation (RFC 3849), and of no resolver (RFC 6761).
NOBODY: Final = {"addresses": names.CANARY_ADDRESS, "domains": "nobody.invalid", "urls": "nobody.invalid/"}
_PATH: Final = "/:@!$&'()+,=-._~"  # as sent; `*` and `^` would be patterns
_KINDS: Final = {"addresses": "addresses", "domains": "hosts", "urls": "urls"}  # folder, and the field of a service


class Beside(NamedTuple):
    """What lists are made of besides the wish. ``fronts``: virtual addresses of other devices of ours; ``barred``: what
    is no service's address, in all environments."""

    fronts: tuple[str, ...]
    barred: tuple[str, ...]
    known: Known
    shut: frozenset[str]


def recipe_of(
    device: Panos, environment: PanosEnvironment, fronts: Callable[[Desired], Iterable[Front]],
    addresses: Callable[[str], tuple[str, ...]], known: Callable[[str], Known], shut: Callable[[], frozenset[str]],
) -> Recipe:  # fmt: skip
    """``fronts``: where other devices of ours meet what is desired, ``addresses``: those of an environment as they were
    met last. ``known``: where its services run. ``shut``: services, and environments as `@prod`, that are closed."""
    judge = AddressTags(environment)
    said = [text for each in device.environments for text in (*each.doors, *each.virtual_addresses)]

    def beside() -> Beside:
        name = environment.environment
        everywhere = [text for each in device.environments for text in addresses(each.environment)]
        return Beside(addresses(name), (*said, *everywhere), known(name), shut())

    def content(desired: Desired) -> dict[str, Any]:
        now = beside()
        met = tuple(sorted({front.address for front in fronts(desired)}))  # complete, where nobody met them yet
        return content_of(desired, environment, now._replace(fronts=met, barred=(*now.barred, *met)), judge)

    return Recipe(VENDOR, content, faults_of, documents_of, steps_between, beside)


def content_of(desired: Desired, environment: PanosEnvironment, beside: Beside, judge: AddressTags) -> dict[str, Any]:
    """What readers are to know, as plain JSON that is remembered."""
    scope_of = {ref: scope.ref for scope in desired.scopes for ref in scope.services}
    barred, known, shut = Barred(beside.barred), beside.known, beside.shut
    places: dict[str, list[Place]] = {}
    for place in desired.places:
        places.setdefault(place.entity, []).append(place)
    services = {
        ref: {
            "scope": scope_of.get(ref, ""),
            "shut": ref in shut or f"@{desired.environment}" in shut,
            "addresses": _addresses(known.addresses.get(ref, ()), judge, barred),
            "hosts": sorted({place.host for place in of_one}),
            "urls": sorted({url for place in of_one for url in _urls(place.host, place.path)}),
        }
        for ref, of_one in places.items()
    }
    return {
        "environment": desired.environment,
        "doors": _written(environment.doors),
        "fronts": _written((*environment.virtual_addresses, *beside.fronts)),
        "services": services,
        "unasked": sorted(_unasked(known, services.keys()) if environment.networks else ()),
    }


def _unasked(known: Known, services: Iterable[str]) -> Iterator[str]:
    """Those of which nobody could tell a short list from a whole one. Before names were settled once, that is all with
    a name that was not answered for, and all of which nothing is known; later what they had before is kept."""
    for ref in services:
        is_kept = known.is_settled and bool(known.addresses.get(ref))
        if known is NOTHING_KNOWN or (ref in known.unasked and not is_kept):
            yield ref


def _addresses(said: Iterable[str], judge: AddressTags, barred: Barred) -> list[str]:
    """Those that may be a service's, as they are judged for tags."""
    judged = (judge.judged(text, barred) for text in said)
    return sorted({each.text for each in judged if not each.why})


def _written(said: Iterable[str]) -> list[str]:
    return sorted({written(ip_network(text, strict=False)) for text in said})


def _urls(host: str, path: str) -> Sequence[str]:
    """None for one that no list can hold: an owner's long path is not everybody's trouble. It ends with a slash:
    without one it fits longer host names too."""
    url = f"{host}{quote(path, safe=_PATH)}".rstrip("/") + "/"
    return (url,) if len(url) <= LONGEST else ()


# === what is not given ===


def faults_of(content: Mapping[str, Any]) -> Sequence[str]:
    """Why nobody gets this."""
    found = []
    if unasked := content["unasked"]:
        some = ", ".join(unasked[:3])
        found.append(f"it is not known yet where {len(unasked)} services run ({some}): their names are being asked")
    lists = _lists(content)
    for name, entries in lists.items():
        most = MOST[name.partition("/")[0]]
        if len(entries) > most:
            found.append(f"`{name}` has {len(entries)} entries, and firewalls skip what is beyond {most}")
    for folder in _KINDS:  # one entry is in several lists, and looked at once
        entries = sorted({entry for name, each in lists.items() if name.startswith(f"{folder}/") for entry in each})
        check = _address_fault if folder == "addresses" else _text_fault
        found += [f"{folder}: {fault}" for fault in map(check, entries) if fault]
    return found


@lru_cache(200_000)
def _address_fault(entry: str) -> str:
    try:
        network = ip_network(entry)
    except ValueError:
        return f"`{entry[:60]}` is no address"
    return f"`{entry}` is wider than any service" if network.prefixlen < WIDEST[network.version] else ""


def _text_fault(entry: str) -> str:
    if len(entry) > LONGEST:
        return f"`{entry[:60]}…` is longer than {LONGEST} characters"
    is_plain = entry.isascii() and entry.isprintable() and not set(entry) & set(" #;")
    return "" if is_plain else f"`{ascii(entry[:60])}` holds what no entry may"


# === what is given ===


def documents_of(content: Mapping[str, Any]) -> Mapping[str, Document]:
    return {
        f"{name}.txt": lines_document(entries or [NOBODY[name.partition("/")[0]]])
        for name, entries in _lists(content).items()
    }


def _lists(content: Mapping[str, Any]) -> dict[str, list[str]]:
    """Entries by the name of their list, in order and none twice."""
    found: dict[str, set[str]] = {"addresses/doors": set(content["doors"]), "addresses/fronts": set(content["fronts"])}
    for said in content["services"].values():
        for folder, name in _KINDS.items():
            lists = ["services" if folder == "addresses" else "hosts"]
            lists += [names.services_tag(said["scope"], content["environment"])] if said["scope"] else []
            for each in lists:
                found.setdefault(f"{folder}/{each}", set()).update(() if said["shut"] else said[name])
    return {name: sorted(entries) for name, entries in sorted(found.items())}


# === what it takes away ===


def steps_between(content: Mapping[str, Any], observed: Observed) -> Sequence[Step]:
    """From what readers have to this content. Each step is about one service or one list of everybody's."""
    before: Mapping[str, Any] = observed.content or {}
    return (*_of_everybody(before, content), *_of_services(before.get("services", {}), content["services"]))


def _of_everybody(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Step]:
    for name, what in (("doors", "nodes of the gateway"), ("fronts", "virtual addresses")):
        had, has = before.get(name, []), after[name]
        if had != has:
            kind = Kind.REMOVE if had and not has else Kind.CHANGE if had else Kind.ADD
            yield Step(kind, f"addresses/{name}", f"Lists {len(has)} {what} instead of {len(had)}.")


def _of_services(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Step]:
    """A service that loses its last entry of a list is taken away from it; one that is closed was meant to be."""
    for ref in sorted(before.keys() | after.keys()):
        had, has = before.get(ref, {}), after.get(ref, {})
        if has and had.get("shut", False) != has["shut"]:
            yield Step(Kind.CHANGE, f"lists {ref}", f"{'Closes' if has['shut'] else 'Opens'} {ref}.", (ref,))
        for folder, name in _KINDS.items():
            old, new = had.get(name, []), has.get(name, [])
            if old and not new:
                yield Step(Kind.REMOVE, f"{folder} {ref}", f"Takes {ref} out of the {folder}.", (ref,))
            elif old != new:
                kind = Kind.CHANGE if old else Kind.ADD
                yield Step(kind, f"{folder} {ref}", f"Lists {len(new)} {folder} of {ref}.", (ref,))
