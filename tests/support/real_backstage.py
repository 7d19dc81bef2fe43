"""A real Backstage backend on loopback, from the recipe that lies beside the checkout, if it does.

`python -m tests.support.real_backstage` installs it into `.backstage/` (some minutes, 400 MB), once; no test does, for
a test's time is no measure of a registry's. `BACKSTAGE_DIR` names a folder where it is installed already. Its database
is in memory: every start begins empty and fills from the catalog's folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.node import ROOT
from tests.support.ports import free_port

RECIPE = ROOT.parent / "shared" / "backstage-real"
READ, BLIND, ADMIN = (f"stagedoor-{name}-token-for-tests" for name in ("static", "blind", "admin"))
NAMED = os.environ.get("BACKSTAGE_DIR", "")
FOLDER = Path(NAMED or ROOT / ".backstage")
INSTALLED = FOLDER / ".installed"
START_S = 120.0


def why_not() -> str:
    """Why there can be none here; "" when there can."""
    if not (RECIPE / "install.sh").is_file():
        return "the recipe of a real Backstage is not beside the checkout"
    if missing := [name for name in ("npm", "node", "curl") if shutil.which(name) is None]:
        return f"a real Backstage needs {', '.join(missing)}"
    if not NAMED and not INSTALLED.exists():
        return "no Backstage is installed; `python -m tests.support.real_backstage` does it"
    return ""


def install() -> int:
    """Anew, unless it is installed already. Returns the exit status of the recipe."""
    if INSTALLED.exists():
        return 0
    status = subprocess.run([str(RECIPE / "install.sh"), str(FOLDER)], check=False).returncode
    if status == 0:
        INSTALLED.touch()
    return status


class RealBackstage:
    """One backend, which can be started again with an empty database."""

    def __init__(self) -> None:
        self.folder = FOLDER
        self.port = free_port()
        self.catalog = FOLDER / f"catalog-of-tests-{self.port}"  # other processes test beside this one
        self.pid = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def generate(self, entities: int) -> None:
        """Make the catalog that files hold."""
        shutil.rmtree(self.catalog, ignore_errors=True)
        command = [sys.executable, str(RECIPE / "gen_catalog.py"), str(self.catalog), "--entities", str(entities)]
        subprocess.run([*command, "--layout", "single"], check=True, capture_output=True)

    def start(self, configuration: str = "") -> None:
        """Ready to answer, and not filled yet. ``configuration`` is YAML that is put on top of the recipe's own."""
        extra = self.folder / f"extra-{self.port}.yaml"
        extra.write_text(configuration or "app: {}\n")
        environment = {
            **os.environ, "BS_PORT": str(self.port), "BS_CATALOG_GLOB": f"./{self.catalog.name}/*.yaml",
            "BS_PROCESSING_SECONDS": "5", "BS_READY_FILE": str(self.folder / f"ready-{self.port}"),
            "BS_LOG": str(self.folder / f"log-{self.port}"), "BS_EXTRA_CONFIG": str(extra),
        }  # fmt: skip
        ran = subprocess.run(
            [str(RECIPE / "start.sh"), str(self.folder)], env=environment, capture_output=True, text=True,
            timeout=START_S, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout + ran.stderr
        self.pid = int(ran.stdout.partition("pid=")[2].split()[0])

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + 20
        while Path(f"/proc/{self.pid}").exists() and _runs(self.pid):
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.05)

    # === asking it, past Stagedoor ===

    def call(self, method: str, path: str, body: object = None, token: str = ADMIN) -> Any:
        """The parsed answer; None for 404 and for answers without a body."""
        asked = urllib.request.Request(
            f"{self.url}/api/catalog{path}", method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(asked, timeout=20) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise
        return json.loads(text) if text else None

    def change(self, *added: dict[str, Any], removed: tuple[str, ...] = ()) -> None:
        """What a provider does: seen in the catalog a little later."""
        self.call("PATCH", "/fixture/entities", {"added": list(map(complete, added)), "removed": list(removed)})

    def shown(self, ref: str) -> Any:
        """The entity as the catalog shows it now, None when it does not."""
        kind, _, rest = ref.partition(":")
        return self.call("GET", f"/entities/by-name/{kind}/{rest}")

    def counts(self) -> dict[str, int]:
        facets = self.call("GET", "/entity-facets?facet=kind")["facets"]["kind"]
        return {each["value"].lower(): each["count"] for each in facets}


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """With what a real catalog insists on."""
    needed: dict[str, Any] = {
        "Component": {"type": "service", "lifecycle": "production"},
        "API": {"type": "openapi", "lifecycle": "production"},
        "Group": {"type": "team", "children": []},
        "User": {"memberOf": [], "profile": {}},
    }
    return {**document, "spec": {**needed.get(document["kind"], {}), **document["spec"]}}


def _runs(pid: int) -> bool:
    """A zombie has ended: whether it was reaped is its parent's business."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(install())
