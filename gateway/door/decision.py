"""Who asks for what, and may they: from a read head to a `Permit`, or to a refusal.

The order of the questions is the order of the reasons: protocol, host, identity, policy. Each step takes the value
the step before made. An answer that only control has (a key, what a token or a session is worth) is asked for once,
and then all questions are asked anew: what counted before may have changed meanwhile.

On the list of hot files: every request is decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.door.callers import Caller
from gateway.door.client_certificates import certificate_of, circumstances_of
from gateway.door.cors import asked_by_script
from gateway.door.held_facts import SESSION_WAIT_S, Gone, Wanted
from gateway.door.limits import address_is_over, caller_is_over
from gateway.door.own import ARRIVE, UNKNOWN, answer_own, arrive, endpoint_of
from gateway.door.pool import OWN_SERVICE, is_shut
from gateway.door.questions import KEY_WAIT_S, Waiting
from gateway.door.same_origin import is_foreign
from gateway.door.sessions import WAITED_FOR_SESSION
from gateway.door.signing_in import sent_to_sign_in
from gateway.errors import Refused
from gateway.http1.target import is_accepted
from policy.facts import Refusal
from policy.reasons import DENIED, IDENTITY_REQUIRED
from policy.requirements import in_words
from policy.table import Match

if TYPE_CHECKING:
    from gateway.door.exchange import Exchange
    from gateway.snapshot import Snapshot

OWN_SEGMENT: Final = ".stagedoor"
WAITED_FOR_KEY: Final = 1
WAITED_FOR_TOKEN: Final = 2
SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))  # RFC 9110, 9.2.1


def decide(exchange: Exchange) -> None:
    """Begin, or begin anew once control has answered. True on entry: it has not ended, and nothing has left for it."""
    door = exchange.door
    head = exchange.head
    exchange.client.deadline_s = door.tick_s + door.timeouts.body_s
    if door.audit.failed:
        exchange.refuse("audit_unavailable")
        return
    snapshot = door.snapshot
    exchange.version = snapshot.version
    table = snapshot.table
    if not table.ready:
        exchange.refuse("policy_unavailable")
        return
    if door.room.shedding:
        exchange.refuse("overloaded", "its memory is used up")
        return
    match = table.match(head.host, head.target.segments)
    if not isinstance(match, Match):
        _refuse_by_policy(exchange, match)
        return
    exchange.match = match
    if head.target.segments[0] == OWN_SEGMENT:  # ours on every host: an application never sees it
        exchange.own = endpoint_of(head, central=match.exposure.service == OWN_SERVICE)
        if exchange.own == UNKNOWN:
            exchange.refuse("path_unknown")
            return
        if exchange.own == ARRIVE:
            arrive(exchange)
            return
    if head.target.odd and not is_accepted(head.target, match.exposure.options):
        exchange.refuse("path_malformed", "this service does not accept such a path")
        return
    shut = bool(snapshot.shut) and is_shut(snapshot.shut, match.exposure)
    if match.exposure.cors and head.origin and not shut and asked_by_script(exchange, match):
        return
    caller: Caller | Refused | Waiting | Wanted
    if head.bearer:
        caller = door.callers.find(head.bearer, snapshot)
    elif head.session:
        caller = _with_session(exchange, match, snapshot)
    else:
        caller = _without_token(exchange, snapshot)
    if isinstance(caller, Caller):
        _judge(exchange, match, caller, snapshot, shut)
    else:
        _not_verified(exchange, caller)


def _judge(exchange: Exchange, match: Match, caller: Caller, snapshot: Snapshot, shut: bool) -> None:
    """May they? ``shut``: nobody may, for now."""
    door = exchange.door
    head = exchange.head
    exchange.caller = caller
    if shut or (snapshot.denied and not snapshot.denied.isdisjoint(caller.subjects)):
        _refuse_by_policy(exchange, Refusal(DENIED))  # cut off, whatever the catalog says
        return
    if snapshot.not_before and caller.is_cut(snapshot.not_before):
        exchange.refuse("token_revoked")
        return
    if caller.session and (exchange.method not in SAFE or head.tunnel) and not exchange.own and is_foreign(exchange):
        exchange.refuse("origin_foreign")
        return
    if door.guard.callers_limited and caller_is_over(exchange, caller.principal):
        return
    if exchange.own:
        answer_own(exchange, exchange.own)
        return
    if match.exposure.asks_how:
        call = circumstances_of(exchange.client, head, caller, snapshot)
        verdict = snapshot.table.decide(match, exchange.method, caller.principal, door.now, call)
    else:
        verdict = snapshot.table.decide(match, exchange.method, caller.principal, door.now)
    if isinstance(verdict, Refusal):
        _refuse_by_policy(exchange, verdict)
        return
    exchange.permit = verdict
    exchange.forward(match, verdict)


def _without_token(exchange: Exchange, snapshot: Snapshot) -> Caller:
    """Whom the client's certificate names, else nobody."""
    callers = exchange.door.callers
    certificate = certificate_of(exchange.client, exchange.head)
    return callers.anonymous if certificate is None else callers.certified(certificate, snapshot)


def _with_session(exchange: Exchange, match: Match, snapshot: Snapshot) -> Caller | Refused | Wanted:
    """Whom the session cookie speaks for; a cookie that counts no more is as if it were absent."""
    found = exchange.door.sessions.find(exchange.head, match.exposure.environment, snapshot)
    if isinstance(found, Gone):
        exchange.gone = found
        return _without_token(exchange, snapshot)
    return found


def _not_verified(exchange: Exchange, why: Refused | Waiting | Wanted) -> None:
    """A token that is broken, or one that control has to ask about: for its key, then for what it is worth. Or a
    session that control has to be asked about."""
    if isinstance(why, Refused):
        if not address_is_over(exchange):
            exchange.refuse(why.code, why.detail)
        return
    if isinstance(why, Wanted):
        if exchange.waited & WAITED_FOR_SESSION:
            exchange.refuse("session_unavailable")
        else:
            exchange.waited |= WAITED_FOR_SESSION
            exchange.client.deadline_s = exchange.door.tick_s + SESSION_WAIT_S
            exchange.door.sessions.facts.wait(why, exchange)
        return
    asked = WAITED_FOR_TOKEN if why.token else WAITED_FOR_KEY
    if exchange.waited & asked:
        exchange.refuse(why.refusal.code, why.refusal.detail)
    else:
        exchange.waited |= asked
        exchange.client.deadline_s = exchange.door.tick_s + KEY_WAIT_S
        exchange.door.callers.wait(why, exchange)


def _refuse_by_policy(exchange: Exchange, verdict: Refusal) -> None:
    instead = sent_to_sign_in(exchange, verdict)
    if exchange.ended:
        return
    if exchange.gone is not None and verdict.reason == IDENTITY_REQUIRED:
        verdict = verdict._replace(reason="session_ended")
    exchange.refused = verdict
    exchange.refuse(verdict.reason, instead or in_words(verdict.need) or verdict.rule, verdict.need)
