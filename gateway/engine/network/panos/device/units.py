"""The units of one firewall: which one is active, and one writer at a time for all.

Only the active unit is written to: the passive one refuses some commands and takes others without a word. Whether it is
still the active one is asked before each burst of writes.
"""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.config.devices import Panos
from gateway.engine.network.faults import Busy, DeviceFault, Unreachable
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.state import Availability, availability_of
from gateway.engine.network.transport.patience import Limits, Time

OTHERS_S: Final = 5.0  # that the other unit of a pair has for an answer, where nothing is written
LIMITS: Final = Limits(call=60.0, task=1200.0)  # commits take minutes


class Divided(Busy):
    """More than one unit says that it is active: which of them traffic passes is not known."""

    def __init__(self, clients: tuple[Client, ...]) -> None:
        names = " and ".join(client.where for client in clients)
        super().__init__(f"{names} both say that they are active: nothing is given or changed before one does not")
        self.clients = clients


class Units:
    """Made inside the running loop; opens nothing. One per configured device and process."""

    def __init__(self, device: Panos, time: Time | None = None, limits: Limits = LIMITS) -> None:
        self.device = device
        self.time = time or Time()
        self.limits = limits
        self.writing = asyncio.Lock()  # of configuration: one change at a time
        self.clients = tuple(Client(device, unit, self.time, limits) for unit in device.units)

    async def close(self) -> None:
        await asyncio.gather(*(client.close() for client in self.clients))

    async def active(self, others_s: float | None = None) -> Client:
        """The unit that changes go to. Once one says that it is that, the others have ``others_s`` for an answer.
        Raises `DeviceFault`, also where two say that they are it."""
        return (await self.active_with_state(others_s))[0]

    async def active_with_state(self, others_s: float | None = None) -> tuple[Client, Availability]:
        """The unit that changes go to, and what it says of the pair. Raises `DeviceFault`."""
        asked = await self._asked(others_s)
        serving: list[tuple[Client, Availability]] = []
        others: list[str] = []
        faults: list[DeviceFault] = []
        for client, found in zip(self.clients, asked, strict=True):
            if isinstance(found, DeviceFault):
                faults.append(found)
            elif isinstance(found, BaseException):
                raise found
            elif found.serves:
                serving.append((client, found))
            else:
                others.append(f"{client.where} says {found.state}")
        if len(serving) == 1:
            return serving[0]
        if serving:
            raise Divided(tuple(client for client, _ in serving))
        if faults:
            raise faults[0]
        raise Unreachable(f"no unit of `{self.device.name}` is active: {', '.join(others)}")

    async def _asked(self, others_s: float | None) -> list[Availability | BaseException]:
        """What each unit says of itself, in their order."""
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(availability_of(client)) for client in self.clients]
        try:
            left = set(tasks)
            while left and not any(map(_serves, tasks)):
                _, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            if left:
                await asyncio.wait(left, timeout=others_s)
        finally:
            for task in tasks:
                task.cancel()
            said = await asyncio.gather(*tasks, return_exceptions=True)
        return [
            Unreachable(f"{client.where} has not answered yet") if isinstance(each, asyncio.CancelledError) else each
            for client, each in zip(self.clients, said, strict=True)
        ]


def _serves(task: asyncio.Task[Availability]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None and task.result().serves
