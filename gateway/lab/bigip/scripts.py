"""Runs the cli scripts that AS3 writes: some commands, a transaction, and what follows a failure.

Not Tcl: a script of another shape is refused. The shape is AS3's alone — commands in one `catch`, a transaction among
them, and a branch that cleans up and leaves the error in a data group for AS3 to read. What it deletes a tenant with is
known, too: a loop over the nodes of a folder, and the folder, which is the partition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from gateway.lab.bigip.collections import DATA_GROUP, FOLDER, NODE, PARTITION, PARTS, key_of
from gateway.lab.bigip.integrity import check_unused
from gateway.lab.bigip.objects import called, whole
from gateway.lab.bigip.properties import collection_of, member_path, rest_of, unquoted
from gateway.lab.bigip.refusals import Json, Refusal, exists_already, not_found, refused
from gateway.lab.bigip.templates import TEMPLATES
from gateway.lab.bigip.tmsh import Command, command_of
from gateway.lab.bigip.tree import Held, Tree

HEAD: Final = re.compile(r"\s*cli script (?P<name>\S+) \{\s*proc script::run \{\} \{(?P<body>.*)\}\s*\}\s*$", re.DOTALL)
SHAPE: Final = re.compile(
    r"^if \{ ?\[catch \{\n(?P<tried>.*?)\n\} err\] ?\} \{\n(?P<after>.*?)\n\}\}?\s*$", re.DOTALL | re.MULTILINE
)
CLOCK: Final = re.compile(r"\[clock format \[clock seconds\][^\]]*\]")
RESCUED: Final = re.compile(r"^catch \{ (?P<line>.*) \} e$")
RULE_BODY: Final = re.compile(r"^tmsh::create ltm rule (?P<path>\S+) +\{\n(?P<text>.*)\n\}$", re.DOTALL)
ALL_NODES: Final = re.compile(r"^foreach \{node\} \[tmsh::get_config /ltm node\] \{.*\}$", re.DOTALL)
INTO: Final = "tmsh::cd "
BRACE: Final = re.compile(r"\\.|[{}]", re.DOTALL)
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
            cleans = RESCUED.match(line) or line.startswith("tmsh::modify ltm pool")
            if cleans and "tmsh::cancel_transaction" not in line:
                with suppress(Refusal):
                    run_one(tree, line)
        tree.put(DATA_GROUP, NOTES, {"type": "string", "records": [{"name": "error", "data": str(refusal)}]})


def statements_of(lines: Iterable[str]) -> list[str]:
    """Lines put together until their braces are closed, as Tcl reads them; a brace behind a backslash is text."""
    found: list[str] = []
    begun: list[str] = []
    depth = 0
    for line in lines:
        begun.append(line)
        depth += sum({"{": 1, "}": -1}.get(brace, 0) for brace in BRACE.findall(line))
        if depth <= 0:
            found.append("\n".join(begun))
            begun, depth = [], 0
    return [one for one in (*found, *begun) if one.strip()]


def _run_all(tree: Tree, lines: list[str]) -> None:
    """Each transaction holds as a whole; an iRule goes in a second one, after what used it."""
    folder = "/Common"
    begun: list[str] | None = None
    for statement in statements_of(lines):
        if statement == "tmsh::begin_transaction":
            begun = []
        elif statement == "tmsh::commit_transaction" and begun is not None:
            with whole(tree):
                before = tree.snapshot()
                for one in begun:
                    run_one(tree, one, before=before)
            begun = None
        elif begun is not None:
            begun.append(statement)
        elif statement.startswith(INTO):
            folder = statement.removeprefix(INTO).strip()
        elif ALL_NODES.match(statement):
            for node in [one for one in tree.objects(NODE) if one["fullPath"].rpartition("/")[0] == folder]:
                run_one(tree, f"tmsh::delete ltm node {node['fullPath']}")
        else:
            run_one(tree, statement)


def run_one(tree: Tree, line: str, *, before: Held | None = None) -> None:
    """``before``: what there was when the transaction began; outside of one each command has to leave a device that
    can be.

    What stands in a `catch` of its own may fail.
    """
    rescued = RESCUED.match(line)
    if rescued is not None:
        with suppress(Refusal):
            run_one(tree, rescued["line"], before=before)
        return
    command = _command_of(line.strip())
    if before is None:
        with whole(tree):
            _apply(tree, command, None)
    else:
        _apply(tree, command, before)


def _command_of(line: str) -> Command:
    """The text of an iRule stands in braces, and nothing in it is escaped."""
    rule = RULE_BODY.match(line)
    if rule is not None:
        return Command("create", "ltm rule", rule["path"], {"api-anonymous": rule["text"].strip()})
    try:
        return command_of(re.sub(r"\\(.)", r"\1", CLOCK.sub("now", line)).removeprefix("tmsh::"))
    except (IndexError, ValueError) as error:
        raise refused(400, f"01070734:3: Configuration error: {error}", 3) from None


def _apply(tree: Tree, command: Command, before: Held | None) -> None:
    """What a transaction deletes and creates it changes: parts that are not named stay, as the members of a pool."""
    collection = collection_of(command.kind)
    path = key_of(collection, command.path.rstrip("/"))
    held = tree.find(collection, path)
    if command.verb == "create":
        if held is not None:
            raise exists_already(called(collection), path, str(held.get("partition", "Common")))
        usual = rest_of(TEMPLATES.get(command.kind, {}))
        earlier = (before or {}).get(collection, {}).get(path, {})
        parts = [part for part in PARTS.get(collection, ()) if part in earlier and part not in command.properties]
        stay = {part: earlier[part] for part in parts}
        tree.put(collection, path, usual | rest_of(command.properties) | stay)
        if collection == PARTITION:
            tree.put(FOLDER, f"/{path}", {})
        return
    if held is None:
        raise not_found(called(collection), path)
    if command.verb == "delete":
        _delete(tree, collection, path, checked=before is None)
        return
    tree.put(collection, path, _modified(held, command))


def _delete(tree: Tree, collection: str, path: str, *, checked: bool) -> None:
    """The topmost folder of a partition is the partition."""
    if collection == FOLDER and "/" not in path[1:]:
        collection, path = PARTITION, path[1:]
    if checked or collection == PARTITION:
        check_unused(tree, collection, path)
    tree.drop(collection, path)
    if collection == PARTITION:
        tree.drop(FOLDER, f"/{path}")


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
