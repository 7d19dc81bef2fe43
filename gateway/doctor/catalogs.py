"""Backstage catalogs: can each be read with its token, as the engine reads it, and is there anything in it?

The first page of the engine's own query is asked. A token without the permission gets a good answer with nothing in
it, the same as an empty company; so nothing is told apart by its status alone. The clock is compared because a token
that an identity provider signed is refused by a machine whose clock is wrong.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from gateway.config import Settings
from gateway.config.sources import Backstage
from gateway.doctor.lines import Line, fail, ok, warn
from gateway.doctor.names import client_connector
from gateway.egress.look_ups import Names
from gateway.engine.sources.backstage_api import CatalogApi, CatalogFault, Page
from gateway.engine.sources.backstage_items import PROBED

CATALOG: Final = "catalog"
SLOW_S: Final = 5.0
SKEW_S: Final = 60.0
_NEEDED: Final = ("component", "user", "group")


async def catalog(said: Backstage, names: Names) -> Sequence[Line]:
    """Lines about one catalog."""
    subject = f"catalog {said.name}"
    api = CatalogApi(said, connector=client_connector(names))
    began_s = time.monotonic()
    kinds: dict[str, int] = {}
    try:
        async for page in api.pages(PROBED, lambda items: items):
            _count(page, kinds)
    except CatalogFault as fault:
        fix = fault.fix or f"correct `url` of catalog `{said.name}`"
        return [fail(CATALOG, subject, f"{said.url}: {fault}", fix), *_token_lines(said, subject)]
    finally:
        await api.close()
    took_s = time.monotonic() - began_s
    return [_content_line(said, subject, kinds, took_s), *_clock_lines(subject, api.date), *_token_lines(said, subject)]


def unknown(settings: Settings, kinds: Mapping[str, int]) -> Sequence[Line]:
    """What would be published is not known before the node has read its catalogs once; nothing when it is."""
    if sum(kinds.values()) or not settings.catalog.backstage:
        return []
    found = "what is published is not known: this node has read no catalog yet"
    return [warn(CATALOG, "files", found, "start it with `stagedoor serve`, then ask again")]


def _count(page: Page, kinds: dict[str, int]) -> None:
    for item in page.items:
        kind = str(item.get("kind", "")).lower() if isinstance(item, dict) else ""
        kinds[kind] = kinds.get(kind, 0) + 1


def _content_line(said: Backstage, subject: str, kinds: dict[str, int], took_s: float) -> Line:
    entities = sum(kinds.values())
    if not entities:
        found = f"{said.url} answers 200 and shows no entity: the token may read none, or the catalog is empty"
        fix = (
            "give the token's `accessRestrictions` plugin `catalog` and permission `catalog.entity.read`; "
            "right after a start wait until the catalog is filled"
        )
        return fail(CATALOG, subject, found, fix)
    found = f"{entities:,} entities in {took_s:.1f} s"
    if lacking := [kind for kind in _NEEDED if not kinds.get(kind)]:
        found += f", but none of kind {' or '.join(lacking)}"
        return warn(CATALOG, subject, found, "let the catalog hold them, or add a source that does")
    if took_s > SLOW_S:
        fix = "it is asked less often by itself; changes take ten times as long as one look to count"
        return warn(CATALOG, subject, f"{found}: slow", fix)
    return ok(CATALOG, subject, found)


def _clock_lines(subject: str, date: str) -> Sequence[Line]:
    try:
        skew_s = time.time() - parsedate_to_datetime(date).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return []  # it does not say
    if abs(skew_s) <= SKEW_S:
        return []
    found = f"this clock is {abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} the catalog's"
    return [warn(CATALOG, subject, found, "let both machines keep time by NTP")]


def _token_lines(said: Backstage, subject: str) -> Sequence[Line]:
    file = said.token_file if said.client is None else said.client.client_secret_file
    try:
        mode = os.stat(file).st_mode & 0o077
    except OSError:
        return []  # told already
    if not mode:
        return []
    return [warn(CATALOG, subject, f"`{file}` can be read by others than its owner", f"run `chmod 600 {file}`")]
