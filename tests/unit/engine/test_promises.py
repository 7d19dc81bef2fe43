"""Tests and invariants at every publish, over real rounds: what breaks one is held, all other changes are in force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.engine.rounds import Outcome
from policy.facts import ANONYMOUS, Principal
from policy.promises.withholding import Ground
from policy.reading import Fault
from tests.support.catalogs import ACCESS, api, entity, openapi, people, service
from tests.unit.engine.test_rounds import Engine

NEVER = "never: [contractors any in prod]\n"
A = "component:default/a@prod"
B = "component:default/b@prod"


class Promising(Engine):
    """An engine whose access policy ends in tests and invariants; joe is a contractor, jane in `team`."""

    def say(self, more: str, access: str = ACCESS) -> None:
        (self.folder / "access.yaml").write_text(access + more)

    def people(self, joe: tuple[str, ...] = ("contractors",), jane: tuple[str, ...] = ("team",)) -> None:
        groups = [entity("Group", name, type="team", children=[]) for name in ("team", "contractors", "other")]
        users = [entity("User", name, memberOf=list(teams)) for name, teams in (("joe", joe), ("jane", jane))]
        self.write("people.yaml", *groups, *users)

    def services(self, **changes: dict[str, Any]) -> None:
        """`a` and `b`, each owned by `team`."""
        for name in ("a", "b"):
            self.write(f"{name}.yaml", service(name, **changes.get(name, {})))

    def reason(self, name: str, who: str, call: str = "GET /") -> str:
        """What the table that is published answers, whatever may be shown."""
        table = self.loaded().table
        method, _, path = call.partition(" ")
        match = table.match(f"{name}.example.com", tuple(path[1:].split("/")))
        caller = Principal("person", f"user:default/{who}", table.subjects_of(f"user:default/{who}"))
        return table.decide(match, method, caller if who else ANONYMOUS, 0).reason  # type: ignore[arg-type]  # the host is published


def named(outcome: Outcome, *words: str) -> Fault:
    """The one fault that says all of these."""
    found = [each for each in outcome.faults if all(word in str(each) for word in words)]
    assert len(found) == 1, "\n".join(map(str, outcome.faults))
    return found[0]


def started(tmp_path: Path, more: str, **changes: dict[str, Any]) -> Promising:
    engine = Promising(tmp_path)
    engine.say(more)
    engine.people()
    engine.services(**changes)
    assert [each for each in engine.settled().faults if each.severity == "error"] == []
    return engine


def test_a_change_that_breaks_an_invariant_is_held_while_others_and_removals_are_in_force(tmp_path: Path) -> None:
    """`a` opens itself to contractors and no longer to a team; `b` opens itself to that team meanwhile."""
    engine = started(tmp_path, NEVER, a={"allow_groups": "other"}, b={"access": "owners"})
    engine.people(jane=("team", "other"))
    engine.write("people2.yaml", entity("User", "kim", memberOf=["other"]))
    engine.settled()
    assert (engine.reason("a", "kim"), engine.reason("a", "joe")) == ("rule", "no_rule")
    engine.services(a={"allow_groups": "contractors"}, b={"allow_groups": "other"})
    outcome = engine.settled()
    fault = named(outcome, "component:default/a@prod", "never: contractors any in prod", "access.yaml:6")
    assert (fault.severity, fault.source.entity, fault.environment, fault.keeps) == (
        "error", "component:default/a", "prod", True,
    )  # fmt: skip
    assert "rule r-" in fault.message
    assert "“Team contractors" in fault.message
    assert engine.reason("a", "joe") == "no_rule"
    assert engine.reason("a", "kim") == "no_rule", "the removal is in force"
    assert engine.reason("a", "jane") == "owner"
    assert engine.reason("b", "kim") == "rule", "the other service's change is published"
    engine.services(a={"access": "owners"})
    assert [each for each in engine.settled().faults if each.severity == "error"] == []


def test_a_new_service_that_breaks_an_invariant_is_open_to_nobody(tmp_path: Path) -> None:
    engine = started(tmp_path, NEVER)
    engine.write("c.yaml", service("c", access="everyone"))
    named(engine.settled(), "component:default/c@prod", "what the exposure opens more than before is held")
    assert {engine.reason("c", who) for who in ("joe", "jane")} == {"no_rule"}
    engine.write("c.yaml", service("c"))
    engine.settled()
    assert engine.reason("c", "jane") == "owner"


def test_a_person_who_joins_a_team_breaks_nobody_elses_access(tmp_path: Path) -> None:
    """The change of people is what is withheld: a contractor in the owning team is denied, the team goes on."""
    engine = started(tmp_path, NEVER)
    engine.people(joe=("contractors", "team"))
    fault = named(engine.settled(), "`component:default/a@prod`", "`user:default/joe`")
    assert fault.source.entity == "component:default/a"
    assert (engine.reason("a", "joe"), engine.reason("a", "jane")) == ("denied", "owner")
    assert any("must never use" in words[0] for words in engine.loaded().why[f"why/{A}"].values())
    engine.services(a={"allow_groups": "other"})
    engine.write("people2.yaml", entity("User", "kim", memberOf=["other"]))
    engine.settled()
    assert engine.reason("a", "kim") == "rule", "the owner's further changes are in force"
    engine.people(joe=("contractors",))
    assert [each for each in engine.settled().faults if each.severity == "error"] == []
    assert engine.reason("a", "joe") == "no_rule"


def test_an_invariant_that_is_new_and_broken_holds_from_then_on(tmp_path: Path) -> None:
    engine = started(tmp_path, "", a={"access": "everyone"})
    assert engine.reason("a", "joe") == "everyone"
    engine.say(NEVER)
    named(engine.settled(), A, "“Everyone")
    assert (engine.reason("a", "joe"), engine.reason("a", "jane")) == ("denied", "owner")
    assert engine.reason("b", "jane") == "owner"


def test_a_rule_of_the_access_policy_against_an_invariant_is_held_and_its_place_named(tmp_path: Path) -> None:
    engine = started(tmp_path, NEVER)
    rule = "rules: [{allow: [group:contractors, group:other], to: {service: a}, in: [prod], because: They audit.}]\n"
    engine.say(NEVER, ACCESS.replace("rules: []\n", rule))
    fault = named(engine.settled(), A, "never: contractors any in prod", "access.yaml:5")
    assert "“Team contractors" in fault.message
    engine.write("people2.yaml", entity("User", "kim", memberOf=["other"]))
    engine.settled()
    assert {engine.reason("a", who) for who in ("joe", "kim")} == {"no_rule"}
    assert engine.reason("a", "jane") == "owner"


def test_only_leaves_an_operation_to_those_it_names(tmp_path: Path) -> None:
    """By the operation's name, as the definition gives it; a team that was there before loses what is reserved."""
    definition = openapi("GET /refunds", "POST /refunds")
    definition["paths"]["/refunds"]["post"]["operationId"] = "createRefund"
    access = ACCESS.replace("owners: [read]", "owners: [all]").replace("groups: [read]", "groups: [all]")
    engine = Promising(tmp_path)
    engine.people(jane=("team", "other"))
    engine.write("people2.yaml", entity("User", "kim", memberOf=["other"]))
    engine.write("a.yaml", service("a", providesApis=["a"], allow_groups="other"), api("a", definition))
    engine.say("", access)
    engine.settled()
    assert engine.reason("a", "kim", "POST /refunds") == "rule"
    engine.say("only: [team may createRefund of a in prod]\n", access)
    named(engine.settled(), A, "a member of `group:default/other`", "POST /refunds")
    assert engine.reason("a", "kim", "POST /refunds") == "no_rule"
    assert engine.reason("a", "kim", "GET /refunds") == "rule"
    assert engine.reason("a", "jane", "POST /refunds") == "owner"


def test_what_is_held_is_held_after_a_restart(tmp_path: Path) -> None:
    """Nothing that was not in force before is in force because the engine began anew."""
    engine = started(tmp_path, NEVER)
    engine.services(a={"access": "everyone"})
    engine.settled()
    engine.write("people2.yaml", entity("User", "kim", memberOf=["other"]))
    engine.settled()
    assert {engine.reason("a", who) for who in ("joe", "kim")} == {"no_rule"}
    engine.restart()
    named(engine.settled(), A, NEVER[8:-2])
    assert {engine.reason("a", who) for who in ("joe", "kim")} == {"no_rule"}
    assert engine.reason("a", "jane") == "owner"


def test_a_test_that_expects_a_refusal_holds_the_change_that_breaks_it(tmp_path: Path) -> None:
    engine = started(tmp_path, "tests: [joe GET https://a.example.com/ in prod → refused no_rule]\n")
    engine.services(a={"access": "everyone"}, b={"access": "everyone"})
    fault = named(engine.settled(), "`component:default/a@prod` would come to `permit`", "access.yaml:6")
    assert (fault.source.entity, fault.environment) == ("component:default/a", "prod")
    assert (engine.reason("a", "joe"), engine.reason("b", "joe")) == ("no_rule", "everyone")
    engine.services()
    assert [each for each in engine.settled().faults if each.severity == "error"] == []


def test_a_person_who_joins_a_team_against_a_test_is_held_alone(tmp_path: Path) -> None:
    engine = started(tmp_path, "tests: [joe GET https://a.example.com/ in prod → refused]\n")
    engine.people(joe=("team",))
    named(engine.settled(), A, "joe GET")
    assert (engine.reason("a", "joe"), engine.reason("a", "jane")) == ("denied", "owner")
    assert engine.reason("b", "joe") == "owner", "his other rights are his"


def test_a_test_that_always_failed_takes_nothing_away_and_is_told(tmp_path: Path) -> None:
    """An example is no prohibition: what was permitted before the test was written stays."""
    engine = started(tmp_path, "")
    engine.say("tests: [jane GET https://a.example.com/ in prod → refused no_rule]\n")
    fault = named(engine.settled(), "comes to permit owner by rule r-")
    assert fault.source.line == 6
    assert engine.reason("a", "jane") == "owner"


def test_a_removal_that_breaks_a_test_is_in_force_and_told(tmp_path: Path) -> None:
    engine = started(
        tmp_path, "tests: [joe GET https://a.example.com/ in prod -> permit everyone]\n", a={"access": "everyone"}
    )
    engine.services(a={"access": "owners"})
    named(engine.settled(), "comes to refused no_rule")
    assert engine.reason("a", "joe") == "no_rule"


def test_a_promise_about_nothing_is_a_warning(tmp_path: Path) -> None:
    engine = Promising(tmp_path)
    engine.people()
    engine.services()
    engine.say(
        "never: [contractor any in prod]\nonly: [team may createRefnd of a]\n"
        "tests: [joe deleteAll of c in prod → refused]\n"
    )
    outcome = engine.settled()
    for words in ("did you mean `group:default/contractors`?", "no operation is called `createRefnd`", "not published"):
        assert named(outcome, "says nothing", words).severity == "warning"
    assert engine.reason("a", "jane") == "owner"


def test_only_what_changed_is_decided(tmp_path: Path, monkeypatch: Any) -> None:
    """A second publish asks about the exposure that changed, and about none for a person who joins no team of it."""
    engine = started(tmp_path, NEVER)
    asked: list[str] = []
    plain = Ground.breaches

    def counted(ground: Any, exposure: Any) -> Any:
        asked.append(exposure.key)
        return plain(ground, exposure)

    monkeypatch.setattr(Ground, "breaches", counted)
    engine.services(b={"allow_groups": "other"})
    engine.settled()
    assert set(asked) == {B}
    asked.clear()
    engine.write("people2.yaml", *people("third", member="kim"))
    engine.settled()
    assert asked == []
    lou = entity("User", "lou", memberOf=["other", "contractors"])
    engine.write("people2.yaml", *people("third", member="kim"), lou)
    engine.settled()
    assert set(asked) == {B}
