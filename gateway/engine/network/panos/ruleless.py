"""An environment that gets no rules, because people write them there, or a Panorama has them.

What Stagedoor wrote while it had some is still ours: it is seen, and a plan takes it away. Where the administrator that
sends tags is the only one, and may not read the configuration, there can be nothing of ours; and where there is
nothing, neither anchors are asked for nor what others do there.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.engine.network.desired import Desired
from gateway.engine.network.faults import NotAllowed
from gateway.engine.network.panos.target import PanosTarget
from gateway.engine.network.plans.plan import Drift, Observed, Step

NOTHING: Final = Observed(fingerprint="", content=None)


class RulelessTarget(PanosTarget):
    async def observe(self) -> Observed:
        try:
            seen = await super().observe()
        except NotAllowed:
            return NOTHING
        return seen if _has_something(seen) else NOTHING

    def steps(self, content: Any, observed: Observed) -> tuple[Step, ...]:
        return super().steps(content, observed) if _has_something(observed) else ()

    def drift(self, desired: Desired, applied: Any, observed: Observed) -> tuple[Drift, ...]:
        return super().drift(desired, applied, observed) if _has_something(observed) else ()


def _has_something(observed: Observed) -> bool:
    """Also where firewalls still have what their Panorama has no more."""
    return observed.content is not None or bool(observed.parts.get("behind"))
