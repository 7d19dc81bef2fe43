"""What the door would decide, asked of the same table, the same reading of targets and the same reasons, on files.

Nothing runs for this and nothing is contacted: the configuration, the catalog files and the access policy are read
as the engine reads them. The caller is taken at their word (`--user jane`): this explains permissions, it does not
prove identities, and it assumes a sign-in that is fresh.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from gateway.errors import FAULTS, ConfigError, Refused, fault_of
from gateway.http1.target import is_accepted, read_target
from gateway.questions.pasted_url import Address
from policy import explain as words
from policy.facts import ANONYMOUS, UNSEEN, Circumstances, Permit, Principal, Refusal, Source
from policy.reasons import IDENTITY_AMBIGUOUS, IDENTITY_UNKNOWN, OPERATION_UNKNOWN
from policy.requirements import is_of_programs
from policy.table import AMBIGUOUS, Match, Table

WhyFrames = Mapping[str, words.WhyFrame]
OWN_SEGMENT: Final = ".stagedoor"  # on every application host this is the door's own, never an application's
OWN_SERVICE: Final = "component:stagedoor/stagedoor"


class Caller(NamedTuple):
    """Who asks: ``name`` is a user's or a client's, and empty for nobody."""

    kind: Literal["user", "client", "anonymous"]
    name: str = ""
    scopes: frozenset[str] = frozenset()
    mfa: bool = False
    issuer: str = ""  # of the token, by its name in the settings; "" = none that any rule asks for
    call: Circumstances = UNSEEN


class Asking(NamedTuple):
    """A caller as the table takes them; ``who`` is what answers call them."""

    principal: Principal
    who: str
    call: Circumstances = UNSEEN


class Answer(NamedTuple):
    """One decision, as the command line shows it. ``status`` is 0 for a permit: the upstream chooses it."""

    allowed: bool
    reason: str
    status: int
    sentence: str
    todo: str
    caller: str
    exposure: str = ""
    operation: str = ""
    rule: str = ""
    because: str = ""
    source: Source = Source("")
    need: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The stable form: every key is always there."""
        plain = {"decision": "permit" if self.allowed else "refusal", **self._asdict()}
        del plain["allowed"]
        plain["source"] = {"file": self.source.file, "line": self.source.line, "entity": self.source.entity}
        return plain

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Answer:
        """The answer that a node gave in this form; keys that a later version adds are left out."""
        parts = {name: said[name] for name in cls._fields if name not in ("allowed", "source", "need")}
        place = said["source"]
        source = Source(place["file"], place["line"], place["entity"])
        return cls(said["decision"] == "permit", **parts, source=source, need=tuple(said["need"]))


def decide(table: Table, why: WhyFrames, caller: Caller, method: str, address: Address) -> Answer:
    """The decision in the order the door takes it: the target, the host, the caller, the table.

    Raises `ConfigError` when the access policy cannot be read: a door would then keep the base it has.
    """
    if not table.ready:
        raise ConfigError("nothing can be decided: the access policy has faults")
    principal = principal_for(caller, table)
    who = principal.ref or caller.name or "nobody"
    match = matched(table, method, address, who)
    if isinstance(match, Answer):
        return match
    return decided(table, why, Asking(principal, who, caller.call), method, match)


def decided(table: Table, why: WhyFrames, asking: Asking, method: str, match: Match) -> Answer:
    """The decision on what was matched, about a principal who is known already."""
    verdict = table.decide(match, method, asking.principal, int(time.time()), asking.call)
    return _decided(verdict, match, why.get(f"why/{match.exposure.key}", {}), asking.who)


def matched(table: Table, method: str, address: Address, who: str) -> Match | Answer:
    """What the table is asked about; the refusal, whoever calls, where it need not be asked."""
    target = read_target(address.target, method)
    if isinstance(target, Refused):
        return _protocol(target.code, target.detail, who)
    match = table.match(address.host, target.segments)
    if isinstance(match, Refusal):
        return _decided(match, None, {}, who)
    if target.segments[0] == OWN_SEGMENT and match.exposure.service != OWN_SERVICE:
        return _decided(Refusal(OPERATION_UNKNOWN), match, {}, who)
    if not is_accepted(target, match.exposure.options):
        return _protocol("path_malformed", "the exposure does not opt in to this form of path", who)
    return match


def principal_for(caller: Caller, table: Table) -> Principal:
    """The caller as the door would see them after a sign-in a moment ago; anonymous, with the reason, when unknown."""
    if caller.kind == "anonymous":
        return ANONYMOUS
    if caller.kind == "user":
        ref: str | None = caller.name.lower() if ":" in caller.name else f"user:default/{caller.name.lower()}"
    else:
        ref = table.workload(caller.name)
    subjects = table.subjects_of(ref) if ref and ref != AMBIGUOUS else frozenset()
    if not ref or not subjects:
        return Principal("anonymous", refusal=IDENTITY_AMBIGUOUS if ref == AMBIGUOUS else IDENTITY_UNKNOWN)
    return Principal(
        "person" if caller.kind == "user" else "workload",
        ref,
        subjects,
        scopes=caller.scopes,
        bounded=bool(caller.scopes),
        amr=frozenset({"mfa"} if caller.mfa else ()),
        auth_time=int(time.time()),
        client_id=caller.name if caller.kind == "client" else "",
        issuer=caller.issuer,
    )


def _protocol(code: str, detail: str, who: str) -> Answer:
    fault = FAULTS[code]
    return Answer(False, code, fault.status, f"{fault.title} {detail}".strip(), fault.todo, who)


def _decided(verdict: Permit | Refusal, match: Match | None, frame: words.WhyFrame, who: str) -> Answer:
    told = words.explain(frame, match, verdict)
    need = verdict.need if isinstance(verdict, Refusal) else ()
    return Answer(
        told.allowed,
        told.reason,
        0 if told.allowed else fault_of(told.reason, workload=is_of_programs(need)).status,
        told.sentence,
        "" if told.allowed else told.todo,
        who,
        match.exposure.key if match is not None else "",
        told.operation,
        told.rule,
        told.because,
        told.source,
        need,
    )
