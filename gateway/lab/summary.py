"""What the lab says on the terminal when it is ready: where to look, what to paste, what to change, how to stop.

Short, in this order: the page, a call that is allowed, one that is refused and why, a line of Python, the edit
that turns the refusal around. Commands stand alone on their lines, unwrapped, so that they can be copied whole.
Without a terminal, or with NO_COLOR, the same text comes without colour.
"""

from __future__ import annotations

import os
from typing import TextIO

from rich.console import Console
from rich.text import Text

from gateway.lab.calls import ALLOWED, EDIT_FROM, EDIT_TO, EDITED, REFUSED, Call
from gateway.lab.directory import read_directory
from gateway.lab.entries import command_of
from gateway.lab.folder import LabFacts
from gateway.lab.ground import Ground


class Summary:
    def __init__(self, out: TextIO) -> None:
        self._console = Console(file=out, highlight=False, soft_wrap=True)

    def begin(self) -> None:
        self._console.print(Text("stagedoor lab", style="bold"), Text("is starting …", style="dim"))

    def show(self, ground: Ground, took_s: float) -> None:
        facts = ground.facts
        people = ", ".join(sorted(read_directory(ground.catalog).users))
        edited = os.path.relpath(ground.catalog / EDITED)
        self._line()
        self._console.print(
            Text("Ready", style="bold green"), Text(f"in {took_s:.1f} s. Start page:", style="dim"),
            Text(facts.origin("localhost") + "/", style="bold cyan underline"),
        )  # fmt: skip
        self._line("People", people)
        opened = facts.origin(ALLOWED.url_host) + ALLOWED.path
        portal = facts.origin("localhost") + "/portal"
        self._line("Signing in", f"open {opened} and choose who you are; your portal: {portal}")
        past = f"https://localhost:{facts.direct}/"
        self._line("BIG-IP", f"an emulated one is in front, a virtual server for each environment; past it: {past}")
        page = facts.origin("localhost") + "/lab/firewall"
        self._line("Firewall", f"an emulated one is round production: who may pass, and why not, at {page}")
        self._line("Trust ", "`make trust` lets your browser trust the lab's certificate; `make untrust` undoes it.")
        self._step("1", "Allowed. Jane's team owns payments:", facts, ALLOWED)
        self._step(
            "2", "Refused, 403 `no_rule`. Priya is on the Orders team, and payments is not open to her:", facts, REFUSED
        )
        self._line()
        self._head("3", f"Change the rule: in {edited} turn")
        self._command(EDIT_FROM, "red")
        self._text("   into")
        self._command(EDIT_TO, "green")
        self._text("   save, and repeat call 2: within two seconds it is allowed.")
        entity = command_of(facts, ground.folder.settings_file)
        self._text(f"   `{entity}` says what became of each entry, and whom to ask.")
        self._line()
        self._head("·", "From Python, whose resolver does not know *.localhost (curl and browsers do):")
        self._command(python_line(facts))
        self._line()
        self._text("Ctrl-C stops everything. All the lab wrote is in " + os.path.relpath(ground.folder.root) + "/.")
        self._line()

    def stuck(self, ground: Ground, answer: str, log: str) -> None:
        self._console.print(Text("Not ready yet.", style="bold yellow"), Text(f"The log is {log}.", style="dim"))
        self._text(answer.strip() or f"the admin listener {ground.facts.admin} does not answer")

    def end(self) -> None:
        self._console.print(Text("stagedoor lab", style="bold"), Text("has ended.", style="dim"))

    def _step(self, number: str, title: str, facts: LabFacts, call: Call) -> None:
        self._line()
        self._head(number, title)
        self._command(call.command(facts))

    def _head(self, number: str, title: str) -> None:
        self._console.print(Text(f"{number}  ", style="bold cyan") + Text(title, style="bold"))

    def _command(self, command: str, style: str = "") -> None:
        self._console.print(Text("   " + command, style=style))

    def _text(self, text: str) -> None:
        self._console.print(Text(text, style="dim"))

    def _line(self, name: str = "", text: str = "") -> None:
        self._console.print(Text(name + "  " if name else "", style="bold") + Text(text))


def python_line(facts: LabFacts) -> str:
    """One line for a POSIX shell: connect to 127.0.0.1, and say the real host in TLS and in `Host`."""
    host = ALLOWED.url_host
    return (
        f'python3 -c \'import http.client as h, socket as s, ssl, sys; c = h.HTTPConnection("{host}", {facts.port}); '
        f'c.sock = ssl.create_default_context(cafile="{facts.ca}").wrap_socket('
        f's.create_connection(("127.0.0.1", {facts.port})), server_hostname="{host}"); '
        f'c.request("GET", "{ALLOWED.path}", headers={{"Authorization": "Bearer " + sys.argv[1]}}); '
        f'print(c.getresponse().read().decode())\' "$({ALLOWED.token_command(facts)})"'
    )
