"""The store's database: does it answer from here, is its schema one that this program may use, and do sessions in it
open with this node's keys?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway.config import Settings
from gateway.control.sessions.kept_tokens import opened_tokens
from gateway.control.sessions.sealing import Sealer
from gateway.control.store.inspection import Inspected, inspect_database
from gateway.doctor.lines import Line, counted, fail, ok, warn
from gateway.session_key_files import read_session_keys

DATABASE: Final = "database"
SLOW_S: Final = 0.5
_MENDING: Final = (
    "with the node stopped, restore `store.sqlite3` from a backup, or move it away: people sign in again, "
    "and pins and acts are lost"
)


async def database(settings: Settings) -> Sequence[Line]:
    found = await inspect_database(settings.database, Path(settings.state_folder))
    return [_line(found, settings.database), *_foreign_keys(found, settings.sessions.keys_file)]


def _foreign_keys(found: Inspected, file: str) -> Sequence[Line]:
    """Whether the sessions of all nodes open with the keys of this one. A file that cannot be read `check` tells."""
    try:
        sealer = Sealer(read_session_keys(file)) if file else None
    except (OSError, ValueError):
        sealer = None
    if sealer is None:
        return []
    closed = sum(opened_tokens(sealed, sid, sealer) is None for sid, sealed in found.sealed)
    if not closed:
        return []
    said = f"{closed} of the newest {counted(len(found.sealed), 'session')} do not open with the keys in `{file}`"
    fix = "let `sessions.keys_file` say the same on every node, then reload: people are sent from sign-in to sign-in"
    return [fail(DATABASE, found.server, said, fix)]


def _line(found: Inspected, url: str) -> Line:
    subject = found.server
    if found.fault:
        fix = "make it reachable from here, or correct `state.database`" if url else _MENDING
        if "newer Stagedoor" in found.fault:
            fix = "run the newer Stagedoor"
        return fail(DATABASE, subject, found.fault, fix)
    if not found.schema:
        said = "no schema yet: it is made at the first start"
    elif found.schema != found.newest:
        said = f"schema `{found.schema}`: brought to `{found.newest}` at the next start"
    else:
        said = f"schema `{found.schema}`"
    if found.doubts:
        fix = "turn it on: what was acknowledged may be lost with the power, a sign-out or a cut too"
        return warn(DATABASE, subject, f"{said}; {' and '.join(found.doubts)}", fix)
    if url and found.took_s > SLOW_S:
        fix = "bring database and node closer together: people wait for it when they sign in"
        return warn(DATABASE, subject, f"{said}; it took {found.took_s:.1f} s to say so", fix)
    return ok(DATABASE, subject, said)
