"""One unit asked over real TLS: what is tried again and what never, one token however many ask, and no secret told."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.network.bigip.as3.declaration import declaration_of
from gateway.engine.network.bigip.device.answers import MOST_VALUES, Answer, answer_of
from gateway.engine.network.bigip.device.client import ANSWER_BYTES, ASIDE_BYTES, Client
from gateway.engine.network.bigip.device.tasks import saved
from gateway.engine.network.bigip.device.units import sync_of
from gateway.engine.network.faults import Busy, DeviceFault, Rejected, Unknown, Unreachable
from gateway.engine.network.transport.texts import shown
from tests.support.declarations import desired, device, environment, place
from tests.support.scripted_device import (
    LOCKED,
    MCPD_LOST,
    NO_TOKEN,
    NOT_REGISTERED,
    PASSWORD,
    PATIENT,
    RESTARTING,
    TOO_MANY,
    FakeTime,
    Script,
    ScriptedDevice,
    breaks_off,
    dawdles,
    group_of,
    is_huge,
    redirects,
    says,
    scripted,
    settings_of,
)

PATH = "/mgmt/tm/ltm/pool"
TRUNCATED = says(200, text='{"items": [{"name": "po')


@asynccontextmanager
async def asked(
    folder: Path, clock: FakeTime, *, names: tuple[str, ...] = ("localhost", "127.0.0.1"), **changes: Any
) -> AsyncIterator[tuple[ScriptedDevice, Client]]:
    async with scripted(folder, names=names) as device:
        client = Client(settings_of(folder, device), device.url, clock.time(), PATIENT._replace(**changes))
        try:
            yield device, client
        finally:
            await client.close()


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scene())


@pytest.mark.parametrize(
    "trouble", [LOCKED, RESTARTING, MCPD_LOST, NOT_REGISTERED, TRUNCATED, breaks_off(), NO_TOKEN],
    ids=["locked", "restarting", "mcpd", "unregistered", "truncated", "reset", "token"],
)  # fmt: skip
def test_a_read_is_tried_again_until_the_device_is_well(tmp_path: Path, trouble: Script) -> None:
    async def scene() -> None:
        clock = FakeTime()
        clock.share = 0.01
        async with asked(tmp_path, clock) as (device, client):
            device.script("GET", PATH, trouble)
            assert (await client.read(PATH))["kind"] == "tm:ltm:pool:collectionstate"
            assert len(device.asked(f"GET {PATH}")) == 2

    run(scene)


@pytest.mark.parametrize("status", [400, 403, 404, 405, 406, 409, 410, 413, 422, 429])
def test_nothing_tries_a_4xx_again(tmp_path: Path, status: int) -> None:
    async def scene() -> None:
        clock = FakeTime()
        async with asked(tmp_path, clock) as (device, client):
            device.script("GET", PATH, says(status, {"code": status, "message": "no"}))
            device.script("POST", PATH, says(status, {"code": status, "message": "no"}))
            with pytest.raises(Rejected):
                await client.read(PATH)
            assert (await client.write("POST", PATH, {})).status == status
            assert len(device.asked(f"GET {PATH}")) == len(device.asked(f"POST {PATH}")) == 1
            assert clock.slept == []

    run(scene)


@pytest.mark.parametrize(
    "trouble", [RESTARTING, MCPD_LOST, TRUNCATED, breaks_off(), says(408, {"message": "Request exceeded"})],
    ids=["restarting", "mcpd", "truncated", "reset", "408"],
)  # fmt: skip
def test_a_change_in_doubt_is_never_sent_again(tmp_path: Path, trouble: Script) -> None:
    async def scene() -> None:
        clock = FakeTime()
        async with asked(tmp_path, clock) as (device, client):
            device.script("POST", PATH, trouble)
            with pytest.raises(Unknown):
                await client.write("POST", PATH, {"name": "x"})
            assert len(device.asked(f"POST {PATH}")) == 1

    run(scene)


@pytest.mark.parametrize("trouble", [LOCKED, NOT_REGISTERED, NO_TOKEN], ids=["locked", "unregistered", "token"])
def test_a_change_that_was_not_begun_is_sent_again(tmp_path: Path, trouble: Script) -> None:
    async def scene() -> None:
        clock = FakeTime()
        clock.share = 0.01
        async with asked(tmp_path, clock) as (device, client):
            device.script("POST", PATH, trouble)
            assert (await client.write("POST", PATH, {})).status == 200
            assert len(device.asked(f"POST {PATH}")) == 2

    run(scene)


def test_pauses_are_drawn_from_zero_below_a_ceiling_that_doubles_and_end(tmp_path: Path) -> None:
    async def scene() -> None:
        clock = FakeTime()
        async with asked(tmp_path, clock, read=1000.0) as (device, client):
            device.script("GET", PATH, *[MCPD_LOST] * 50)
            with pytest.raises(Busy):
                await client.read(PATH)
            assert clock.drawn[:8] == [(0.0, ceiling) for ceiling in (5, 10, 20, 40, 80, 160, 240, 240)]
            assert sum(clock.slept) <= 1000.0

    run(scene)


def test_the_lock_of_somebody_else_is_given_its_two_minutes(tmp_path: Path) -> None:
    async def scene() -> None:
        clock = FakeTime()
        async with asked(tmp_path, clock, write=600.0) as (device, client):
            device.script("POST", PATH, LOCKED, LOCKED)
            await client.write("POST", PATH, {})
            assert clock.drawn == [(0.0, 120.0), (0.0, 120.0)]

    run(scene)


@pytest.mark.parametrize("token", ["", "a b", "\u00e9", "A" * 513, 7, None])
def test_what_is_no_token_is_never_taken_for_one(tmp_path: Path, token: Any) -> None:
    async def scene() -> None:
        async with asked(tmp_path, FakeTime(), read=0.0) as (device, client):
            device.script("POST", "/mgmt/shared/authn", says(200, {"token": {"token": token, "timeout": 1200}}))
            with pytest.raises(Unreachable, match="answers a login with what is none"):
                await client.read(PATH)
            assert device.asked("GET") == []

    run(scene)


def test_many_who_ask_at_once_log_in_once_and_again_once_after_a_401(tmp_path: Path) -> None:
    async def scene() -> None:
        async with asked(tmp_path, FakeTime()) as (device, client):
            await asyncio.gather(*(client.read(PATH) for _ in range(12)))
            assert client.tokens.logins == 1
            device.tokens.clear()
            await asyncio.gather(*(client.read(PATH) for _ in range(12)))
            assert client.tokens.logins == 2

    run(scene)


def test_a_second_401_is_the_answer(tmp_path: Path) -> None:
    async def scene() -> None:
        async with asked(tmp_path, FakeTime()) as (device, client):
            device.script("GET", PATH, NO_TOKEN, NO_TOKEN)
            with pytest.raises(Rejected, match="does not let `stagedoor`"):
                await client.read(PATH)
            assert len(device.asked(f"GET {PATH}")) == 2

    run(scene)


@pytest.mark.parametrize("life", [1200, "1200"])
def test_a_token_is_prolonged_at_seven_tenths_of_its_life_counted_from_its_beginning(tmp_path: Path, life: Any) -> None:
    async def scene() -> None:
        clock = FakeTime()
        async with asked(tmp_path, clock) as (device, client):
            device.token_life = life
            await client.read(PATH)
            clock.now_s += 0.69 * 1200
            await client.read(PATH)
            assert not device.asked("PATCH")
            clock.now_s += 0.02 * 1200
            await client.read(PATH)
            assert len(device.asked("PATCH")) == 1
            (body,) = (each for each in device.bodies if each and list(each) == ["timeout"])
            assert body == {"timeout": int(0.71 * 1200 + 1200)}
            assert client.tokens.logins == 1

    run(scene)


def test_a_token_ends_after_ten_hours_and_is_given_back(tmp_path: Path) -> None:
    async def scene() -> None:
        clock = FakeTime()
        async with asked(tmp_path, clock) as (device, client):
            began = clock.now_s
            while client.tokens.logins < 2:
                await client.read(PATH)
                clock.now_s += 300
            assert 9 * 3600 < clock.now_s - began <= 36_000 + 600
            assert all(int(each["timeout"]) <= 36_000 for each in device.bodies if each and list(each) == ["timeout"])
            assert len(device.tokens) == 1, "the old one was given back"
        assert device.tokens == []

    run(scene)


def test_a_refused_password_is_not_tried_again_before_its_file_changes(tmp_path: Path) -> None:
    async def scene() -> None:
        clock = FakeTime()
        async with asked(tmp_path, clock) as (device, client):
            file = tmp_path / "password"
            file.write_text("another\n")
            for _ in range(5):
                with pytest.raises(Rejected, match="password_file|what is in"):
                    await client.read(PATH)
            assert len(device.asked("POST /mgmt/shared/authn")) == 1
            file.write_text(PASSWORD + "\n")
            os.utime(file, (1, 1))
            assert await client.read(PATH)

    run(scene)


def test_a_device_full_of_tokens_is_left_alone_for_a_while(tmp_path: Path) -> None:
    async def scene() -> None:
        clock = FakeTime()
        async with asked(tmp_path, clock) as (device, client):
            device.script("POST", "/mgmt/shared/authn", TOO_MANY, TOO_MANY)
            for _ in range(3):
                with pytest.raises(Busy, match="hundred|room"):
                    await client.read(PATH)
            assert len(device.asked("POST /mgmt/shared/authn")) == 1
            clock.now_s += 5.1
            with pytest.raises(Busy):
                await client.read(PATH)
            assert clock.drawn == [(0.0, 5.0), (0.0, 10.0)]
            clock.now_s += 10.1
            assert await client.read(PATH)

    run(scene)


def test_a_redirect_is_not_followed_and_gets_no_token(tmp_path: Path) -> None:
    async def scene() -> None:
        async with asked(tmp_path, FakeTime()) as (device, client), scripted(tmp_path) as other:
            device.script("GET", PATH, redirects(other.url + PATH))
            with pytest.raises(Unreachable, match="leads elsewhere"):
                await client.read(PATH)
            assert other.calls == []

    run(scene)


def test_an_answer_without_end_is_left(tmp_path: Path) -> None:
    async def scene() -> None:
        async with asked(tmp_path, FakeTime(), read=0.0) as (device, client):
            device.script("GET", PATH, is_huge())
            with pytest.raises(Unreachable, match="more than 16 MiB"):
                await client.read(PATH)

    run(scene)


def test_an_answer_of_many_small_values_is_not_taken_apart(tmp_path: Path) -> None:
    """Two megabytes of them would take a hundred, and the loop for as long."""

    async def scene() -> None:
        async with asked(tmp_path, FakeTime(), read=0.0) as (device, client):
            device.script("GET", PATH, says(200, text="[" + ",".join(["[]"] * MOST_VALUES) + "]"))
            with pytest.raises(Busy, match=f"more than {MOST_VALUES:,} values"):
                await client.read(PATH)

    run(scene)


def test_a_large_answer_is_taken_apart_beside_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        threads: list[bool] = []

        def noted(status: int, raw: bytes) -> Answer:
            threads.append(threading.current_thread() is threading.main_thread())
            return answer_of(status, raw)

        async with asked(tmp_path, FakeTime()) as (device, client):
            await client.read(PATH)  # logs in
            monkeypatch.setattr("gateway.engine.network.bigip.device.client.answer_of", noted)
            device.script("GET", PATH, says(200, {"items": ["x" * ASIDE_BYTES]}))
            assert (await client.read(PATH))["items"]
            await client.read(PATH)
            assert threads == [False, True]

    run(scene)


@pytest.mark.slow
def test_ten_thousand_services_with_an_address_each_are_few_enough() -> None:
    """What AS3 keeps of them, and what it answers with it, is read whole."""
    places = [place(f"s{number}") for number in range(10_000)]
    assigned = {each.entity: f"10.{number >> 8}.{number & 255}.1" for number, each in enumerate(places)}
    at = environment(addresses="pool", networks=("10.0.0.0/8",), redirect=True)
    raw = json.dumps(declaration_of(desired(*places), device(at), at, assigned), separators=(",", ":")).encode()
    assert len(raw) < ANSWER_BYTES
    assert answer_of(200, raw).form == "json"


def test_an_answer_that_dawdles_is_left_and_a_change_is_in_doubt_then(tmp_path: Path) -> None:
    async def scene() -> None:
        over = asyncio.Event()
        async with asked(tmp_path, FakeTime(), read=0.0, call=0.5) as (device, client):
            device.script("GET", PATH, dawdles(over))
            device.script("POST", PATH, dawdles(over))
            with pytest.raises(Unreachable, match="no whole answer"):
                await client.read(PATH)
            with pytest.raises(Unknown):
                await client.write("POST", PATH, {})
            over.set()

    run(scene)


def test_nobody_there_is_unreachable_for_reads_and_changes(tmp_path: Path) -> None:
    async def scene() -> None:
        async with asked(tmp_path, FakeTime(), read=0.0, write=0.0) as (_, client):
            client.https.base = "https://127.0.0.1:1"
            for call in (client.read(PATH), client.write("POST", PATH, {})):
                with pytest.raises(Unreachable, match="connection refused; make it reachable"):
                    await call

    run(scene)


def test_a_certificate_for_another_name_or_of_another_authority_is_refused(tmp_path: Path) -> None:
    async def scene() -> None:
        async with asked(tmp_path, FakeTime(), names=("other.localhost",)) as (device, client):
            with pytest.raises(Unreachable, match="TLS of `dc1`.*cannot be trusted") as told:
                await client.read(PATH)
            assert "`ca`" in str(told.value)
            assert device.calls == [], "no password left before the certificate was seen"
        other = tmp_path / "other"
        async with asked(tmp_path, FakeTime()) as (device, client), scripted(other) as stranger:
            client.https.base = stranger.url
            with pytest.raises(Unreachable, match="cannot be trusted"):
                await client.read(PATH)
            assert stranger.calls == []

    run(scene)


def test_no_message_holds_a_password_or_a_token_even_when_the_device_repeats_them(tmp_path: Path) -> None:
    async def scene() -> None:
        async with asked(tmp_path, FakeTime(), read=0.0) as (device, client):
            device.script("POST", "/mgmt/shared/authn", says(403, {"message": f"bad {PASSWORD}\x1b[31m"}))
            with pytest.raises(DeviceFault) as told:
                await client.read(PATH)
            assert PASSWORD not in str(told.value)
            assert "\x1b" not in str(told.value)
            await client.read(PATH)
            (token,) = device.tokens
            for status in (409, 500):
                said = f"your token {token} is not ZYXWVUTSRQPONMLKJIHGFEDCBA " + "odd " * 1000
                device.script("GET", PATH, says(status, {"message": said}))
                with pytest.raises(DeviceFault) as told:
                    await client.read(PATH)
                assert token not in str(told.value)
                assert "ZYXWVUTSRQPONMLKJIHGFEDCBA" not in str(told.value), "whoever's it is"
                assert len(str(told.value)) < 600

    run(scene)


@pytest.mark.parametrize("respelt", [str, str.lower], ids=["as-it-is", "lower"])
def test_a_device_that_repeats_the_password_or_an_older_token_is_not_repeated(
    tmp_path: Path, respelt: Callable[[str], str]
) -> None:
    async def scene() -> None:
        async with asked(tmp_path, FakeTime(), read=0.0) as (device, client):
            await client.read(PATH)
            (first,) = device.tokens
            device.tokens.clear()
            await client.read(PATH)
            said = respelt(f"not {PASSWORD}, not {first}, not {device.tokens[0]}")
            device.script("GET", PATH, says(409, {"message": said}))
            with pytest.raises(Rejected) as told:
                await client.read(PATH)
            assert "not …, not …, not …" in str(told.value)

    run(scene)


def test_what_a_device_says_of_its_state_and_its_tasks_holds_no_secret(tmp_path: Path) -> None:
    async def scene() -> None:
        async with scripted(tmp_path) as device, group_of(settings_of(tmp_path, device), FakeTime()) as group:
            client = await group.active()
            device.sync = f"Not {PASSWORD}"
            assert (await sync_of(client)).status == "Not …"
            ended = {"_taskId": 7, "_taskState": "FAILED", "_taskErrorMessage": f"login {PASSWORD.upper()}"}
            device.script("GET", "/mgmt/tm/task/sys/config", says(200, ended))
            assert "failed on `dc1`" in (said := await saved(client))
            assert "login …" in said
            device.failover = f"waits {PASSWORD}"
            with pytest.raises(Busy, match="says WAITS …"):
                await group.active()

    run(scene)


def test_a_text_without_end_is_cut_before_it_is_looked_at() -> None:
    """Its secrets are found all the same."""
    text = " " * 65_530 + f"{PASSWORD} " + "\x00" * 10_000_000
    assert shown(text, (PASSWORD,)) == "…"


def test_a_percent_in_a_name_is_sent_as_it_is_written(tmp_path: Path) -> None:
    async def scene() -> None:
        async with asked(tmp_path, FakeTime()) as (device, client):
            path = "/mgmt/tm/ltm/node/~Common~192.0.2.1%252?$filter=partition+eq+a"
            await client.read(path)
            assert device.calls[-1] == f"GET {path}"

    run(scene)
