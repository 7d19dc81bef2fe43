"""Who else answers on a service's host: requests below a path go to whoever has the longest prefix that fits, and an
owner wants to hear when that is somebody else."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.engine.causes import Note
from gateway.engine.ground import Ground
from gateway.engine.sentences import listed
from policy.derive import Published


def neighbours(there: Published, ground: Ground) -> Iterator[Note]:
    """One note about all exposures below this one that belong to somebody else."""
    own, below = there.service.owner, there.exposure.prefix.rstrip("/") + "/"
    found = [
        each for each in ground.on_host.get(there.exposure.host, ())
        if each.exposure.prefix.startswith(below) and each.key != there.key and each.service.owner != own
    ]  # fmt: skip
    if found:
        paths = listed(each.exposure.prefix for each in found)
        services = listed(dict.fromkeys(each.service.ref for each in found))
        yield Note(f"requests to {paths} go to somebody else's {services}", severity="note", holds=False)
