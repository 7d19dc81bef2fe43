"""A certified OpenID provider on loopback: npm's `oidc-provider` behind `server.mjs`.

`python -m tests.support.oidc_provider` installs it into `.provider/` (some seconds, 4 MB), once; no test does, for a
test's time is no measure of a registry's. Each :class:`OidcProvider` is a process of its own, with its own people.
"""

from __future__ import annotations

import json
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.node import ROOT
from tests.support.ports import free_port

HERE = Path(__file__).parent
FOLDER = ROOT / ".provider"
INSTALLED = FOLDER / ".installed"
START_S = 20.0
ATTEMPTS = 2  # another one's port or a stall is no finding of a test


def why_not() -> str:
    """Why there can be none here; "" when there can."""
    if missing := [name for name in ("npm", "node") if shutil.which(name) is None]:
        return f"a real OpenID provider needs {', '.join(missing)}"
    if not INSTALLED.exists() or INSTALLED.read_text() != (HERE / "package.json").read_text():
        return "no OpenID provider is installed; `python -m tests.support.oidc_provider` does it"
    return ""


def install() -> int:
    """Unless it is installed already. Returns npm's exit status."""
    if not why_not():
        return 0
    FOLDER.mkdir(exist_ok=True)
    shutil.copy(HERE / "package.json", FOLDER)
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    status = subprocess.run(command, cwd=FOLDER, check=False).returncode
    if status == 0:
        shutil.copy(HERE / "package.json", INSTALLED)
    return status


def confidential(client_id: str, secret: str, *redirects: str, **more: Any) -> dict[str, Any]:
    """A client that signs people in by code, as the provider's administration would know it."""
    return {
        "client_id": client_id, "client_secret": secret, "redirect_uris": list(redirects),
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic", **more,
    }  # fmt: skip


def public(client_id: str, *redirects: str, **more: Any) -> dict[str, Any]:
    """A native client without a secret (RFC 8252): it comes back to loopback at any port, or shows a device code."""
    return {
        "client_id": client_id, "redirect_uris": list(redirects), "application_type": "native",
        "grant_types": [
            "authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code",
        ],
        "response_types": ["code"], "token_endpoint_auth_method": "none", **more,
    }  # fmt: skip


def _module() -> Path:
    """`server.mjs` beside the modules it asks for. Other processes test beside this one: it is replaced whole."""
    module, source = FOLDER / "server.mjs", (HERE / "server.mjs").read_bytes()
    if not module.exists() or module.read_bytes() != source:
        with tempfile.NamedTemporaryFile(dir=FOLDER, delete=False) as draft:
            draft.write(source)
        Path(draft.name).rename(module)
    return module


class OidcProvider:
    """``people``: subject → claims. ``settings``: `ttl`, `par`, `acr_values`, `strength` of `server.mjs`."""

    def __init__(
        self, clients: Sequence[Mapping[str, Any]], people: Mapping[str, Mapping[str, Any]], **settings: Any
    ) -> None:
        told = {"clients": list(clients), "people": dict(people), **settings}
        for _ in range(ATTEMPTS):
            self.issuer = f"http://127.0.0.1:{free_port()}"
            if why := self._start({"issuer": self.issuer, **told}):
                sys.stderr.write(f"the OpenID provider at {self.issuer} did not start: {why}\n")
            else:
                return
        raise RuntimeError(f"the OpenID provider did not start: {why}")

    def _start(self, told: Mapping[str, Any]) -> str:
        """Why it does not serve; "" when it does. Its port may be taken by now, and a machine may stand still."""
        with tempfile.TemporaryFile() as complaints:
            self._process = subprocess.Popen(
                ["node", str(_module())], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, text=True
            )
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.write(json.dumps(told))
            self._process.stdin.close()
            said = select.select([self._process.stdout], [], [], START_S)[0] and self._process.stdout.readline()
            if said == "ready\n":
                return ""
            state = Path(f"/proc/{self._process.pid}/status").read_text().partition("State:")[2].partition("\n")[0]
            self.stop()
            complaints.seek(0)
            return complaints.read().decode(errors="replace")[-2000:] or f"silent for {START_S} s ({state.strip()})"

    def __enter__(self) -> OidcProvider:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()

    # === what its administrator does ===

    def rotate(self, *, drop: bool = False) -> str:
        """Sign with a new key from now on; the old ones stay in the set unless they are dropped."""
        return str(self._do("rotate", {"drop": drop})["kid"])

    def person(self, sub: str, claims: Mapping[str, Any] | None) -> None:
        """Other claims for this person from now on; None: nobody knows them any more."""
        self._do("person", {"sub": sub, "claims": claims})

    def go_away(self, requests: int = -1) -> None:
        """Answer the next ``requests`` with 503, or all; 0: be back."""
        self._do("away", {"requests": requests})

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Connections are taken, and nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def log_out(self, client: str, sub: str, sid: str | None = None) -> None:
        """Send a logout token (OpenID Connect Back-Channel Logout 1.0) to the client; returns once it was answered."""
        self._do("logout", {"client": client, "sub": sub, **({"sid": sid} if sid else {})})

    def asked(self) -> list[str]:
        """Paths of the POSTs that clients sent since this was last asked."""
        found: list[str] = self._do("asked", {})
        return found

    def _do(self, what: str, said: Mapping[str, Any]) -> Any:
        request = urllib.request.Request(f"{self.issuer}/test/{what}", json.dumps(said).encode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())
