"""Parameters and answers of the API as models: they check what is asked, and describe what is answered.

The answers are those of the command line's `--json`, and made by the same code. A test holds every answer against its
model, so the description cannot drift from what is sent.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from gateway.control.api.routes import Answer, Query
from gateway.http1.head import METHODS
from gateway.questions.pasted_url import address_of

MEMBERS: int = 100  # of each entry of who-can in one answer
MOST_MEMBERS: int = 10_000
EXPOSURES: int = 50
MOST_EXPOSURES: int = 500
FINDINGS: int = 200
MOST_FINDINGS: int = 1000


def _known_method(text: str) -> str:
    if text.upper().encode() not in METHODS:
        raise ValueError(f"`{text[:20]}` is no method a door forwards; use one of {', '.join(METHODS.values())}")
    return text.upper()


def _readable_url(text: str) -> str:
    address_of(text)
    return text


def _some_address(text: str) -> str:
    try:
        ip_address(text)
    except ValueError:
        raise ValueError("it is no IP address; write `192.0.2.7`") from None
    return text


def _yes_or_no(value: object) -> object:
    """A name alone (`?mfa`) says yes."""
    return True if value == "" else value


Method = Annotated[str, AfterValidator(_known_method)]
Url = Annotated[str, AfterValidator(_readable_url)]
Name = Annotated[str, Field(min_length=1, max_length=512)]
Flag = Annotated[bool, BeforeValidator(_yes_or_no)]


# === what is asked ===


class ExplainQuery(Query):
    method: Method = Field(description="Of the request that is asked about.")
    url: Url = Field(description="Its URL.")
    user: Name | None = Field(None, description="Another person: `jane`, or a full ref. Administrators alone.")
    client: Name | None = Field(None, description="A program, by its client id. Owners of the service ask so.")
    anonymous: Flag = Field(False, description="Nobody: no token at all. Owners of the service ask so.")
    scope: list[Name] = Field([], max_length=64, description="Scopes in the token, which then bound what it may do.")
    mfa: Flag = Field(False, description="The sign-in used a second factor.")
    issuer: Annotated[str, Field(max_length=128)] = Field("", description="Whose token it is, by its configured name.")
    from_: Annotated[str, AfterValidator(_some_address)] | None = Field(
        None, alias="from", description="The address the call comes from."
    )
    certificate: Flag = Field(False, description="The call comes with a verified client certificate.")


class WhoCanQuery(Query):
    method: Method = Field(description="Of the request that is asked about.")
    url: Url = Field(description="Its URL.")
    all: Flag = Field(False, description="List everybody, also those who may because everyone may.")
    members: int = Field(MEMBERS, ge=0, le=MOST_MEMBERS, description="How many callers of each entry are listed.")
    after: Annotated[str, Field(max_length=512)] = Field("", description="List those behind this ref: `next`.")


class WhatCanQuery(Query):
    user: Name | None = Field(
        None, description="A person, a team or a program: `jane`, or a ref. Default: whoever asks."
    )
    environment: Annotated[str, Field(max_length=128)] = Field("", description="There alone.")
    service: Annotated[str, Field(max_length=512)] = Field("", description="Of this component alone.")
    exposures: int = Field(EXPOSURES, ge=1, le=MOST_EXPOSURES, description="How many are answered at most.")
    after: Annotated[str, Field(max_length=1024)] = Field("", description="Go on behind this one: `next`.")


class WhyQuery(Query):
    rule: Annotated[str, Field(min_length=1, max_length=64)] = Field(description="An id such as `r-unqxknivvc`.")


class LintQuery(Query):
    findings: int = Field(FINDINGS, ge=1, le=MOST_FINDINGS, description="How many are answered at most.")
    begin: int = Field(0, ge=0, le=10_000_000, description="Leave out as many: `next`.")


class SyncQuery(Query):
    catalog: list[Name] = Field([], max_length=32, description="Backstage catalogs by name. Default: all.")


# === what is answered ===


class SourceAnswer(Answer):
    file: str
    line: int
    entity: str


class ExplainAnswer(Answer):
    decision: Literal["permit", "refusal"]
    reason: str
    status: int = Field(description="What a door would answer; 0: the service answers.")
    sentence: str
    todo: str
    caller: str
    exposure: str
    operation: str
    rule: str
    because: str
    source: SourceAnswer
    need: list[str]


class RuleAnswer(Answer):
    reason: str
    rule: str
    sentence: str
    because: str
    source: SourceAnswer


class MemberAnswer(Answer):
    ref: str
    teams: list[str]


class EntryAnswer(RuleAnswer):
    kind: Literal["person", "workload"]
    everybody: bool
    count: int
    subject: str
    scopes: list[str]
    needs: list[str]
    members: list[MemberAnswer]


class OperationAnswer(Answer):
    name: str
    scopes: list[list[str]] | None = Field(description="Alternatives; null: nobody can hold them.")


class WhoCanAnswer(Answer):
    reason: str = Field(description="Why the request leads to no service; empty otherwise.")
    exposure: str
    operations: list[OperationAnswer]
    public: RuleAnswer | None
    allowed: list[EntryAnswer]
    denied: list[EntryAnswer]
    next: str = Field(description="For `after`: more members are to be had; empty: there are none.")


class WayAnswer(RuleAnswer):
    scopes: list[str]
    needs: list[str]
    operations: list[str]


class OfferAnswer(Answer):
    exposure: str
    service: str
    environment: str
    host: str
    prefix: str
    operations: int
    allowed: list[WayAnswer]


class OffersAnswer(Answer):
    caller: str
    kind: Literal["anonymous", "person", "workload"]
    exposures: list[OfferAnswer]


class WhatCanAnswer(Answer):
    callers: list[OffersAnswer]
    next: str = Field(description="For `after`: more is to be had; empty: that is all.")


class StatementAnswer(Answer):
    says: str
    source: SourceAnswer


class WhyAnswer(Answer):
    rule: str
    known: Literal[True]
    effect: Literal["permit", "deny"]
    reason: str
    sentence: str
    counted: dict[str, list[str]] = Field(description="What the sentence only counts: operations, APIs, services.")
    because: str
    subject: str
    environment: str
    exposures: list[str]
    statements: list[StatementAnswer]


class WaiverAnswer(Answer):
    until: str
    because: str
    line: int


class FindingAnswer(Answer):
    id: str
    kind: str
    severity: Literal["error", "warning", "note"]
    about: str
    sentence: str
    fix: str
    source: SourceAnswer
    waived: WaiverAnswer | None


class CountsAnswer(Answer):
    error: int
    warning: int
    note: int
    waived: int


class LintAnswer(Answer):
    counts: CountsAnswer
    findings: list[FindingAnswer]
    next: int | None = Field(description="For `begin`: more is to be had; null: that is all.")


class SyncAnswer(Answer):
    catalogs: list[str] = Field(description="Those that are looked at now. What comes of it is seen later.")
