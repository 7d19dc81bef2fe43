"""An owner hears whose services answer below theirs, and of nobody else's business."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gateway.engine.entries.neighbours import neighbours
from gateway.engine.journal import Journal
from gateway.engine.publisher import Publisher
from gateway.engine.rounds import Rounds
from tests.support.catalogs import environments, people, service, settings, write

SHOP = "shop.example.com"
HOST = {"host": SHOP}


def heard(folder: Path, ref: str, *documents: object, shared_hosts: tuple[str, ...] = (SHOP,)) -> list[str]:
    write(folder, "catalog/all.yaml", *people("team", "others"), *documents)
    shared = replace(environments("prod")["prod"], shared_hosts=shared_hosts)
    said = settings(folder, environments={"prod": shared})
    state = Path(said.state_folder)
    rounds = Rounds(said, Publisher(state), Journal(state))
    rounds.round()
    assert rounds.ground is not None
    notes = list(neighbours(rounds.ground.published[f"component:default/{ref}@prod"], rounds.ground))
    assert not any(note.holds for note in notes)
    return [note.says for note in notes]


def test_what_others_have_below_is_told_to_the_one_above_alone(tmp_path: Path) -> None:
    documents = [
        service("shop", **HOST), service("cart", path="/cart", **HOST),  # the same team's
        service("admin", path="/admin", owner="others", **HOST),
        service("login", path="/log/in", owner="others", **HOST),
        service("elsewhere", path="/admin", owner="others", host="else.example.com"),
    ]  # fmt: skip
    services = "`component:default/admin` and `component:default/login`"
    assert heard(tmp_path, "shop", *documents) == [
        f"requests to `/admin` and `/log/in` go to somebody else's {services}"
    ]
    assert heard(tmp_path, "admin", *documents) == []


def test_a_path_that_only_begins_alike_is_not_below(tmp_path: Path) -> None:
    documents = [service("pay", path="/pay", **HOST), service("payroll", path="/payroll", owner="others", **HOST)]
    assert heard(tmp_path, "pay", *documents) == []


def test_who_came_as_one_of_the_team_is_told_to_everybody_of_it_on_the_host(tmp_path: Path) -> None:
    """`spec.owner` is what the newcomer writes; the one whose host it was reads it at their own entry."""
    documents = [service("board", path="/board", **HOST), service("admin", path="/admin", **HOST)]
    (note,) = heard(tmp_path, "board", *documents, shared_hosts=())
    assert note == f"on `{SHOP}` with the same `spec.owner`, and so with the same visitors: `component:default/admin`"
    (note,) = heard(tmp_path, "admin", *documents, shared_hosts=())
    assert note.endswith("`component:default/board`")
