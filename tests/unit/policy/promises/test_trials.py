"""One call, decided as a door decides it; the golden files hold the many forms."""

from __future__ import annotations

from policy.demands import DemandReader
from policy.facts import Operation, Permit, Refusal
from policy.promises.expectations import expectations_in
from policy.promises.promised import place_in
from policy.promises.trials import Trial, trial_of
from policy.statements import ANYONE, AccessPolicy, EnvironmentPolicy, PolicyRule, Selector
from tests.support.policy_worlds import HERE, catalog, person, service, team, world

OPERATION = Operation("GET", "/a/{b}", api="api:default/a", operation_id="read")


def tried(line: object) -> Trial:
    """Over service `a` of team `owners`, in which jane is; `b` calls with a client id in dev alone."""
    reader = DemandReader(lambda path: HERE)
    (expectation,) = expectations_in(reader, line, ("dev", "prod"))
    ground = catalog(
        team("owners"),
        person("jane", "owners"),
        service("a", OPERATION),
        service("b", client_ids={"dev": "b"}, has_definition=False),
    )
    rules = (
        PolicyRule("deny", ("component:default/c",), Selector(), (), None, (), frozenset(), (), False, "because", HERE),
        PolicyRule(
            "allow", (ANYONE,), Selector((("service", ("component:default/b",)),)), ("prod",), None,
            (("GET", (".stagedoor",)), ("GET", ("x",))), frozenset(), (), False, "because", HERE,
        ),
    )  # fmt: skip
    derived, table = world(ground, AccessPolicy({"prod": EnvironmentPolicy("prod", ("all",))}, rules=rules))
    places = {each.key: place_in(each.service, each.operations) for each in derived.published}
    return trial_of(expectation, table, places, 10**9)


def test_a_permit_is_what_was_expected_when_its_reason_is() -> None:
    assert tried("jane read of a in prod → permit").passed
    assert tried("jane read of a in prod → permit owner").passed
    assert not tried("jane read of a in prod → permit rule").passed
    assert not tried("jane read of a in prod → refused").passed
    assert isinstance(tried("jane GET https://a.example.com/a/1 → permit").verdict, Permit)


def test_a_client_or_an_actor_that_is_denied_refuses() -> None:
    plain = {"who": "jane", "call": "read", "of": "a", "in": "prod", "expect": "refused denied"}
    assert not tried(plain).passed
    assert tried({**plain, "with": {"through": "c"}}).passed
    assert tried({**plain, "with": {"acting": "component:b"}, "expect": "refused no_rule"}).passed


def test_a_client_id_of_another_environment_means_nothing() -> None:
    assert tried("component:b read of a in prod → refused no_rule").passed
    assert tried("component:gone read of a in prod → refused identity_unknown").passed


def test_the_doors_own_pages_are_never_a_services() -> None:
    """The door answers there itself, whatever a rule opens."""
    assert tried("anyone GET https://b.example.com/x → permit public").passed
    assert tried("anyone GET https://b.example.com/.stagedoor → refused operation_unknown").passed


def test_what_names_nothing_is_void_and_not_passed() -> None:
    for line, said in (
        ("jane write of a in prod → refused", "no operation"),
        ("jane read of c in prod → refused", "not published"),
        ("jane read of a in dev → refused", "not published"),
        ("group:gone read of a in prod → refused", "there is no"),
        ("jane GET https://a.example.com/ in dev → refused", "a call in `prod`"),
        ("jnae read of a in prod → refused", "nobody is called `user:default/jnae`"),
        ("component:gone read of a in prod → refused", "nobody calls as `component:default/gone`"),
        ("jane GET https://gone.example.com/ → refused", "no service is published under `gone.example.com`"),
    ):
        trial = tried(line)
        assert said in trial.void, line
        assert trial.hint, line
        assert not trial.passed


def test_who_is_void_is_told_who_was_meant() -> None:
    """A bare name is a person; the program or the team of that name is the usual slip."""
    assert tried("jnae read of a in prod → refused").hint == "did you mean `user:default/jane`?"
    assert tried("b read of a in prod → refused").hint == "did you mean `component:default/b`?"
    assert tried("owners read of a in prod → refused").hint == "did you mean `group:default/owners`?"


def test_who_is_unknown_and_expected_to_be_passes_and_fails() -> None:
    """With its reason such a test says something; one that expects a permit fails, which is seen."""
    assert tried("jnae read of a in prod → refused identity_unknown").passed
    for line in ("jnae read of a in prod → permit", "jnae read of a in prod → refused no_rule"):
        assert not tried(line).passed
        assert not tried(line).void


def test_a_host_that_nobody_has_is_a_refusal() -> None:
    trial = tried("jane GET https://gone.example.com/ → refused host_unknown")
    assert trial.passed
    assert isinstance(trial.verdict, Refusal)
