"""Writes, locks and jobs of a firewall that answers what a test scripts: what is sent again, and what is believed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis.strategies import integers, lists, sampled_from

from gateway.engine.network.faults import Busy, Rejected, Unknown
from gateway.engine.network.panos.device import jobs, locks, writes
from gateway.engine.network.panos.device.answers import answer_of
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.places import entry, place_of_rules, touches, touching
from gateway.engine.network.panos.device.writes import PARTS_MOST, Edit, multi_config, transactions
from gateway.engine.network.transport.patience import Limits
from tests.support.scripted_device import FakeTime
from tests.support.scripted_firewall import Said, ScriptedFirewall, firewall_settings, scripted_firewall, well

LIMITS = Limits(call=20.0, connect=10.0, read=50.0, write=50.0, task=300.0)
WELL = '<response status="success" code="20"><msg>command succeeded</msg></response>'
XPATH = "/config/devices/entry[@name='localhost.localdomain']/vsys/entry[@name='vsys1']/tag/entry[@name='sd-x']"


@asynccontextmanager
async def asked(
    folder: Path, script: Callable[[str], Said] = well
) -> AsyncIterator[tuple[ScriptedFirewall, Client, FakeTime]]:
    clock = FakeTime()
    clock.share = 0.01
    async with scripted_firewall(folder, script) as firewall:
        client = Client(firewall_settings(folder, firewall), firewall.url, clock.time(), LIMITS)
        try:
            yield firewall, client, clock
        finally:
            await client.close()


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scene())


# === writes ===


def test_several_edits_are_one_strict_transaction(tmp_path: Path) -> None:
    async def main() -> None:
        async with asked(tmp_path, lambda _: Said(200, WELL)) as (firewall, client, _):
            edits = [Edit("edit", XPATH, "<entry name='sd-x'/>"), Edit("move", XPATH, where="before", dst="sd-end")]
            await multi_config(client, edits)
            (call,) = firewall.calls
            assert call.said["action"] == "multi-config" and call.said["strict-transactional"] == "yes"
            assert call.said["element"] == (
                f'<multi-config><edit id="1" xpath="{XPATH}"><entry name="sd-x" /></edit>'
                f'<move id="2" xpath="{XPATH}" where="before" dst="sd-end" /></multi-config>'
            )

    run(main)


@pytest.mark.parametrize(
    "answer",
    [
        Said(0, ""),
        Said(503, "<html/>", "text/html"),
        Said(200, ""),
        Said(200, "<response status='succ"),
        Said(200, "<html>wait</html>", "text/html"),
    ],
    ids=["broken off", "503", "empty", "half", "page"],
)
def test_a_write_that_may_have_taken_effect_is_not_sent_again(tmp_path: Path, answer: Said) -> None:
    async def main() -> None:
        async with asked(tmp_path, lambda _: answer) as (firewall, client, _):
            with pytest.raises(Unknown, match="was told, and"):
                await multi_config(client, [Edit("delete", XPATH)])
            assert len(firewall.calls) == 1

    run(main)


def test_a_write_that_somebody_elses_commit_keeps_out_is_sent_again_until_it_is_late(tmp_path: Path) -> None:
    async def main() -> None:
        busy = '<response status="error" code="14"><msg><line>A commit is in progress</line></msg></response>'
        async with asked(tmp_path, lambda _: Said(200, busy)) as (firewall, client, clock):
            clock.share = 1.0
            with pytest.raises(Busy, match="has no time for it"):
                await multi_config(client, [Edit("delete", XPATH)])
            assert len(firewall.calls) > 1 and sum(clock.slept) <= LIMITS.write

    run(main)


def test_a_missing_right_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        no = '<response status="unauth" code="16"><msg><line>Unauthorized request</line></msg></response>'
        async with asked(tmp_path, lambda _: Said(200, no)) as (_, client, _clock):
            with pytest.raises(Rejected, match="give its role XML API rights for configuration"):
                await multi_config(client, [Edit("delete", XPATH)])

    run(main)


def test_what_one_request_cannot_hold_goes_out_as_several_of_which_the_first_alone_is_strict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strict takes back what our administrator has not committed: the part before, too."""

    async def main() -> None:
        async with asked(tmp_path, lambda _: Said(200, WELL)) as (firewall, client, _):
            monkeypatch.setattr(writes, "PART_BYTES", 5_000)
            edits = [Edit("edit", f"{XPATH}-{number}", f"<entry name='{'x' * 1_000}'/>") for number in range(9)]
            await multi_config(client, edits)
            assert [call.said.get("strict-transactional") for call in firewall.calls] == ["yes", None, None]
            sent = [step for call in firewall.calls for step in fromstring(call.said["element"])]
            assert [step.get("xpath") for step in sent] == [edit.xpath for edit in edits]
            assert [step.get("id") for step in sent] == [str(number) for number in range(1, 10)]

    run(main)


@given(sizes=lists(integers(1, 3_000), min_size=1, max_size=PARTS_MOST // 2))
def test_each_part_is_one_that_a_firewall_takes_and_together_they_are_everything_in_order(sizes: list[int]) -> None:
    edits = tuple(Edit("set", f"{XPATH}-{number}", f"<e>{'x' * size}</e>") for number, size in enumerate(sizes))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(writes, "PART_BYTES", 4_000)
        parts = transactions("fw", edits)
    assert all(len(quote_plus(part)) <= 4_000 + 100 for part in parts)
    assert [step.get("xpath") for part in parts for step in fromstring(part)] == [edit.xpath for edit in edits]


@pytest.mark.parametrize("sizes", [[100_000], [60_000] * (PARTS_MOST + 1)], ids=["one edit", "all"])
def test_a_change_that_is_larger_than_a_firewall_gets_is_not_begun(
    tmp_path: Path, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with asked(tmp_path) as (firewall, client, _):
            monkeypatch.setattr(writes, "PART_BYTES", 100_000)
            with pytest.raises(Rejected, match="and this one has more: give it fewer"):
                await multi_config(client, [Edit("edit", XPATH, f"<e>{'x' * size}</e>") for size in sizes])
            assert not firewall.calls

    run(main)


# === locks ===


def test_a_firewall_that_does_not_say_who_we_are_is_not_written_to(tmp_path: Path) -> None:
    async def main() -> None:
        body = (
            "<response status='success'><result><admins><entry><admin>jane</admin></entry></admins></result></response>"
        )
        async with asked(tmp_path, lambda _: Said(200, body)) as (_, client, _clock):
            with pytest.raises(Rejected, match="does not say whose key this is"):
                await locks.whoami(client)

    run(main)


HELD = (
    "<response status='success'><result><config-locks><entry name='me'><type>vsys</type><name>vsys1</name>"
    "<comment>(null)</comment></entry></config-locks></result></response>"
)
FREE = "<response status='success'><result><config-locks/></result></response>"
NOT_LOCKED = "Config is not currently locked for scope vsys1"


def refuses_release(listed: str) -> Callable[[str], Said]:
    no = f"<response status='error' code='14'><msg><line>{NOT_LOCKED}</line></msg></response>"
    return lambda command: Said(200, no if "remove" in command else listed if "config-locks" in command else FREE)


def test_a_lock_that_our_role_may_not_take_is_a_refusal(tmp_path: Path) -> None:
    no = '<response status="unauth" code="16"><msg><line>Unauthorized request</line></msg></response>'

    async def main() -> None:
        async with asked(tmp_path, lambda said: Said(200, no if "add" in said else FREE)) as (_, client, _clock):
            with pytest.raises(Rejected, match="may not do this"):
                await locks.take(client, "config", "vsys1", "stagedoor edge plan 1", "me")

    run(main)


@pytest.mark.parametrize(
    ("changes", "target", "told"),
    [
        ({}, "", "<vsys>all</vsys>"),
        ({"device_group": "branches"}, "", ""),
        ({"device_group": "branches"}, "0070", "<vsys>all</vsys>"),
    ],
    ids=["firewall", "panorama", "through it"],
)
def test_a_firewall_is_asked_for_the_locks_of_every_vsys(
    tmp_path: Path, changes: dict[str, Any], target: str, told: str
) -> None:
    async def main() -> None:
        clock = FakeTime()
        async with scripted_firewall(tmp_path, lambda _: Said(200, FREE)) as firewall:
            client = Client(firewall_settings(tmp_path, firewall, **changes), firewall.url, clock.time(), LIMITS)
            await locks.locks_of(client, target)
            await client.close()
            for call, noun in zip(firewall.calls, locks.NOUNS, strict=True):
                inner = f"<{noun}-locks>{told}</{noun}-locks>" if told else f"<{noun}-locks />"
                assert call.said["cmd"] == f"<show>{inner}</show>"

    run(main)


def test_a_lock_that_stays_is_told_of(tmp_path: Path) -> None:
    async def main() -> None:
        async with asked(tmp_path, refuses_release(HELD)) as (_, client, _clock):
            with pytest.raises(Rejected, match=NOT_LOCKED):
                await locks.release(client, "config", "vsys1", "me")

    run(main)


def test_a_lock_that_is_gone_already_is_no_fault(tmp_path: Path) -> None:
    async def main() -> None:
        async with asked(tmp_path, refuses_release(FREE)) as (firewall, client, _):
            await locks.release(client, "config", "vsys1", "me")
            assert ["remove" in call.said["cmd"] for call in firewall.calls] == [False, False]

    run(main)


# === jobs ===


def job(body: str) -> str:
    return f"<response status='success'><result><job><id>7</id>{body}</job></result></response>"


def test_a_job_is_asked_about_at_a_pace_it_can_bear(tmp_path: Path) -> None:
    async def main() -> None:
        async with asked(tmp_path) as (firewall, client, clock):
            runs = Said(200, job("<status>ACT</status><result>PEND</result><progress>-</progress>"))
            ends = Said(200, job("<status>FIN</status><result>OK</result>"))
            firewall.queue = [runs, runs, runs, ends]
            assert (await jobs.ended(client, "7")).is_well
            assert clock.slept == [2.0, 3.0, 4.5, 5.0]

    run(main)


@pytest.mark.parametrize(
    ("details", "lines"),
    [
        ("<line>one</line>", ("one",)),
        ("<line>one</line><line><![CDATA[two  <b>]]></line>", ("one", "two <b>")),
        ("<line><newjob><newmsg>nested</newmsg></newjob></line>", ("nested",)),
        ("plain", ("plain",)),
    ],
)
def test_what_a_job_says_is_read_in_every_form(tmp_path: Path, details: str, lines: tuple[str, ...]) -> None:
    async def main() -> None:
        async with asked(tmp_path) as (firewall, client, _):
            body = f"<status>FIN</status><result>FAIL</result><details>{details}</details>"
            firewall.queue = [Said(200, job(body))]
            found = await jobs.ended(client, "7")
            assert (found.is_well, found.lines) == (False, lines)
            assert lines[0] in found.why

    run(main)


def test_a_job_that_is_not_known_any_more_has_an_unknown_end(tmp_path: Path) -> None:
    async def main() -> None:
        gone = "<response status='error' code='7'><msg><line>job 7 not found</line></msg></response>"
        async with asked(tmp_path, lambda _: Said(200, gone)) as (_, client, _clock):
            with pytest.raises(Unknown, match="knows job 7 no more"):
                await jobs.ended(client, "7")

    run(main)


@pytest.mark.parametrize(
    ("body", "number"),
    [
        ("<result><msg><line>Commit job enqueued with jobid 70</line></msg><job>70</job></result>", "70"),
        ("<msg>There are no changes to commit.</msg>", ""),
        ("<msg>The result of this commit would be the same as the previous commit queued/processed.</msg>", ""),
    ],
)
def test_an_answer_says_as_which_job_it_was_taken(tmp_path: Path, body: str, number: str) -> None:
    answer = answer_of(200, "application/xml", f"<response status='success' code='19'>{body}</response>".encode())

    async def main() -> None:
        async with asked(tmp_path) as (_, client, _clock):
            assert jobs.taken(client, answer).job == number

    run(main)


def test_a_job_number_that_is_none_is_not_believed(tmp_path: Path) -> None:
    answer = answer_of(
        200, "application/xml", b"<response status='success'><result><job>7/../8</job></result></response>"
    )

    async def main() -> None:
        async with asked(tmp_path) as (_, client, _clock):
            with pytest.raises(Unknown, match="does not say as which job"):
                jobs.taken(client, answer)

    run(main)


# === places ===


@pytest.mark.parametrize("name", ["a'b", 'a"b', "a]", "", " a", "a/b", "a\n", "x" * 200])
def test_no_name_ends_a_quotation_in_an_xpath(name: str) -> None:
    with pytest.raises(Rejected, match="may stand in no xpath"):
        entry(name)


def test_rules_lie_in_a_vsys_or_before_those_of_a_device_group(tmp_path: Path) -> None:
    device = firewall_settings(tmp_path, ScriptedFirewall(well))
    assert place_of_rules(device).rules.endswith("/vsys/entry[@name='vsys1']/rulebase/security/rules")
    group = firewall_settings(tmp_path, ScriptedFirewall(well), device_group="branches")
    assert place_of_rules(group).rules.endswith("/device-group/entry[@name='branches']/pre-rulebase/security/rules")
    assert place_of_rules(group).scope == "branches"


def test_an_xpath_touches_what_it_is_holds_or_lies_in() -> None:
    assert touches("/a/b", "/a/b") and touches("/a", "/a/b") and touches("/a/b/c", "/a/b")
    assert not touches("/a/bc", "/a/b") and not touches("/a/b", "/a/c")


RULE_XPATH = "/config/devices/entry[@name='localhost.localdomain']/vsys/entry[@name='vsys1']/rulebase/security/rules"


@pytest.mark.parametrize(
    ("edited", "is_ours"),
    [
        ("/config/devices/entry/vsys/entry[@name='vsys1']/rulebase", True),
        (f"{RULE_XPATH}/entry", True),
        (f"{RULE_XPATH}/entry[@name='a' or @name='sd-x']/disabled", True),
        (f"/config/shared/tag|{RULE_XPATH}/entry[@name='sd-x']", True),
        ("//rules/entry[@name='sd-x']", True),
        ("/config/devices/*/vsys", True),
        ("/config/devices/entry/vsys/entry[@name='vsys2']/rulebase", False),
        (f"{RULE_XPATH}/entry[@name='a']/tag/member[text()='x']", False),
        (XPATH.replace("/tag/", "/address/"), False),
    ],
)
def test_an_edit_that_names_only_part_of_where_it_is_may_be_on_what_is_ours(edited: str, is_ours: bool) -> None:
    assert touches(edited, f"{RULE_XPATH}/entry[@name='sd-x']") is is_ours
    assert touching((f"{RULE_XPATH}/entry[@name='sd-x']",))(edited) is is_ours


STEPS = ["config", "rules", "entry", "entry[@name='sd-x']", "entry[@name='a/b']", "tag"]


@given(
    edited=lists(sampled_from([*STEPS, "*", "", "entry[@name='a' or @name='sd-x']"]), min_size=1, max_size=5),
    ours=lists(lists(sampled_from(["config", "rules", "entry[@name='sd-x']", "tag"]), min_size=1, max_size=5)),
)
def test_of_many_the_same_is_touched_as_of_each(edited: list[str], ours: list[list[str]]) -> None:
    xpath, own = f"/{'/'.join(edited)}", [f"/{'/'.join(each)}" for each in ours]
    assert touching(own)(xpath) is any(touches(xpath, each) for each in own)
