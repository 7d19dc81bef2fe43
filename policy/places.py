"""Who holds each place that is claimed, kept up from derivation to derivation: only places that somebody comes to or
leaves are settled again, and those beside them on the same host where that makes a difference.

    claimants of a place ─→ at most one winner (`claims.holders`)
    winners of a host    ─→ those of the team that has it (`claims.residents`) hold their places

Who had a place on a host keeps the host wherever on it they go. A wildcard and a name that it stands for bear on each
other, because requests for the name come to one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from policy.claims import NO_TENURE, Claim, Claimant, Incumbent, Tenure, holders, key_of, residents, team_of, tenure_of
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
        """Whether who was at a place may make a difference: another one claims it, or a place beside it."""
        host = claim[0]
        places = self._of_host.get(host, ())
        if len(places) > 1 or host.startswith("*.") or _wildcard_of(host) in self._of_host:
            return True
        return any(len(self._claims[each]) > 1 for each in places)

    def is_claimed(self, claim: Claim, incumbent: Incumbent) -> bool:
        """Whether who held a place goes on claiming it, or has no other one on its host and claims one; by key or by
        team. So what they lack there, they lack for a dispute."""

        def is_theirs(claimant: Claimant) -> bool:
            return _key_of(claimant) == incumbent.key or team_of(claimant) == incumbent.team

        if any(map(is_theirs, self._claims.get(claim, {}).values())):
            return True
        places = self._of_host.get(claim[0], ())
        if any(is_theirs(self.held[each]) for each in places if each in self.held):
            return False
        return any(is_theirs(each) for place in places for each in self._claims[place].values())

    def faults(self) -> Iterator[Fault]:
        for found in (*self._claim_faults.values(), *self._host_faults.values()):
            yield from found

    def settle(self, touched: set[Claim], incumbents: Mapping[Claim, Incumbent], reserved: str) -> set[str]:
        """Settle these places; ``touched`` gets those beside them that another one holds now. Returns the exposures
        that held any of them before."""
        asked: dict[str, set[Claim]] = {}
        for claim in touched:
            asked.setdefault(claim[0], set()).add(claim)
        past = _Past(incumbents)
        for host, claims in asked.items():
            rivalled = {claim for claim in self._of_host.get(host, ()) if len(self._claims[claim]) > 1}
            tenure = self._tenure(host, past) if rivalled else NO_TENURE
            for claim in rivalled | claims:
                self._judge(claim, past.of(host) if claim in rivalled else {}, reserved, tenure)
        hosts = set(asked)
        if wildcards := {host for host in hosts if host.startswith("*.")}:
            hosts.update(host for host in self._of_host if _wildcard_of(host) in wildcards)
        hosts.update([wildcard for host in hosts if (wildcard := _wildcard_of(host)) in self._of_host])
        let_go: set[str] = set()
        for host in hosts:
            let_go |= self._settle_host(host, asked.get(host, set()), touched, past)
        return let_go

    def _tenure(self, host: str, past: _Past) -> Tenure:
        present = {key for claim in self._of_host.get(host, ()) for key in self._claims[claim]}
        return tenure_of(past.of(host).values(), present)

    def _judge(self, claim: Claim, incumbents: Mapping[Claim, Incumbent], reserved: str, tenure: Tenure) -> None:
        self._winners.pop(claim, None)
        self._claim_faults.pop(claim, None)
        rivals = self._claims.get(claim, {})
        if not rivals:
            self._claims.pop(claim, None)
            self._of_host.get(claim[0], {}).pop(claim, None)
            return
        held, faults = holders([rivals[key] for key in sorted(rivals)], incumbents, reserved, tenure)
        if held:
            self._winners[claim] = held[0]
        if faults:
            self._claim_faults[claim] = tuple(faults)

    def _winners_of(self, host: str) -> dict[Claim, Claimant]:
        return {each: self._winners[each] for each in sorted(self._of_host.get(host, ())) if each in self._winners}

    def _residents(self, host: str, past: _Past) -> tuple[dict[Claim, Claimant], list[Fault]]:
        """Who stays of the winners of a host. Those who dispute one of its places count, though none of them has it."""
        winners, wildcard = self._winners_of(host), _wildcard_of(host)
        claims = self._of_host.get(host, ())
        beside = [each for claim in claims if claim not in winners for each in self._claims[claim].values()]
        over = self._claimants_of(wildcard)
        if not winners or not (len(winners) > 1 or beside or over or host.startswith("*.")):
            return winners, []
        tenure = self._tenure(host, past)
        above = list(filter(self._tenure(wildcard, past).has, over)) if over else []
        beside += self._winners_of(wildcard).values()
        if host.startswith("*.") and not any(map(tenure.has, self._claimants_of(host))):
            beside += self._newcomers_below(host, past)
        return residents(winners, tenure, above, beside)

    def _newcomers_below(self, wildcard: str, past: _Past) -> Iterator[Claimant]:
        """Those on hosts that nobody has and that the wildcard would stand for."""
        for host in sorted(each for each in self._of_host if _wildcard_of(each) == wildcard):
            claimants, tenure = self._claimants_of(host), self._tenure(host, past)
            if not any(map(tenure.has, claimants)):
                yield from claimants

    def _claimants_of(self, host: str) -> list[Claimant]:
        return [each for claim in sorted(self._of_host.get(host, ())) for each in self._claims[claim].values()]

    def _settle_host(self, host: str, asked: set[Claim], touched: set[Claim], past: _Past) -> set[str]:
        places = self._of_host.get(host, {})
        stay, faults = self._residents(host, past)
        self._host_faults.pop(host, None)
        if faults:
            self._host_faults[host] = tuple(faults)
        let_go: set[str] = set()
        for claim in {*places, *asked}:
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


class _Past:
    """The incumbents by host, looked through only where somebody is in somebody's way."""

    def __init__(self, incumbents: Mapping[Claim, Incumbent]) -> None:
        self._incumbents = incumbents
        self._of_host: dict[str, dict[Claim, Incumbent]] | None = None

    def of(self, host: str) -> Mapping[Claim, Incumbent]:
        if self._of_host is None:
            self._of_host = {}
            for claim, incumbent in self._incumbents.items():
                self._of_host.setdefault(claim[0], {})[claim] = incumbent
        return self._of_host.get(host, {})


def _wildcard_of(host: str) -> str:
    """The wildcard that stands for a host that nobody claims by its own name; "" for none."""
    return "" if host.startswith("*.") else "*." + host.partition(".")[2]


def _place_of(claimant: Claimant) -> Claim:
    return claimant[1].host, claimant[1].prefix


def _key_of(claimant: Claimant) -> str:
    return key_of(claimant[0].ref, claimant[1].environment)
