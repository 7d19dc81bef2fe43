"""The load generator and the upstream: built with the machine's C compiler on first use, then run pinned.

`bench/load.c` says what a run is and which lines it prints while it runs. Here a run becomes a :class:`Load`
value; any answer that is not a whole 2xx is a :class:`BenchFault`, because a gateway that answers fast and wrong
must not win.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.ground import BENCH, DOMAIN, LOAD_CORE, UPSTREAM, WORK, BenchFault, Missing
from bench.processes import Tree
from bench.wire import answers


@dataclass(frozen=True, slots=True)
class Load:
    """What one run saw, from the client's side."""

    requests: int
    seconds: float
    rps: float
    body_bytes: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    reconnects: int
    next: int


@dataclass(frozen=True, slots=True)
class Target:
    """Where the load goes: a port, a file of requests, and the authority to trust when it is TLS."""

    port: int
    requests: Path
    ca: Path | None = None
    length: int = 1024


def _compiled(name: str, *variants: list[str]) -> Path:
    """``bench/NAME.c`` as a program, by the first of the flag lists that compiles; kept until the source changes."""
    source, program = BENCH / f"{name}.c", WORK / "bin" / name
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return program
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        raise Missing("no C compiler (Debian: `apt install gcc libc6-dev`), and the load generator is C")
    program.parent.mkdir(parents=True, exist_ok=True)
    message = ""
    for flags in variants:
        command = [compiler, "-O2", "-Wall", "-o", str(program), str(source), *flags]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode == 0:
            return program
        message = built.stderr
    raise BenchFault(f"`{source.name}` does not compile: {message[-400:]}")


def load_program() -> Path:
    return _compiled("load", ["-DWITH_TLS", "-lssl", "-lcrypto"], [])


def upstream_program() -> Path:
    return _compiled("upstream", [])


def has_tls() -> bool:
    return b"libssl" in load_program().read_bytes()


def start_upstream() -> Tree:
    tree = Tree("upstream", [str(upstream_program()), str(UPSTREAM)], LOAD_CORE, WORK / "upstream")
    tree.wait_until(lambda: answers(UPSTREAM, "/"), 5.0)
    return tree


def _command(target: Target, options: dict[str, object]) -> list[str]:
    command = ["taskset", "-c", str(LOAD_CORE), str(load_program()), "--port", str(target.port)]
    command += ["--requests", str(target.requests), "--length", str(target.length)]
    if target.ca:
        if not has_tls():
            raise Missing("the load generator was built without OpenSSL (Debian: `apt install libssl-dev`)")
        command += ["--tls", "--ca", str(target.ca), "--name", f"svc-00000.{DOMAIN}"]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}"] if value is None else [f"--{name.replace('_', '-')}", str(value)]
    return command


def run(target: Target, on_line: Callable[[str], None] = lambda line: None, **options: object) -> Load:
    """One run to its end; ``on_line`` is called with each word the generator says while it runs."""
    with subprocess.Popen(_command(target, options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        assert job.stderr is not None
        last = ""
        for line in job.stdout:
            if line.startswith("{"):
                last = line
            else:
                on_line(line.strip())
        message = job.stderr.read().strip()
    if job.returncode or not last:
        raise BenchFault(message or f"the load generator ended with {job.returncode}")
    return _read(last)


def _read(line: str) -> Load:
    said = json.loads(line)
    return Load(**{name: said[name] for name in Load.__slots__})


class Background:
    """A run that lasts as long as a `with` block: steady load, slow readers, or with ``hold`` idle connections."""

    def __init__(self, target: Target, hold: bool = False, **options: object) -> None:
        self._command = _command(target, options) + (["--hold"] if hold else [])
        self._until = "held" if hold else "start"
        self.seen: Load | None = None

    def __enter__(self) -> Background:
        self._job = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._job.stdout is not None
        if self._job.stdout.readline().strip() != self._until:
            raise BenchFault(self._job.communicate()[1].strip() or f"the load generator never said `{self._until}`")
        return self

    def __exit__(self, *failure: object) -> None:
        """Closing its input ends held connections, SIGTERM ends a window; both tell what they saw."""
        if self._until == "start":
            self._job.terminate()
        told, message = self._job.communicate()
        last = told.strip().rpartition("\n")[2]
        if failure[0] is None and (self._job.returncode or not last.startswith("{")):
            raise BenchFault(message.strip() or f"the load generator ended with {self._job.returncode}")
        if last.startswith("{"):
            self.seen = _read(last)
