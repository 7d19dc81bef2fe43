"""Several addresses of one name: the next one on failure, company for one that hangs, nothing left behind."""

from __future__ import annotations

import asyncio
import errno
import ssl
import time
from typing import Any, cast

import pytest

from gateway.door.connect import STAGGER_S, first_of, spread, why_unconnected
from gateway.door.upstream import Upstream
from gateway.egress.addresses import NotAllowed
from gateway.egress.trust import TrustFault


class Made:
    """A connection: of it, only that it can be let go of."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.transport = self
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


class Attempts:
    """Addresses: `ok`, `refused`, `hangs`, `late` (made although nobody waits any more)."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, float]] = []
        self.cancelled: list[str] = []
        self.made: list[Made] = []
        self.began_s = time.monotonic()

    async def __call__(self, address: str) -> Upstream:
        self.begun.append((address, time.monotonic() - self.began_s))
        if address.startswith("refused"):
            raise ConnectionRefusedError(errno.ECONNREFUSED, address)
        try:
            if address.startswith("hangs"):
                await asyncio.sleep(30)
            if address.startswith("late"):
                await asyncio.sleep(30)
        except asyncio.CancelledError:
            self.cancelled.append(address)
            if not address.startswith("late"):
                raise
        self.made.append(Made(address))
        return cast(Upstream, self.made[-1])


def connect(*addresses: str) -> tuple[Any, Attempts]:
    attempts = Attempts()

    async def scene() -> Any:
        made = await first_of(list(addresses), attempts)
        await asyncio.sleep(0.01)  # what is cancelled has its turn
        return made

    return asyncio.run(scene()), attempts


def test_one_that_fails_is_followed_by_the_next_at_once() -> None:
    made, attempts = connect("refused-1", "refused-2", "ok")
    assert made.address == "ok"
    assert [address for address, _ in attempts.begun] == ["refused-1", "refused-2", "ok"]
    assert attempts.begun[-1][1] < STAGGER_S


def test_one_that_hangs_gets_company_and_is_ended_when_that_wins() -> None:
    made, attempts = connect("hangs", "ok", "never-tried")
    assert made.address == "ok"
    assert [address for address, _ in attempts.begun] == ["hangs", "ok"]
    assert STAGGER_S * 0.9 < attempts.begun[1][1] < STAGGER_S + 1
    assert attempts.cancelled == ["hangs"]


def test_one_that_is_made_when_another_has_won_is_let_go_of() -> None:
    made, attempts = connect("late", "ok")
    assert made.address == "ok"
    assert not made.aborted
    assert [(each.address, each.aborted) for each in attempts.made] == [("ok", False), ("late", True)]


def test_when_none_can_be_made_the_last_failure_is_told() -> None:
    with pytest.raises(ConnectionRefusedError, match="refused-2"):
        connect("refused-1", "refused-2")


def test_a_cancelled_connect_ends_all_its_attempts() -> None:
    attempts = Attempts()

    async def scene() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(STAGGER_S + 0.1):
                await first_of(["hangs-1", "hangs-2"], attempts)
        await asyncio.sleep(0.01)

    asyncio.run(scene())
    assert sorted(attempts.cancelled) == ["hangs-1", "hangs-2"]


def test_the_preferred_family_is_turned_and_the_other_stays_behind() -> None:
    addresses = ["10.0.0.1", "10.0.0.2", "fd00::1", "10.0.0.3"]
    assert spread(addresses, 0) == ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1"]
    assert spread(addresses, 4) == ["10.0.0.2", "10.0.0.3", "10.0.0.1", "fd00::1"]
    assert spread(["fd00::1", "10.0.0.1"], 3) == ["fd00::1", "10.0.0.1"]


@pytest.mark.parametrize(
    ("error", "code", "detail", "ours"),
    [
        (NotAllowed("`10.0.0.1` is in no network"), "upstream_refused", "", False),
        (TrustFault("`/etc/ca.pem` cannot be read"), "upstream_connect", "tls: not set up", False),
        (TimeoutError(), "upstream_timeout", "no connection in time", False),
        (ConnectionRefusedError(errno.ECONNREFUSED, "10.0.0.1"), "upstream_connect", "connection refused", False),
        (OSError("`db.internal` cannot be looked up"), "upstream_connect", "", False),
        (OSError(errno.EMFILE, "Too many open files"), "overloaded", "no connection to spare", True),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), "upstream_connect", "tls: handshake failed", False),
    ],
)
def test_what_went_wrong_is_told_without_the_names_of_hosts_and_files(
    error: Exception, code: str, detail: str, ours: bool
) -> None:
    why = why_unconnected(error)
    assert (why.code, why.detail, why.ours) == (code, detail, ours)
    assert why.why
