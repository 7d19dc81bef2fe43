"""Which account signs in as which User, for administrators: listed, confirmed, removed; each change is an act.

The same acts as those of `stagedoor pin`, by the same code.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Any

from pydantic import Field

from gateway.control.api.problems import Problem
from gateway.control.api.rights import require
from gateway.control.api.routes import Answer, Asked, Query, Route
from gateway.control.cuts import CutRefused
from gateway.control.signin.pins import PinRefused, Pins, StoreAway

_Name = Annotated[str, Field(min_length=1, max_length=512)]
_Because = Annotated[str, Field(min_length=1, max_length=500, description="Why; it is kept with the act.")]


class PinsQuery(Query):
    user: Annotated[str, Field(max_length=512)] = Field("", description="Of this User alone, by name or ref.")


class RemovePinQuery(Query):
    user: _Name = Field(description="Name or ref of the User.")
    issuer: _Name = Field(description="Its name in the configuration.")
    because: _Because


class ConfirmPinQuery(RemovePinQuery):
    subject: Annotated[str, Field(min_length=1, max_length=255)] = Field(description="`sub` of the account.")


class PinAnswer(Answer):
    issuer: str
    user: str
    subject: str
    since: int = Field(description="Epoch seconds.")
    by: str = Field(description="Who confirmed it; empty: it was the first that signed in.")


class TurnedAwayAnswer(Answer):
    issuer: str
    user: str
    subject: str
    at: int = Field(description="Epoch seconds.")


class PinsAnswer(Answer):
    pins: list[PinAnswer]
    turned_away: list[TurnedAwayAnswer] = Field(description="The last hundred, by this node, the newest first.")


class PinDoneAnswer(Answer):
    user: str
    issuer: str
    subject: str = Field(description="Who is pinned now; empty: nobody.")
    ended: int = Field(description="How many sessions of another account ended.")


class PeoplePins:
    """What the API does with pins. Until `connect` nothing can be told."""

    def __init__(self) -> None:
        self._pins: Pins | None = None

    def connect(self, pins: Pins) -> None:
        self._pins = pins

    def routes(self) -> tuple[Route, ...]:
        problems = ("not_yours", "pin_refused", "sessions_away")
        return (
            Route("pins", "Which account signs in as which User.", self._list, PinsAnswer, PinsQuery, problems),
            Route("confirmPin", "Let another account sign in as a User.", self._confirm, PinDoneAnswer, ConfirmPinQuery,
                  problems),
            Route("removePin", "Forget a pin: the next account is pinned.", self._remove, PinDoneAnswer, RemovePinQuery,
                  problems),
        )  # fmt: skip

    async def _list(self, asked: Asked) -> dict[str, Any]:
        return await _answered(self._of(asked).listed(asked.query.user))

    async def _confirm(self, asked: Asked) -> dict[str, Any]:
        said: ConfirmPinQuery = asked.query
        pins = self._of(asked)
        return await _answered(pins.confirm(said.issuer, said.user, said.subject, said.because, asked.caller.ref))

    async def _remove(self, asked: Asked) -> dict[str, Any]:
        said: RemovePinQuery = asked.query
        return await _answered(self._of(asked).remove(said.issuer, said.user, said.because, asked.caller.ref))

    def _of(self, asked: Asked) -> Pins:
        require(asked.caller.is_administrator)
        if self._pins is None:
            raise Problem("sessions_away")
        return self._pins


async def _answered(doing: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    try:
        return await doing
    except StoreAway:
        raise Problem("sessions_away") from None
    except (PinRefused, CutRefused) as refused:
        raise Problem("pin_refused", str(refused)) from None
