"""What can go wrong with a device, by what to do about it."""

from __future__ import annotations

from gateway.errors import StagedoorError


class DeviceFault(StagedoorError):
    """Says what, which device, and what to do. Never holds a password or a token."""


class Unreachable(DeviceFault):
    """No answer, or none that is the device's: to be tried again later."""


class Busy(DeviceFault):
    """The device does something else or is starting: to be tried again later."""


class Rejected(DeviceFault):
    """The device understood and refused: the same again would be refused again."""


class NotAllowed(Rejected):
    """The administrator that we come as lacks the right."""


class Outdated(DeviceFault):
    """The device is not what the plan was made from: to be planned anew."""


class Unknown(DeviceFault):
    """Whether a write took effect is not known: to be read before anything is written."""
