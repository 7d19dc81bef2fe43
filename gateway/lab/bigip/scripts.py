"""Runs the cli scripts that AS3 writes: some commands, a transaction, and what follows a failure.

Not Tcl: a script of another shape is refused. The shape is AS3's alone — commands in one `catch`, a transaction among
them, and a branch that cleans up and leaves the error in a data group for AS3 to read.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.lab.bigip.collections import DATA_GROUP, FOLDER, PARTITION, key_of
from gateway.lab.bigip.integrity import check_unused
from gateway.lab.bigip.objects import called, whole
from gateway.lab.bigip.properties import collection_of, member_path, rest_of, unquoted
from gateway.lab.bigip.refusals import Json, Refusal, exists_already, not_found, refused
from gateway.lab.bigip.templates import TEMPLATES
from gateway.lab.bigip.tmsh import Command, command_of
from gateway.lab.bigip.tree import Tree

HEAD: Final = re.compile(r"\s*cli script (?P<name>\S+) \{\s*proc script::run \{\} \{(?P<body>.*)\}\s*\}\s*$", re.DOTALL)
SHAPE: Final = re.compile(
    r"^if \{ ?\[catch \{\n(?P<tried>.*?)\n\} err\] ?\} \{\n(?P<after>.*?)\n\}\}?\s*$", re.DOTALL | re.MULTILINE
)
CLOCK: Final = re.compile(r"\[clock format \[clock seconds\][^\]]*\]")
RESCUED: Final = re.compile(r"^catch \{ (?P<line>.*) \} e$")
NOTES: Final = "/Common/__appsvcs_update"  # where AS3 looks for an error
Script = tuple[list[str], list[str]]  # what is tried, what follows a failure


def script_of(text: str) -> tuple[str, Script]:
    """Name and commands. Raises `Refusal` for a script of another shape."""
    head = HEAD.match(text)
    if head is None:
        raise refused(400, "01070734:3: Configuration error: the emulator reads AS3's cli scripts alone", 3)
    name = head["name"].rpartition("/")[2]
    parts = [found for found in SHAPE.finditer(head["body"]) if "begin_transaction" in found["tried"]]
    if not parts:
        return name, ([], [])
    return name, (parts[-1]["tried"].splitlines(), parts[-1]["after"].splitlines())


def run(tree: Tree, script: Script) -> None:
    """As the device would; an error ends up in the data group, not here."""
    tried, after = script
    tree.put(DATA_GROUP, NOTES, {"type": "string"})
    try:
        _run_all(tree, tried)
    except Refusal as refusal:
        for line in after:
            rescued = RESCUED.match(line)
            try:
                if "tmsh::cancel_transaction" not in line and (rescued or line.startswith("tmsh::modify ltm pool")):
                    run_one(tree, rescued["line"] if rescued else line)
            except Refusal:
                continue
        tree.put(DATA_GROUP, NOTES, {"type": "string", "records": [{"name": "error", "data": str(refusal)}]})


def _run_all(tree: Tree, lines: list[str]) -> None:
    begin = lines.index("tmsh::begin_transaction")
    end = lines.index("tmsh::commit_transaction")
    for line in lines[:begin]:
        run_one(tree, line)
    with whole(tree):
        for line in lines[begin + 1 : end]:
            run_one(tree, line, checked=False)
    for line in lines[end + 1 :]:
        run_one(tree, line)


def run_one(tree: Tree, line: str, *, checked: bool = True) -> None:
    """``checked``: outside a transaction each command has to leave a device that can be."""
    text = re.sub(r"\\(.)", r"\1", CLOCK.sub("now", line.strip())).removeprefix("tmsh::")
    try:
        command = command_of(text)
    except (IndexError, ValueError) as error:
        raise refused(400, f"01070734:3: Configuration error: {error}", 3) from None
    if checked:
        with whole(tree):
            _apply(tree, command)
    else:
        _apply(tree, command)


def _apply(tree: Tree, command: Command) -> None:
    collection = collection_of(command.kind)
    path = key_of(collection, command.path.rstrip("/"))
    held = tree.find(collection, path)
    if command.verb == "create":
        if held is not None:
            raise exists_already(called(collection), path, str(held.get("partition", "Common")))
        usual = rest_of(TEMPLATES.get(command.kind, {}))
        tree.put(collection, path, usual | rest_of(command.properties))
        if collection == PARTITION:
            tree.put(FOLDER, f"/{path}", {})
        return
    if held is None:
        raise not_found(called(collection), path)
    if command.verb == "delete":
        if collection == PARTITION:
            check_unused(tree, collection, path)
        tree.drop(collection, path)
        if collection == PARTITION:
            tree.drop(FOLDER, f"/{path}")
        return
    tree.put(collection, path, _modified(held, command))


def _modified(held: Json, command: Command) -> Json:
    """What is named is set, except a list that is added to or taken from."""
    wanted = rest_of(command.properties)
    for name, way in command.ways.items():
        if name not in ("members", "records") or way == "replace-all-with":
            continue
        identity = member_path if name == "members" else _name
        said = wanted.get(name) or []
        named = {unquoted(item) if isinstance(item, str) else identity(item) for item in said}
        kept = [item for item in held.get(name, []) if identity(item) not in named]
        wanted[name] = kept if way == "delete" else [*kept, *said]
    return {**held, **wanted}


def _name(item: Json) -> str:
    return str(item["name"])
