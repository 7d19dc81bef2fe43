"""What of a difference may be told to a firewall now, and why the rest waits. Pure.

Revocations and shorter ends always may, whoever doubts the catalog: what they take away was said by a person or by a
clock. While the catalog cannot be believed nothing is given, and nothing standing is taken but from users who have
nothing left at all. An empty catalog takes nothing. More standing losses than the operator allows wait for a person,
and with them whatever else the catalog would change: it may be as wrong about that. Grants go on. Losses of the last
hour count again, by their share: a catalog that runs empty does so bit by bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from gateway.config.devices import Panos
from gateway.engine.network.panos.device.userid import NEVER, Entry, What
from gateway.engine.network.panos.membership import Key
from gateway.engine.network.panos.tags.delta import Delta, Tables
from gateway.engine.network.plans.guards import NAMED, Basis, Consent, Hindrance, Taken, are_many

WORDS: Final[Mapping[What, str]] = {What.ADDRESS: "addresses", What.USER: "users"}
_CONSENT: Final = "`stagedoor plan --tags --out FILE`, `apply FILE --approve-removals`; cuts and grants go on"


class Allowed(NamedTuple):
    delta: Delta
    waits: tuple[Hindrance, ...] = ()


def allowed(
    delta: Delta, tables: Tables, known: Mapping[Key, int], device: Panos, basis: Basis, consent: Consent,
    lately: Mapping[What, Taken],
) -> Allowed:  # fmt: skip
    """``known``: the ends that were given."""
    waits: list[Hindrance] = []
    standing = (*delta.gone, *delta.removed)
    always = Delta(delta.revoked, renewed=_shortened(delta.renewed, known))
    if not basis.services and (standing or delta.gains):
        why, todo = "the catalog publishes nothing, and an empty catalog takes nothing", "look at `stagedoor status`"
        return Allowed(always, (Hindrance("catalog_empty", why, todo),))
    if basis.trouble and (delta.removed or delta.gains):
        why = f"what is not a revocation waits while the catalog cannot be believed: {basis.trouble}"
        waits.append(Hindrance("catalog_away", why, "mend that, nothing else lifts it"))
    many = () if consent.removals else tuple(_of_losses(standing, tables, device, lately))
    if basis.trouble:
        may = always if many else always._replace(gone=delta.gone)
    else:
        may = always._replace(renewed=delta.renewed, timed=delta.timed) if many else delta
    return Allowed(may, (*waits, *many))


def _shortened(renewed: Sequence[Entry], known: Mapping[Key, int]) -> tuple[Entry, ...]:
    """Whose end becomes no later. Of an end that nobody knows the new one counts."""
    return tuple(
        entry for entry in renewed
        for tag, end in entry.tags if end != NEVER and end <= (known.get((entry.key, tag)) or end)
    )  # fmt: skip


def _of_losses(
    standing: Sequence[Entry], tables: Tables, device: Panos, lately: Mapping[What, Taken]
) -> Iterator[Hindrance]:
    for what in What:
        lost = tuple(entry.key for entry in standing if entry.what is what)
        held, before = len(tables[what].tags), lately[what]
        most = max(held, before.held)
        within = {*before.names, *lost}
        is_many = are_many(len(lost), held, device)
        is_bleeding = bool(before.names) and len(within) > max(device.removed_most, device.removed_share * most)
        if lost and (is_many or is_bleeding):
            why = f"{len(lost)} of {held} {WORDS[what]} with tags of ours would lose some ({some(lost)})"
            why += f", and {len(before.names)} did within the last hour" if before.names else ""
            yield Hindrance("removals", why, f"if it is meant, {_CONSENT}")


def some(texts: Sequence[str]) -> str:
    return ", ".join(texts[:NAMED]) + (", …" if len(texts) > NAMED else "")
