"""Ways into doors of this kind that others shipped, tried on the wire: fields that say another path, another method, a
monitor, a caller; and what belongs to administration, asked for where the services are. The advisories are listed in
docs/security-promises.md."""

from __future__ import annotations

import pytest

from tests.integration.conftest import request
from tests.support.door import RunningDoor
from tests.support.upstream import Upstream
from tests.support.wire import Client

RESTATING = {
    "original path": b"X-Original-URL: /public\r\nX-Rewrite-URL: /public\r\nX-Envoy-Original-Path: /public\r\n",
    "forwarded path": b"X-Forwarded-Uri: /public\r\nX-Forwarded-Path: /public\r\nX-Forwarded-Prefix: /public\r\n",
    "forwarded method": b"X-Forwarded-Method: OPTIONS\r\nX-HTTP-Method-Override: OPTIONS\r\nX-HTTP-Method: OPTIONS\r\n",
    "forwarded host": b"X-Forwarded-Host: public.test\r\nX-Host: public.test\r\nForwarded: host=public.test\r\n",
    "nearby client": b"X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\n",
    "monitor": b"User-Agent: GoogleHC/1.0\r\n",
    "probe": b"User-Agent: kube-probe/1.30\r\nX-Health-Check: 1\r\n",
    "internal": b"X-Internal: 1\r\nX-Pomerium-Authorization: x\r\nX-Stagedoor-Internal: 1\r\n",
    "identity": b"X-Stagedoor-User: user:default/jane\r\nX-Forwarded-User: jane\r\nRemote-User: jane\r\n",
    "identity aliases": b"X_Stagedoor_User: user:default/jane\r\nX.Auth.Request.User: jane\r\nREMOTE_USER: jane\r\n",
    "own assertion": b"X-Stagedoor-Caller: x\r\nX-Stagedoor-Assertion: x\r\n",
    "certificate": b"X-Client-Cert: x\r\nX-SSL-Client-Verify: SUCCESS\r\nX-Forwarded-Client-Cert: By=x\r\n",
    "upgrade": b"Connection: Upgrade, X-Stagedoor-User\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
}


@pytest.mark.parametrize("lines", RESTATING.values(), ids=RESTATING)
def test_no_field_of_a_client_says_what_is_asked_or_by_whom(
    golden_door: RunningDoor, golden_upstream: Upstream, lines: bytes
) -> None:
    """Nobody stays nobody, and somebody without a right without it; one who has it asks for what the line says."""
    before = len(golden_upstream.seen)
    with Client(golden_door.port, 30) as client:
        client.send(request("/private?x=1", sub=None, lines=lines))
        assert client.answer().code == "identity_required"
    with Client(golden_door.port, 30) as client:
        client.send(request("/private?x=1", sub="joe", host="team.test", lines=lines))
        assert client.answer().code == "no_rule"
    assert len(golden_upstream.seen) == before, "no byte of either went on"
    if b"Upgrade: websocket" in lines:
        return
    with Client(golden_door.port, 30) as client:
        assert client.send(request("/private?x=1", host="team.test", lines=lines)).answer().status == 200
    seen = golden_upstream.seen[-1]
    assert (seen.method, seen.target, seen.header("Host")) == ("GET", "/private?x=1", "team.test")
    assert seen.header("X-Stagedoor-User") == "user:default/jane"
    claimed = {"x-forwarded-user", "remote-user", "x_stagedoor_user", "x.auth.request.user", "remote_user"}
    claimed |= {"x-stagedoor-caller", "x-stagedoor-assertion", "x-stagedoor-internal"}
    assert not claimed & {name for name, _ in seen.headers}


@pytest.mark.parametrize("host", ["echo.test", "nowhere.test", "127.0.0.1", "localhost"])
@pytest.mark.parametrize(
    "path",
    ["/metrics", "/livez", "/readyz?verbose", "/version", "/debug/pprof/", "/admin", "/config", "/server-status",
     "/.stagedoor/metrics", "/.stagedoor/api/v1/sessions", "/.stagedoor/callback", "/.stagedoor/sign-in"],
)  # fmt: skip
def test_nothing_of_the_administration_is_on_the_port_of_the_data(
    golden_door: RunningDoor, golden_upstream: Upstream, host: str, path: str
) -> None:
    before = len(golden_upstream.seen)
    with Client(golden_door.port, 30) as client:
        got = client.send(request(path, host=host, sub=None)).answer()
    assert got.status in (401, 404)
    assert got.code in ("host_unknown", "identity_required", "path_unknown")
    assert len(golden_upstream.seen) == before
