"""When a browser is opened, what the listener lets through, and what a device's code may be answered with."""

from __future__ import annotations

import socket

import pytest

from gateway.errors import StagedoorError
from gateway.laptop.loopback import listening
from gateway.laptop.signing_in import can_show_pages
from tests.support.surfing import Surfer


@pytest.mark.parametrize(
    ("environment", "platform", "shown"),
    [
        ({"DISPLAY": ":0"}, "linux", True), ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True), ({}, "linux", False),
        ({}, "darwin", True), ({"SSH_CONNECTION": "x"}, "darwin", False),
        ({"SSH_TTY": "x", "DISPLAY": ":10"}, "linux", False),
        ({"SSH_TTY": "x", "BROWSER": "firefox"}, "linux", True),
    ],
)  # fmt: skip
def test_a_browser_is_opened_before_the_one_who_asks(environment: dict[str, str], platform: str, shown: bool) -> None:
    assert can_show_pages(environment, platform) is shown


def test_the_listener_is_on_this_machine_alone_and_lets_one_answer_through() -> None:
    surfer = Surfer({})
    with listening() as listener:
        assert listener.redirect_uri.startswith("http://127.0.0.1:")
        assert surfer.get(f"{listener.redirect_uri}?state=&code=x").status == 400  # nobody is waited for yet
        listener.expect("the-state")
        twice = "state=the-state&state=the-state"
        for query in (twice, "state=the-state&code=a&code=b", "state=the-stat%C3%A9", "state=%FF"):
            assert surfer.get(f"{listener.redirect_uri}?{query}").status == 400
        assert listener.wait(0.01) is None


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StagedoorError, match=str(port)), listening(port):
            pass
