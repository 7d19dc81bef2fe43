"""The API keys of one firewall: files, any of which counts, so that one key takes another's place without a gap.

A key is read from its file each time, and never made here: making one may end the one before, for every process that
has it. Which file served last is remembered; a key that the device refuses makes way for the next one.
"""

from __future__ import annotations

from urllib.parse import quote

from gateway.engine.network.faults import Rejected
from gateway.secret_files import read_secret


class Keys:
    """``files`` are tried from the first to the last; ``where`` is the device in messages."""

    def __init__(self, files: tuple[str, ...], where: str) -> None:
        self._files = files
        self._where = where
        self._at = 0

    def now(self) -> str:
        """The key that counts now. Raises `Rejected` where its file cannot be read."""
        file = self._files[self._at]
        try:
            return read_secret(file)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise Rejected(f"the key of {self._where} cannot be read: `{file}`: {str(why).lower()}") from None

    def refused(self, key: str) -> bool:
        """The device does not know ``key``: whether there is another one to try."""
        for step in range(1, len(self._files)):
            at = (self._at + step) % len(self._files)
            try:
                other = read_secret(self._files[at])
            except (OSError, ValueError):
                continue
            if other != key:
                self._at = at
                return True
        return False

    def known(self) -> list[str]:
        """Every key that can be read, for taking them out of texts, and what percent-encoding makes of it."""
        found: list[str] = []
        for file in self._files:
            try:
                key = read_secret(file)
            except (OSError, ValueError):
                continue
            found += dict.fromkeys((key, quote(key), quote(key, safe="")))
        return found
