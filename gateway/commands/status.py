"""`stagedoor status`: the running node on one screen."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.terminal import (
    PARTLY,
    age,
    config_option,
    console,
    json_option,
    plain,
    state_folder_at,
    state_option,
    write_json,
)

if TYPE_CHECKING:
    from gateway.node.device_status import DeviceStanding
    from gateway.node.status import Catalog, Followed, NodeStatus, Worker

_COLUMNS: Final = (
    "worker", "pid", "snapshot", "its age", "overlay age", "connections", "audit queue", "longest stall",
)  # fmt: skip


_FOLLOWED: Final = ("followed", "entities", "read", "looked at every", "a look, all of it", "its own delay")
_TAGS: Final = ("device", "tags", "state", "as wanted", "users", "addresses", "to take away", "to give", "never mapped")
_DEVICES: Final = ("device", "environment", "mode", "state", "as wanted", "looked at", "steps", "drift", "policy")


@click.command("status")
@config_option
@state_option
@json_option
def command(file: Path | None, folder: Path | None, as_json: bool) -> None:
    """Show how the running node is.

    Asks its control and engine over their sockets in the state folder, as the node's user or root. Exits with 4 when
    no node runs there, with 5 when only a part of it answers. `watch stagedoor status` keeps it on the screen.
    """
    from gateway.node.status import status_of

    status = status_of(state_folder_at(file, folder))
    write_json(status.as_json()) if as_json else _show(status)
    sys.exit(PARTLY if status.away else 0)


def _show(status: NodeStatus) -> None:
    from rich.text import Text

    screen = console()
    style = "bold green" if status.node == "up" else "bold red"
    about = f"version {status.version or 'unknown'}"
    if status.supervisor_pid:
        about += f", supervisor {status.supervisor_pid}"
    screen.print(Text(f"{'node':<10}"), Text(plain(status.node), style=style), Text(plain(about), style="dim"))
    if "control" not in status.away:
        screen.print(Text(f"{'overlay':<10}"), Text(f"{status.live_seq} of {status.seq} live"))
    for line in _catalog_lines(status.catalog):
        screen.print(Text(plain(line)))
    if status.catalog is not None and status.catalog.followed:
        screen.print()
        for line in _table(_FOLLOWED, [_followed_row(each) for each in status.catalog.followed]):
            screen.print(Text(plain(line)))
    if status.issuers:
        screen.print()
        rows = [(each.name, str(each.keys), _ago(each.age_s), each.fault) for each in status.issuers]
        for line in _table(("issuer", "keys", "confirmed", ""), rows):
            screen.print(Text(plain(line)))
    if status.devices:
        screen.print()
        for line in _table(_DEVICES, [_device_row(each) for each in status.devices]):
            screen.print(Text(plain(line)))
    tagged = {each.device: each.tags for each in status.devices if each.tags is not None}
    if tagged:
        screen.print()
        for line in _table(_TAGS, [_tags_row(device, tags) for device, tags in tagged.items()]):
            screen.print(Text(plain(line)))
    if status.workers:
        screen.print()
        for line in _table(_COLUMNS, [_row(each) for each in status.workers]):
            screen.print(Text(plain(line)))
    findings = list(status.findings())
    if findings:
        screen.print()
    for finding in findings:
        screen.print(Text("!", style="bold yellow"), Text(plain(finding)))


def _catalog_lines(catalog: Catalog | None) -> Iterator[str]:
    if catalog is None:
        return
    base = f"{catalog.base} published {_ago(catalog.published_age_s)}" if catalog.base else "nothing published"
    yield f"{'catalog':<10} {base}, read {_ago(catalog.read_age_s)}"
    counted = {"service": catalog.services, "error": catalog.errors, "warning": catalog.warnings}
    counts = ", ".join(f"{number} {noun}{'' if number == 1 else 's'}" for noun, number in counted.items())
    held = ", ".join(f"{lost.gone} of kind {lost.kind}" for lost in catalog.held)
    yield f"{'':<10} {counts}, held losses: {held or 'none'}"


def _followed_row(each: Followed) -> tuple[str, ...]:
    return (
        each.name,
        str(each.entities),
        _ago(None if each.age_s is None else int(each.age_s)),
        f"{each.wait_s:.0f}s",
        f"{each.took_ms} ms, {each.full_took_ms} ms",
        "-" if each.delay_s is None else f"{each.delay_s:.0f}s",
    )


def _device_row(each: DeviceStanding) -> tuple[str, ...]:
    return (
        each.device,
        each.environment,
        each.mode,
        f"{each.state} by {each.applying}" if each.applying else each.state,
        _ago(None if each.synced_age_s is None else int(each.synced_age_s)),
        _ago(None if each.looked_age_s is None else int(each.looked_age_s)),
        str(each.steps),
        str(each.drift),
        (each.applied_version or "-") + (" (not the doors')" if each.version_off else ""),
    )


def _tags_row(device: str, tags: Mapping[str, Any]) -> tuple[str, ...]:
    age_s = tags["synced_age_s"]
    return (
        device, tags["mode"], tags["state"], _ago(None if age_s is None else int(age_s)), str(tags["users"]),
        str(tags["addresses"]), str(tags["losses"]), str(tags["gains"]), str(tags["never_mapped"]),
    )  # fmt: skip


def _row(worker: Worker) -> tuple[str, ...]:
    queue = "-" if worker.audit_queued is None else str(worker.audit_queued)
    stall = "-" if worker.longest_stall_ms is None else f"{worker.longest_stall_ms:.1f} ms"
    return (
        str(worker.slot),
        str(worker.pid),
        worker.snapshot,
        age(worker.snapshot_age_s),
        age(worker.overlay_age_s),
        "-" if worker.connections is None else str(worker.connections),
        f"{queue} FAILING" if worker.audit_failing else queue,
        stall,
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    for row in (heads, *rows):
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _ago(age_s: int | None) -> str:
    return "never" if age_s is None else f"{age(age_s)} ago"
