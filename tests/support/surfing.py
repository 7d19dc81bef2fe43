"""A person's browser as far as HTTP goes: a cookie jar with the rules that matter here, redirects one by one, forms.

Hosts of tests lead to a port on loopback; the address bar, `Host` and cookies keep the name. A cookie is kept as RFC
6265bis says where security hangs on it: host-only without `Domain`, `Secure` only over TLS, `__Host-` only with
`Secure`, `Path=/` and no `Domain`. What a page's script could do, and what a browser draws, is for the browser tests.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

NAVIGATION = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "none",
    "User-Agent": "Mozilla/5.0 (tests)",
}  # fmt: skip
MOST_REDIRECTS = 20


@dataclass(frozen=True)
class Page:
    """What an address answered."""

    url: str
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def location(self) -> str:
        """Where it sends the browser, whole; "" when nowhere."""
        said = self.headers.get("Location", "")
        return urljoin(self.url, said) if said else ""

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> Form:
        """The only form on the page."""
        reader = _Forms()
        reader.feed(self.text)
        assert len(reader.forms) == 1, f"{len(reader.forms)} forms at {self.url}: {self.text[:400]}"
        form = reader.forms[0]
        return Form(urljoin(self.url, form.action), form.method, form.fields)


@dataclass
class Form:
    action: str
    method: str = "get"
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cookie:
    value: str
    secure: bool
    http_only: bool
    same_site: str
    until: float  # monotonic seconds; inf: as long as the browser runs


class Surfer:
    """One browser profile. ``places``: host → port on loopback; what is not named there is asked where it says."""

    def __init__(self, places: Mapping[str, int], trust: ssl.SSLContext | None = None) -> None:
        self.places = dict(places)
        self.jar: dict[tuple[str, str], Cookie] = {}  # by host and name: every path is / here
        self.visited: list[str] = []
        self._trust = trust
        self._lock = threading.Lock()

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Page:
        """One request, no redirect followed."""
        return self._ask("GET", url, b"", {**NAVIGATION, **(headers or {})})

    def open(self, url: str) -> Page:
        """Type it into the address bar: every redirect is followed."""
        return self.follow(self.get(url))

    def follow(self, page: Page) -> Page:
        for _ in range(MOST_REDIRECTS):
            if page.status not in (301, 302, 303, 307, 308) or not page.location:
                return page
            page = self.get(page.location)
        raise AssertionError(f"more than {MOST_REDIRECTS} redirects: {self.visited[-4:]}")

    def submit(self, form: Form, **fields: str) -> Page:
        """Press its button; redirects are followed."""
        said = urlencode({**form.fields, **fields})
        if form.method == "get":
            return self.open(f"{form.action}?{said}")
        return self.follow(self.post(form.action, said.encode()))

    def post(self, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Page:
        """As a form of the same site does. One request."""
        parts = urlsplit(url)
        own = {"Origin": f"{parts.scheme}://{parts.netloc}", "Content-Type": "application/x-www-form-urlencoded"}
        site = {"Sec-Fetch-Site": "same-origin"}
        return self._ask("POST", url, body, {**NAVIGATION, **site, **own, **(headers or {})})

    def ask(self, method: str, url: str, headers: Mapping[str, str]) -> Page:
        """As a program does: these headers alone."""
        return self._ask(method, url, b"", headers)

    def cookies(self, host: str) -> dict[str, str]:
        """Those that would be sent there over TLS now."""
        now = time.monotonic()
        with self._lock:
            return {name: each.value for (at, name), each in self.jar.items() if at == host and each.until > now}

    # === one request ===

    def _ask(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Page:
        parts = urlsplit(url)
        host, secure = parts.hostname or "", parts.scheme == "https"
        self.visited.append(url)
        at = ("127.0.0.1", self.places[host]) if host in self.places else (host, parts.port or (443 if secure else 80))
        connection: http.client.HTTPConnection = (
            _Secure(*at, name=host, context=self._trust) if secure else http.client.HTTPConnection(*at, timeout=30)
        )
        target = parts.path or "/"
        target += f"?{parts.query}" if parts.query else ""
        sent = {"Host": parts.netloc, **headers}
        if kept := self._sent(host, secure):
            sent["Cookie"] = kept
        try:
            connection.request(method, target, body or None, {name: value for name, value in sent.items() if value})
            answer = connection.getresponse()
            page = Page(url, answer.status, answer.headers, answer.read())
        finally:
            connection.close()
        for line in page.headers.get_all("Set-Cookie", []):
            self._keep(host, line, secure)
        return page

    def _sent(self, host: str, secure: bool) -> str:
        now = time.monotonic()
        with self._lock:
            return "; ".join(
                f"{name}={each.value}" for (at, name), each in self.jar.items()
                if at == host and each.until > now and (secure or not each.secure)
            )  # fmt: skip

    def _keep(self, host: str, line: str, secure: bool) -> None:
        pair, *attributes = [each.strip() for each in line.split(";")]
        name, _, value = pair.partition("=")
        said = {key.lower(): text for key, _, text in (each.partition("=") for each in attributes)}
        assert "domain" not in said, f"a cookie for more than one host: {line}"
        if "secure" in said and not secure:
            return
        if name.startswith("__Host-") and ("secure" not in said or said.get("path") != "/"):
            return
        age = float(said["max-age"]) if "max-age" in said else float("inf")
        kept = Cookie(
            value, "secure" in said, "httponly" in said, said.get("samesite", "Lax"), time.monotonic() + age
        )  # fmt: skip
        with self._lock:
            if age <= 0:
                self.jar.pop((host, name), None)
            else:
                self.jar[host, name] = kept


class _Secure(http.client.HTTPSConnection):
    """Connects to an address, and asks for a name."""

    def __init__(self, host: str, port: int, *, name: str, context: ssl.SSLContext | None) -> None:
        self._trusted = context or ssl.create_default_context()
        super().__init__(host, port, timeout=30, context=self._trusted)
        self._name = name

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._trusted.wrap_socket(self.sock, server_hostname=self._name)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(said.get("action", ""), said.get("method", "get").lower()))
        elif tag in ("input", "button") and self.forms and said.get("name"):
            self.forms[-1].fields[said["name"]] = said.get("value", "")
