"""Keys of session cookies in a file: what is read, and that a fault names the line and never the key."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from gateway.session_key_files import KEY_BYTES, read_session_keys, session_keys_fault

NEW, OLD = bytes(range(32)), bytes(range(1, 33))


def written(folder: Path, text: str, mode: int = 0o600) -> str:
    file = folder / "keys"
    file.touch(mode)
    file.write_text(text)
    return str(file)


def spelled(key: bytes) -> str:
    return b64encode(key).decode()


def test_the_first_line_is_the_newest_key(tmp_path: Path) -> None:
    file = written(tmp_path, f"# rotated in May\nb {spelled(NEW)}\n\na  {spelled(OLD)}\n")
    assert read_session_keys(file) == (("b", NEW), ("a", OLD))
    assert session_keys_fault(file) == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "holds 0 keys"),
        (f"a {spelled(NEW)}\na {spelled(OLD)}\n", "line 2 repeats"),
        (f"a {spelled(NEW)[:-8]}\n", "line 1 has 27 bytes, not 32"),
        ("a not*base64\n", "line 1 holds no base64"),
        (f"{spelled(NEW)}\n", "line 1 begins with no name"),
        ("".join(f"k{n} {spelled(NEW)}\n" for n in range(17)), "holds 17 keys"),
        ("#" * 5000, "larger than"),
    ],
)
def test_what_is_wrong_is_said_without_the_key(tmp_path: Path, text: str, why: str) -> None:
    fault = session_keys_fault(written(tmp_path, text))
    assert why in fault
    assert spelled(NEW)[:12] not in fault


def test_a_file_that_others_read_keeps_no_secret(tmp_path: Path) -> None:
    file = written(tmp_path, f"a {spelled(NEW)}\n")
    Path(file).chmod(0o640)
    assert "others than its owner" in session_keys_fault(file)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    assert session_keys_fault(str(tmp_path / "none")).startswith("cannot read")
    assert len(NEW) == KEY_BYTES
