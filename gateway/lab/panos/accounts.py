"""Administrators that the configuration names, beside those a device comes with: password hash, role, rights.

An administrator counts from the candidate on: a vendor's own live suite logs in right after it wrote one.
"""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256
from typing import Final
from xml.etree.ElementTree import Element

from gateway.lab.panos.admins import RIGHTS, Admin
from gateway.lab.panos.answers import at

READ_ONLY: Final = frozenset(("op", "export", "log", "report"))


def password_hash(password: str, salt: str = "") -> str:
    """Of the form of a device's, and of no use on one."""
    salt = salt or secrets.token_hex(4)
    return f"$5${salt}${sha256(f'{salt}{password}'.encode()).hexdigest()[:43]}"


def account(root: Element, name: str, password: str) -> Admin | None:
    """None where the configuration has no such administrator, or another password."""
    for entry in root.findall("./mgt-config/users/entry"):
        held = at(entry, "phash")
        if entry.get("name") == name and held.count("$") == 3:
            if hmac.compare_digest(held, password_hash(password, held.split("$")[2])):
                return Admin(name, password, _rights(root, entry))
            return None
    return None


def _rights(root: Element, entry: Element) -> frozenset[str]:
    """A custom role's profile enables each part of the XML API by itself; whatever it does not name is off."""
    role = entry.find("permissions/role-based")
    if role is None:
        return frozenset()
    if (custom := at(role, "custom/profile")) == "":
        return READ_ONLY if role.find("superreader") is not None else RIGHTS
    for profile in root.findall("./shared/admin-role/entry"):
        parts = profile.findall("role/*/xmlapi/*")
        if profile.get("name") == custom:
            return frozenset(part.tag for part in parts if (part.text or "").strip() == "enable") & RIGHTS
    return frozenset()
