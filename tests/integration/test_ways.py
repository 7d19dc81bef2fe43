"""Promises about a person's way and a service's inventory, through a whole node: everybody asks about themselves, sees
nothing of the network where a door would show nothing, and is told alike by page, API and command line."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.control.api.way_models import InventoryAnswer, PathAnswer
from tests.support.central import HOST, CentralNode, Reply, central_node
from tests.support.central import _said as said

pytestmark = pytest.mark.slow
ENTRIES = "https://ledger.test/entries"
LEDGER = "inventory/component:default/ledger"
SERVICE = "/portal/services/component:default/ledger"
MADE = f"{SERVICE}/inventory"
BAD_URLS = (
    "https://pay%00.x/", "https://ledger.test\x00/", "https://jane:pw@ledger.test/", "http://[::1%25eth0]/",
    "https://ledger.test./", "https://ledger.test:0/", "https://ledger.test/" + "a" * 10_240,
)  # fmt: skip


@pytest.fixture(scope="module")
def central(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CentralNode]:
    with central_node(tmp_path_factory.mktemp("ways")) as node:
        yield node


def way(central: CentralNode, who: str, **question: str) -> dict[str, Any]:
    answer = central.ask("path", who, {"url": ENTRIES, **question})
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json
    PathAnswer.model_validate(found, strict=True)
    return found


def kinds(found: dict[str, Any]) -> dict[str, str]:
    return {hop["kind"]: hop["state"] for hop in found["hops"]}


def visit(central: CentralNode, who: str, query: str, page: str = "/portal/path") -> Reply:
    sent = {"Host": HOST, "Accept": "text/html", "Authorization": f"Bearer {central.token(who)}"}
    connection = http.client.HTTPConnection("127.0.0.1", central.node.port, timeout=10)
    return said(connection, "GET", f"{page}{query}", None, sent)


def text_of(page: Reply) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page.text.decode()).split())


def run(central: CentralNode, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--state", str(central.node.folder / "state")])


# === the way ===


def test_an_owner_is_told_every_hop_of_their_own_way(central: CentralNode) -> None:
    found = way(central, "olga")
    assert kinds(found) == {"name": "stops", "door": "open", "upstream": "open"}
    assert [hop["kind"] for hop in found["hops"]] == ["name", "door", "upstream"]
    assert found["person"] == "user:default/olga"
    assert found["state"] == "stops"
    assert "ledger.test" in found["sentence"]
    (upstream,) = [hop for hop in found["hops"] if hop["kind"] == "upstream"]
    assert "http://127.0.0.1:9" in upstream["sentence"]


def test_whoever_has_no_right_there_is_told_nothing_of_the_network(central: CentralNode) -> None:
    found = way(central, "jane")
    assert kinds(found) == {"door": "stops"}
    assert "127.0.0.1" not in json.dumps(found)
    nowhere = way(central, "jane", url="https://nothing.test/entries")
    assert kinds(nowhere) == kinds(found)


def test_no_name_server_is_asked_for_what_somebody_typed(central: CentralNode) -> None:
    found = way(central, "jane", url="https://localhost.localdomain/")
    assert kinds(found) == {"door": "stops"}


def test_a_visitor_with_some_right_is_told_nothing_of_what_lies_behind_the_door(central: CentralNode) -> None:
    found = way(central, "root", user="jane", url="https://echo.test/")
    assert "http" in json.dumps([hop for hop in found["hops"] if hop["kind"] == "upstream"])
    found = way(central, "robot-id", url=ENTRIES)
    assert "127.0.0.1" not in json.dumps(found)


def test_only_administrators_ask_about_others(central: CentralNode) -> None:
    assert central.ask("path", "olga", {"url": ENTRIES, "user": "jane"}).json["code"] == "not_yours"
    assert way(central, "olga", user="olga") == way(central, "olga")
    assert way(central, "root", user="olga")["person"] == "user:default/olga"
    assert central.ask("path", None, {"url": ENTRIES}).status == 401


def test_what_is_no_link_or_method_is_said_so(central: CentralNode) -> None:
    for question in ({"url": "ledger"}, {}, {"url": ENTRIES, "method": "BREW"}):
        assert central.ask("path", "olga", question).status == 400


def test_a_link_is_read_alike_everywhere_and_as_a_door_reads_it(central: CentralNode) -> None:
    for url in ("https://LEDGER.test:8443/entries#top", "http://ledger.test/entries"):
        assert way(central, "olga", url=url)["hops"] == way(central, "olga")["hops"]
        assert json.loads(run(central, "path", "olga", url, "--json").stdout)["hops"] == way(central, "olga")["hops"]


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_link_that_no_door_would_read_is_refused_alike_everywhere(central: CentralNode, url: str) -> None:
    done = run(central, "path", "olga", url)
    assert done.exit_code == 2
    page, answer = visit(central, "olga", "?" + urlencode({"url": url})), central.ask("path", "olga", {"url": url})
    if len(url) < 8000:  # else a door finds the request itself too long
        sentence = done.stderr.strip().rpartition("Error: ")[2]
        assert (page.status, answer.status) == (400, 400)
        assert sentence.replace("`", "")[1:60] in text_of(page).replace("`", "")
        (error,) = answer.json["errors"]
        assert f"{error['message']}; {error['todo']}" == sentence
        assert "pw" not in sentence
    else:
        assert (page.status, answer.status) == (414, 414)


# === the page ===


def test_the_page_tells_what_the_api_tells(central: CentralNode) -> None:
    page = visit(central, "olga", f"?url={ENTRIES}")
    assert page.status == 200
    for hop in way(central, "olga")["hops"]:
        assert hop["sentence"].replace("`", "") in text_of(page)


def test_a_form_stands_alone_and_what_was_typed_is_text(central: CentralNode) -> None:
    assert visit(central, "jane", "").status == 200
    page = visit(central, "jane", "?url=%3Cscript%3E&method=%3Cb%3E")
    assert b"&lt;script&gt;" in page.text
    assert b"<script" not in page.text
    assert visit(central, "jane", "?url=https://[").status == 400
    assert "more than one" not in text_of(visit(central, "olga", "?url=ledger.test/?next=https://x.test/"))
    assert visit(central, "olga", "?url=ledger.test/entries").status == 200


def test_a_page_about_others_is_for_administrators(central: CentralNode) -> None:
    assert visit(central, "olga", f"?url={ENTRIES}&user=jane").status == 403
    assert b'name="user"' not in visit(central, "olga", "").text
    assert b"user:default/jane" in visit(central, "root", f"?url={ENTRIES}&user=jane").text


# === the inventory ===


def test_an_inventory_is_for_owners_and_administrators(central: CentralNode) -> None:
    for who in ("olga", "root"):
        InventoryAnswer.model_validate(central.ask(LEDGER, who).json, strict=True)
    for who, operation in (("jane", LEDGER), ("olga", "inventory/component:default/echo"), ("olga", "inventory/x:y/z")):
        assert central.ask(operation, who).json["code"] == "not_yours", (who, operation)


def test_an_inventory_names_hosts_rules_people_and_versions(central: CentralNode) -> None:
    found = central.ask(LEDGER, "olga").json
    (at,) = found["environments"]
    assert at["url"] == "https://ledger.test/"
    assert at["upstreams"] == [{"url": "http://127.0.0.1:9", "up": None}]
    (owners,) = [rule for rule in at["rules"] if rule["subject"] == "group:default/books"]
    assert owners["people"] == 1
    assert [each["lags"] for each in found["doors"]] == [False]
    assert found["doors"][0]["base"] == found["base"]


def test_the_page_of_an_inventory_tells_what_the_api_tells(central: CentralNode) -> None:
    (at,) = central.ask(LEDGER, "olga").json["environments"]
    for who in ("olga", "root"):
        page = visit(central, who, "", MADE)
        assert page.status == 200
        for each in at["rules"]:
            assert each["sentence"] in text_of(page)
        assert "http://127.0.0.1:9" in text_of(page)
        assert f"{at['people']} person of the catalog" in text_of(page)
        assert b"<script" not in page.text


def test_owners_are_told_whom_a_rule_means(central: CentralNode) -> None:
    (at,) = central.ask(LEDGER, "olga").json["environments"]
    (owners,) = [rule["rule"] for rule in at["rules"] if rule["subject"] == "group:default/books"]
    asked = f"?in=prod&rule={owners}"
    assert asked.replace("&", "&amp;") in visit(central, "olga", "", MADE).text.decode()
    page = visit(central, "olga", asked, MADE)
    assert "1 person of the catalog, in prod. user:default/olga" in text_of(page)
    for query in ("?in=dev&rule=" + owners, "?in=prod&rule=r-nothing"):
        gone = visit(central, "olga", query, MADE)
        assert (gone.status, "has no such rule now" in text_of(gone)) == (404, True), query
        assert visit(central, "jane", query, MADE).status == 403
    assert visit(central, "jane", asked, MADE).status == 403
    assert visit(central, "olga", asked, MADE.replace("ledger", "echo")).status == 403


def test_to_others_an_inventory_looks_like_one_of_no_service(central: CentralNode) -> None:
    """But for the id of the request."""
    pages = [visit(central, "jane", "", MADE), visit(central, "jane", "", MADE.replace("ledger", "nothing"))]
    told = [re.sub(r"Request [0-9a-f-]+", "", text_of(page)) for page in pages]
    assert told[0] == told[1]
    assert [page.status for page in pages] == [403, 403]
    assert visit(central, "root", "", MADE.replace("ledger", "nothing")).status == 404


def test_owners_come_to_the_inventory_from_its_service_and_from_the_way_there(central: CentralNode) -> None:
    link = f'href="{MADE}"'.encode()
    assert link in visit(central, "olga", "", SERVICE).text
    assert link in visit(central, "olga", f"?url={ENTRIES}").text
    assert b"/inventory" not in visit(central, "jane", f"?url={ENTRIES}").text
    assert b"/inventory" not in visit(central, "root", "?url=https://nothing.test/").text


# === the command line ===


def test_the_command_line_says_the_same_and_ends_with_what_stops(central: CentralNode) -> None:
    done = run(central, "path", "olga", ENTRIES, "--json")
    assert done.exit_code == 1, done.output
    assert json.loads(done.stdout)["hops"] == way(central, "root", user="olga")["hops"]
    text = run(central, "path", "jane", ENTRIES)
    assert "stops" in text.stdout
    assert run(central, "path", "olga", "ledger").exit_code == 2


def test_the_inventory_on_the_command_line_says_who_lags(central: CentralNode) -> None:
    done = run(central, "inventory", "ledger", "--json")
    assert done.exit_code == 0, done.output
    told, asked = json.loads(done.stdout), central.ask(LEDGER, "root").json
    assert told == asked
    assert "nobody lags behind" in run(central, "inventory", "ledger").stdout
    assert run(central, "inventory", "nothing").exit_code == 2


def test_over_the_central_host_the_same_is_shown(central: CentralNode, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(central.token("root"))
    there = ["--url", f"http://{HOST}:{central.node.port}", "--token-file", str(tmp_path / "token"), "--json"]
    for words in (["path", "olga", ENTRIES], ["inventory", "ledger"]):
        far = CliRunner().invoke(main, [*words, *there])
        near = run(central, *words, "--json")
        assert json.loads(far.stdout) == json.loads(near.stdout), far.output
        assert far.exit_code == near.exit_code
