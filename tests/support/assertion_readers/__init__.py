"""The examples of docs/assertion.md as programs: the code as it stands in the document, and a loop around it.

Each reads assertions from stdin, a line each, and says on stdout whom the example takes the caller for, or `refused`.
Only the two addresses of the document are replaced by those of a door that runs here.

`python -m tests.support.oidc_provider` brings Node's library, `python -m tests.support.assertion_readers` brings Go's
and builds them once (half a minute of one core); no test does, for a test's time is no measure of a registry's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support import oidc_provider
from tests.support.doc_code import code_in
from tests.support.node import ROOT

HERE = Path(__file__).parent
DOCUMENT: Final = ROOT / "docs" / "assertion.md"
GO_FOLDER: Final = oidc_provider.FOLDER / "go"
GO_INSTALLED: Final = GO_FOLDER / ".installed"
LANGUAGES: Final = {"python": "python", "node": "js", "go": "go"}  # how the document marks their code
KEYS_AT: Final = "https://stagedoor.example.com/.stagedoor/jwks.json"
ISSUER: Final = '"https://stagedoor.example.com"'

PYTHON_LOOP = """
import sys

for line in sys.stdin:
    try:
        print(caller({"X-Stagedoor-Assertion": line.strip()})["sub"], flush=True)
    except Exception as error:
        print("refused", type(error).__name__, flush=True)
"""
NODE_LOOP = """
import { createInterface } from "node:readline";

for await (const line of createInterface({ input: process.stdin })) {
  try {
    console.log((await caller({ "x-stagedoor-assertion": line })).sub);
  } catch (error) {
    console.log("refused", error.code ?? error.name);
  }
}
"""
GO_LOOP = """
func main() {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		request := &http.Request{Header: http.Header{"X-Stagedoor-Assertion": {lines.Text()}}}
		if claims, err := caller(request); err != nil {
			fmt.Println("refused")
		} else {
			fmt.Println(claims["sub"])
		}
	}
}
"""


def go() -> str:
    """The Go toolchain here; "" = none."""
    usual = Path("/usr/local/go/bin/go")
    return shutil.which("go") or (str(usual) if usual.exists() else "")


def why_not(language: str) -> str:
    """Why the example cannot run here; "" where it can."""
    if language == "node":
        return oidc_provider.why_not()
    if language == "go" and not go():
        return "the example in Go needs `go`"
    if language == "go" and (not GO_INSTALLED.exists() or GO_INSTALLED.read_bytes() != (HERE / "go.mod").read_bytes()):
        return "Go's libraries are not here; `python -m tests.support.assertion_readers` brings them"
    return ""


def install() -> int:
    """Go's libraries, of the pinned versions, built once. Returns its exit status; 0 where there is no Go."""
    if not go() or not why_not("go"):
        return 0
    warm = GO_FOLDER / "warm"
    warm.mkdir(parents=True, exist_ok=True)
    for name in ("go.mod", "go.sum", "warm.go"):
        shutil.copy(HERE / name, warm)
    for command in (["mod", "download"], ["build", "-o", os.devnull, "."]):
        status = subprocess.run([go(), *command], cwd=warm, env=_go_environment(), check=False).returncode
        if status:
            return status
    shutil.copy(HERE / "go.mod", GO_INSTALLED)
    return 0


class Reader:
    """The example of one language, running. ``keys_at``: the door's key set; ``issuer``: of its assertions."""

    def __init__(self, language: str, folder: Path, keys_at: str, issuer: str) -> None:
        (code,) = code_in(DOCUMENT, LANGUAGES[language])
        assert code.count(KEYS_AT) == 1
        assert code.count(ISSUER) == 1
        code = code.replace(KEYS_AT, keys_at).replace(ISSUER, f'"{issuer}"')
        command, environment = {"python": _python, "node": _node, "go": _go}[language](folder, code)
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def read(self, text: str) -> str:
        """What it says about an assertion: the caller's ref, or `refused` and why."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline().strip()
        assert said, "the example ended"
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()


Made = tuple[list[str], dict[str, str]]


def _python(folder: Path, code: str) -> Made:
    (folder / "reader.py").write_text(code + PYTHON_LOOP)
    return [sys.executable, "reader.py"], dict(os.environ)


def _node(folder: Path, code: str) -> Made:
    (folder / "node_modules").symlink_to(oidc_provider.FOLDER / "node_modules")
    (folder / "reader.mjs").write_text(code + NODE_LOOP)
    return ["node", "reader.mjs"], dict(os.environ)


def _go(folder: Path, code: str) -> Made:
    for name in ("go.mod", "go.sum"):
        shutil.copy(HERE / name, folder)
    imports = '"bufio"\n"fmt"\n"net/http"\n"os"\n\n"github.com/MicahParks/keyfunc/v3"\n"github.com/golang-jwt/jwt/v5"\n'
    (folder / "reader.go").write_text(f"package main\n\nimport (\n{imports})\n\n{code}{GO_LOOP}")
    environment = _go_environment() | {"GOPROXY": "off"}
    built = subprocess.run(
        [go(), "build", "-o", "reader", "."], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return [str(folder / "reader")], environment


def _go_environment() -> dict[str, str]:
    own = {"GOMODCACHE": str(GO_FOLDER / "mod"), "GOCACHE": str(GO_FOLDER / "cache"), "CGO_ENABLED": "0"}
    return {**os.environ, **own, "GOFLAGS": "-modcacherw", "GOTOOLCHAIN": "local"}
