"""A real Backstage full of broken and hostile entries, and a whole node behind it: what each owner hears, and that the
doors keep every promise to everybody else meanwhile.

The company is that of `tests/support/real_company.py`; each test edits entities of its own. What the catalog itself
takes to show an edit is never counted: a change is in force within one poll and a second from then.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.catalogs import api, entity, openapi
from tests.support.real_backstage import why_not
from tests.support.real_company import LOSSES, Company, company, user, waited_s

pytestmark = [
    pytest.mark.slow,
    pytest.mark.backstage,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "a real Backstage is at hand"),
    pytest.mark.timeout(300),  # the first test waits for a backend to start
]


@pytest.fixture(scope="module")
def ferry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with company(tmp_path_factory.mktemp("ferry")) as found:
        yield found


def says(heard: Any) -> str:
    notes = [*heard["notes"], *(note for each in heard["exposures"] for note in each["notes"])]
    return "\n".join(f"{note['says']} | {note['todo']}" for note in notes)


def asked(heard: Any) -> list[str]:
    return [each["ref"] for each in heard["contacts"]]


def relations(shown: Any) -> str:
    return str(shown["relations"]) if shown is not None else ""


def both_say(ferry: Company, person: str, team: str) -> set[bool]:
    """Whether the one is in the other, by each of the two: a catalog shows both sides, one after the other."""
    theirs = ferry.backstage.shown(f"user:default/{person}"), ferry.backstage.shown(f"group:default/{team}")
    return {f"/{team}'" in relations(theirs[0]), f"/{person}'" in relations(theirs[1])}


# === what owners hear ===


@pytest.mark.parametrize(
    ("ref", "state", "words", "whom"),
    [
        ("component:default/tickets", "published", "", "tickets"),
        ("component:default/ghosted", "published", "`group:default/nobody-at-all` of `component:default/ghosted` is no",
         "administrators"),
        ("component:default/owned-by-a-person", "published", "a person owns nothing here: name their team", "mara"),
        ("component:abroad/far", "published", "own namespace: write `group:default/tickets`", "administrators"),
        ("component:default/prodd", "refused", "did you mean `prod`?", "tickets"),
        ("component:default/schemed", "refused", "`https://schemed.test/x` is no host name", "tickets"),
        ("component:default/outsider", "refused", "outside what `prod` may use", "administrators"),
        ("component:default/wandering", "refused", "outside what this environment may use", "administrators"),
        ("component:default/misspelt", "published", "unknown access `evryone`: read as `owners`", "tickets"),
        ("component:default/thief", "refused", "which `component:default/departures@prod` holds too", "harbour"),
        ("component:default/departures", "published", "", "harbour"),
        ("component:default/squatter", "refused", "`component:default/departures@prod` of another team has the host",
         "galley"),
        ("component:default/shared-a", "published", "is that of `component:default/shared-b`, too", "tickets"),
        ("component:default/without-api", "published", "which is not in the catalog: none of its operations is open",
         "tickets"),
        ("component:default/bombed", "held", "once aliases are expanded), so none of its operations", "tickets"),
        ("component:default/huge", "held", "is larger than 4194304 bytes), so none of its operations", "tickets"),
        ("component:default/garbled", "held", "(not YAML: ", "tickets"),
        ("api:default/garbled-api", "refused", "not YAML: ", "tickets"),
        ("component:default/remote", "published", "", "tickets"),
        ("api:default/remote-api", "published", "write it into this definition, nothing is fetched", "tickets"),
        ("component:default/doubled", "published", "", "tickets"),
        ("api:default/endless-api", "published", "definition: more of it is left out", "tickets"),
        ("system:default/misplaced", "published", "only a Component is exposed", "tickets"),
        ("component:default/h-marked", "published", "", "tickets"),
        ("component:default/h-control", "refused", "is no host name", "tickets"),
        ("component:default/h-half", "refused", "a lone surrogate", "tickets"),
        ("component:default/h-over", "refused", "more than 1048576 bytes", "tickets"),
        ("component:default/h-wordy", "published", "more of what it says is not known and left out", "tickets"),
        ("user:default/twin-one", "published", "`user:default/twin-two`, too: tokens of `idp` with it mean nobody",
         "twin-one"),
        ("user:default/guest", "refused", "it is Backstage's guest", "administrators"),
        ("component:default/never-written", "not_seen", "what Backstage cannot process at all", "administrators"),
    ],
)  # fmt: skip
def test_every_entry_has_a_state_a_reason_and_whom_to_ask(
    ferry: Company, ref: str, state: str, words: str, whom: str
) -> None:
    waited_s(lambda: (heard := ferry.hears(ref))["state"] == state and words in says(heard))  # definitions come later
    heard = ferry.hears(ref)
    if not words:
        assert says(heard) == ""
    contacts = {"administrators": "group:default/bridge", "mara": "user:default/mara", "twin-one": ref}
    assert contacts.get(whom, f"group:default/{whom}") in asked(heard)
    if state != "not_seen":
        assert heard["location"] == "stagedoor-fixture:default"
        assert heard["catalogs"][0]["name"] == "main"


def test_of_two_who_claim_one_place_never_both_have_it_and_each_hears_of_the_other(ferry: Company) -> None:
    """A catalog shows what is added together one by one: the first may have had the place before the second came."""
    first, second = "component:default/rival-a", "component:default/rival-b"
    owners = {first: "group:default/tickets", second: "group:default/harbour"}
    heard = {ref: ferry.hears(ref) for ref in owners}
    refused = [ref for ref in owners if heard[ref]["state"] == "refused"]
    assert refused
    for ref in refused:
        (other,) = owners.keys() - {ref}
        verb = "claims" if other in refused else "holds"
        assert f"claims `rival.test/`, which `{other}@prod` {verb} too" in says(heard[ref])
        assert owners[other] in asked(heard[ref])
    assert ferry.gets("mara", "rival.test") == ("404 host_unknown" if len(refused) == 2 else "200")


def test_owners_hear_of_their_own_and_nobody_of_anothers(ferry: Company) -> None:
    """Also of what cannot be read at all, whose owner the catalog still names."""
    for ref in ("component:default/outsider", "component:default/h-over", "api:default/garbled-api"):
        ferry.hears_that(ref, "refused")  # definitions come later
        assert ferry.hears(ref, "mara")["state"] == "refused"
        assert ferry.hears(ref, "odd") is None


def test_the_command_counts_and_lists_them_without_moving_the_cursor(ferry: Company) -> None:
    command = [sys.executable, "-P", "-m", "gateway.cli", "entity", "--state-folder", str(ferry.node.folder / "state")]
    ran = subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=False, env={**os.environ, "COLUMNS": "200"}
    )
    assert ran.returncode == 1, ran.stderr
    assert "component:default/outsider" in ran.stdout
    assert "component:default/tickets " not in ran.stdout
    assert not {"\x1b", "\u202e", "\x07"} & set(ran.stdout)


# === what the doors do ===


def test_not_one_bad_entry_changes_another_ones_routes_or_rights(ferry: Company) -> None:
    assert ferry.everybody() == ferry.before
    assert set(ferry.before.values()) == {
        "200", "401 identity_required", "403 identity_unknown", "403 no_rule", "404 host_unknown",
        "404 operation_unknown",
    }  # fmt: skip
    waited_s(lambda: ferry.gets("mara", "remote.test", "/b") == "200")  # definitions come later
    assert ferry.gets("mara", "remote.test", "/a") == "403 scope_missing"  # what stands behind the reference is unknown
    for host in ("bombed.test", "huge.test", "garbled.test", "without-api.test"):  # no operation is open to anybody
        assert ferry.gets("mara", host, "/x") == "403 no_rule"


def test_two_people_under_one_address_are_both_nobody(ferry: Company) -> None:
    shown: dict[str, Any] = {"email_verified": True}
    assert ferry.gets("somebody", "departures.test", email="odd@ferry.example", **shown) == "200"
    assert ferry.gets("somebody", "departures.test", email="twin@ferry.example", **shown) == "403 identity_ambiguous"


def test_a_removal_is_in_force_while_other_entries_are_held(ferry: Company) -> None:
    """One newest version was refused by the catalog, one definition was broken; then somebody leaves the team of each,
    and one service is taken away."""
    ferry.put(
        entity("Group", "deck"), user("dora", "deck"), ferry.service("ropes", owner="deck"),
        ferry.service("sails", owner="deck", providesApis=["sails-api"]),
        api("sails-api", openapi("GET /sails"), owner="deck"), ferry.service("anchors", owner="deck"),
    )  # fmt: skip
    for host, path in (("ropes.test", "/"), ("sails.test", "/sails"), ("anchors.test", "/")):
        waited_s(lambda: ferry.gets("dora", host, path) == "200")  # noqa: B023 - waited for here
    unowned = ferry.service("ropes", access="everyone")
    del unowned["spec"]["owner"]
    ferry.put(unowned, api("sails-api", "openapi: 3.0.3\npaths: [no mapping]", owner="deck"))
    ropes = ferry.hears_that("component:default/ropes", "held")
    assert "refused by the catalog (/spec must have required property 'owner'" in says(ropes)
    sails = ferry.hears_that("component:default/sails", "held")
    assert "cannot be read (`paths` is no mapping), so the operations it had count" in says(sails)
    assert asked(sails) == ["group:default/deck"]
    assert ferry.gets("dora", "sails.test", "/sails") == "200"
    assert ferry.gets("mara", "ropes.test") == "403 no_rule"  # what was refused opened it to everyone

    ferry.put(removed=("component:default/anchors",))
    ferry.visible("component:default/anchors", lambda shown: shown is None)
    assert waited_s(lambda: ferry.gets("dora", "anchors.test") == "404 host_unknown") < ferry.in_force_s()
    ferry.put(user("dora"))
    waited_s(lambda: both_say(ferry, "dora", "deck") == {False})
    assert waited_s(lambda: ferry.gets("dora", "ropes.test") == "403 no_rule") < ferry.in_force_s()
    assert ferry.gets("dora", "sails.test", "/sails") == "403 no_rule"
    assert [ferry.state(f"component:default/{name}") for name in ("ropes", "sails")] == ["held", "held"]

    ferry.put(ferry.service("ropes", owner="deck"), api("sails-api", openapi("GET /sails"), owner="deck"))
    for name in ("ropes", "sails"):
        assert says(ferry.hears_that(f"component:default/{name}", "published")) == ""


def test_a_large_loss_is_held_and_told_while_single_changes_are_in_force(ferry: Company) -> None:
    lost = [f"component:default/loss-{number}" for number in range(LOSSES)]
    documents = [ferry.service(f"loss-{number}", owner="galley", access="everyone") for number in range(LOSSES)]
    ferry.put(ferry.service("slip", owner="galley", access="everyone"), ferry.service("berth", access="everyone"))
    for host in ("slip.test", "berth.test"):
        waited_s(lambda: ferry.gets("mara", host) == "200")  # noqa: B023 - waited for here
    try:
        ferry.put(removed=tuple(lost))
        others = f"as are {LOSSES - 1} others: such a loss is not believed"
        waited_s(lambda: others in says(ferry.hears(lost[0])))
        heard = ferry.hears_that(lost[0], "held")
        assert asked(heard) == ["group:default/galley", "group:default/bridge"]
        assert ferry.gets("mara", "loss-0.test") == "200"

        ferry.put(ferry.service("slip", owner="galley"), ferry.service("newborn"), removed=("component:default/berth",))
        ferry.visible("component:default/slip", lambda shown: "owners" in str(shown["metadata"]["annotations"]))
        assert waited_s(lambda: ferry.gets("mara", "slip.test") == "403 no_rule") < ferry.in_force_s()
        ferry.visible("component:default/berth", lambda shown: shown is None)
        assert waited_s(lambda: ferry.gets("mara", "berth.test") == "404 host_unknown") < ferry.in_force_s()
        assert "it is new and waits" in says(ferry.hears_that("component:default/newborn", "held"))
        assert ferry.gets("mara", "newborn.test") == "404 host_unknown"
    finally:
        ferry.put(*documents)
    for ref in (*lost, "component:default/newborn"):
        ferry.hears_that(ref, "published")
    assert ferry.gets("mara", "newborn.test") == "200"


def test_a_grant_and_its_end_are_in_force_in_time(ferry: Company) -> None:
    ferry.put(entity("Group", "lamps"), user("lars"), ferry.service("beacon", owner="lamps"))
    waited_s(lambda: ferry.gets("lars", "beacon.test") == "403 no_rule")
    for teams, expected in ((("lamps",), "200"), ((), "403 no_rule")):
        ferry.put(user("lars", *teams))
        waited_s(lambda: both_say(ferry, "lars", "lamps") == {bool(teams)})  # noqa: B023 - waited for here
        took_s = waited_s(lambda: ferry.gets("lars", "beacon.test") == expected)  # noqa: B023 - waited for here
        assert took_s < ferry.in_force_s()


def test_an_entry_that_is_deleted_and_added_again_is_gone_in_between(ferry: Company) -> None:
    ferry.put(ferry.service("comet", access="everyone"))
    waited_s(lambda: ferry.gets("mara", "comet.test") == "200")
    ferry.put(removed=("component:default/comet",))
    ferry.hears_that("component:default/comet", "not_seen")
    assert ferry.gets("mara", "comet.test") == "404 host_unknown"
    ferry.put(ferry.service("comet", access="everyone"))
    assert says(ferry.hears_that("component:default/comet", "published")) == ""
    assert ferry.gets("mara", "comet.test") == "200"


def test_a_file_that_anybody_may_register_makes_no_people_and_its_end_is_told(ferry: Company) -> None:
    """A team from there names a member, a team above and a team below, all of them real: nobody gains by it. Then the
    file is emptied."""
    quay = ferry.service("quayside", owner="galley", access="everyone")
    ferry.write(
        quay, ferry.service("smuggled", owner="sneaky"), user("mallory", "tickets"),
        entity("Group", "sneaky", members=["mallory", "odd"], children=["galley"], parent="tickets"),
    )  # fmt: skip
    waited_s(lambda: ferry.gets("mara", "quayside.test") == "200")
    ferry.visible("group:default/tickets", lambda shown: "sneaky" in relations(shown))
    for ref in ("user:default/mallory", "group:default/sneaky"):
        heard = ferry.hears_that(ref, "refused")
        assert "where nobody is trusted to define a" in says(heard)
        assert f"list `main file:{ferry.backstage.catalog}" in says(heard)
        assert asked(heard) == ["group:default/bridge"]
    assert ferry.hears("user:default/odd", "odd")["sentence"] == "It counts, in `group:default/galley`."
    assert "`group:default/sneaky` of `component:default/smuggled` is no team" in says(
        ferry.hears_that("component:default/smuggled", "published")
    )
    assert ferry.gets("odd", "smuggled.test") == "403 no_rule"
    assert ferry.gets("odd", "tickets.test", "/tickets") == "403 no_rule"
    assert ferry.gets("mallory", "departures.test") == "403 identity_unknown"
    assert ferry.hears("component:default/quayside")["location"].endswith("/harbour.yaml")

    ferry.write()
    ferry.visible("component:default/quayside", lambda shown: shown is None or "orphan" in str(shown["metadata"]))
    assert waited_s(lambda: ferry.gets("mara", "quayside.test") == "404 host_unknown") < ferry.in_force_s()
    heard = ferry.hears("component:default/quayside", "odd")  # whose team it was
    assert (heard["state"], "it is an orphan" in says(heard)) == ("refused", True)
    ferry.write(quay)
    ferry.hears_that("component:default/quayside", "published")
    assert ferry.gets("mara", "quayside.test") == "200"
