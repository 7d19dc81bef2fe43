"""Real certificates for tests, made by the project's own script for `localhost` names and loopback addresses."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import ModuleType

from cryptography import x509

SCRIPT = Path(__file__).parents[2] / "certs" / "make.py"
LEAF_DAYS = 90


@cache
def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("certs_make", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make(folder: Path, leaf: str, *names: str, days_left: int = LEAF_DAYS) -> tuple[Path, Path]:
    """Certificate and key of a leaf that ends in so many days; its authority is `ca.pem` beside it."""
    now = datetime.now(UTC)
    _script().make_ca(folder, now)
    (folder / f"{leaf}.pem").unlink(missing_ok=True)  # the script keeps what holds
    age = timedelta(days=LEAF_DAYS - days_left) - timedelta(hours=1)
    _script().make_leaf(folder, leaf, names, now - max(age, timedelta()))
    return folder / f"{leaf}.pem", folder / f"{leaf}.key"


def key_usage(*, signs: bool) -> x509.KeyUsage:
    """Of an authority, or of a leaf."""
    usage = _script().key_usage(signs_certificates=signs)
    assert isinstance(usage, x509.KeyUsage)
    return usage
