"""Who else answers on a service's host: requests below a path go to whoever has the longest prefix that fits, and an
owner wants to hear when that is somebody else. Whose a service is it says itself (`spec.owner`), so an owner hears of
everybody who came to their host as one of their team, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.engine.entries.causes import Note
from gateway.engine.ground import Ground
from gateway.engine.sentences import listed
from policy.derive import Published

_TOLD: Final = 40  # services of one owner on one host


def neighbours(there: Published, ground: Ground) -> Iterator[Note]:
    """One note about all exposures below this one that belong to somebody else, and one about all that say to be of
    the same owner on this host, unless teams share it anyway."""
    own, below = there.service.owner, there.exposure.prefix.rstrip("/") + "/"
    beside = [each for each in ground.on_host.get(there.exposure.host, ()) if each.service.ref != there.service.ref]
    found = [each for each in beside if each.exposure.prefix.startswith(below) and each.service.owner != own]
    if found:
        paths = listed(each.exposure.prefix for each in found)
        services = listed(dict.fromkeys(each.service.ref for each in found))
        yield Note(f"requests to {paths} go to somebody else's {services}", severity="note", holds=False)
    ours = dict.fromkeys(each.service.ref for each in beside if each.service.owner == own)
    if own and ours and not there.exposure.common:
        host, services = there.exposure.host, listed(ours, _TOLD)
        message = f"on `{host}` with the same `spec.owner`, and so with the same visitors: {services}"
        yield Note(message, "tell the administrators of one that is not yours", severity="note", holds=False)
