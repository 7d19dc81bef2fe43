"""The annotation `options`, word by word at the door: what each admits, that nothing else does, what goes upstream.

Guards the promise that an owner opts in by name: without the word the door refuses, with another word as well, and
with it the bytes arrive as the client sent them. `retry-idempotent` is held by `test_upstream_balance.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from policy.facts import Catalog, Exposure, Operation
from tests.integration.conftest import request
from tests.support.door import LoopThread, RunningDoor, running_door, settings_for, until
from tests.support.small_catalog import NOWHERE, publish, service, small_catalog
from tests.support.upstream import Upstream
from tests.support.wire import Client, Got

ODD = {
    "encoded-slashes": "/v1/things/a%2fb",
    "double-slashes": "/v1/things//b",
    "path-parameters": "/v1/things/a;v=1",
}
WORDS = (*ODD, "trailing-slash-same", "strip-prefix")
OPERATIONS = (
    Operation("GET", "/things/{id}"),
    Operation("GET", "/things/{id}/parts"),
    Operation("POST", "/hooks", public=True),
    Operation("GET", "/files/**"),
)


def catalog(upstream: str) -> Catalog:
    """One service per word, named after it, below /v1; `none` has no option, `all` has every one."""
    small = small_catalog(upstream)
    more = [
        service(
            name, (upstream,), "everyone", options=frozenset(words), operations=OPERATIONS, has_definition=True,
            exposures=(Exposure("prod", f"{name}.test", "/v1", (upstream,), NOWHERE),),
        )
        for name, words in {"none": (), "all": WORDS, **{word: (word,) for word in WORDS}}.items()
    ]  # fmt: skip
    return Catalog(small.people, small.teams, {**small.services, **{each.ref: each for each in more}})


@pytest.fixture(scope="module")
def passing(rest: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningDoor, Upstream]]:
    upstream = Upstream(rest).start()
    state = tmp_path_factory.mktemp("options") / "state"
    policy = {
        "version": 1,
        "environments": {"prod": {"everyone": ["all"], "public": "declared"}},
    }
    with running_door(
        state, publish=lambda into: publish(into, catalog(upstream.url), policy), settings=settings_for(state)
    ) as running:
        yield running, upstream
    upstream.stop()
    assert upstream.faults == []


def ask(door: RunningDoor, name: str, target: str, method: str = "GET", sub: str | None = "jane") -> Got:
    with Client(door.port) as client:
        return client.send(request(target, host=f"{name}.test", method=method, sub=sub)).answer(method)


@pytest.mark.parametrize("word", ODD)
def test_an_odd_path_is_admitted_by_its_own_word_alone(passing: tuple[RunningDoor, Upstream], word: str) -> None:
    door, upstream = passing
    before = len(upstream.seen)
    for name in ("none", *(other for other in WORDS if other != word)):
        got = ask(door, name, ODD[word])
        assert (got.status, got.code) == (400, "path_malformed"), name
    assert len(upstream.seen) == before
    target = ODD[word] if word != "double-slashes" else "/v1/files//b"
    assert ask(door, word, target).status == 200
    assert upstream.seen[-1].target == target


def test_an_encoded_slash_stays_inside_its_segment(passing: tuple[RunningDoor, Upstream]) -> None:
    """`a%2Fparts` is one segment: it is the thing of that name, never the operation that a decoder would make of it."""
    door, _ = passing
    assert ask(door, "encoded-slashes", "/v1/things/inside%2Fparts").status == 200
    assert ask(door, "encoded-slashes", "/v1/things/inside/parts").status == 200

    def told() -> list[str]:
        return [each["operation"] for each in door.records(1) if "inside" in each["path"]]

    until(lambda: len(told()) == 2)
    assert told() == ["GET /things/{id}", "GET /things/{id}/parts"]


@pytest.mark.parametrize(
    ("target", "method", "sub"),
    [("/v1/things/7/", "GET", "jane"), ("/v1/things/7/parts/", "GET", "jane"), ("/v1/hooks/", "POST", None)],
)
def test_a_slash_at_the_end_is_no_difference_where_the_owner_says_so(
    passing: tuple[RunningDoor, Upstream], target: str, method: str, sub: str | None
) -> None:
    """Rules that name an operation are about both spellings, and the client's spelling goes upstream."""
    door, upstream = passing
    refused = ask(door, "none", target, method, sub)
    assert refused.code == ("operation_unknown" if sub else "identity_required")
    assert ask(door, "trailing-slash-same", target, method, sub).status == 200
    assert upstream.seen[-1].target == target
    assert ask(door, "trailing-slash-same", target.rstrip("/"), method, sub).status == 200
    assert upstream.seen[-1].target == target.rstrip("/")


@pytest.mark.parametrize(
    ("target", "upstream_target"),
    [
        ("/v1/things/7?a=/v1", "/things/7?a=/v1"),
        ("/v1/things/%37", "/things/%37"),
        ("/%76%31/things/7", "/things/7"),
    ],
)
def test_a_stripped_prefix_is_decided_on_and_not_sent(
    passing: tuple[RunningDoor, Upstream], target: str, upstream_target: str
) -> None:
    door, upstream = passing
    assert ask(door, "strip-prefix", target).status == 200
    assert upstream.seen[-1].target == upstream_target
    assert ask(door, "none", target).status == 200
    assert upstream.seen[-1].target == target


def test_a_rest_that_a_server_could_take_for_a_host_is_refused(passing: tuple[RunningDoor, Upstream]) -> None:
    door, upstream = passing
    before = len(upstream.seen)
    assert ask(door, "all", "/v1//evil.example/x").status in (400, 404)
    assert len(upstream.seen) == before
