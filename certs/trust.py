"""Lets this user's browsers trust the development CA, and takes it back.

    python certs/trust.py add .lab/certs/ca.pem
    python certs/trust.py remove

Chromium and Firefox on Linux read NSS databases in the user's home; `certutil` (Debian: libnss3-tools) writes
them. Nothing outside the user's home is touched, and never the system's own store. Programs that read neither
are told by environment variables, which this script prints.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

NICKNAME = "Stagedoor development CA"
CHROMIUM = Path(".pki/nssdb")
FIREFOX = (".mozilla/firefox", "snap/firefox/common/.mozilla/firefox", ".config/mozilla/firefox")


def databases(home: Path) -> list[Path]:
    """Every NSS database of this user: Chromium's one, and one for each Firefox profile."""
    profiles = [profile.parent for folder in FIREFOX for profile in sorted((home / folder).glob("*/cert9.db"))]
    chromium = home / CHROMIUM
    return [chromium, *profiles] if (chromium / "cert9.db").exists() else profiles


def add(certificate: Path, home: Path) -> int:
    """Puts the CA into every database, in Chromium's also when it has none yet."""
    if not certificate.is_file():
        print(f"no certificate at `{certificate}`: make it with `python certs/make.py`", file=sys.stderr)
        return 1
    if shutil.which("certutil") is None:
        print("browsers were not told: `certutil` is missing (Debian: apt install libnss3-tools)", file=sys.stderr)
        print(_by_environment(certificate), file=sys.stderr)
        return 1
    if not (home / CHROMIUM / "cert9.db").exists():
        (home / CHROMIUM).mkdir(mode=0o700, parents=True, exist_ok=True)
        _certutil(home / CHROMIUM, "-N", "--empty-password")
    told = []
    for database in databases(home):
        _forget(database)
        # C: trusted to sign servers' certificates, and nothing else.
        if _certutil(database, "-A", "-n", NICKNAME, "-t", "C,,", "-i", str(certificate)):
            told.append(database)
    for database in told:
        print(f"trusted in {database}")
    print("restart the browser; `make untrust` takes it back")
    print(_by_environment(certificate))
    return 0 if told else 1


def remove(home: Path) -> int:
    """Takes the CA out of every database; an absent one is fine."""
    if shutil.which("certutil") is None:
        print("nothing to undo: `certutil` is missing, so no browser was told")
        return 0
    for database in databases(home):
        if _forget(database):
            print(f"removed from {database}")
    return 0


def _forget(database: Path) -> bool:
    """Removes every certificate of our nickname; true when there was one."""
    found = False
    for _ in range(16):  # renewed authorities share the nickname
        if not _certutil(database, "-D", "-n", NICKNAME, quiet=True):
            break
        found = True
    return found


def _certutil(database: Path, *words: str, quiet: bool = False) -> bool:
    done = subprocess.run(
        ["certutil", "-d", f"sql:{database}", *words], capture_output=True, text=True, check=False, timeout=30
    )
    if done.returncode != 0 and not quiet:
        print(f"certutil {words[0]} on {database}: {done.stderr.strip()}", file=sys.stderr)
    return done.returncode == 0


def _by_environment(certificate: Path) -> str:
    path = certificate.absolute()
    return (
        "programs take it by name:\n"
        f"  curl --cacert {path} …\n"
        f"  export CURL_CA_BUNDLE={path}      # curl\n"
        f"  export REQUESTS_CA_BUNDLE={path}  # Python requests\n"
        f"  export SSL_CERT_FILE={path}       # Python ssl, OpenSSL"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="certs/trust.py", description="trust the development CA, for this user")
    acts = parser.add_subparsers(dest="act", required=True)
    adding = acts.add_parser("add", help="let this user's browsers trust it")
    adding.add_argument("certificate", type=Path)
    acts.add_parser("remove", help="take it back")
    chosen = parser.parse_args(arguments)
    return add(chosen.certificate, Path.home()) if chosen.act == "add" else remove(Path.home())


if __name__ == "__main__":
    sys.exit(main())
