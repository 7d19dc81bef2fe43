"""Where sign-ins are kept: a file each, for this user alone, and the tokens in the system's keyring where it has one.

    $XDG_STATE_HOME/stagedoor/sign-ins/HOST_PORT.json     0600; what is known of the sign-in, and where its tokens are
    $XDG_STATE_HOME/stagedoor/sign-ins/HOST_PORT.lock     whoever renews tokens or ends the sign-in holds it

A file is replaced whole, and on the disk before its new refresh token counts as kept: the issuer takes the old one back
when the new one is given. Both parts carry the sign-in's own mark, so that tokens of an earlier one are never used with
what is known of a later one. After twelve hours a sign-in is over whatever its tokens say.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from gateway.errors import StateError
from gateway.laptop.places import Place
from gateway.terminal import plain

LONGEST_S: Final = 12 * 3600
CLOCK_S: Final = 300  # how far a clock may have been set back since
MOST_BYTES: Final = 256 * 1024
KEYRING: Final = "keyring"
FILE: Final = "file"
SERVICE: Final = "stagedoor"  # as whose the system's keyring shows our entries
_SECRET: Final = ("access", "refresh", "access_until", "renew_at")


@dataclass(frozen=True)
class SignIn:
    """Instants in epoch seconds. ``hosts``: patterns of those that may get the access token. ``comes_back_to`` and
    ``by_device``: how it was asked for, so that it can be asked for in the same way again. ``mfa_acr_values``: the
    issuer's words for a second factor, as the node lists them."""

    host: str
    port: int
    ca: str
    name: str  # of the issuer, as the node calls it
    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    parameters: Mapping[str, str]
    hosts: tuple[str, ...]
    signed_in: int
    access: str = field(repr=False)
    access_until: int
    renew_at: int  # from when on the access token is replaced
    refresh: str = field(repr=False, default="")
    kept: str = FILE
    mark: str = ""
    comes_back_to: int = 0  # the port of the redirect address; 0 = any
    by_device: bool = False
    mfa_acr_values: tuple[str, ...] = ()

    @property
    def place(self) -> Place:
        return Place(self.host, self.port)

    @property
    def until(self) -> int:
        return self.signed_in + LONGEST_S

    def is_over(self, now: int) -> bool:
        """Too old; or signed in at a time that has not come, by a clock that was set."""
        return not self.signed_in - CLOCK_S <= now < self.until


class Keeper:
    """``folder``: `$XDG_STATE_HOME`. ``keyring``: whether the system's may be used."""

    def __init__(self, folder: Path, *, keyring: bool = True) -> None:
        self._folder = folder / "stagedoor" / "sign-ins"
        self._keyring = keyring

    def places(self) -> list[Place]:
        """Where somebody is signed in, or was."""
        names = sorted(each.stem for each in self._folder.glob("*.json")) if self._folder.is_dir() else []
        split = [name.rpartition("_") for name in names]
        return [Place(host, int(port)) for host, _, port in split if host and port.isdecimal()]

    def read(self, place: Place) -> SignIn | None:
        """None where there is none. Raises `StateError` for a file that is not as we left it."""
        facts = self._facts(place)
        if facts is None:
            return None
        if facts.get("kept") == KEYRING:
            facts |= _in_keyring(place, str(facts.get("mark")))
        try:
            lists = {key: tuple(facts[key]) for key in ("scopes", "hosts")}
            words = tuple(facts.get("mfa_acr_values", ()))  # an earlier version kept none
            return SignIn(**{**facts, **lists, "mfa_acr_values": words})
        except (TypeError, KeyError):
            return None  # of another version, or without its tokens: as good as none

    def write(self, sign_in: SignIn, *, new: bool = False) -> SignIn:
        """Keep it, on the disk when this returns. ``new``: with a mark of its own, and where there is room for it.

        Only who holds the place's lock writes.
        """
        if new:
            sign_in = replace(sign_in, mark=secrets.token_hex(8), kept=FILE)
            if self._keyring and _put_in_keyring(sign_in):
                sign_in = replace(sign_in, kept=KEYRING)
            else:
                _forget_in_keyring(sign_in.place)
        elif sign_in.kept == KEYRING and not _put_in_keyring(sign_in):
            sign_in = replace(sign_in, kept=FILE)  # a keyring that was locked meanwhile must not cost the sign-in
        facts = asdict(sign_in)
        if sign_in.kept == KEYRING:
            facts = {key: value for key, value in facts.items() if key not in _SECRET}
        self._replace(sign_in.place, json.dumps(facts).encode())
        return sign_in

    def forget(self, place: Place) -> None:
        """Only who holds the place's lock forgets."""
        _forget_in_keyring(place)
        with suppress(FileNotFoundError):
            self._file(place).unlink()

    @contextmanager
    def lock(self, place: Place) -> Iterator[None]:
        """One at a time on this machine; given back by whoever dies."""
        self.prepare()
        file = self._file(place).with_suffix(".lock")
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StateError(f"cannot lock `{file}`: {str(error.strerror).lower()}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    # === files ===

    def _file(self, place: Place) -> Path:
        return self._folder / f"{place.host}_{place.port}.json"

    def prepare(self) -> None:
        """Have the folder, for this user alone. Raises `StateError`."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            found = self._folder.stat()
            if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o077:
                self._folder.chmod(0o700)
        except OSError as error:
            todo = "set XDG_STATE_HOME to a folder that you can write to"
            raise StateError(f"cannot use `{self._folder}`: {str(error.strerror).lower()}; {todo}") from None
        if found.st_uid != os.geteuid():
            raise StateError(f"`{self._folder}` belongs to another user: set XDG_STATE_HOME to a folder of yours")

    def _facts(self, place: Place) -> dict[str, Any] | None:
        file = self._file(place)
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(f"cannot read `{file}`: {str(error.strerror).lower()}") from None
        with open(descriptor, "rb") as opened:
            found = os.fstat(descriptor)
            if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
                todo = f"remove it, and sign in again with `stagedoor login {place}`"
                raise StateError(f"`{file}` is not this user's alone, so others may know its tokens: {todo}")
            said = _read_object(opened.read(MOST_BYTES))
        return said if (said.get("host"), said.get("port")) == place else None

    def _replace(self, place: Place, text: bytes) -> None:
        self.prepare()
        file = self._file(place)
        try:
            descriptor, draft = tempfile.mkstemp(prefix=".draft-", dir=self._folder)  # 0600
            try:
                with open(descriptor, "wb") as opened:
                    opened.write(text)
                    opened.flush()
                    os.fsync(descriptor)
                os.replace(draft, file)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(draft)
                raise
            _settle(self._folder)
        except OSError as error:
            raise StateError(f"cannot write `{file}`: {str(error.strerror).lower()}") from None


def _settle(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_object(text: bytes | str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


# === the system's keyring ===
#
# `keyring` is an extra, and what stands behind it is the system's: absent, locked or broken in ways of its own, each
# with exceptions of its own. None of them may cost a sign-in, so all of them mean the same: there is none.


def _put_in_keyring(sign_in: SignIn) -> bool:
    """Whether it is there now, which is looked at."""
    text = json.dumps({"mark": sign_in.mark, **{key: getattr(sign_in, key) for key in _SECRET}})
    try:
        import keyring

        keyring.set_password(SERVICE, str(sign_in.place), text)
        return keyring.get_password(SERVICE, str(sign_in.place)) == text
    except Exception:
        return False


def _in_keyring(place: Place, mark: str) -> dict[str, Any]:
    """Tokens of the sign-in with this mark. Raises `StateError` where the keyring does not give them out."""
    try:
        import keyring

        text = keyring.get_password(SERVICE, str(place))
    except Exception as error:
        why = plain(str(error)) or type(error).__name__
        holds = f"the system's keyring, which holds the tokens for `{place}`"
        todo = f"unlock it, or sign in again with `stagedoor login {place} --no-keyring`"
        raise StateError(f"{holds}, cannot be read ({why}): {todo}") from None
    said = _read_object(text or "")
    return {key: said[key] for key in _SECRET if key in said} if said.get("mark") == mark else {}


def _forget_in_keyring(place: Place) -> None:
    try:
        import keyring

        if keyring.get_password(SERVICE, str(place)) is not None:
            keyring.delete_password(SERVICE, str(place))
    except Exception:
        return
