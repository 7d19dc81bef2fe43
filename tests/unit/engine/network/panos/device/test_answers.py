"""What a firewall's answer means, for the bodies that devices are known to send."""

from __future__ import annotations

import pytest

from gateway.engine.network.panos.device.answers import MOST_ATTRIBUTES, MOST_ELEMENTS, Meaning, answer_of, meaning_of

XML = "application/xml"


def says(status: str, code: str = "", line: str = "") -> str:
    said = f"<msg><line>{line}</line></msg>" if line else ""
    return f'<response status="{status}"' + (f' code="{code}"' if code else "") + f">{said}</response>"


@pytest.mark.parametrize(
    ("http", "body", "meaning", "words"),
    [
        (200, '<response status="success" code="19"><result count="1"><entry/></result></response>', "GOOD", ()),
        (200, '<response status="success" code="20"><msg>command succeeded</msg></response>', "GOOD", None),
        (200, '<response status="success" code="7"><result/></response>', "NOTHING", ()),
        (200, says("success", "7", "Object doesn't exist"), "NOTHING", None),
        (200, says("error", "", "No such node"), "NOTHING", ("No such node",)),
        (200, says("error", "7", "job 19 not found"), "NOTHING", None),
        (200, says("unauth", "16", "Unauthorized request"), "RIGHT", ("Unauthorized request",)),
        (
            403, "<response status = 'error' code = '403'><result><msg>Invalid Credential</msg></result></response>",
            "KEY", ("Invalid Credential",),
        ),
        (200, says("error", "22", "Session timed out"), "KEY", None),
        (400, '<response status="error" code="400"><result><msg>No type</msg></result></response>', "NO", ("No type",)),
        (200, says("error", "17", "x is unexpected"), "NO", None),
        (200, says("error", "14", "Other administrators are holding device wide commit locks."), "NO", None),
        (200, says("error", "13", "Another commit/validate is in progress. Please try again later"), "LATER", None),
        (200, says("error", "", "Timed out while getting config lock. Please try again."), "LATER", None),
        (503, '<response status="error"><msg>busy</msg></response>', "DOUBT", None),
        (200, '<response status="success"><result><sys', "DOUBT", None),
        (200, "", "DOUBT", ()),
        (200, "<config/>", "DOUBT", None),
        (200, '<response code="19"><result/></response>', "NO", None),  # a status that nobody sent is no success
        (200, says("error", "14", "A commit is in progress"), "LATER", None),
        (200, says("error", "15", "Operation is not allowed on a passive device"), "NO", None),
        (200, says("error", "13", "007051000000001 not connected"), "NO", ("007051000000001 not connected",)),
        (200, says("error", "14", "Config for scope shared is currently locked by jane"), "NO", None),
        (200, says("error", "14", "You already own a config lock for scope shared"), "NO", None),
        (200, says("error", "14", "Commit is not currently locked for scope shared"), "NO", None),
        (200, says("error", "14", "Local commit jobs are queued. Revert operation is not allowed."), "NO", None),
        (200, says("error", "14", "Partial revert is not allowed. Full system commit must be completed."), "NO", None),
        (200, says("error", "10", " x cannot be deleted because of references from: vsys -&gt; vsys1"), "NO", None),
        (
            200, '<response status="error" code="13"><response status="error" code="12" id="2"><msg><line><![CDATA[ x '
            "unexpected here]]></line></msg></response></response>", "NO", ("x unexpected here",),
        ),
        (
            200, '<response status="success" code="19"><msg>There are no changes to commit.</msg></response>',
            "GOOD", ("There are no changes to commit.",),
        ),
        (
            200, '<response status="success"><result><job><id>2</id><details><line>Commit failed</line></details></job>'
            "</result></response>", "GOOD", ("Commit failed",),
        ),
        (200, "<html><body>GlobalProtect</body></html>", "NO", ()),
        (502, "<html><body>Bad gateway</body></html>", "DOUBT", ()),
    ],
)  # fmt: skip
def test_an_answer_means(http: int, body: str, meaning: str, words: tuple[str, ...] | None) -> None:
    answer = answer_of(http, XML, body.encode())
    assert meaning_of(answer) is Meaning[meaning]
    if words is not None:
        assert answer.messages == words


def test_each_entry_of_a_user_id_answer_says_what_became_of_it() -> None:
    body = (
        '<response status="error"><msg><line><uid-response><version>2.0</version><payload><unregister></unregister>'
        '<register><entry ip="1.1.2.2" message="tag foo already exists, ignore"/>'
        '<entry ip="1.1.2.3" message="tag bar already exists, ignore"/></register></payload></uid-response>'
        "</line></msg></response>"
    )
    assert answer_of(200, XML, body.encode()).messages == (
        "tag foo already exists, ignore", "tag bar already exists, ignore",
    )  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><response status="success">&b;</response>',
        b'<!DOCTYPE r SYSTEM "file:///etc/passwd"><response status="success"/>',
        b'<response status="success">' + b"<a/>" * (2 * MOST_ELEMENTS) + b"</response>",
        b"<response " + b" ".join(b'a%d="1"' % number for number in range(MOST_ATTRIBUTES + 1)) + b"/>",
        b'<?xml version="1.0" encoding="klingon"?><response status="success"/>',
        b'<response status="success"><result>\xff\xfe</result></response>',
        b"<" * 100_000,
        b"<a>" * 200_000,
    ],
    ids=["entities", "external", "elements", "attributes", "encoding", "bytes", "angles", "depth"],
)
def test_a_hostile_document_is_no_answer(body: bytes) -> None:
    answer = answer_of(200, XML, body)
    assert answer.root is None
    assert meaning_of(answer) is Meaning.DOUBT


def test_a_page_is_known_by_its_type_and_by_its_beginning() -> None:
    assert answer_of(200, "text/html", b'<response status="success"/>').form == "page"
    assert answer_of(200, XML, b"  <!DOCTYPE html><p>x").form == "page"
