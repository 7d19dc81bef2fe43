"""What the start page shows: verdicts on the suggested calls, rules with their sentences, decisions with a reason.

Nothing is worked out here that the gateway does not know. Verdicts come from the same table the doors hold, asked
with the principal the call's token would make; sentences from the frames the engine published; decisions from the
audit trail. So the page is right about whatever somebody just wrote into the catalog.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from gateway.errors import FAULTS
from gateway.frames import FrameStore, Manifest, SnapshotFault, read_manifest
from gateway.lab.calls import ALLOWED, CALLS, EDIT_FROM, EDIT_TO, EDITED, REFUSED, Call
from gateway.lab.directory import Directory, Service, read_directory
from gateway.lab.folder import LabError, LabFacts
from gateway.lab.tail import Decision
from gateway.questions.explain import Caller, decide
from gateway.questions.pasted_url import address_of
from gateway.snapshot import WHY, BaseLoader
from policy.explain import WhyFrame, short_name
from policy.reasons import TEXTS

ENVIRONMENT_ORDER: Final = {"prod": 0, "staging": 1, "dev": 2}

Card = dict[str, Any]


class Board:
    """``renew`` follows what the engine published; everything else shows what was read last."""

    def __init__(self, state: Path, facts: LabFacts, clock: Callable[[], float]) -> None:
        self.facts = facts
        self._state = state
        self._clock = clock
        self._catalog = Path(facts.catalog)
        self._loader = BaseLoader(state)
        self._store = FrameStore(state)
        self._directory = Directory({}, {}, ())
        self._why: dict[str, WhyFrame] = {}  # "why/EXPOSURE" -> its rules in words

    @property
    def base(self) -> str:
        return self._loader.base

    def renew(self) -> bool:
        """Take the newest published base and the newest readable catalog; True when the base is another one."""
        try:
            manifest = read_manifest(self._state)
            if manifest is None or manifest.base == self.base:
                return False
            self._why = self._words(manifest)
        except SnapshotFault:  # replaced while it was read: the next look finds it whole
            return False
        self._loader.load()
        try:
            self._directory = read_directory(self._catalog)
        except LabError:  # somebody is in the middle of an edit: the last readable names stay on the page
            return True
        return True

    def _words(self, manifest: Manifest) -> dict[str, WhyFrame]:
        return {name: self._store.read(digest) for name, digest in manifest.frames.items() if name.startswith(WHY)}

    # === the page and its two parts ===

    def page(self) -> Card:
        return {
            "base": self.base,
            "first": [self._call(ALLOWED), self._call(REFUSED)],
            "edited": os.path.relpath(self._catalog / EDITED),
            "opened": self.facts.origin(ALLOWED.url_host) + ALLOWED.path,
            "edit_from": EDIT_FROM,
            "edit_to": EDIT_TO,
            **self.people(),
            **self.services(),
        }

    def people(self) -> Card:
        """A card for each person, one for programs, one for those without a name here, each with calls to try."""
        cards = []
        for user in self._directory.users.values():
            about = f"{user.description} · {', '.join(user.teams)}"
            cards.append(self._person(user.title, about, [call for call in CALLS if call.user == user.name]))
        programs = [call for call in CALLS if call.client]
        strangers = [call for call in CALLS if not call.client and call.user not in self._directory.users]
        cards.append(self._person("Programs", "Services that call with their own client id", programs))
        cards.append(self._person("Anybody else", "No token, or a token nobody in the catalog matches", strangers))
        return {"people": [card for card in cards if card["calls"]]}

    def services(self) -> Card:
        services = sorted(self._directory.services, key=lambda service: service.title)
        return {"services": [self._service(service) for service in services]}

    def _person(self, title: str, about: str, calls: Iterable[Call]) -> Card:
        initials = "".join(word[0] for word in title.split()[:2]).upper()
        return {"title": title, "about": about, "initials": initials, "calls": [self._call(call) for call in calls]}

    def _service(self, service: Service) -> Card:
        environments = [
            {
                "id": f"{service.ref}@{name}",
                "name": name,
                "origin": self.facts.origin(host),
                "rules": self._rules(f"{service.ref}@{name}"),
            }
            for name, host in sorted(service.hosts.items(), key=lambda pair: ENVIRONMENT_ORDER.get(pair[0], 9))
        ]
        about = f"{service.description} · owned by {short_name(service.owner)}"
        return {"title": service.title, "about": about, "environments": environments}

    def _rules(self, exposure: str) -> list[Card]:
        words = self._why.get(WHY + exposure, {})
        return [
            {
                "sentence": sentence,
                "kind": "deny" if " must never " in sentence else "permit",
                "source": _place(file, line),
                "because": because,
            }
            for sentence, because, file, line, _entity in sorted(words.values())
        ]

    # === verdicts ===

    def _call(self, call: Call) -> Card:
        """The call as a card, with what the table answers now."""
        kind: Literal["user", "client", "anonymous"] = "user" if call.user else "client" if call.client else "anonymous"
        caller = Caller(kind, call.user or call.client, frozenset(call.scope.split()), call.mfa)
        card = {"title": call.title, "command": call.command(self.facts), "decision": "refusal"}
        if not self.base:
            return {**card, "label": "refused", "why": FAULTS["policy_unavailable"].title}
        address = address_of(self.facts.origin(call.url_host) + call.path)
        answer = decide(self._loader.table, self._why, caller, call.method, address)
        if answer.allowed:
            return {**card, "decision": "permit", "label": "allowed", "why": answer.sentence}
        return {**card, "label": f"refused · {answer.reason}", "why": answer.sentence}

    # === decisions ===

    def decisions(self, records: Sequence[Decision]) -> list[Card]:
        """Audit records as the page's lines."""
        return [self._decision(record) for record in records]

    def _decision(self, record: Decision) -> Card:
        reason = str(record.get("reason", ""))
        permitted = record.get("decision") == "permit"
        subject = str(record.get("subject", ""))
        who = short_name(subject) if subject else "somebody"
        label = f"{record.get('status')} · {reason}"
        return {
            "time": str(record.get("time", ""))[11:19],
            "who": who,
            "call": f"{record.get('method')} {record.get('host')}{record.get('path')}",
            "decision": "permit" if permitted else "refusal",
            "label": label,
            "why": self._reason(record, reason),
        }

    def _reason(self, record: Decision, reason: str) -> str:
        """The rule's own sentence where it is still known, else what the reason means."""
        rule = self._why.get(f"{WHY}{record.get('exposure')}", {}).get(str(record.get("rule", "")))
        if rule is not None and reason not in ("scope_missing", "requirement_unmet"):
            return rule[0]
        if reason in TEXTS:
            return TEXTS[reason].sentence
        fault = FAULTS.get(reason)
        return fault.title if fault is not None else reason


def _place(file: str, line: int) -> str:
    if not file:
        return ""
    shown = os.path.relpath(file) if os.path.isabs(file) else file
    return f"{shown}:{line}" if line else shown
