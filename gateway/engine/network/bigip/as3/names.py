"""What our objects on a BIG-IP are called, and which texts may go there.

Names are read back to find out what is ours, so no two components ever share one, and none depends on what was there
before. Text of the catalog is written by anybody: it reaches a device only in labels, metadata and data groups, and
only in characters that mean nothing to Tcl, to AS3's expansion of backquotes, and to HTML.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

MARK: Final = "stagedoor"  # label of a tenant that is ours, first word of a declaration's id
SHARED: Final = "Shared"
SERVICE: Final = "vs"
REDIRECT: Final = "redirect"
POOL: Final = "pool"
MONITOR: Final = "mon"
HTTP: Final = "http"
MULTIPLEX: Final = "oc"
PROXY: Final = "proxy"  # the iRule that writes PROXY lines
TLS_OUT: Final = "tls_out"
CERTIFICATE: Final = "client_crt"
HOSTS: Final = "hosts"
POLICY: Final = "policy"

MOST_APPLICATIONS: Final = 5000  # of services, that are written and read back in one tenant
LABEL_LENGTH: Final = 64
TEXT_LENGTH: Final = 255
_SLUG_LENGTH: Final = 39
_DIGITS: Final = 24  # 96 bits: nobody finds a ref that is called like another's
_APART: Final = 32  # of the hash behind a text that was cut: 128 bits, so that nobody finds two with the same
_APART_LABEL: Final = 16  # labels are read, nothing is found by them
_OTHER_THAN_SAFE: Final = re.compile(r"[^A-Za-z0-9 ._:/@,=+*-]")
_OTHER_THAN_WORD: Final = re.compile(r"[^A-Za-z0-9._:/@,=+*-]")
_OTHER_THAN_LABEL: Final = re.compile(r"[^A-Za-z0-9 ._:/@,=+-]")
_OTHER_THAN_SLUG: Final = re.compile(r"[^a-z0-9]+")


def tenant_name(prefix: str, environment: str) -> str:
    """Of an environment on one device group. A prefix holds no `_`, so no two pairs share a name."""
    return f"{prefix}_{environment}"


def application_name(entity: str) -> str:
    """Of a component that has its own virtual server, by its ref: readable in front, told apart by the hash behind. At
    most 64 characters, and never `SHARED`. Two that are called the same cannot both be there: the one that was there
    first stays (`Assignment`)."""
    return f"{_slug(entity)}_{_hex(entity)[:_DIGITS]}"


def _slug(entity: str) -> str:
    """A letter first, then letters, digits and `_`."""
    name = entity.rpartition("/")[2].lower()
    slug = _OTHER_THAN_SLUG.sub("_", name).strip("_")[:_SLUG_LENGTH].strip("_")
    return slug if slug[:1].isalpha() else f"c_{slug}".rstrip("_")


def safe(text: str, limit: int = TEXT_LENGTH) -> str:
    """``text`` in characters that a device takes for themselves; what is cut or replaced is told apart by a hash."""
    return _told_apart(text, limit, _OTHER_THAN_SAFE)


def word(text: str, limit: int = TEXT_LENGTH) -> str:
    """The same in one word, `-` for none."""
    return _told_apart(text, limit, _OTHER_THAN_WORD) or "-"


def label(text: str) -> str:
    """The same as a label of AS3, which takes no `*`."""
    return _told_apart(text, LABEL_LENGTH, _OTHER_THAN_LABEL, _APART_LABEL)


def _told_apart(text: str, limit: int, other: re.Pattern[str], digits: int = _APART) -> str:
    if len(text) <= limit and not other.search(text):
        return text
    # No text keeps a `~` of its own.
    return f"{other.sub('_', text[: limit - digits - 1])}~{_hex(text)[:digits]}"


def _hex(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
