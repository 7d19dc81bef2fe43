"""Who holds each place that is claimed, kept up from derivation to derivation: only places that somebody comes to or
leaves are settled again, and those beside them on the same host where that makes a difference.

    claimants of a place ─→ at most one winner (`claims.holders`)
    winners of a host    ─→ those of the team that has it (`claims.residents`) hold their places
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from policy.claims import Claim, Claimant, holders, key_of, residents
from policy.reading import Fault


class Places:
    """All of them. Whoever comes or leaves counts with the next `settle`."""

    def __init__(self) -> None:
        self.held: dict[Claim, Claimant] = {}
        self._claims: dict[Claim, dict[str, Claimant]] = {}
        self._of_host: dict[str, dict[Claim, None]] = {}
        self._winners: dict[Claim, Claimant] = {}  # who would hold a place if its host were their own
        self._claim_faults: dict[Claim, tuple[Fault, ...]] = {}
        self._host_faults: dict[str, tuple[Fault, ...]] = {}

    def come(self, claimant: Claimant) -> Claim:
        claim = _place_of(claimant)
        self._claims.setdefault(claim, {})[_key_of(claimant)] = claimant
        self._of_host.setdefault(claim[0], {})[claim] = None
        return claim

    def leave(self, claimant: Claimant) -> Claim:
        claim = _place_of(claimant)
        self._claims[claim].pop(_key_of(claimant))
        return claim

    def is_wanted(self, claim: Claim) -> bool:
        """Whether a place, or one beside it, is claimed by more than one."""
        rivals = self._claims.get(claim, {})
        return len(rivals) > 1 or len(self._of_host.get(claim[0], ())) > 1 or _wildcard_of(claim[0]) in self._of_host

    def faults(self) -> Iterator[Fault]:
        for found in (*self._claim_faults.values(), *self._host_faults.values()):
            yield from found

    def settle(self, touched: set[Claim], incumbents: Mapping[Claim, str], reserved: str) -> set[str]:
        """Settle these places; ``touched`` gets those beside them that another one holds now. Returns the exposures
        that held any of them before."""
        for claim in touched:
            self._judge(claim, incumbents, reserved)
        let_go: set[str] = set()
        hosts = {host for host, _ in touched}
        if wildcards := {host for host in hosts if host.startswith("*.")}:
            hosts.update(host for host in self._of_host if _wildcard_of(host) in wildcards)
        for host in hosts:
            let_go |= self._settle_host(host, touched, incumbents)
        return let_go

    def _judge(self, claim: Claim, incumbents: Mapping[Claim, str], reserved: str) -> None:
        self._winners.pop(claim, None)
        self._claim_faults.pop(claim, None)
        rivals = self._claims.get(claim, {})
        if not rivals:
            self._claims.pop(claim, None)
            self._of_host.get(claim[0], {}).pop(claim, None)
            return
        held, faults = holders([rivals[key] for key in sorted(rivals)], incumbents, reserved)
        if held:
            self._winners[claim] = held[0]
        if faults:
            self._claim_faults[claim] = tuple(faults)

    def _settle_host(self, host: str, touched: set[Claim], incumbents: Mapping[Claim, str]) -> set[str]:
        places = self._of_host.get(host, {})
        winners = {claim: self._winners[claim] for claim in sorted(places) if claim in self._winners}
        wildcard = _wildcard_of(host)
        above = [self._winners[each] for each in self._of_host.get(wildcard, ()) if each in self._winners]
        stay, faults = residents(winners, incumbents, above) if len(winners) > 1 or above else (winners, [])
        self._host_faults.pop(host, None)
        if faults:
            self._host_faults[host] = tuple(faults)
        let_go: set[str] = set()
        for claim in {*places, *(each for each in touched if each[0] == host)}:
            before, after = self.held.pop(claim, None), stay.get(claim)
            if after is not None:
                self.held[claim] = after
            if before is not after:
                touched.add(claim)
            if before is not None and claim in touched:
                let_go.add(_key_of(before))
        if not places:
            self._of_host.pop(host, None)
        return let_go


def _wildcard_of(host: str) -> str:
    """The wildcard that stands for a host that nobody claims by its own name."""
    return "*." + host.partition(".")[2]


def _place_of(claimant: Claimant) -> Claim:
    return claimant[1].host, claimant[1].prefix


def _key_of(claimant: Claimant) -> str:
    return key_of(claimant[0].ref, claimant[1].environment)
