"""What pages, the API and commands ask that changes nothing: one place that knows who answers which question."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from gateway.engine.network.answers import inventory, path, views
from gateway.engine.network.controller import Controller
from gateway.link import Message

ASKED: Final = views.ASKED | path.ASKED | inventory.ASKED


class Readers:
    """``endpoints``: of an exposure those that are checked, and whether each is up."""

    def __init__(self, controller: Controller, endpoints: Callable[[str], Mapping[str, bool]]) -> None:
        self._controller = controller
        self._endpoints = endpoints

    async def answer(self, message: Message) -> Message:
        """The answer to one of `ASKED`."""
        if message["t"] in path.ASKED:
            return await path.Paths(self._controller, self._endpoints).answer(message)
        if message["t"] in inventory.ASKED:
            return await inventory.Inventory(self._controller, self._endpoints).answer(message)
        return await views.Views(self._controller).answer(message)
