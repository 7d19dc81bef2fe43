"""curl with a token: where it follows and where the token does not, and how a refusal of the door is read."""

from __future__ import annotations

import http.server
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.laptop.curl_options import Asked, read_options
from gateway.laptop.curling import MOST_HEAD, Refusal, _Captured, _refusal, curl_here, run
from gateway.laptop.keeping import SignIn
from gateway.laptop.stronger import Wanted
from tests.support import certificates
from tests.support.node import ROOT

TOKEN = "a.token-of_this~test+/=="
OWN = b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/problem+json\r\nX-Request-Id: r-1\r\n"
DOORS = OWN + b"Proxy-Status: stagedoor; error=http_request_denied\r\n\r\n"
PROBLEM = b'{"title":"No rule.","code":"no_rule","detail":"\\u001b[2J","todo":"Ask.","status":403,"request_id":"r-1"}\n'
FORGED = b'{"title":"Run this.","request_id":"r-1"}'


def signed_in(token: str = TOKEN, port: int = 443) -> SignIn:
    """At `door.test`, whose node has `localhost` and what ends with `.apps.test`."""
    now = int(time.time())
    return SignIn(
        "door.test", port, "", "sso", "https://login.test", "laptop", (), {}, ("localhost", ".apps.test"), now, token,
        now + 60, now + 30, mfa_acr_values=("two",),
    )  # fmt: skip


def refused(heads: bytes, text: bytes, *names: str) -> Refusal | None:
    return _refusal(heads, captured(text), Asked(names=set(names)), signed_in())


class Place:
    """An https server that remembers what it was shown. ``to``: where it redirects; ``forged``: it refuses in the words
    of a door."""

    def __init__(self, certificate: Path, key: Path, to: str = "", forged: bool = False) -> None:
        seen: list[str] = []

        class Answerer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append(self.headers.get("Authorization", ""))
                self.send_response(302 if to else 401 if forged else 200)
                if forged:
                    self.send_header("Proxy-Status", "stagedoor; error=http_request_denied")
                self.send_header("Location", to)
                self.send_header("Content-Length", "5")
                self.end_headers()
                self.wfile.write(b"hello")

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.seen = seen
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answerer)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"https://localhost:{self.port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def served(certificate: Path, key: Path, to: str = "", forged: bool = False) -> Iterator[Place]:
    place = Place(certificate, key, to, forged)
    try:
        yield place
    finally:
        place.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_redirect_is_followed_and_the_token_stays(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Another port of the same host is another program."""
    made = certificates.make(tmp_path, "leaf", "localhost")
    with served(*made) as other, served(*made, other.url) as asked_first:
        asked = read_options(("-sSLv", asked_first.url))
        outcome = run(curl_here(asked), asked, asked_first.url, signed_in(), str(tmp_path / "ca.pem"))
        assert outcome == (0, 0, None)
        assert asked_first.seen == [f"Bearer {TOKEN}"]
        assert other.seen == [""]
    printed = capfdbinary.readouterr()
    assert printed.out == b"hello"
    assert b"Authorization: Bearer [the token]" in printed.err
    assert TOKEN.encode() not in printed.err


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_host_that_is_not_trusted_and_a_redirect_to_http_get_nothing(tmp_path: Path) -> None:
    made = certificates.make(tmp_path, "leaf", "localhost")
    with served(*made, "http://localhost:1/") as place:
        asked = read_options(("-sL", place.url))
        assert run(curl_here(asked), asked, place.url, signed_in(), "").code == 4
        assert place.seen == []
        assert run(curl_here(asked), asked, place.url, signed_in(), str(tmp_path / "ca.pem")).code == 2
        assert len(place.seen) == 1


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    made = certificates.make(tmp_path, "leaf", "localhost")
    script = (
        "import sys; from gateway.laptop import curling; from gateway.laptop.curl_options import read_options; "
        "asked = read_options(('-s', sys.argv[1])); "
        "from tests.unit.laptop.test_curling import signed_in; "
        "curling.run(curling.curl_here(asked), asked, sys.argv[1], signed_in(), sys.argv[2])"
    )
    with served(*made) as place:
        words = [sys.executable, "-c", script, place.url, str(tmp_path / "ca.pem")]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        told = process.stderr.read()
        process.stderr.close()
        assert process.wait(30) == 0
    assert told == b""


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_where_a_redirect_leads_nobody_speaks_as_the_door(tmp_path: Path) -> None:
    """The same words count at the host that was asked for, and not at the end of a redirect to another port."""
    made = certificates.make(tmp_path, "leaf", "localhost")
    with served(*made, forged=True) as other, served(*made, other.url) as asked_first:
        for url, port, is_believed in ((other.url, other.port, True), (asked_first.url, asked_first.port, False)):
            asked = read_options(("-sL", url))
            outcome = run(curl_here(asked), asked, url, signed_in(port=port), str(tmp_path / "ca.pem"))
            assert outcome.curl == 0
            assert (outcome.refusal is not None) is is_believed
        assert len(other.seen) == 2


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_proxy_on_the_way_does_not_speak_as_the_door() -> None:
    def refuse(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(64 * 1024)
            connection.sendall(DOORS.replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n"))

    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = threading.Thread(target=refuse, args=(server,), daemon=True)
        proxy.start()
        asked = read_options(("-s", "-x", f"http://127.0.0.1:{server.getsockname()[1]}", "https://shop.apps.test/"))
        outcome = run(curl_here(asked), asked, asked.url, signed_in(), "")
        proxy.join()
    assert (outcome.code, outcome.refusal) == (4, None)


def captured(text: bytes) -> _Captured:
    body = _Captured()
    body.take(text)
    return body


@pytest.mark.parametrize(
    ("before", "text", "names"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n", PROBLEM, ()), (b"", PROBLEM + b"403 {not json", ("write-out",)),
        (b"", DOORS + PROBLEM, ("include",)), (b"HTTP/1.1 103 x\r\n\r\n", DOORS + PROBLEM, ("include",)),
        (b"HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\n", DOORS + PROBLEM, ("include", "location")),
    ],
)  # fmt: skip
def test_the_doors_words_are_found_wherever_curl_puts_them(before: bytes, text: bytes, names: tuple[str, ...]) -> None:
    said = refused(before + DOORS, before + text if "include" in names else text, *names)
    assert said == Refusal(403, "no_rule", ("No rule.", "\\x1b[2J", "Ask.", "Request id: r-1"))


@pytest.mark.parametrize(
    ("heads", "text"),
    [
        (OWN + b"\r\n", PROBLEM),  # a service's own problem
        (OWN + b"Proxy-Status: other; error=x\r\n\r\n", PROBLEM),
        (OWN + b"Proxy-Status: other; error=x\r\nProxy-Status: stagedoor; error=y\r\n\r\n", PROBLEM),
        (DOORS.replace(b"403 Forbidden", b"200 OK"), PROBLEM), (b"", b""), (b"\r\n\r\n", b"x"),
        (DOORS + b"HTTP/1.1 200 OK\r\n\r\n", b"fine"),  # after a retry
    ],
)  # fmt: skip
def test_an_answer_that_is_not_the_doors_is_no_refusal(heads: bytes, text: bytes) -> None:
    assert refused(heads, text) is None


@pytest.mark.parametrize(
    ("to", "is_believed"),
    [
        (b"/next", True), (b"?again", True), (b"../a", True), (b"https://pay.apps.test/x", True),
        (b"https://door.test/", True), (b"https://evil.test/", False), (b"//evil.test/", False), (b"/\\evil", False),
        (b"https://pay.apps.test:8443/", False), (b"https://pay.apps.test@evil.test/", False),
        (b"\\\\evil.test", False), (b"https:\\\\evil.test", False), (b"x:y", False),
        (b"/a\tb", False), (b"http://door.test/", False),
        (b"/ok\r\nLocation: https://evil.test/", False), (b"/ok\r\n https://evil.test/", False),
    ],
)  # fmt: skip
def test_only_a_host_that_may_have_the_token_speaks_as_the_door(to: bytes, is_believed: bool) -> None:
    """With -L anybody may be at the end, and a redirect back says nothing of who wrote it."""
    first = b"HTTP/1.1 302 Found\r\nLocation: " + to + b"\r\n\r\n"
    assert (refused(first + DOORS, PROBLEM, "location") is not None) is is_believed
    back = b"HTTP/2 302 \r\nlocation: https://shop.apps.test/\r\n\r\n"
    assert (refused(first + back + DOORS, PROBLEM, "location") is not None) is is_believed


def test_a_way_that_is_not_seen_whole_is_not_believed() -> None:
    """Long heads push nothing out of sight."""
    evil = b"HTTP/1.1 302 Found\r\nLocation: https://evil.test/\r\n\r\n"
    more = b"HTTP/1.1 302 Found\r\nLocation: /\r\nX: " + b"x" * MOST_HEAD + b"\r\n\r\n"
    assert refused(evil + more + DOORS, PROBLEM, "location") is None
    assert refused(more + DOORS, PROBLEM, "location") is None


@pytest.mark.parametrize(
    ("before", "text", "names"),
    [
        (b"HTTP/1.1 503 x\r\n\r\n", FORGED + PROBLEM, ("retry",)),
        (b"HTTP/1.1 302 x\r\nLocation: /\r\nX: " + FORGED + b"\r\n\r\n", PROBLEM, ("location", "include")),
        (b"", FORGED.replace(b"r-1", b"r-0"), ()), (b"", FORGED, ("fail",)), (b"", FORGED, ("continue-at",)),
        (b"", b"x" + FORGED, ()), (b"", FORGED, ("head",)), (b"", FORGED, ("include",)),
    ],
)  # fmt: skip
def test_words_of_a_service_are_not_told_as_the_doors(before: bytes, text: bytes, names: tuple[str, ...]) -> None:
    """What stands beside the door's own body in what curl wrote is somebody else's."""
    said = refused(before + DOORS, before + DOORS + text if "location" in names else text, *names)
    assert said is not None
    assert "Run this." not in said.lines


def test_a_file_from_before_is_not_what_the_door_said(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(FORGED.replace(b"r-1", b"r-0"))
    said = _refusal(DOORS, captured(b""), Asked(names={"output"}, output=str(tmp_path / "f")), signed_in())
    assert said is not None
    assert "Run this." not in said.lines


def test_of_a_challenge_counts_what_the_node_lists() -> None:
    challenge = b'WWW-Authenticate: Bearer error="insufficient_user_authentication", acr_values="idp:evil two tenant:x"'
    said = refused(DOORS.replace(b"\r\n\r\n", b"\r\n" + challenge + b"\r\n\r\n"), PROBLEM)
    assert said is not None
    assert said.wanted == Wanted(("two",), -1, True)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"no json", b'{"title": 5}', b"\xff{"])
def test_a_refusal_without_words_is_still_one(text: bytes) -> None:
    said = refused(DOORS, text)
    assert said is not None
    assert said.status == 403
    assert said.lines


def test_without_curl_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Exception, match="stagedoor token"):
        curl_here(Asked())
