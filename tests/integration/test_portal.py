"""Promises about the portal: it shows what the table permits and what is theirs, to people, and nothing else."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.central import HOST, CentralNode, Reply, central_node
from tests.support.central import _said as said

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def central(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CentralNode]:
    with central_node(tmp_path_factory.mktemp("portal")) as node:
        yield node


def visit(
    central: CentralNode, who: str | None, path: str, method: str = "GET", body: bytes | None = None, **lines: str
) -> Reply:
    sent = {"Host": HOST, "Accept": "text/html", **{name.replace("_", "-"): value for name, value in lines.items()}}
    if who is not None:
        sent["Authorization"] = f"Bearer {central.token(who)}"
    return said(http.client.HTTPConnection("127.0.0.1", central.node.port, timeout=10), method, path, body, sent)


def text_of(page: Reply) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page.text.decode()).split())


def test_what_is_reached_is_shown_with_the_sentence_that_says_why(central: CentralNode) -> None:
    page = visit(central, "olga", "/portal")
    assert page.status == 200
    assert "https://ledger.test/" in page.text.decode()
    assert "may " in text_of(page)
    assert page.headers["content-type"] == "text/html; charset=utf-8"


def test_a_search_finds_by_every_word_and_shows_what_was_typed_as_text(central: CentralNode) -> None:
    assert "https://ledger.test/" in visit(central, "olga", "/portal?q=LEDGER+test").text.decode()
    nothing = visit(central, "olga", "/portal?q=%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert b"<script" not in nothing.text
    assert "Nothing of that name" in text_of(nothing)


ODD = ("from=-1", "from=99999999999", "from=x", "in=nowhere", "q=" + "a" * 5000, "q=%00%ff")


@pytest.mark.parametrize("query", ODD)
def test_no_query_breaks_a_page(central: CentralNode, query: str) -> None:
    assert visit(central, "olga", f"/portal?{query}").status in (200, 400)


def test_a_stranger_and_a_program_see_no_page(central: CentralNode) -> None:
    assert visit(central, None, "/portal").status == 401
    assert visit(central, "pipeline-id", "/portal").status == 403


def test_a_page_runs_nothing_and_loads_from_this_host_alone(central: CentralNode) -> None:
    page = visit(central, "olga", "/portal")
    assert "script-src" not in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text.decode())
    loaded = [each for each in links if each.endswith((".css", ".svg"))]
    assert loaded
    assert all(each.startswith("/.stagedoor/static/") for each in loaded)
    for each in loaded:
        assert visit(central, None, each).status == 200
    assert visit(central, None, "/.stagedoor/static/..%2f__init__.py").status in (400, 404)
    assert visit(central, None, "/.stagedoor/static/nothing.css").status == 404


def test_my_services_are_mine_alone(central: CentralNode) -> None:
    mine = visit(central, "jane", "/portal/services")
    assert mine.status == 200
    assert "component:default/echo" in text_of(mine)
    detail = visit(central, "jane", "/portal/services/component:default/echo")
    assert detail.status == 200
    assert "Who can reach it" in text_of(detail)
    other = visit(central, "olga", "/portal/services/component:default/nothing")
    assert other.status == 403


def test_a_session_is_ended_from_a_page_of_this_host_alone(central: CentralNode) -> None:
    for origin in ("https://elsewhere.test", "null", ""):
        answer = visit(central, "olga", "/portal/sessions/end", "POST", b"session=all", Origin=origin)
        assert answer.status == 403, origin


def test_a_token_for_services_opens_no_page(central: CentralNode) -> None:
    """Every service that somebody calls holds such a token: it could end their sessions, and look at their services."""
    bearer: dict[str, Any] = {"Authorization": f"Bearer {central.token('olga', aud=['api'])}"}
    for path in ("/portal", "/portal/services", "/portal/sessions"):
        assert visit(central, None, path, **bearer).status == 401
    own = {**bearer, "Origin": f"http://{HOST}", "Content_Type": "application/x-www-form-urlencoded"}
    assert visit(central, None, "/portal/sessions/end", "POST", b"session=all", **own).status == 401


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data; boundary=x", b"garbage"), ("multipart/form-data", b"x"), ("text/plain", b"session=all"),
        ("application/x-www-form-urlencoded", b"session=%ff"),
        ("application/x-www-form-urlencoded", b"session=all&session=all"),
        ("application/x-www-form-urlencoded", b"session=" + b"a" * 40_000),
    ],
)  # fmt: skip
def test_what_is_no_form_is_told_so(central: CentralNode, kind: str, body: bytes) -> None:
    own = {"Origin": f"http://{HOST}", "Content_Type": kind}
    answer = visit(central, "olga", "/portal/sessions/end", "POST", body, **own)
    assert answer.status == 400
    assert "The body is not what" in text_of(answer)


def test_the_central_host_begins_with_the_portal(central: CentralNode) -> None:
    assert visit(central, "olga", "/").headers["location"] == "/portal"
