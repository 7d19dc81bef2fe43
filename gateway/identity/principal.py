"""From a verified token to a principal: who this is in the catalog, and in which teams.

Strategy: a token proves an identifier, the catalog says whose it is. Every match claim that the token carries must
lead to the same person; two answers, or one identifier on two people, match neither. Teams come from the catalog,
the token, both or either, as the issuer's ``membership`` says, and are worked out afresh from the table for each
people version: nothing here remembers what somebody used to be.

In doubt the principal is anonymous and says why (`identity_unknown`, `identity_ambiguous`); public operations stay
open to it and nothing else is. Pure: a token's facts and a table in, a value out.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import quote

from gateway.config import Issuer
from gateway.identity.claims import Actor, Verified
from gateway.identity.client_certificates import ClientCertificate
from gateway.identity.presets import groups_of
from policy.facts import Principal
from policy.table import AMBIGUOUS, Table

HEADER_GROUPS_LIMIT: Final = 100
HEADER_GROUPS_BYTES: Final = 4096
_TEAM: Final = "group:"
# Visible ASCII without `%`, which escapes, and `,`, which separates.
_PLAIN: Final = "!#$&'()*+/:;<=>?@[]^`{|}\"\\~"
_NOT_PLAIN: Final = re.compile(r"[^!-$&-+\--~]")


def principal_of(verified: Verified, issuer: Issuer, table: Table) -> Principal:
    """Who is asking, by the table as it is now. The door keeps it for as long as `table.people_version` stands."""
    ref, refusal = _workload(verified.client_id, verified, table) if verified.workload else _person(verified, table)
    subjects = table.subjects_of(ref) if ref else frozenset()
    client_subjects: frozenset[str] = frozenset()
    if not refusal and not subjects:
        refusal = "identity_unknown"
    if not refusal and not verified.workload:
        subjects = _with_teams(subjects, verified.groups, issuer, table)
        client_subjects, refusal = _client(verified.client_id, table)
    actors = tuple([_actor(actor, verified, table) for actor in verified.actors])
    for actor in actors:
        refusal = refusal or actor.refusal
    if refusal:
        return _stranger(verified, refusal)
    return Principal(
        "workload" if verified.workload else "person",
        _named(ref),
        subjects,
        client_subjects=client_subjects,
        actors=actors,
        scopes=verified.scopes,
        bounded=verified.bounded,
        amr=verified.amr,
        acr=verified.acr,
        auth_time=verified.auth_time,
        issuer=verified.issuer,
        subject=verified.subject,
        client_id=verified.client_id,
    )


def principal_of_certificate(certificate: ClientCertificate, table: Table) -> Principal:
    """Which program the certificate names. All its names that the catalog knows must mean one component."""
    known = [(name, table.workload(name)) for name in certificate.names]
    ref, refusal = _found([answer for _, answer in known])
    name = next((name for name, answer in known if answer is not None), "".join(certificate.names[:1]))
    subjects = table.subjects_of(ref) if ref else frozenset()
    if not refusal and not subjects:
        refusal = "identity_unknown"
    if refusal:
        return Principal("anonymous", subject=name, client_id=name, refusal=refusal)
    return Principal("workload", _named(ref), subjects, subject=name, client_id=name)


def header_block(principal: Principal) -> bytes:
    """The identity lines an upstream gets, ready to be sent; empty for an anonymous caller.

    ``User``: the catalog ref of the person or workload; ``Groups``: team refs, sorted, comma-separated; ``Issuer``:
    the issuer's name in the settings, absent for a certificate; ``Subject``, ``Client``: as in the token, or the
    certificate's name; ``Actors``: refs of those who act
    for the user. Whatever is not visible ASCII, and `%` and `,`, is percent-encoded as UTF-8, so no value can end a
    line or look like two. An upstream that gets a cut list of groups cannot tell it from the whole: above 100 teams
    or 4 KiB the list is left out, and ``Groups-Omitted`` says how many there are.
    """
    if principal.kind == "anonymous":
        return b""
    lines = [_line("User", _plain(principal.ref))]
    lines.append(_groups_line(principal.subjects))
    if principal.issuer:  # a certificate's program has none
        lines.append(_line("Issuer", _plain(principal.issuer)))
    lines.append(_line("Subject", _plain(principal.subject)))
    if principal.client_id:
        lines.append(_line("Client", _plain(principal.client_id)))
    if principal.actors:
        lines.append(_line("Actors", ",".join(_plain(actor.ref) for actor in principal.actors)))
    return "".join(lines).encode("ascii")


@lru_cache(4096)  # people of one team, and one person's tokens, bring the same subjects; 3 µs without
def _groups_line(subjects: frozenset[str]) -> str:
    teams = sorted([subject for subject in subjects if subject.startswith(_TEAM)])
    groups = ",".join(map(_plain, teams))
    if len(teams) > HEADER_GROUPS_LIMIT or len(groups) > HEADER_GROUPS_BYTES:
        return _line("Groups-Omitted", str(len(teams)))
    return _line("Groups", groups) if teams else ""


def _workload(client_id: str, verified: Verified, table: Table) -> tuple[str, str]:
    """The component that names the client id, if this issuer's client ids are the ones that components name."""
    return _found([table.workload(client_id)]) if verified.client_is_ours else ("", "identity_unknown")


def _person(verified: Verified, table: Table) -> tuple[str, str]:
    return _found([table.person(verified.issuer, claim, value) for claim, value in verified.match])


def _found(answers: list[str | None]) -> tuple[str, str]:
    """The one ref in ``answers`` and no refusal, or no ref and the refusal."""
    refs = {answer for answer in answers if answer is not None}
    if not refs:
        return "", "identity_unknown"
    if len(refs) > 1 or AMBIGUOUS in refs:
        return "", "identity_ambiguous"
    return refs.pop(), ""


def _actor(actor: Actor, verified: Verified, table: Table) -> Principal:
    """RFC 8693 names an actor by `sub`, of the same issuer: a program's client id, or a person where `sub` matches.

    Of a person who acts through a program, the program takes part as the client of a person's own token does.
    """
    client = actor.client_id or actor.subject
    program = table.workload(client) if verified.client_is_ours else None
    person = table.person(verified.issuer, "sub", actor.subject)
    client_subjects: frozenset[str] = frozenset()
    if person is None or client == actor.subject:
        ref, refusal = _found([program, person])
    else:
        ref, refusal = _found([person])
        client_subjects, unclear = _client(client, table)
        refusal = refusal or unclear
    kind: Literal["workload", "person"] = "person" if ref == person else "workload"
    subjects = table.subjects_of(ref) if ref else frozenset()
    if refusal or not subjects:
        return Principal("anonymous", refusal=refusal or "identity_unknown")
    return Principal(
        kind,
        _named(ref),
        subjects,
        client_subjects=client_subjects,
        scopes=verified.scopes,
        bounded=verified.bounded,
        issuer=verified.issuer,
        subject=actor.subject,
        client_id=actor.client_id,
    )


def _named(ref: str) -> str:
    """The entity's ref. The table writes `…@prod` for a workload known in some environments; its subjects keep that."""
    return ref.partition("@")[0]


def _with_teams(
    subjects: frozenset[str], groups: tuple[str, ...] | None, issuer: Issuer, table: Table
) -> frozenset[str]:
    """A person's subjects with the teams that ``membership`` lets count.

    ``groups`` None is a token that does not say: as far as it goes the person is in no team. With `both` that
    leaves none, with `either` those of the catalog; never those of an earlier token.
    """
    if issuer.membership == "catalog":
        return subjects
    listed = frozenset(subject for subject in subjects if subject.startswith(_TEAM))
    told = _told_teams(groups, issuer, table)
    if issuer.membership == "token":
        teams = told
    elif issuer.membership == "both":
        teams = listed & told
    else:
        teams = listed | told
    return (subjects - listed) | teams


def _told_teams(groups: tuple[str, ...] | None, issuer: Issuer, table: Table) -> frozenset[str]:
    """The catalog's teams that the token's groups are, with the teams those belong to; an unknown group is nothing."""
    source = groups_of(issuer)
    if groups is None or source is None:
        return frozenset()
    refs = {table.team(issuer.name, source.claim, group) for group in groups} - {None, AMBIGUOUS}
    return frozenset().union(*[table.team_subjects(ref) for ref in refs if ref is not None])


def _client(client_id: str, table: Table) -> tuple[frozenset[str], str]:
    """The subjects of the program that carries a person's token: rules that deny them apply to it too, whichever
    issuer gave out the id, because that only takes away.

    An id that two services claim leaves open whose denials apply, so nobody comes through it.
    """
    ref = table.workload(client_id) if client_id else None
    if ref == AMBIGUOUS:
        return frozenset(), "identity_ambiguous"
    return (table.subjects_of(ref) if ref is not None else frozenset()), ""


def _stranger(verified: Verified, refusal: str) -> Principal:
    """Nobody the catalog knows; the record still says what the token said."""
    return Principal(
        "anonymous",
        issuer=verified.issuer,
        subject=verified.subject,
        client_id=verified.client_id,
        refusal=refusal,
    )


def _plain(text: str) -> str:
    # The plain form is the second half: nearly every name needs no escape, and `quote` takes 1.5 µs to say so.
    return text if _NOT_PLAIN.search(text) is None else quote(text, safe=_PLAIN)


def _line(name: str, value: str) -> str:
    return f"X-Stagedoor-{name}: {value}\r\n"
