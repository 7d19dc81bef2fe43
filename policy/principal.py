"""Who is asking: the value that every decision is made about. HOT.

A module of its own, so that it can be compiled: requests read nearly all of it, `policy.facts` hands it on with the
other values.
"""

from __future__ import annotations

from typing import Final, Literal


class Principal:
    """Who is asking. Built once per token and people version, read on every request.

    ``kind`` is ``anonymous`` when nobody is signed in or the token matches nobody; ``refusal`` then says
    which of ``identity_required``, ``identity_unknown``, ``identity_ambiguous`` the door answers where no
    public operation covers the request.
    """

    __slots__ = (
        "kind", "ref", "subjects", "client_subjects", "actors", "scopes", "bounded",
        "amr", "acr", "auth_time", "issuer", "subject", "client_id", "refusal",
    )  # fmt: skip

    def __init__(
        self,
        kind: Literal["anonymous", "person", "workload"],
        ref: str = "",
        subjects: frozenset[str] = frozenset(),
        *,
        client_subjects: frozenset[str] = frozenset(),
        actors: tuple[Principal, ...] = (),
        scopes: frozenset[str] = frozenset(),
        bounded: bool = False,
        amr: frozenset[str] = frozenset(),
        acr: str = "",
        auth_time: int = 0,
        issuer: str = "",
        subject: str = "",
        client_id: str = "",
        refusal: str = "",
    ) -> None:
        # what a decision reads, together in memory
        self.kind = kind
        self.subjects = subjects  # own ref, all teams' refs (transitive), ALL_PEOPLE|ALL_WORKLOADS, EVERYONE
        self.client_subjects = client_subjects  # of the client that carried a person's token: denies apply
        self.actors = actors  # RFC 8693 `act`: each must be permitted too
        self.scopes = scopes  # of the token: `scope`/`scp`/`roles`
        self.bounded = bounded  # the token's scopes bound what reach would confer
        # what some ask for
        self.ref = ref  # "user:default/jane", "component:default/payments", "" for anonymous
        self.amr = amr
        self.acr = acr
        self.auth_time = auth_time  # epoch seconds, 0 = the token does not say
        self.issuer = issuer
        self.subject = subject
        self.client_id = client_id
        self.refusal = refusal


ANONYMOUS: Final = Principal("anonymous", refusal="identity_required")
