"""What devices are told of a round: what is published, and who the people of the same compile are."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.engine.journal import Journal
from gateway.engine.network.news import NO_CATALOG, News, news_of
from gateway.engine.publisher import Publisher
from gateway.engine.rounds import Rounds
from policy.facts import ALL_PEOPLE, EVERYONE
from tests.support.catalogs import entity, people, service, settings, write

JANE, TEAM = "user:default/jane", "group:default/team"


class Engine:
    def __init__(self, folder: Path) -> None:
        self.catalog = folder / "catalog"
        self.settings = settings(folder)
        state = Path(self.settings.state_folder)
        self.publisher = Publisher(state)
        self.rounds = Rounds(self.settings, self.publisher, Journal(state))
        self.write("a.yaml", service("a"), service("b"))
        self.write("org.yaml", *people("team"))
        self.write("joe.yaml", entity("User", "joe", memberOf=["team"]))

    def write(self, name: str, *documents: object) -> None:
        write(self.catalog, name, *documents)

    def news(self) -> News | None:
        while self.rounds.round().confirm:
            pass
        return news_of(self.rounds, self.publisher.base, 2)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path)


def subjects(news: News | None, ref: str = JANE) -> frozenset[str]:
    assert news is not None
    return news.directory.subjects_of(ref)


def test_there_are_none_before_something_is_published(engine: Engine) -> None:
    assert news_of(engine.rounds, engine.publisher.base, 0) is None


def test_people_and_services_are_those_of_one_compile(engine: Engine) -> None:
    news = engine.news()
    assert news is not None
    assert news.base == engine.publisher.base
    assert {each.service.ref for each in news.published} >= {"component:default/a", "component:default/b"}
    assert news.catalog.people.keys() == {JANE, "user:default/joe"}
    assert subjects(news) == {JANE, TEAM, ALL_PEOPLE, EVERYONE}
    assert news.directory is news.directory


def test_who_leaves_a_team_carries_it_no_more_and_others_stay_the_very_same(engine: Engine) -> None:
    """What is the same object needs no second look."""
    before = engine.news()
    engine.write("org.yaml", *people("team")[:-1], entity("User", "jane"))
    after = engine.news()
    assert before is not None
    assert after is not None
    assert before.base != after.base
    assert subjects(after) == {JANE, ALL_PEOPLE, EVERYONE}
    assert after.catalog.people["user:default/joe"] is before.catalog.people["user:default/joe"]
    assert after.catalog.services["component:default/a"] is before.catalog.services["component:default/a"]
    assert TEAM in subjects(before), "what was told stays what it was"


def test_a_catalog_that_cannot_be_used_changes_nobody(engine: Engine) -> None:
    before = engine.news()
    engine.write("../access.yaml", "version: 9\n")
    after = engine.news()
    assert subjects(after) == subjects(before)


def test_without_a_catalog_nobody_is_known() -> None:
    news = News("base", (), 0)
    assert news.catalog is NO_CATALOG
    assert news.directory.subjects_of(JANE) == frozenset()
