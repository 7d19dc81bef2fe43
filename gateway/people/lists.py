"""A list of people that an identity provider exported, so that they can be compared before any of them has come.

Read as it comes: JSON lines with a token's claims, CSV with a header, or one JSON document with a list of users and
groups as SCIM (RFC 7643) and the providers' own interfaces write them. Names of columns are taken without regard to
case, `_`, `-` and spaces. What cannot be used is a fault with its line (in one JSON document: with its number), and
the rest counts. An export says what the provider knows, not what its tokens say: where it does not speak of
`email_verified` an address is taken as verified, and the report says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from gateway.identity.claims import GROUPS_LIMIT
from gateway.identity.issuers import Claim
from gateway.identity.strict import is_clean
from gateway.people.records import records_in
from policy.facts import Source
from policy.reading import Fault

SHOWN: Final = ("email", "name", "preferred_username")
_IDS: Final = ("sub", "uid", "oid")  # what providers call in tokens what they export as `id`
_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "email": ("email", "mail", "emailaddress", "primaryemail", "emails"),
    "name": ("displayname", "name", "fullname"),
    "preferred_username": ("preferredusername", "username", "userprincipalname", "login"),
    "groups": ("groups", "memberof", "group"),
    "email_verified": ("emailverified",),
    "sub": ("sub", "subject"),
    "id": ("id", "objectid", "userid"),
}

GroupsBy = Literal["id", "name"]


class Row(NamedTuple):
    """Somebody in the list. ``email_verified`` None: the list does not say; ``groups`` None: likewise."""

    subject: str
    claims: Mapping[str, str]
    email_verified: bool | None
    groups: tuple[str, ...] | None


class ProviderList(NamedTuple):
    """``groups``: those that the list names by themselves, beside those of its people."""

    rows: tuple[Row, ...]
    groups: tuple[str, ...]
    faults: tuple[Fault, ...]


class _Bad(Exception):
    """What is wrong with one line, and what to do."""


class _Group(NamedTuple):
    name: str
    members: tuple[str, ...]  # ids


def read_list(file: Path, claims: Collection[str], groups_by: GroupsBy) -> ProviderList:
    """``claims``: what the issuer's `match` asks about; ``groups_by``: whether its tokens list groups by id or name.
    Raises `StagedoorError` when the file as a whole cannot be read."""
    reading = _Reading(tuple(map(Claim, claims)), groups_by)
    for place, record in records_in(file):
        try:
            if isinstance(record, str):
                raise _Bad(record)
            reading.take(record, place)
        except _Bad as bad:
            where = place.removeprefix("line ")
            line = int(where) if where.isdecimal() else 0
            message = str(bad) if line else f"{place}: {bad}"
            reading.faults.append(Fault(Source(str(file), line), message))
    return reading.finished()


class _Reading:
    """What was read so far."""

    def __init__(self, claims: tuple[Claim, ...], groups_by: GroupsBy) -> None:
        self.faults: list[Fault] = []
        self._claims = claims
        self._by_id = groups_by == "id"
        self._rows: dict[str, Row] = {}
        self._places: dict[str, str] = {}
        self._by_provider_id: dict[str, str] = {}
        self._groups: list[_Group] = []

    def take(self, record: Mapping[str, Any], place: str) -> None:
        folded = {_folded(key): value for key, value in {**record, **_profile(record)}.items()}
        if _is_group(record, folded):
            self._groups.append(self._group(folded))
            return
        row = self._row(record, folded)
        if row.subject in self._rows:
            raise _Bad(f"`{row.subject}` is in {self._places[row.subject]} already")
        self._rows[row.subject] = row
        self._places[row.subject] = place
        provider_id = _one_text(folded, "id")
        if provider_id:
            self._by_provider_id[provider_id] = row.subject

    def finished(self) -> ProviderList:
        """With the members of groups, which name people by id, wherever the two stand."""
        found: dict[str, list[str]] = {}
        for group in self._groups:
            for member in group.members:
                subject = self._by_provider_id.get(member, member)
                if subject in self._rows:
                    found.setdefault(subject, []).append(group.name)
        rows = tuple(self._rows.values())
        if any(group.members for group in self._groups):
            rows = tuple(row._replace(groups=_joined(row.groups, found.get(row.subject, []))) for row in rows)
        names = tuple(dict.fromkeys(group.name for group in self._groups))
        return ProviderList(rows, names, tuple(self.faults))

    def _row(self, record: Mapping[str, Any], folded: Mapping[str, Any]) -> Row:
        provider_id, subject = _one_text(folded, "id"), _one_text(folded, "sub")
        claims = {name: text for name in SHOWN if (text := _one_text(folded, name))}
        for claim in self._claims:
            value = claim.of(record)
            value = folded.get(_folded(claim.name)) if value is None else value
            text = _clean(claim.name, value) if _is_scalar(value) else ""
            text = text or (subject if claim.name == "sub" else "") or (provider_id if claim.name in _IDS else "")
            if text:
                claims[claim.name] = text
        named = [claims[each.name] for each in self._claims if each.name in claims]
        subject = subject or next(iter(named), "") or provider_id
        if not subject:
            asked = " and no ".join(
                f"`{each}`" for each in dict.fromkeys(("sub", *(each.name for each in self._claims)))
            )
            raise _Bad(f"has no {asked}")
        return Row(subject, claims, _verified(folded), self._groups_in(folded))

    def _group(self, folded: Mapping[str, Any]) -> _Group:
        name = _one_text(folded, "id") if self._by_id else _one_text(folded, "name")
        if not name:
            raise _Bad(f"is a group without {'an `id`' if self._by_id else 'a `displayName`'}")
        members = folded.get("members")
        found = members if isinstance(members, list) else []
        return _Group(name, tuple(text for each in found if (text := _reference(each, by_id=True))))

    def _groups_in(self, folded: Mapping[str, Any]) -> tuple[str, ...] | None:
        value = next((folded[each] for each in _ALIASES["groups"] if each in folded), None)
        if value is None:
            return None
        if isinstance(value, str):
            value = [each.strip() for each in value.replace("|", ";").split(";") if each.strip()]
        if not isinstance(value, list) or len(value) > GROUPS_LIMIT:
            raise _Bad(f"`groups` is no list of at most {GROUPS_LIMIT} groups")
        groups = [_clean("groups", _reference(each, by_id=self._by_id)) for each in value]
        return tuple(dict.fromkeys(groups))


# === values ===


def _joined(groups: tuple[str, ...] | None, more: Collection[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*(groups or ()), *more)))


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _folded(key: object) -> str:
    return "".join(letter for letter in str(key).casefold() if letter.isalnum() or letter == ".")


def _profile(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Okta's own interface has most of a user one level down."""
    profile = record.get("profile")
    return profile if isinstance(profile, dict) else {}


def _is_group(record: Mapping[str, Any], folded: Mapping[str, Any]) -> bool:
    schemas = record.get("schemas")
    said = [*(schemas if isinstance(schemas, list) else ()), record.get("@odata.type")]
    if any(isinstance(each, str) and each.casefold().endswith((":group", ".group")) for each in said):
        return True
    has_name = any(each in folded for each in _ALIASES["preferred_username"])
    return isinstance(record.get("members"), list) and not has_name


def _one_text(folded: Mapping[str, Any], name: str) -> str:
    for alias in _ALIASES[name]:
        value = folded.get(alias)
        if isinstance(value, list):  # SCIM's `emails`
            primary = [each for each in value if isinstance(each, dict) and each.get("primary") is True]
            value = _reference(next(iter((*primary, *value)), ""), by_id=True)
        elif isinstance(value, dict):  # SCIM's `name`
            value = value.get("formatted") or " ".join(
                str(value[each]) for each in ("givenName", "familyName") if value.get(each)
            )
        if _is_scalar(value):
            return _clean(name, value)
    return ""


def _reference(value: object, *, by_id: bool) -> str:
    """A text, or SCIM's object with `value` and `display`."""
    if isinstance(value, dict):
        order: tuple[str, ...] = ("value", "id", "display") if by_id else ("display", "displayName", "value")
        value = next((value[each] for each in order if value.get(each)), "")
    return str(value) if isinstance(value, str | int) else ""


def _clean(name: str, value: object) -> str:
    text = str(value)
    if not is_clean(text):
        raise _Bad(f"`{name}` is empty, longer than 255 characters, or holds a control character")
    return text


def _verified(folded: Mapping[str, Any]) -> bool | None:
    value = folded.get("emailverified")
    if value is None or value == "":
        return None
    said = str(value).casefold()
    if said not in ("true", "false", "1", "0", "yes", "no"):
        raise _Bad("`email_verified` is neither `true` nor `false`")
    return said in ("true", "1", "yes")
