"""TLS contexts towards upstreams: verification is on from the start, broken files are named, sessions age."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config import Environment, ServiceSettings, UpstreamTls
from gateway.egress.trust import VERIFIED_S, Trust, TrustFault, UpstreamContext, full_reason, made, public_reason
from tests.support.authority import Authority
from tests.support.catalogs import settings

NAME = "a.internal"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.mark.parametrize("own", [True, False], ids=["the operator's authorities", "the system's"])
def test_a_context_verifies_certificate_and_name_and_speaks_no_old_version(authority: Authority, own: bool) -> None:
    context = made(UpstreamTls(ca=str(authority.ca)) if own else UpstreamTls())
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    if own:
        assert context.cert_store_stats()["x509"] == 1, "the system's authorities are not trusted beside them"


def test_files_that_cannot_be_used_are_named(authority: Authority, tmp_path: Path) -> None:
    certificate, key = map(str, authority.leaf("leaf", NAME))
    _, other_key = map(str, authority.leaf("other", NAME))
    locked = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "pkey", "-in", key, "-aes128", "-passout", "pass:secret", "-out", locked], check=True, timeout=30
    )  # fmt: skip
    empty = tmp_path / "empty.pem"
    empty.touch()
    for tls, file in (
        (UpstreamTls(ca="/missing.pem"), "/missing.pem"),
        (UpstreamTls(ca=str(empty)), str(empty)),
        (UpstreamTls(ca=key), key),
        (UpstreamTls(certificate=certificate, key=other_key), other_key),
        (UpstreamTls(certificate=certificate, key=str(locked)), str(locked)),
        (UpstreamTls(certificate=certificate, key="/missing.key"), "/missing.key"),
    ):
        with pytest.raises(TrustFault, match=file):
            made(tls)


def test_every_setting_that_names_files_is_checked(authority: Authority, tmp_path: Path) -> None:
    good = ServiceSettings(tls=UpstreamTls(ca=str(authority.ca)))
    prod = Environment("prod", (".test",), ("10.0.0.0/8",), {"component:default/a": good})
    said = settings(tmp_path, environments={"prod": prod})
    trust = Trust.checked(said)
    assert trust.at_hand(good.tls) is trust.at_hand(UpstreamTls(ca=str(authority.ca), server_name="b.internal"))
    assert trust.at_hand(None) is None, "made when it is needed"
    broken = ServiceSettings(tls=UpstreamTls(ca="/missing.pem"))
    dev = replace(prod, name="dev", services={"component:default/b": broken})
    with pytest.raises(TrustFault, match="/missing.pem"):
        Trust.checked(replace(said, environments={"prod": prod, "dev": dev}))


def test_a_context_is_made_once_however_many_wait_for_it() -> None:
    async def scene() -> None:
        trust = Trust()
        contexts = await asyncio.gather(*(trust.context(None) for _ in range(5)))
        assert len({id(context) for context in contexts}) == 1
        assert trust.at_hand(None) is contexts[0]
        with pytest.raises(TrustFault):
            await trust.context(UpstreamTls(ca="/missing.pem"))

    asyncio.run(scene())


# === sessions ===


def handshake(context: UpstreamContext, server: ssl.SSLContext) -> ssl.SSLObject:
    """A handshake in memory, and a byte read behind it, with which a TLS 1.3 session comes."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = context.wrap_bio(to_client, to_server, server_hostname=NAME)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    pending = [ours, theirs]
    while pending:
        for side in tuple(pending):
            try:
                side.do_handshake()
                pending.remove(side)
            except ssl.SSLWantReadError:
                continue
    theirs.write(b"x")
    assert ours.read(1) == b"x"
    return ours


def test_a_session_is_resumed_until_its_certificate_was_not_seen_for_too_long(authority: Authority) -> None:
    now_s = 1000.0
    context = made(UpstreamTls(ca=str(authority.ca)))
    context._clock = lambda: now_s
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*authority.leaf("leaf", NAME))

    def resumed() -> bool:
        connection = handshake(context, server)
        context.remember(NAME, connection)
        return bool(connection.session_reused)

    assert [resumed() for _ in range(3)] == [False, True, True]
    now_s += VERIFIED_S
    assert resumed(), "each resumption brings a new session, but the certificate's age goes on"
    now_s += 0.1
    assert not resumed()
    assert resumed()


def test_a_session_is_offered_to_its_own_name_and_by_its_own_context_alone(authority: Authority) -> None:
    tls = UpstreamTls(ca=str(authority.ca))
    context, other = made(tls), made(tls)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*authority.leaf("leaf", NAME))
    connection = handshake(context, server)
    other.remember(NAME, connection)
    assert not handshake(other, server).session_reused
    context.remember("b.internal", connection)
    assert not handshake(context, server).session_reused


def test_reasons_say_what_is_wrong_and_to_callers_nothing_of_whom() -> None:
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_code, error.verify_message = 62, "Hostname mismatch, certificate is not valid for 'db.internal'."
    assert public_reason(error) == "tls: certificate is for another name"
    assert "db.internal" in full_reason(error)
    error.verify_code = 9999
    assert public_reason(error) == "tls: certificate is not accepted"
    assert public_reason(ssl.SSLError(1, "x")) == "tls: handshake failed"
