"""curl with a token: where it follows and where the token does not, and how a refusal of the door is read."""

from __future__ import annotations

import http.server
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.laptop.curl_options import Asked, read_options
from gateway.laptop.curling import Refusal, _Captured, _refusal, curl_here, run
from tests.support import certificates
from tests.support.node import ROOT

TOKEN = "a.token-of_this~test+/=="
OWN = b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/problem+json\r\nX-Request-Id: r-1\r\n"
DOORS = OWN + b"Proxy-Status: stagedoor; error=http_request_denied\r\n\r\n"
PROBLEM = b'{"title":"No rule.","code":"no_rule","detail":"\\u001b[2J","todo":"Ask.","status":403}\n'


class Place:
    """An https server that remembers what it was shown."""

    def __init__(self, certificate: Path, key: Path, to: str = "") -> None:
        seen: list[str] = []

        class Answerer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append(self.headers.get("Authorization", ""))
                self.send_response(302 if to else 200)
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
        self.url = f"https://localhost:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def served(certificate: Path, key: Path, to: str = "") -> Iterator[Place]:
    place = Place(certificate, key, to)
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
        outcome = run(curl_here(asked), asked, asked_first.url, TOKEN, str(tmp_path / "ca.pem"))
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
        assert run(curl_here(asked), asked, place.url, TOKEN, "").code == 4
        assert place.seen == []
        assert run(curl_here(asked), asked, place.url, TOKEN, str(tmp_path / "ca.pem")).code == 2
        assert len(place.seen) == 1


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    made = certificates.make(tmp_path, "leaf", "localhost")
    script = (
        "import sys; from gateway.laptop import curling; from gateway.laptop.curl_options import read_options; "
        "asked = read_options(('-s', sys.argv[1])); "
        "curling.run(curling.curl_here(asked), asked, sys.argv[1], 'token', sys.argv[2])"
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


def captured(text: bytes) -> _Captured:
    body = _Captured()
    body.take(text)
    return body


@pytest.mark.parametrize(
    "text", [PROBLEM, DOORS + PROBLEM, PROBLEM + b"403 {not json", b"HTTP/1.1 200 OK\r\n\r\n" + DOORS + PROBLEM]
)
def test_the_doors_words_are_found_wherever_curl_puts_them(text: bytes) -> None:
    heads = b"HTTP/1.1 100 Continue\r\n\r\n" + DOORS
    said = _refusal(heads, captured(text), Asked())
    assert said == Refusal(403, "no_rule", ("No rule.", "\\x1b[2J", "Ask.", "Request id: r-1"))


@pytest.mark.parametrize(
    ("heads", "text"),
    [
        (OWN + b"\r\n", PROBLEM),  # a service's own problem
        (OWN + b"Proxy-Status: other; error=x\r\n\r\n", PROBLEM),
        (DOORS.replace(b"403 Forbidden", b"200 OK"), PROBLEM), (b"", b""), (b"\r\n\r\n", b"x"),
        (DOORS + b"HTTP/1.1 200 OK\r\n\r\n", b"fine"),  # after a retry
    ],
)  # fmt: skip
def test_an_answer_that_is_not_the_doors_is_no_refusal(heads: bytes, text: bytes) -> None:
    assert _refusal(heads, captured(text), Asked()) is None


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"no json", b'{"title": 5}', b"\xff{"])
def test_a_refusal_without_words_is_still_one(text: bytes) -> None:
    said = _refusal(DOORS, captured(text), Asked(names={"head"}))
    assert said is not None
    assert said.status == 403
    assert said.lines


def test_without_curl_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Exception, match="stagedoor token"):
        curl_here(Asked())
