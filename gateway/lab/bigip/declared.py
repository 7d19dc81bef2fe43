"""Where a declaration points: names of its own application, of another one, of the device.

``{"use": "pool"}`` and plain names are looked for in the application; a path is taken as it is; ``{"bigip": path}``
is an object that the device has without AS3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gateway.lab.bigip.properties import quoted
from gateway.lab.bigip.refusals import Json

Entry = dict[str, Any]  # command, properties, ignore


def entry(command: str, properties: Json) -> Entry:
    return {"command": command, "properties": properties, "ignore": []}


@dataclass
class Application:
    """One application while it is translated; ``entries`` is what came of it, by key."""

    tenant: str
    name: str
    content: Json
    entries: dict[str, Entry] = field(default_factory=dict)

    def path(self, name: str) -> str:
        return f"/{self.tenant}/{self.name}/{name}"

    def pointed(self, said: Any) -> str:
        """The full path of what a pointer names; "" where it names nothing."""
        if isinstance(said, dict):
            if "bigip" in said:
                return str(said["bigip"])
            said = said.get("use", "")
        if not isinstance(said, str) or not said:
            return ""
        return said if said.startswith("/") else self.path(said)

    def object(self, said: Any) -> Json | None:
        """The declared object of this application that is pointed to."""
        found = self.content.get(self.pointed(said).rpartition("/")[2])
        return found if isinstance(found, dict) else None


def metadata_of(said: Any) -> Json:
    """``{"stagedoor.entity": {"value": "…", "persist": true}}`` as properties."""
    found: Json = {}
    for name, item in (said or {}).items():
        value = item.get("value", "") if isinstance(item, dict) else item
        persist = item.get("persist", True) if isinstance(item, dict) else True
        found[name] = {"value": quoted(str(value)), "persist": "true" if persist else "false"}
    return found


def switched(said: Any) -> str:
    return "enabled" if said else "disabled"
