"""The kinds of objects: which paths are collections, what mcpd calls them, and what a device has before anybody asks.

A path is told from a name by its `~`; the few names that are sent without one (`auth/partition/Common`,
`ltm/node/192.0.2.1`) are found because their collection is listed here. Kinds that are not listed and belong to a
module of the device are kept without being understood.
"""

from __future__ import annotations

from typing import Any, Final

PARTITION: Final = "auth/partition"
FOLDER: Final = "sys/folder"
VIRTUAL: Final = "ltm/virtual"
VIRTUAL_ADDRESS: Final = "ltm/virtual-address"
POOL: Final = "ltm/pool"
NODE: Final = "ltm/node"
DATA_GROUP: Final = "ltm/data-group/internal"
RULE: Final = "ltm/rule"
CERTIFICATE: Final = "sys/file/ssl-cert"
KEY: Final = "sys/file/ssl-key"
UNFOLDERED: Final = (PARTITION, "sys/provision", "sys/db")  # lie in no partition: a filter by one leaves them all
MONITOR: Final = "ltm/monitor/"
PROFILE: Final = "ltm/profile/"
UNMAPPED: Final = "lab/unmapped"  # declared classes that become no object here: kept, and seen by nobody

CALLED: Final = {  # as mcpd's messages do
    VIRTUAL: "Virtual Server",
    VIRTUAL_ADDRESS: "Virtual Address",
    POOL: "Pool",
    NODE: "Node",
    DATA_GROUP: "Class",
    RULE: "Rule",
    PARTITION: "Partition",
    FOLDER: "folder",
}
PROVISIONED: Final = (
    "afm", "am", "apm", "asm", "avr", "cgnat", "dos", "fps", "gtm", "ilx", "lc", "ltm", "pem", "swg", "urldb",
)  # fmt: skip
MODULES: Final = ("ltm", "net", "sys", "apm", "asm", "gtm", "security", "pem", "auth", "cm", "cli")
COLLECTIONS: Final = frozenset(
    {
        PARTITION, FOLDER, VIRTUAL, VIRTUAL_ADDRESS, POOL, NODE, DATA_GROUP, RULE, CERTIFICATE, KEY,
        "ltm/data-group/external", "ltm/policy", "ltm/snat", "ltm/snatpool", "ltm/snat-translation", "ltm/ifile",
        "ltm/monitor/http", "ltm/monitor/https", "ltm/monitor/tcp", "ltm/monitor/icmp", "ltm/monitor/gateway-icmp",
        "ltm/profile/http", "ltm/profile/one-connect", "ltm/profile/client-ssl", "ltm/profile/server-ssl",
        "ltm/profile/tcp", "ltm/profile/udp", "ltm/profile/fastl4", "ltm/profile/websocket", "ltm/profile/http2",
        "ltm/persistence/cookie", "ltm/persistence/source-addr", "ltm/persistence/universal",
        "net/address-list", "net/port-list", "net/self", "net/vlan", "net/route-domain",
        "sys/provision", "sys/db", "sys/application/service", "sys/file/ifile",
        "cm/device", "cm/device-group", "cm/traffic-group",
        "apm/profile/access", "apm/policy/access-policy", "apm/policy/policy-item", "apm/policy/customization-group",
        "apm/oauth/jwk-config", "apm/oauth/jwt-config", "apm/oauth/jwt-provider-list", "apm/aaa/oauth-provider",
    }
)  # fmt: skip
PARTS: Final = {  # subcollections, and where else the same word is one
    POOL: ("members",),
    VIRTUAL: ("profiles", "policies"),
    "ltm/policy": ("rules",),
    "apm/profile/access": ("profiles",),
    "cm/device-group": ("devices",),
}


def split(path: str) -> tuple[str, tuple[str, ...]]:
    """A path below `/mgmt/tm/`, its segments decoded, as the collection and the names after it.

    A name is a full path ("/Common/web"); of a subcollection its word stands between two names.
    """
    segments = [segment for segment in path.split("/") if segment]
    at = next((i for i, segment in enumerate(segments) if segment.startswith("~")), len(segments))
    if at == len(segments):
        at = next((i for i in range(len(segments), 0, -1) if "/".join(segments[:i]) in COLLECTIONS), at)
    return "/".join(segments[:at]), tuple(segments[at:])


def full_path(name: str, partition: str = "Common") -> str:
    """``~Common~app~web``, ``/Common/web`` or ``web`` as a full path."""
    if name.startswith("~"):
        return name.replace("~", "/")
    return name if name.startswith("/") else f"/{partition}/{name}"


def key_of(collection: str, name: str, partition: str = "Common") -> str:
    """What the tree knows the object by: partitions and settings have no folder."""
    if collection in (*UNFOLDERED, "cm/traffic-group"):
        return name.strip("~/").rpartition("~")[2] if collection != "cm/traffic-group" else full_path(name)
    if collection == FOLDER:
        path = name.replace("~", "/").rstrip("/")
        return path if path.startswith("/") else f"/{partition}/{path}"
    return full_path(name, partition)


def stock(hostname: str) -> list[tuple[str, dict[str, Any]]]:
    """What every device comes with."""
    common: list[tuple[str, tuple[str, ...]]] = [
        ("ltm/monitor/http", ("http",)), ("ltm/monitor/https", ("https",)), ("ltm/monitor/tcp", ("tcp",)),
        ("ltm/monitor/gateway-icmp", ("gateway_icmp",)), ("ltm/monitor/icmp", ("icmp",)),
        ("ltm/monitor/tcp-half-open", ("tcp_half_open",)), ("ltm/monitor/udp", ("udp",)),
        ("ltm/profile/http", ("http", "http-explicit")), ("ltm/profile/one-connect", ("oneconnect",)),
        ("ltm/profile/client-ssl", ("clientssl",)), ("ltm/profile/server-ssl", ("serverssl",)),
        ("ltm/profile/tcp", ("tcp", "f5-tcp-progressive", "f5-tcp-lan", "f5-tcp-wan", "f5-tcp-mobile")),
        ("ltm/profile/udp", ("udp",)), ("ltm/profile/fastl4", ("fastL4",)), ("ltm/profile/websocket", ("websocket",)),
        ("ltm/profile/http2", ("http2",)),
        ("ltm/persistence/cookie", ("cookie",)), ("ltm/persistence/source-addr", ("source_addr",)),
        (RULE, ("_sys_https_redirect",)), (CERTIFICATE, ("default.crt", "ca-bundle.crt")), (KEY, ("default.key",)),
        ("cm/traffic-group", ("traffic-group-1",)),
    ]  # fmt: skip
    found: list[tuple[str, dict[str, Any]]] = [(kind, {"name": name}) for kind, names in common for name in names]
    for module in PROVISIONED:
        level = "nominal" if module in ("ltm", "apm") else "none"
        found.append(("sys/provision", {"name": module, "fullPath": module, "level": level}))
    found.append(("sys/db", {"name": "systemauth.primaryadminuser", "value": "admin", "defaultValue": "admin"}))
    found.append(("cm/device", {"name": hostname, "hostname": hostname}))
    return found
