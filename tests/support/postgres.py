"""A real PostgreSQL on this machine's loopback, in a temporary folder, from Debian's binaries, if they are installed.

PostgreSQL refuses to run as root, so root runs it as `postgres`, or as `nobody` where there is no such user. A test
takes a database of its own; the server is ended by its process id.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from tests.support.ports import free_port

USER = "stagedoor"
PASSWORD = "a-Password%of/tests"
START_S = 30.0


def binaries() -> Path | None:
    """The folder of the newest installed version."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    return max(found, key=lambda path: float(path.parent.name), default=None)


def why_not() -> str:
    """Why there can be none here; "" when there can."""
    if binaries() is None:
        return "no PostgreSQL is installed; Debian's package `postgresql` has it"
    return ""


class Postgres:
    """One server, from `start` to `stop`; it may be started again with what it held."""

    def __init__(self) -> None:
        found = binaries()
        assert found is not None
        self._binaries = found
        self.folder = Path(tempfile.mkdtemp(prefix="stagedoor-pg-", dir="/tmp"))  # a socket's path is short
        self.port = free_port()
        self._numbers = count(1)
        self._server: subprocess.Popen[bytes] | None = None
        self._user = _user()
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self.passfile = self.folder / "passfile"
        self._make()

    def _make(self) -> None:
        secret = self.folder / "secret"
        secret.write_text(PASSWORD + "\n")
        if self._user is not None:
            os.chown(secret, self._user.pw_uid, self._user.pw_gid)
        self._run("initdb", "-D", str(self.folder / "data"), "-U", USER, "--auth=scram-sha-256", "-E", "UTF8",
                  "--locale=C.UTF-8", "--no-sync", f"--pwfile={secret}")  # fmt: skip
        secret.unlink()
        self.passfile.write_text(f"*:*:*:{USER}:{PASSWORD}\n")
        self.passfile.chmod(0o600)

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                ["setpriv", "--pdeathsig=INT", *self._as_user(), str(self._binaries / "postgres"),
                 "-D", str(self.folder / "data"), "-c", f"port={self.port}", "-c", "listen_addresses=127.0.0.1",
                 "-c", f"unix_socket_directories={self.folder}", "-c", "fsync=off", "-c", "max_connections=60"],
                cwd="/", stdout=log, stderr=log, env=_environment(), process_group=0,
            )  # fmt: skip
        ends = time.monotonic() + START_S
        while time.monotonic() < ends:
            assert self._server.poll() is None, (self.folder / "log").read_text()
            asked = self._run("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), check=False)
            if asked.returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def certify(self, certificate: Path, key: Path) -> None:
        """From its next start on it speaks TLS, and over TCP nothing else."""
        for file, name in ((certificate, "server.crt"), (key, "server.key")):
            copy = self.folder / "data" / name
            shutil.copyfile(file, copy)
            copy.chmod(0o600)
            if self._user is not None:
                os.chown(copy, self._user.pw_uid, self._user.pw_gid)
        rules = "local all all scram-sha-256\nhostssl all all all scram-sha-256\n"
        (self.folder / "data" / "pg_hba.conf").write_text(rules)
        with (self.folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write("ssl = on\n")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends every connection and the server in order; SIGQUIT at once, as in a crash."""
        server, self._server = self._server, None
        if server is not None:
            server.send_signal(how)
            server.wait(START_S)

    def pause(self) -> None:
        """It goes silent without closing anything, as behind a broken network."""
        assert self._server is not None
        os.killpg(self._server.pid, signal.SIGSTOP)
        for pid in self._backends():
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self._server is not None
        for pid in (*self._backends(), self._server.pid):
            os.kill(pid, signal.SIGCONT)

    def _backends(self) -> list[int]:
        assert self._server is not None
        children = Path(f"/proc/{self._server.pid}/task/{self._server.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def database(self) -> str:
        """The address of a new one, empty."""
        name = f"d{os.getpid()}_{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name}")
        return self.address(name)

    def address(self, name: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}?passfile={self.passfile}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """What psql says, a row a line."""
        asked = subprocess.run(
            [str(self._binaries / "psql"), "-qAtX", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port),
             "-U", USER, "-d", database, "-c", statement],
            capture_output=True, text=True, check=False, env=_environment() | {"PGPASSFILE": str(self.passfile)},
        )  # fmt: skip
        assert asked.returncode == 0, asked.stderr
        return asked.stdout.strip()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        command = [*self._as_user(), str(self._binaries / program), *arguments]
        done = subprocess.run(command, cwd="/", capture_output=True, check=False, env=_environment())
        assert not check or done.returncode == 0, done.stderr.decode()
        return done

    def _as_user(self) -> Sequence[str]:
        if self._user is None:
            return ()
        return ("setpriv", f"--reuid={self._user.pw_uid}", f"--regid={self._user.pw_gid}", "--clear-groups", "--")


def _user() -> pwd.struct_passwd | None:
    """Whom to become; None: nobody else than we are."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError("PostgreSQL does not run as root, and there is nobody else")


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


@contextmanager
def running() -> Iterator[Postgres]:
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.remove()
