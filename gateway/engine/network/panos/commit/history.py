"""What a firewall's own history says of a change: how much it was, for which services, who wanted it, by which plan.

The description of a commit and the audit comments of its rules are what people read there when our trail is far away.
Names come from an operating system and tickets from a command line, so they are cut and written in letters that every
device shows alike. The description ends with its attempt: a commit whose answer is lost is looked for by it, so what
could be too long is cut before.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Final

from gateway.engine.network.panos.commit.change import Change
from gateway.engine.network.panos.device.writes import COMMENT_MOST
from gateway.engine.network.panos.rules.wording import cleaned
from gateway.engine.network.plans.phrases import count
from gateway.engine.network.plans.plan import Plan

DESCRIPTION_MOST: Final = 480  # of the device's 512: a push and a way back say so in front
BY_MOST: Final = 160  # in a comment half of it: the rule's own words matter there, too
NAME_MOST: Final = 100
_NAMED: Final = 1  # services; of more their number says enough


def description_of(instance: str, plan: Plan, digest: str, by: str) -> str:
    """Told apart from every attempt before. ``by``: "" where nobody is known."""
    what = f"{count(len(plan.steps), 'step')} for {_services(plan)}"
    whose = f", applied by {_clean(by, BY_MOST)}" if by else ""
    begins = f"stagedoor {_clean(instance, NAME_MOST)} {_clean(plan.environment, NAME_MOST)}: {what}{whose}"
    ends = f" (plan {digest}, policy {_clean(plan.version, NAME_MOST)}, attempt {secrets.token_hex(4)})"
    return begins[: DESCRIPTION_MOST - len(ends)] + ends


def signed(change: Change, by: str, digest: str) -> Change:
    """Each comment with who wanted it; of the rule's own words what does not fit is left out."""
    ends = f"; by {_clean(by, BY_MOST // 2)}, plan {digest}" if by else f"; plan {digest}"
    comments = tuple(each._replace(text=each.text[: COMMENT_MOST - len(ends)] + ends) for each in change.comments)
    return replace(change, comments=comments)


def _services(plan: Plan) -> str:
    refs = sorted({ref for step in plan.steps for ref in step.entities})
    if len(refs) <= _NAMED:
        return _clean(refs[0], NAME_MOST) if refs else "all services"
    return count(len(refs), "service")


def _clean(text: str, most: int) -> str:
    return cleaned(" ".join(text.split()), most).rstrip()
