"""Who may come in, with which key, and what the role lets them do.

Without a lifetime a key is always the same for the same credentials; with one, a new key ends the one before. A key
can be expired for everybody at once.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from gateway.lab.panos.answers import WebDeclined, unauthorized

RIGHTS: Final = frozenset(("config", "op", "commit", "user-id", "export", "import", "report", "log"))
BAD_PASSWORD: Final = "Invalid Credential"
BAD_KEY: Final = "Not Authenticated"


@dataclass(frozen=True)
class Admin:
    name: str
    password: str
    rights: frozenset[str] = RIGHTS

    def need(self, right: str) -> None:
        """Raises `Declined` (unauth, 16)."""
        if right not in self.rights:
            raise unauthorized()


DEFAULT: Final = (
    Admin("admin", "admin"),
    Admin("stagedoor", "lab"),
    Admin("stagedoor-tags", "lab", frozenset(("user-id", "op"))),
)


class Admins:
    """``clock``: epoch seconds; ``lifetime_s`` of keys, 0 for ever.

    ``configured``: by name and password, whom else the configuration knows.
    """

    def __init__(
        self,
        admins: tuple[Admin, ...],
        clock: Callable[[], float],
        lifetime_s: Callable[[], float],
        configured: Callable[[str, str], Admin | None] = lambda name, password: None,
    ) -> None:
        self._configured = configured
        self.by_name = {admin.name: admin for admin in admins}
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._generation = 0
        self._keys: dict[str, tuple[Admin, float]] = {}
        self.logins = 0

    def keygen(self, user: str, password: str) -> str:
        """Raises `WebDeclined` (403)."""
        admin = self._known(user, password)
        self.logins += 1
        if self._lifetime_s():
            self._keys = {key: held for key, held in self._keys.items() if held[0].name != user}
            self._generation += 1
        secret = f"{self._generation}:{user}:{password}".encode()
        key = "LUFRPT" + base64.b64encode(sha256(secret).hexdigest()[:48].encode()).decode()  # clients do not quote it
        self._keys[key] = (admin, self._clock())
        return key

    def admit(self, user: str, key: str) -> None:
        """A key that was made before this device started."""
        self._keys[key] = (self.by_name[user], self._clock())

    def expire(self) -> None:
        """Every key there is."""
        self._keys.clear()
        self._generation += 1

    def admitted(self, headers: Mapping[str, str], key: str) -> Admin:
        """By header, parameter or Basic. Raises `WebDeclined` (403)."""
        given = headers.get("X-PAN-KEY") or key
        if not given and headers.get("Authorization", "").startswith("Basic "):
            return self._basic(headers["Authorization"].removeprefix("Basic "))
        admin, issued = self._keys.get(given, (None, 0.0))
        lifetime = self._lifetime_s()
        if admin is None or (lifetime and self._clock() - issued >= lifetime):
            raise WebDeclined(403, BAD_KEY)
        return admin

    def _basic(self, given: str) -> Admin:
        try:
            user, _, password = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise WebDeclined(403, BAD_PASSWORD) from None
        return self._known(user, password)

    def _known(self, user: str, password: str) -> Admin:
        admin = self.by_name.get(user)
        if admin is None:
            admin = self._configured(user, password)
        if admin is None or not hmac.compare_digest(admin.password.encode(), password.encode()):
            raise WebDeclined(403, BAD_PASSWORD)
        return admin
