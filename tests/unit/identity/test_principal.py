"""From a verified token to a principal: the truth table of membership, doubt, and the identity lines."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Groups, Issuer, MatchField
from gateway.identity.claims import Actor, Verified
from gateway.identity.client_certificates import ClientCertificate
from gateway.identity.principal import (
    HEADER_GROUPS_BYTES,
    HEADER_GROUPS_LIMIT,
    header_block,
    principal_of,
    principal_of_certificate,
)
from policy.directory import directory_frames
from policy.facts import (
    ALL_PEOPLE,
    ALL_WORKLOADS,
    ANONYMOUS,
    EVERYONE,
    Catalog,
    KeyField,
    Person,
    Principal,
    Service,
    Source,
    Team,
)
from policy.table import Table
from policy.table_builder import TableBuilder

GROUPS = Groups("groups", (MatchField("groups", "metadata.name"),))
IDP = Issuer("idp", "https://idp.test", ("api",), match=(MatchField("sub", "metadata.name"),), groups=GROUPS)
TEAMS = {
    "group:default/company": (),
    "group:default/payments": ("group:default/company",),
    "group:default/cards": ("group:default/payments",),
    "group:default/support": ("group:default/company",),
    "group:default/contractors": (),
}
JANE = "user:default/jane"
ORDERS = "component:default/orders"


NOWHERE = Source("catalog.yaml", 1)
KEYS = (
    KeyField("idp", "person", "sub", "annotations.sub"),
    KeyField("idp", "person", "uid", "annotations.uid"),
    KeyField("idp", "team", "groups", "metadata.name"),
    KeyField("other", "person", "sub", "annotations.sub"),
)


def person(name: str, sub: str, uid: str, teams: tuple[str, ...] = ()) -> tuple[str, Person]:
    fields = {"annotations.sub": sub, "annotations.uid": uid}
    return f"user:default/{name}", Person(f"user:default/{name}", name, teams, fields, NOWHERE)


def service(name: str, **client_ids: str) -> tuple[str, Service]:
    calls = {"" if environment == "everywhere" else environment: value for environment, value in client_ids.items()}
    ref = f"component:default/{name}"
    nothing: tuple[str, ...] = ()
    return ref, Service(
        ref, name, "service", "", "", "", nothing, "", nothing, nothing, nothing, nothing, calls, (), (), False
    )  # fmt: skip


def table(
    *teams: str,
    without_people: bool = False,
    more_people: tuple[tuple[str, Person], ...] = (),
    more_services: tuple[tuple[str, Service], ...] = (),
) -> Table:
    """The table of a small catalog in which jane is in ``teams``."""
    mine = tuple(f"group:default/{team}" for team in teams)
    namesakes = {f"group:default/twice-{each}": () for each in "ab"}
    catalog = Catalog(
        people=dict(
            [
                person("jane", "jane", "jane", mine),
                person("joe", "joe", "joe"),
                person("a", "two", ""),
                person("b", "two", ""),
                *more_people,
            ]
        ),
        teams={
            ref: Team(ref, ref, parents, {"metadata.name": ref.partition("/")[2].partition("-")[0]}, NOWHERE)
            for ref, parents in (TEAMS | namesakes).items()
        },
        services=dict(
            [
                service("orders", everywhere="orders", prod="orders-prod"),
                service("web", everywhere="web"),
                service("c", everywhere="claimed-twice"),
                service("d", everywhere="claimed-twice"),
                *more_services,
            ]
        ),
    )
    builder = TableBuilder(Table.allow_none())
    for name, frame in directory_frames(catalog, KEYS, ("dev", "prod")).items():
        if not (without_people and name.startswith("people/")):
            builder.put(name, frame)
    return builder.finish()


def verified(**changes: Any) -> Verified:
    facts: dict[str, Any] = {
        "issuer": "idp",
        "subject": "jane",
        "client_id": "",
        "client_is_ours": True,
        "key_id": "idp:k",
        "issued_at": 1,
        "not_before": 0,
        "expires": 2,
        "until": 2,
        "match": (("sub", "jane"),),
        "groups": None,
        "scopes": frozenset(),
        "bounded": False,
        "amr": frozenset(),
        "acr": "",
        "auth_time": 0,
        "actors": (),
        "workload": False,
    }
    return Verified(**(facts | changes))


def principal(seen: Verified, people: Table, issuer: Issuer = IDP) -> Principal:
    return principal_of(seen, issuer, people)


def teams_of(one: Principal) -> set[str]:
    return {ref.partition("/")[2] for ref in one.subjects if ref.startswith("group:")}


TRUTH = [
    line.split(maxsplit=3)
    for line in (Path(__file__).parents[2] / "golden/identity/membership.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


def listed(text: str) -> tuple[str, ...]:
    return () if text == "-" else tuple(text.split(","))


@pytest.mark.parametrize(("membership", "catalog", "token", "teams"), TRUTH, ids=lambda cell: cell.replace(" ", "+"))
def test_membership_truth_table(membership: Any, catalog: str, token: str, teams: str) -> None:
    groups = None if token == "absent" else listed(token)
    one = principal(verified(groups=groups), table(*listed(catalog)), replace(IDP, membership=membership))
    assert teams_of(one) == set(teams.replace("-", "").split())
    assert {JANE, ALL_PEOPLE, EVERYONE} <= one.subjects
    assert (one.kind, one.ref) == ("person", JANE)


def test_the_truth_table_holds_every_mode() -> None:
    assert {row[0] for row in TRUTH} == {"catalog", "token", "both", "either"}


def test_groups_count_only_where_settings_say_how_they_match() -> None:
    bare = replace(IDP, groups=None, membership="token")
    assert teams_of(principal(verified(groups=("cards",)), table("cards"), bare)) == set()


def test_a_group_of_one_issuer_says_nothing_about_another() -> None:
    other = replace(IDP, name="other", membership="token")
    assert teams_of(principal(verified(issuer="other", groups=("cards",)), table(), other)) == set()


def test_leaving_a_team_counts_with_the_next_table() -> None:
    """Nothing of an earlier principal is kept: the same token means what the table says now."""
    seen = verified()
    assert teams_of(principal(seen, table("cards"))) == {"cards", "payments", "company"}
    assert teams_of(principal(seen, table())) == set()


def test_a_person_carries_what_the_token_said() -> None:
    seen = verified(
        client_id="web",
        scopes=frozenset({"a"}),
        bounded=True,
        amr=frozenset({"mfa"}),
        acr="1",
        auth_time=7,
    )
    one = principal(seen, table())
    assert (one.scopes, one.bounded, one.amr, one.acr, one.auth_time) == (
        frozenset({"a"}),
        True,
        frozenset({"mfa"}),
        "1",
        7,
    )
    assert (one.issuer, one.subject, one.client_id, one.refusal) == ("idp", "jane", "web", "")
    assert one.client_subjects == {"component:default/web", ALL_WORKLOADS, EVERYONE}


def test_a_client_the_catalog_does_not_know_brings_no_subjects() -> None:
    assert principal(verified(client_id="stranger"), table()).client_subjects == frozenset()


@pytest.mark.parametrize(
    ("seen", "changes", "refusal"),
    [
        pytest.param({"match": ()}, {}, "identity_unknown", id="no_match_claim"),
        pytest.param({"match": (("sub", "nobody"),)}, {}, "identity_unknown", id="nobody"),
        pytest.param({"match": (("oid", "jane"),)}, {}, "identity_unknown", id="another_claim"),
        pytest.param({"issuer": "third"}, {}, "identity_unknown", id="another_issuer"),
        pytest.param({"match": (("sub", "jane"), ("uid", "joe"))}, {}, "identity_ambiguous", id="claims_disagree"),
        pytest.param({"match": (("sub", "two"),)}, {}, "identity_ambiguous", id="two_people_on_one_key"),
        pytest.param({"match": (("sub", "jane"), ("sub", "two"))}, {}, "identity_ambiguous", id="one_of_two_ambiguous"),
        pytest.param({}, {"without_people": True}, "identity_unknown", id="key_left_but_person_gone"),
        pytest.param({"client_id": "claimed-twice"}, {}, "identity_ambiguous", id="client_claimed_twice"),
        pytest.param({"workload": True, "client_id": "stranger"}, {}, "identity_unknown", id="unknown_workload"),
        pytest.param(
            {"workload": True, "client_id": "claimed-twice"}, {}, "identity_ambiguous", id="workload_claimed_twice"
        ),
        pytest.param({"actors": (Actor("stranger", ""),)}, {}, "identity_unknown", id="unknown_actor"),
        pytest.param({"actors": (Actor("claimed-twice", ""),)}, {}, "identity_ambiguous", id="ambiguous_actor"),
        pytest.param(
            {"actors": (Actor("orders", ""), Actor("x", "stranger"))}, {}, "identity_unknown", id="second_actor"
        ),
        pytest.param(
            {"actors": (Actor("jane", "gone"),)}, {"without_people": True}, "identity_unknown", id="actor_gone"
        ),
    ],
)
def test_in_doubt_nobody_comes_in_and_the_reason_is_named(
    seen: dict[str, Any], changes: dict[str, Any], refusal: str
) -> None:
    one = principal(verified(**seen), table("cards", **changes))
    assert (one.kind, one.ref, one.subjects, one.refusal) == ("anonymous", "", frozenset(), refusal)
    assert one.subject == "jane"
    assert one.scopes == one.client_subjects == frozenset()
    assert header_block(one) == b""


def test_claims_that_agree_are_one_person() -> None:
    seen = verified(match=(("sub", "jane"), ("uid", "jane"), ("email", "nobody@corp.test")))
    assert principal(seen, table()).ref == JANE


def test_a_workload_is_its_component_and_in_no_team() -> None:
    seen = verified(workload=True, client_id="orders", subject="orders", match=(), groups=("cards",))
    one = principal(seen, table("cards"), replace(IDP, membership="either"))
    assert (one.kind, one.ref) == ("workload", ORDERS)
    assert {subject.partition("@")[0] for subject in one.subjects} == {ORDERS, ALL_WORKLOADS, EVERYONE}
    assert one.client_subjects == frozenset()


def test_a_workload_of_one_environment_is_named_plainly_and_stays_in_it() -> None:
    """The same component, but no subject of it means anything outside `prod`."""
    one = principal(verified(workload=True, client_id="orders-prod", match=()), table())
    assert one.ref == ORDERS
    assert all(subject.endswith("@prod") for subject in one.subjects)
    assert lines_of(one)["X-Stagedoor-User"] == ORDERS


def test_actors_are_programs_by_client_id_and_else_people() -> None:
    actors = (Actor("x", "orders"), Actor("web", ""), Actor("joe", ""))
    one = principal(verified(actors=actors), table("cards"))
    assert [(actor.kind, actor.ref) for actor in one.actors] == [
        ("workload", ORDERS),
        ("workload", "component:default/web"),
        ("person", "user:default/joe"),
    ]
    assert one.ref == JANE


def test_a_person_who_acts_through_a_program_is_not_hidden_behind_it() -> None:
    """Each of them has to be permitted, and what denies one of them counts."""
    (actor,) = principal(verified(actors=(Actor("joe", "orders"),)), table("cards")).actors
    assert (actor.kind, actor.ref) == ("person", "user:default/joe")
    assert ORDERS in {subject.partition("@")[0] for subject in actor.client_subjects}


@pytest.mark.parametrize("actor", [Actor("two", "orders"), Actor("joe", "claimed-twice"), Actor("both", "")])
def test_an_actor_that_could_be_two_is_nobody(actor: Actor) -> None:
    catalog = table(
        "cards", more_people=(person("both", "both", ""),), more_services=(service("b", everywhere="both"),)
    )
    one = principal(verified(actors=(actor,)), catalog)
    assert (one.kind, one.refusal) == ("anonymous", "identity_ambiguous")


def lines_of(one: Principal) -> dict[str, str]:
    block = header_block(one)
    assert block.endswith(b"\r\n")
    return dict(line.decode("ascii").split(": ", 1) for line in block[:-2].split(b"\r\n"))


def test_identity_lines_of_a_person() -> None:
    one = principal(verified(client_id="web", actors=(Actor("orders", ""),)), table("cards"))
    assert lines_of(one) == {
        "X-Stagedoor-User": "user:default/jane",
        "X-Stagedoor-Groups": "group:default/cards,group:default/company,group:default/payments",
        "X-Stagedoor-Issuer": "idp",
        "X-Stagedoor-Subject": "jane",
        "X-Stagedoor-Client": "web",
        "X-Stagedoor-Actors": "component:default/orders",
    }


def test_identity_lines_say_only_what_there_is() -> None:
    assert set(lines_of(principal(verified(), table()))) == {
        "X-Stagedoor-User",
        "X-Stagedoor-Issuer",
        "X-Stagedoor-Subject",
    }
    assert header_block(ANONYMOUS) == b""


@pytest.mark.parametrize(
    ("subject", "sent"),
    [
        ("auth0|5f7c", "auth0|5f7c"),
        ("jane roe", "jane%20roe"),
        ("100%", "100%25"),
        ("a,b", "a%2Cb"),
        ("zoë", "zo%C3%AB"),
        ("a\r\nX-Stagedoor-User: root", "a%0D%0AX-Stagedoor-User:%20root"),
        ("\x00\x7f", "%00%7F"),
    ],
)
def test_no_value_can_end_a_line_or_look_like_two(subject: str, sent: str) -> None:
    one = Principal("person", f"user:default/{subject}", issuer="idp", subject=subject, client_id=subject)
    assert lines_of(one) == {
        "X-Stagedoor-User": f"user:default/{sent}",
        "X-Stagedoor-Issuer": "idp",
        "X-Stagedoor-Subject": sent,
        "X-Stagedoor-Client": sent,
    }


def test_every_character_is_sent_as_it_is_or_escaped() -> None:
    """Visible ASCII but `%` and `,` as it is, everything else by its UTF-8 bytes; alone and among others."""
    for code in (*range(0x250), 0x2028, 0xFEFF, 0x1F600):
        letter = chr(code)
        sent = letter if "!" <= letter <= "~" and letter not in "%," else "".join(f"%{b:02X}" for b in letter.encode())
        for text, expected in ((letter, sent), (f"a{letter}b", f"a{sent}b"), (f"{letter}\n", f"{sent}%0A")):
            one = Principal("person", JANE, issuer="idp", subject=text)
            assert lines_of(one)["X-Stagedoor-Subject"] == expected, text


@pytest.mark.parametrize(
    ("count", "length", "whole"),
    [
        (HEADER_GROUPS_LIMIT, 4, True),
        (HEADER_GROUPS_LIMIT + 1, 4, False),
        (10, HEADER_GROUPS_BYTES // 10, False),
    ],
)
def test_a_cut_list_of_groups_is_never_sent(count: int, length: int, whole: bool) -> None:
    teams = frozenset(f"group:default/{number:0{length}}" for number in range(count))
    lines = lines_of(Principal("person", JANE, teams, issuer="idp", subject="jane"))
    assert ("X-Stagedoor-Groups" in lines) is whole
    assert lines.get("X-Stagedoor-Groups-Omitted") == (None if whole else str(count))
    assert len(lines.get("X-Stagedoor-Groups", "")) <= HEADER_GROUPS_BYTES


def test_a_client_id_of_an_issuer_that_shares_none_with_the_catalog_is_nobody() -> None:
    """Whoever runs an issuer chooses its client ids: those of a partner could be those of any program here."""
    foreign = verified(client_id="orders", workload=True, client_is_ours=False)
    assert principal(foreign, table()).refusal == "identity_unknown"
    assert principal(verified(client_id="orders", workload=True), table()).ref == ORDERS


def test_an_actor_of_such_an_issuer_is_no_program_of_ours() -> None:
    acting = verified(actors=(Actor("orders", "orders"),), client_is_ours=False)
    assert principal(acting, table()).refusal == "identity_unknown"
    person_acting = verified(actors=(Actor("joe", ""),), client_is_ours=False)
    assert principal(person_acting, table()).actors[0].ref == "user:default/joe"


def test_denials_of_a_client_hold_whichever_issuer_gave_out_its_id() -> None:
    through = verified(client_id="orders", client_is_ours=False)
    assert ORDERS in {subject.partition("@")[0] for subject in principal(through, table()).client_subjects}


def test_the_scopes_of_a_token_are_those_of_all_who_use_it() -> None:
    """They say what the token may be used for, whoever holds it: an actor has no others and no fewer."""
    seen = verified(actors=(Actor("orders", "orders"),), scopes=frozenset({"payments:read"}), bounded=True)
    (actor,) = principal(seen, table()).actors
    assert (actor.scopes, actor.bounded) == (frozenset({"payments:read"}), True)


# === programs by certificate, and by the names of their platform ===

SPIFFE_ID = "spiffe://marlow.example/ns/money/sa/payments"


def programs(**client_ids: str) -> Table:
    """A table in which each component has one client id."""
    catalog = Catalog({}, {}, dict(service(name, everywhere=value) for name, value in client_ids.items()))
    builder = TableBuilder(Table.allow_none())
    for name, frame in directory_frames(catalog, KEYS, ("prod",)).items():
        builder.put(name, frame)
    return builder.finish()


def shown(*names: str) -> ClientCertificate:
    return ClientCertificate(names, "thumb", 0, 2**40, b"ca")


@pytest.mark.parametrize(
    ("names", "who"),
    [
        ((SPIFFE_ID,), "component:default/payments"),
        (("dns:orders.example",), "component:default/orders"),
        (("dns:other.example", SPIFFE_ID), "component:default/payments"),
        ((SPIFFE_ID, "dns:orders.example"), "identity_ambiguous"),
        (("spiffe://marlow.example/ns/money/sa/other",), "identity_unknown"),
        (("orders.example",), "identity_unknown"),
        (("dns:twice.example",), "identity_ambiguous"),
        ((), "identity_unknown"),
    ],
)
def test_a_certificate_is_the_program_that_names_it(names: tuple[str, ...], who: str) -> None:
    """One component, found by every name of the certificate that the catalog knows; in doubt nobody."""
    found = programs(payments=SPIFFE_ID, orders="dns:orders.example", one="dns:twice.example", two="dns:twice.example")
    program = principal_of_certificate(shown(*names), found)
    assert program.ref == (who if who.startswith("component:") else "")
    if program.kind == "anonymous":
        assert (program.refusal, program.subjects) == (who, frozenset())
        assert header_block(program) == b""
    else:
        assert program.kind == "workload"
        assert program.subjects == {who, ALL_WORKLOADS, EVERYONE}
        assert (program.issuer, program.bounded) == ("", False)


def test_a_certificates_program_has_no_issuer_to_tell_the_upstream() -> None:
    program = principal_of_certificate(shown("dns:other.example", SPIFFE_ID), programs(payments=SPIFFE_ID))
    assert header_block(program) == (
        b"X-Stagedoor-User: component:default/payments\r\n"
        b"X-Stagedoor-Subject: " + SPIFFE_ID.encode() + b"\r\nX-Stagedoor-Client: " + SPIFFE_ID.encode() + b"\r\n"
    )


@pytest.mark.parametrize(
    ("client_id", "ours", "who"),
    [
        ("github:marlow/payments", True, "component:default/payments"),
        ("github:mallory/payments", True, ""),
        ("gitlab:marlow/payments", True, ""),
        ("marlow/payments", True, ""),
        ("github:Marlow/payments", True, ""),
        ("github:marlow/payments", False, ""),
    ],
)
def test_a_platforms_name_counts_with_the_issuer_in_front_alone(client_id: str, ours: bool, who: str) -> None:
    """The same path on another platform, or the same text as an OAuth client id, is somebody else."""
    seen = verified(workload=True, client_id=client_id, client_is_ours=ours)
    program = principal(seen, programs(payments="github:marlow/payments"))
    assert program.ref == who
    assert (program.kind == "workload") is bool(who)
