"""What became of each entry: the state, its sentences, whom to ask, read off real rounds over real files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config.sources import Backstage
from gateway.engine.entries.causes import ADMINISTRATORS, OWNER, Note
from gateway.engine.entries.states import STATES, Place, Standing, States, contacts, counted, suggestion
from gateway.engine.ground import Ground
from gateway.engine.journal import Journal
from gateway.engine.publisher import Publisher
from gateway.engine.rounds import Rounds
from policy.facts import Source
from policy.reading import Fault
from tests.support.catalogs import api, entity, openapi, people, service, settings, write

MANY = 15


class Engine:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        said = settings(folder)
        self.rounds = Rounds(said, Publisher(Path(said.state_folder)), Journal(Path(said.state_folder)))

    def write(self, name: str, *documents: object) -> None:
        write(self.folder / "catalog", name, *documents)

    def round(self, times: int = 1) -> Ground:
        for _ in range(times):
            self.rounds.round()
        assert self.rounds.ground is not None
        return self.rounds.ground

    def of(self, ref: str) -> Standing:
        return States(self.round()).of(ref)

    def place(self, name: str, environment: str = "prod") -> Place:
        return next(each for each in self.of(f"component:default/{name}").places if each.environment == environment)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    made = Engine(tmp_path)
    made.write("org.yaml", *people("team", "others"))
    made.write("a.yaml", service("a", providesApis=["a"]))
    made.write("api.yaml", api("a", openapi("GET /x", "POST /x")))
    made.write("b.yaml", service("b", owner="others", environments="dev,prod", host="b.{env}.example.com"))
    made.round()
    return made


def said(notes: tuple[Note, ...]) -> str:
    return "\n".join(note.says for note in notes)


def test_what_counts_as_it_is_said_is_published(engine: Engine) -> None:
    b = engine.of("component:default/b")
    assert (b.state, b.sentence) == ("published", "It is published in dev and prod.")
    assert [(each.environment, each.state, each.url) for each in b.places] == [
        ("dev", "published", "https://b.dev.example.com/"), ("prod", "published", "https://b.prod.example.com/"),
    ]  # fmt: skip
    assert b.owners == ("group:default/others",)
    assert contacts(b) == ("group:default/others",)
    assert engine.of("api:default/a").sentence == "It counts with 2 operations, provided by `component:default/a`."
    assert engine.of("group:default/team").sentence == "It counts: 1 person is in it directly, it owns 1 service here."
    assert engine.of("user:default/jane").state == "published"


def test_a_place_outside_the_operators_lists_is_refused_and_the_operator_is_asked(engine: Engine) -> None:
    engine.write("c.yaml", service("c", host="c.evil.test"))
    c = engine.of("component:default/c")
    assert (c.state, c.places[0].state, c.places[0].url) == ("refused", "refused", "")
    (note,) = c.places[0].notes
    assert note.says == "host `c.evil.test` is outside what `prod` may use: `.example.com`"
    assert (note.source.file.endswith("c.yaml"), note.source.line > 1, note.todo != "") == (True, True, True)
    assert note.ask == (ADMINISTRATORS,)
    assert contacts(c) == ("group:default/team", ADMINISTRATORS)


def test_a_broken_exposure_keeps_its_route_and_the_other_environment_is_not_affected(engine: Engine) -> None:
    changed = service("b", owner="others", environments="dev,prod", host="b.{env}.example.com")
    changed["metadata"]["annotations"]["stagedoor.dev/host.prod"] = "not a host"
    engine.write("b.yaml", changed)
    b = engine.of("component:default/b")
    assert (b.state, b.sentence) == ("held", "It is published in dev, held in prod.")
    assert [(each.state, each.url) for each in b.places] == [
        ("published", "https://b.dev.example.com/"), ("held", "https://b.prod.example.com/"),
    ]  # fmt: skip
    assert b.places[0].notes == ()
    assert said(b.places[1].notes) == "`not a host` is no host name"


def test_who_comes_second_to_a_place_is_told_who_has_it_and_asks_its_owner(engine: Engine) -> None:
    engine.write("c.yaml", service("c", host="b.prod.example.com"))
    c = engine.of("component:default/c")
    assert c.state == "refused"
    assert "which `component:default/b@prod` holds too" in said(c.places[0].notes)
    assert contacts(c) == ("group:default/team", "group:default/others")
    assert engine.of("component:default/b").state == "published"


def test_who_comes_beside_another_team_is_told_who_has_the_host_and_asks_its_owner(engine: Engine) -> None:
    """A longer path would take requests away, and script of either acts for visitors of both."""
    engine.write("c.yaml", service("c", host="b.prod.example.com", path="/admin"))
    c = engine.of("component:default/c")
    assert c.state == "refused"
    assert "`component:default/b@prod` of another team has the host" in said(c.places[0].notes)
    assert "ask the operators to list `b.prod.example.com` under `shared_hosts`" in c.places[0].notes[0].todo
    assert contacts(c) == ("group:default/team", "group:default/others")
    assert engine.of("component:default/b").state == "published"
    engine.write("c.yaml", service("c", host="b.prod.example.com", path="/admin", owner="others"))
    assert engine.of("component:default/c").state == "published", "of the same team"


def test_of_newcomers_of_two_teams_to_a_host_each_asks_the_other(engine: Engine) -> None:
    new = {"host": "new.example.com"}
    engine.write("new.yaml", service("c", path="/c", **new), service("d", owner="others", path="/d", **new))
    assert contacts(engine.of("component:default/c")) == ("group:default/team", "group:default/others")
    assert contacts(engine.of("component:default/d")) == ("group:default/others", "group:default/team")


def test_of_two_newcomers_to_a_place_each_asks_the_other(engine: Engine) -> None:
    engine.write("new.yaml", service("c", host="new.example.com"), service("d", owner="others", host="new.example.com"))
    assert contacts(engine.of("component:default/c")) == ("group:default/team", "group:default/others")
    assert contacts(engine.of("component:default/d")) == ("group:default/others", "group:default/team")


def test_an_environment_that_nobody_knows_is_refused(engine: Engine) -> None:
    engine.write("c.yaml", service("c", environments="prod,prd"))
    c = engine.of("component:default/c")
    assert [(each.environment, each.state) for each in c.places] == [("prod", "published"), ("prd", "refused")]
    assert (c.state, c.sentence) == ("refused", "It is published in prod, refused in prd.")


def test_a_document_that_cannot_be_read_is_held_where_it_was_published_and_refused_where_not(engine: Engine) -> None:
    bad = "kind: Component\nmetadata:\n  name: {}\n  name: twice\n"
    engine.write("b.yaml", entity("Component", "b", owner="others") | {"metadata": {"name": "b", "annotations": []}})
    b = engine.of("component:default/b")
    assert (b.state, [each.state for each in b.places]) == ("held", ["held", "held"])
    assert "its newest form cannot be read: the last good one counts" in said(b.notes)
    assert "`annotations` is no mapping" in said(b.notes)
    engine.write("c.yaml", {"apiVersion": "v1", "kind": "Component", "metadata": {"name": "c", "annotations": 1}})
    c = engine.of("component:default/c")
    assert (c.state, c.sentence, c.places) == ("refused", "Nothing of it counts.", ())
    assert c.source.file.endswith("c.yaml")
    engine.write("a.yaml", bad)
    assert engine.of("component:default/a").state == "held"


def test_a_definition_that_cannot_be_read_is_told_to_the_api_and_to_who_provides_it(engine: Engine) -> None:
    engine.write("api.yaml", api("a", "openapi: 3.0.3: x"))
    a = engine.of("component:default/a")
    assert (a.state, a.places[0].state) == ("held", "held")
    why = "not YAML: mapping values are not allowed in this context"
    assert f"the definition of `api:default/a` cannot be read ({why}), so the operations it had count" in said(a.notes)
    assert engine.of("api:default/a").state == "held"
    engine.write("new.yaml", service("c", providesApis=["c"]), api("c", "- no\n"))
    c = engine.of("component:default/c")
    assert c.state == "held"
    assert "so none of its operations is open" in said(c.notes)
    assert engine.of("api:default/c").state == "refused"


def test_what_an_entity_stands_on_and_is_not_there_is_named(engine: Engine) -> None:
    engine.write("c.yaml", service("c", owner="nobody", providesApis=["none"]))
    c = engine.of("component:default/c")
    assert [(each.relation, each.ref, each.state) for each in c.needs] == [
        ("owner", "group:default/nobody", "not_seen"), ("api", "api:default/none", "not_seen"),
    ]  # fmt: skip
    assert c.owners == ()
    assert contacts(c) == (ADMINISTRATORS,)
    assert "is no team of the catalog" in said(c.notes)


def test_a_held_loss_and_what_waits_behind_it_are_told_with_the_way_out(engine: Engine) -> None:
    engine.write("many.yaml", *(service(f"m{number}") for number in range(MANY)))
    engine.round()
    (engine.folder / "catalog/many.yaml").unlink()
    engine.write("c.yaml", service("c"))
    lost, waiting = engine.of("component:default/m3"), engine.of("component:default/c")
    assert (lost.state, lost.places[0].state) == ("held", "held")
    assert said(lost.notes).startswith(f"it is gone from the catalog files, as are {MANY - 1} others")
    assert (waiting.state, waiting.sentence) == ("held", "It does not count yet.")
    assert said(waiting.notes) == f"it is new and waits: {MANY} of kind component are gone at once, and that is held"
    for standing in (lost, waiting):
        (note,) = standing.notes
        assert ("accept-losses" in note.todo, note.ask) == (True, (ADMINISTRATORS,))


def test_what_one_reading_lacked_is_held_until_the_next_says_so(engine: Engine) -> None:
    (engine.folder / "catalog/b.yaml").unlink()
    assert engine.of("component:default/b").state == "held"
    assert engine.of("component:default/b").state == "not_seen"


def test_who_is_described_twice_is_told(engine: Engine) -> None:
    engine.write("c.yaml", service("b", owner="team"))
    b = engine.of("component:default/b")
    assert b.state == "held"
    assert "is described in" in said(b.notes)


def test_an_orphan_and_the_guest_count_as_gone(engine: Engine) -> None:
    orphan = entity("User", "orla", memberOf=[])
    orphan["metadata"]["annotations"] = {"backstage.io/orphan": "true"}
    engine.write("o.yaml", orphan, entity("User", "guest", memberOf=[]))
    orla, guest = engine.of("user:default/orla"), engine.of("user:default/guest")
    assert (orla.state, guest.state) == ("refused", "refused")
    assert "orphan" in said(orla.notes)
    assert "guest" in said(guest.notes)


@pytest.mark.parametrize(
    ("ref", "sentence"),
    [
        ("component:default/payments", "No catalog that is read holds it."),
        ("template:default/x", "Entities of kind `template` are not read: only a Component is exposed."),
        ("component:default/quiet", "It says nothing to Stagedoor: no annotation, so it is not exposed."),
    ],
)
def test_what_says_nothing_to_us_is_not_seen(engine: Engine, ref: str, sentence: str) -> None:
    engine.write("q.yaml", entity("Component", "quiet", owner="team"))
    standing = engine.of(ref)
    assert (standing.state, standing.sentence) == ("not_seen", sentence)


def test_whose_is_what_has_no_form_is_told_where_the_catalog_says_it(engine: Engine) -> None:
    ground = engine.round()
    pull = replace(ground.pull, absent={"component:default/o"}, owners={"component:default/o": ("group:default/team",)})
    gone = States(replace(ground, pull=pull)).of("component:default/o")
    assert (gone.state, gone.owners, contacts(gone)) == ("refused", ("group:default/team",), ("group:default/team",))


def test_what_a_published_entry_says_in_vain_is_counted_in_its_sentence(engine: Engine) -> None:
    engine.write("c.yaml", service("c", options="fly, swim"))
    assert engine.of("component:default/c").sentence == "It is published in prod, with 2 warnings."


def test_a_team_that_does_not_count_is_not_among_a_persons(engine: Engine) -> None:
    engine.write("p.yaml", entity("User", "pia", memberOf=["team", "unknown"]))
    assert engine.of("user:default/pia").sentence == "It counts, in `group:default/team`."


def test_who_follows_a_backstage_is_told_what_it_does_not_show(engine: Engine) -> None:
    ground = engine.round()
    followed = replace(ground.settings.catalog, backstage=(Backstage("main", "http://127.0.0.1:1", "token"),))
    unseen = States(replace(ground, settings=replace(ground.settings, catalog=followed))).of("component:default/x")
    assert (unseen.state, "never gets into its catalog (`main`)" in said(unseen.notes)) == ("not_seen", True)
    assert engine.of("component:default/x").notes == ()


def test_a_name_that_is_nearly_right_is_suggested_of_the_same_kind_first(engine: Engine) -> None:
    engine.write("p.yaml", service("payments"), api("payment", openapi("GET /x")))
    ground = engine.round()
    assert suggestion("component:default/paymnts", ground) == "did you mean `component:default/payments`?"
    assert suggestion("group:default/payment", ground) == "did you mean `api:default/payment`?"
    assert suggestion("component:default/zzzzzz", ground) == ""


def test_before_anything_can_be_published_everything_is_held_and_says_why(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    (tmp_path / "access.yaml").write_text("nonsense: [")
    engine.write("a.yaml", service("a"), *people("team"))
    a = engine.of("component:default/a")
    assert (a.state, a.sentence) == ("held", "It does not count yet.")
    assert said(a.notes) == "the access policy has faults and never was good: nothing is published before it is"


def test_any_fault_that_names_an_exposure_holds_or_refuses_it(engine: Engine) -> None:
    """Who finds out more about an entity than the round did needs nothing but a fault."""
    ground = engine.round()
    fault = Fault(
        Source("access.yaml", 9, "component:default/b"), "prod: a promise broke", "mend it", environment="prod"
    )
    b = States(replace(ground, faults=(*ground.faults, fault))).of("component:default/b")
    assert [each.state for each in b.places] == ["published", "held"]
    assert b.places[1].notes == (Note("a promise broke", "mend it", fault.source, "error", (OWNER,)),)


def test_a_newest_version_that_the_catalog_refused_is_held_and_its_owner_asked(engine: Engine) -> None:
    """As a processing error of Backstage: a warning, because nothing is wrong with what counts."""
    ground = engine.round()
    fault = Fault(Source("catalog:main", 0, "component:default/b"), "newest version refused", "", "warning", keeps=True)
    b = States(replace(ground, faults=(*ground.faults, fault))).of("component:default/b")
    assert (b.state, [each.state for each in b.places]) == ("held", ["held", "held"])
    assert contacts(b) == ("group:default/others",)


def test_who_is_defined_where_nobody_is_trusted_is_refused_and_the_administrators_are_asked(engine: Engine) -> None:
    ground = engine.round()
    pull = replace(ground.pull, refused={("user:default/mallory", "catalog:other"): "url:https://x"})
    mallory = States(replace(ground, pull=pull)).of("user:default/mallory")
    todo = "if it may, list `other url:https://x` in `catalog.origins.users`"
    assert (mallory.state, mallory.notes[0].todo) == ("refused", todo)
    assert contacts(mallory) == (ADMINISTRATORS,)


def test_everybody_is_listed_who_names_us_or_has_something_to_hear(engine: Engine) -> None:
    engine.write("c.yaml", service("c", host="c.evil.test"), entity("Component", "quiet"), api("c", "- no\n"))
    found = list(States(engine.round()).all())
    assert [each.ref for each in found] == [
        "api:default/c", "component:default/a", "component:default/b", "component:default/c",
    ]  # fmt: skip
    assert counted(found) == {"published": 2, "held": 0, "refused": 2, "not_seen": 0}
    assert tuple(counted(found)) == STATES
