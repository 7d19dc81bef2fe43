"""Messages to User-ID: what is in a document, what is left out of it, and what an answer says of each entry."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.engine.network.faults import Rejected, Unknown
from gateway.engine.network.panos.device.answers import Meaning, answer_of, meaning_of
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.userid import (
    LONGEST_S,
    NEVER,
    Entry,
    Message,
    What,
    document_of,
    tell,
    told_of,
)
from gateway.engine.network.transport.patience import Limits
from tests.support.scripted_device import FakeTime
from tests.support.scripted_firewall import KEY, Said, firewall_settings, scripted_firewall

HOST = Entry(What.ADDRESS, "192.0.2.1", (("sd-a", NEVER),))
ANN = Entry(What.USER, r"corp\ann", (("sd-g", NEVER), ("sd-t", 1100)))
ANSWER = (
    '<response status="error"><msg><line><uid-response><version>2.0</version><payload>'
    '<unregister-user><entry user="bob" message="user bob does not exist, ignore unreg"/></unregister-user>'
    '<register><entry ip="192.0.2.1" message="tag sd-a already exists, ignore"/>'
    '<entry ip="192.0.2.2" message="Failed to register"/></register></payload></uid-response></line></msg></response>'
)
NOTHING_SAID = "<uid-response><payload><register/></payload></uid-response>"
DONE = '<response status="success"><result><uid-response><payload/></uid-response></result></response>'


def test_a_document_says_who_loses_before_who_gets_and_how_long_a_tag_lasts() -> None:
    assert document_of(Message([ANN], [HOST, ANN]), 1000.5) == (
        "<uid-message><version>1.0</version><type>update</type><payload>"
        '<register><entry ip="192.0.2.1"><tag><member>sd-a</member></tag></entry></register>'
        r'<unregister-user><entry user="corp\ann"><tag><member>sd-g</member><member>sd-t</member></tag></entry>'
        r'</unregister-user><register-user><entry user="corp\ann"><tag><member>sd-g</member>'
        '<member timeout="99">sd-t</member></tag></entry></register-user></payload></uid-message>'
    )


def test_what_has_ended_is_not_registered_and_an_entry_without_tags_is_never_sent() -> None:
    over = Entry(What.USER, "ann", (("sd-t", 1000),))
    nothing = Entry(What.USER, "ann", ())
    said = document_of(Message([nothing], [over]), 999.5)
    assert "<entry" not in said, "it would take away everybody's tags"
    far = Entry(What.USER, "ann", (("sd-t", 10**10),))
    assert f'timeout="{LONGEST_S}"' in document_of(Message((), [far]), 0.0)


def test_only_what_did_not_take_effect_is_a_failure() -> None:
    answer = answer_of(200, "application/xml", ANSWER.encode())
    assert meaning_of(answer) is Meaning.PARTLY
    assert told_of(answer).failed == {(What.ADDRESS, "192.0.2.2"): "Failed to register"}
    crossed = ANSWER.replace("does not exist, ignore unreg", "already exists, ignore")
    assert (What.USER, "bob") in told_of(answer_of(200, "application/xml", crossed.encode())).failed


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Said(0, ""), Unknown), (Said(200, ""), Unknown), (Said(500, "<html/>", "text/html"), Unknown),
        (Said(200, '<response status="error" code="17"><msg><line>no payload</line></msg></response>'), Rejected),
        (Said(200, f'<response status="error"><msg><line>{NOTHING_SAID}</line></msg></response>'), Rejected),
    ],
    ids=["broken off", "empty", "500", "refused", "refused without entries"],
)  # fmt: skip
def test_a_message_without_a_good_answer_is_no_success(tmp_path: Path, answer: Said, fault: type[Exception]) -> None:
    async def scene() -> None:
        async with scripted_firewall(tmp_path, lambda _: answer) as firewall:
            client = Client(firewall_settings(tmp_path, firewall), firewall.url, FakeTime().time(), Limits())
            with pytest.raises(fault):
                await tell(client, Message((), [HOST]), lambda: 1000.0)
            assert len(firewall.calls) == 1, "whoever asks reads back before anything is told again"
            await client.close()

    asyncio.run(scene())


def test_a_firewall_that_has_no_time_is_told_the_time_that_is_left_then(tmp_path: Path) -> None:
    async def scene() -> None:
        clock = FakeTime()
        async with scripted_firewall(tmp_path, lambda _: Said(200, DONE)) as firewall:
            firewall.queue = [Said(200, '<response status="error"><msg>A commit is in progress</msg></response>')]
            client = Client(firewall_settings(tmp_path, firewall), firewall.url, clock.time(), Limits())
            assert await tell(client, Message((), [ANN]), lambda: clock.now_s) == {}
            first, second = (call.said["cmd"] for call in firewall.calls)
            assert 'timeout="100"' in first
            assert f'timeout="{int(1100 - clock.now_s)}"' in second
            assert clock.slept
            assert {call.said["vsys"] for call in firewall.calls} == {"vsys1"}
            await client.close()

    asyncio.run(scene())


def test_a_failure_is_told_without_the_key(tmp_path: Path) -> None:
    async def scene() -> None:
        body = ANSWER.replace("Failed to register", f"Failed: {KEY}")
        async with scripted_firewall(tmp_path, lambda _: Said(200, body)) as firewall:
            client = Client(firewall_settings(tmp_path, firewall), firewall.url, FakeTime().time(), Limits())
            assert list((await tell(client, Message((), [HOST]), lambda: 0.0)).values()) == ["Failed: …"]
            await client.close()

    asyncio.run(scene())
