"""Promises about files that hold a secret: one line and nothing else, and never a word of it in an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.secret_files import LARGEST_BYTES, SIGNING_CHARACTERS, read_secret, secret_fault, signing_secret_fault


@pytest.mark.parametrize(
    ("written", "secret"),
    [(b"s3cret", "s3cret"), (b"s3cret\n", "s3cret"), (b"s3cret\r\n", "s3cret"), (b" with spaces ", " with spaces "),
     ("schlüssel".encode(), "schlüssel"), (b"x" * LARGEST_BYTES, "x" * LARGEST_BYTES)],
)  # fmt: skip
def test_a_secret_is_the_line_in_its_file(tmp_path: Path, written: bytes, secret: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(written)
    assert read_secret(str(file)) == secret
    assert secret_fault(str(file)) == ""


@pytest.mark.parametrize(
    "written", [b"", b"\n", b"\r\n\r\n", b"s3cret\nother", b"s3cret\x00", b"s3cret\xff", b"s3cret" * LARGEST_BYTES]
)
def test_anything_else_is_no_secret_and_is_not_repeated(tmp_path: Path, written: bytes) -> None:
    file = tmp_path / "secret"
    file.write_bytes(written)
    with pytest.raises(ValueError):
        read_secret(str(file))
    fault = secret_fault(str(file))
    assert fault.startswith(f"`{file}` holds no secret")
    assert "s3cret" not in fault


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert secret_fault(str(tmp_path / "none")) == f"cannot read `{tmp_path}/none`: no such file or directory"
    assert secret_fault(str(tmp_path)) == f"cannot read `{tmp_path}`: is a directory"


def test_a_rotated_secret_counts_with_the_next_reading(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    for secret in ("one", "two"):
        file.write_text(secret)
        assert read_secret(str(file)) == secret


def test_what_signs_is_long_and_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.touch(0o600)
    file.write_text("x" * SIGNING_CHARACTERS)
    assert signing_secret_fault(str(file)) == ""
    for mode in (0o640, 0o604, 0o620, 0o666):
        file.chmod(mode)
        assert signing_secret_fault(str(file)) == f"`{file}` can be read by others than its owner"
    file.chmod(0o600)
    file.write_text("short\n")
    assert signing_secret_fault(str(file)) == f"the secret in `{file}` has 5 characters, fewer than 32"
    file.write_text("")
    assert signing_secret_fault(str(file)) == f"`{file}` holds no secret: it is empty"
