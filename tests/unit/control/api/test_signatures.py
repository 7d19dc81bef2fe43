"""Promises about signed calls: made with the secret, now, once; and what is remembered of them has an end."""

from __future__ import annotations

from base64 import b64encode

import pytest

from gateway.control.api.problems import Problem
from gateway.control.api.signatures import REMEMBERED, WINDOW_S, SignedCalls, key_of, signature_of

SECRET = "0123456789abcdef0123456789abcdef"
BODY = b'{"any": "thing"}'


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000

    def __call__(self) -> int:
        return self.now


def fields(at: int, call_id: str = "msg_00000001", *, secret: str = SECRET, body: bytes = BODY) -> dict[str, str]:
    return {
        "Webhook-Id": call_id,
        "Webhook-Timestamp": str(at),
        "Webhook-Signature": signature_of(key_of(secret), call_id, str(at), body),
    }


def code_of(calls: SignedCalls, headers: dict[str, str], body: bytes = BODY, secret: str = SECRET) -> str:
    try:
        calls.accept(headers, body, secret)
    except Problem as problem:
        return problem.code
    return ""


def test_the_scheme_is_that_of_the_specification() -> None:
    """The example of the Standard Webhooks specification, version 1."""
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature_of(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_call_counts_once() -> None:
    clock = Clock()
    calls = SignedCalls(clock)
    assert code_of(calls, fields(clock.now)) == ""
    assert code_of(calls, fields(clock.now)) == "signature_used"
    assert code_of(calls, fields(clock.now, "msg_00000002")) == ""
    clock.now += WINDOW_S
    assert code_of(calls, fields(clock.now - WINDOW_S)) == "signature_used"


def test_a_call_dated_ahead_is_remembered_as_long_as_it_could_come_again() -> None:
    clock = Clock()
    calls = SignedCalls(clock)
    ahead = fields(clock.now + WINDOW_S)
    assert code_of(calls, ahead) == ""
    clock.now += 2 * WINDOW_S
    assert code_of(calls, ahead) == "signature_used"
    clock.now += 1
    assert code_of(calls, ahead) == "signature_refused"  # forgotten, and too old


@pytest.mark.parametrize("away", [WINDOW_S + 1, -WINDOW_S - 1, 10**9])
def test_a_call_is_of_now(away: int) -> None:
    clock = Clock()
    calls = SignedCalls(clock)
    clock.now += WINDOW_S * 4
    assert code_of(calls, fields(clock.now - away)) == "signature_refused"


def test_a_call_that_a_former_process_may_have_taken_is_refused() -> None:
    clock = Clock()
    assert code_of(SignedCalls(clock), fields(clock.now - 1)) == "signature_refused"


@pytest.mark.parametrize(
    "changed",
    [
        {"Webhook-Id": "msg_00000009"},
        {"Webhook-Timestamp": "1800000001"},
        {"Webhook-Signature": ""},
        {"Webhook-Signature": "v1,"},
        {"Webhook-Signature": "v1,AAAA"},
        {"Webhook-Signature": "v1,ü"},
        {"Webhook-Id": ""},
        {"Webhook-Id": "short"},
        {"Webhook-Id": "x" * 129},
        {"Webhook-Id": "with blank"},
        {"Webhook-Timestamp": ""},
        {"Webhook-Timestamp": "-5"},
        {"Webhook-Timestamp": "1e9"},
        {"Webhook-Timestamp": "٣" * 9},
    ],
)
def test_whatever_is_changed_is_refused(changed: dict[str, str]) -> None:
    clock = Clock()
    assert code_of(SignedCalls(clock), {**fields(clock.now), **changed}) == "signature_refused"


def test_the_body_is_signed() -> None:
    clock = Clock()
    assert code_of(SignedCalls(clock), fields(clock.now), b"{}") == "signature_refused"


def test_a_call_that_is_refused_uses_up_no_id() -> None:
    clock = Clock()
    calls = SignedCalls(clock)
    assert code_of(calls, {**fields(clock.now), "Webhook-Signature": "v1,AAAA"}) == "signature_refused"
    assert code_of(calls, fields(clock.now)) == ""


def test_while_a_secret_is_changed_two_signatures_may_come() -> None:
    clock = Clock()
    both = fields(clock.now, secret="x" * 32)["Webhook-Signature"] + " " + fields(clock.now)["Webhook-Signature"]
    assert code_of(SignedCalls(clock), {**fields(clock.now), "Webhook-Signature": both}) == ""


def test_a_signature_behind_many_others_is_not_looked_for() -> None:
    clock = Clock()
    many = "v1,AAAA " * 8 + fields(clock.now)["Webhook-Signature"]
    assert code_of(SignedCalls(clock), {**fields(clock.now), "Webhook-Signature": many}) == "signature_refused"


def test_an_encoded_secret_is_its_bytes() -> None:
    assert key_of("whsec_" + b64encode(b"key").decode()) == b"key"
    with pytest.raises(ValueError, match="no base64"):
        key_of("whsec_not base64!")


def test_what_is_remembered_is_bounded_and_ends() -> None:
    clock = Clock()
    calls = SignedCalls(clock)
    for number in range(REMEMBERED):
        assert code_of(calls, fields(clock.now, f"msg_{number:08}")) == ""
    assert code_of(calls, fields(clock.now, "msg_one_more")) == "rate_limited"
    clock.now += 2 * WINDOW_S + 1
    assert code_of(calls, fields(clock.now, "msg_one_more")) == ""


def test_an_id_ends_where_the_time_begins() -> None:
    """What is signed is ID.TIMESTAMP.BODY: a dot in the id would let one signature be read as two calls."""
    clock = Clock()
    calls = SignedCalls(clock)
    twofold = fields(clock.now, f"msg_0001.{clock.now}")
    assert code_of(calls, twofold) == "signature_refused"
    read_again = {**twofold, "Webhook-Id": "msg_0001"}
    assert code_of(calls, read_again, f"{clock.now}.".encode() + BODY) == ""


def test_a_call_that_came_to_nothing_may_be_sent_again() -> None:
    clock = Clock()
    calls = SignedCalls(clock)
    calls.forget(calls.accept(fields(clock.now), BODY, SECRET))
    assert code_of(calls, fields(clock.now)) == ""
    assert code_of(calls, fields(clock.now)) == "signature_used"
