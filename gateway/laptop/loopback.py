"""Where the browser comes back to: a listener on 127.0.0.1 for one sign-in (RFC 8252, 7.3).

Anybody on this machine, and any page in a browser, can ask it something. So only a GET of the one path with the state
that this sign-in made, each parameter once, counts, and it counts once; everybody else gets a page and changes nothing.
The browser waits for the outcome, so that its page says what became of the sign-in. Nothing is logged: the address that
is asked for holds the code.
"""

from __future__ import annotations

import hmac
import queue
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from gateway.errors import StagedoorError

ADDRESS: Final = "127.0.0.1"
PATH: Final = "/callback"
HTTP_PORT: Final = 80  # which browsers leave out of `Host`
SLOW_S: Final = 10.0  # for a browser that connects and says nothing
OUTCOME_S: Final = 60.0
SHOWN_S: Final = 2.0
MOST_PARAMETERS: Final = 20
_STYLE: Final = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1.5rem}"
    "html{color-scheme:light dark}h1{font-size:1.5rem}"
)


class Arrival:
    """What the browser brought, and the answer it waits for."""

    def __init__(self, said: dict[str, str]) -> None:
        self.said = said
        self._outcome: tuple[bool, str] = (False, "The command line gave up waiting.")
        self._done = threading.Event()
        self.shown = threading.Event()

    def tell(self, sentence: str, *, good: bool) -> None:
        """What the browser's page says; returns when the browser has it, or had its time."""
        self._outcome = (good, sentence)
        self._done.set()
        self.shown.wait(SHOWN_S)

    def outcome(self) -> tuple[bool, str]:
        self._done.wait(OUTCOME_S)
        return self._outcome


class _Server(socketserver.ThreadingMixIn, HTTPServer):
    daemon_threads = True  # browsers open connections that they never use, and nobody waits for these
    block_on_close = False
    allow_reuse_address = False

    def __init__(self, port: int) -> None:
        self.expected = ""  # the state; "" = nobody is waited for yet
        self.arrivals: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._lock = threading.Lock()
        super().__init__((ADDRESS, port), _Visitor)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer's would look our name up
        self.server_name, self.server_port = ADDRESS, int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A visitor went away; a traceback would show what it asked for."""

    def take(self, state: str) -> bool:
        """Whether this is the answer that is waited for; true once."""
        with self._lock:
            known = bool(self.expected) and hmac.compare_digest(state.encode(), self.expected.encode())
            if known:
                self.expected = ""
        return known


class _Visitor(BaseHTTPRequestHandler):
    timeout = SLOW_S
    server: _Server
    protocol_version = "HTTP/1.0"  # one request a connection

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        port = self.server.server_port
        own = ADDRESS if port == HTTP_PORT else f"{ADDRESS}:{port}"
        if parts.path != PATH or self.headers.get_all("Host", []) != [own]:
            self._page(404, "Nothing is here", "This address is for the end of a sign-in.")
            return
        said = _parameters(parts.query)
        if said is None or not self.server.take(said.get("state", "")):
            self._page(400, "This sign-in is not waited for", "Start again in your terminal: stagedoor login")
            return
        arrival = Arrival(said)
        self.server.arrivals.put(arrival)
        good, sentence = arrival.outcome()
        title = "You are signed in" if good else "You are not signed in"
        try:
            self._page(200 if good else 400, title, sentence)
        finally:
            arrival.shown.set()

    def _page(self, status: int, title: str, sentence: str) -> None:
        body = (
            f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
            f"<style>{_STYLE}</style>\n<main><h1>{escape(title)}</h1><p>{escape(sentence)}</p></main>\n</html>\n"
        ).encode()
        self.send_response_only(status)
        for name, value in (
            ("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"), ("X-Content-Type-Options", "nosniff"),
            ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
            ("Connection", "close"),
        ):  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the request line holds the code."""


class Listener:
    """Open for one sign-in."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self.redirect_uri = f"http://{ADDRESS}:{server.server_port}{PATH}"

    def expect(self, state: str) -> None:
        self._server.expected = state

    def wait(self, within_s: float) -> Arrival | None:
        """What the browser brings; None when nobody comes."""
        try:
            return self._server.arrivals.get(timeout=within_s)
        except queue.Empty:
            return None


@contextmanager
def listening(port: int = 0) -> Iterator[Listener]:
    """``port`` 0: any that is free. Raises `StagedoorError`."""
    try:
        server = _Server(port)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or "it is no port"
        raise StagedoorError(f"cannot listen on {ADDRESS}:{port} for the browser: {str(why).lower()}") from None
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield Listener(server)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _parameters(query: str) -> dict[str, str] | None:
    """None where one is there twice, or too many are: what can be read two ways is no answer."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS, errors="strict")
    except ValueError:
        return None
    said = dict(pairs)
    return said if len(said) == len(pairs) else None
