"""Reads `stagedoor.yaml` into settings: every fault at once, each with file, line and what to do.

The models mirror the file: their fields are its keys and nothing else is accepted. A key that belongs to a feature
this version lacks is refused by name, because a setting that silently does nothing is worse than an error.
Environment variables `STAGEDOOR_A__B` override single settings; paths are relative to the file. Private keys and
other secrets are named by path, never written into the file. Runs in a short-lived child, in the engine and in
the command line, never in a door.
"""

from __future__ import annotations

import copy
import difflib
import os
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from gateway import config, documents
from gateway.config_load.files import unusable_files
from gateway.config_load.models import DocumentModel
from gateway.config_load.settings import settings_of
from gateway.documents import Locate
from gateway.errors import ConfigError
from policy.facts import Source
from policy.reading import Fault

MAX_BYTES = 1024 * 1024
VARIABLE = "STAGEDOOR_"

# Keys of features that this version does not have, by their place in the file (`*` = any key or position).
UNSUPPORTED = {
    "secrets": "keys of sessions and assertions",
}


class ConfigFaults(ConfigError):
    """The configuration cannot be used; ``faults`` says why, all of it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.source.file, fault.source.line)))
        super().__init__("\n".join(str(fault) for fault in self.faults))


class Examined(NamedTuple):
    """A file as far as it can be read. ``settings`` are None when its keys or values are at fault, and only to be
    relied on when there is no fault at all; ``locate`` finds the place of a setting."""

    settings: config.Settings | None
    faults: tuple[Fault, ...]
    locate: Locate
    access_policy: str  # its path; "" where the file does not say one


def load(
    path: Path | str, environ: Mapping[str, str] | None = None, *, with_named_files: bool = True
) -> config.Settings:
    """The settings of a file, overridden by ``environ`` (the process's own unless given). Who only asks questions
    about the catalog may do without the certificates and keys that it names (``with_named_files``)."""
    examined = examine(path, environ)
    faults = [*examined.faults]
    if examined.settings is not None and with_named_files:
        faults += unusable_files(examined.settings, examined.locate)
    if faults or examined.settings is None:
        raise ConfigFaults(faults)
    return examined.settings


def examine(path: Path | str, environ: Mapping[str, str] | None = None) -> Examined:
    """The same without an opinion, and without the files that the settings name. Raises `ConfigFaults` when there is
    no document to read."""
    file = Path(path).absolute()
    document = _document(file)
    place = _Places(document)
    faults: list[Fault] = []
    tree = copy.deepcopy(document.value)
    # The one place of the program that reads settings from the environment.
    variables = os.environ if environ is None else environ
    faults += _override(tree, variables, place)
    said = tree.get("access_policy")
    access_policy = os.path.normpath(file.parent / said) if isinstance(said, str) and said.isprintable() else ""
    model = _validated(tree, place, faults)
    if model is None or faults:
        return Examined(None, tuple(faults), place.locate, access_policy)
    settings, found = settings_of(model, file.parent, place.locate)
    return Examined(settings, tuple(found), place.locate, access_policy)


def _document(file: Path) -> documents.Document:
    if not file.exists():
        missing = f"cannot read `{file.name}`: there is no such file"
        fix = "name another, or write a first one with `stagedoor init`"
        raise ConfigFaults([Fault(Source(str(file)), missing, fix)])
    found, faults = documents.read_file(file, max_bytes=MAX_BYTES)
    faults = [*faults, *(fault for document in found for fault in document.faults)]
    if not faults and len(found) != 1:
        faults = [
            Fault(Source(str(file)), f"file holds {len(found)} documents, expected one", "start with `listeners:`")
        ]
    if not faults and not isinstance(found[0].value, dict):
        faults = [Fault(Source(str(file), 1), "file is no mapping of keys to values", "start with `listeners:`")]
    if faults:
        raise ConfigFaults(faults)
    return found[0]


class _Places:
    """Where a setting was said: in the file, or by a variable that overrides it."""

    def __init__(self, document: documents.Document) -> None:
        self._document = document
        self._variables: dict[tuple[str | int, ...], str] = {}

    def overridden(self, path: tuple[str | int, ...], variable: str) -> None:
        self._variables[path] = variable

    def locate(self, path: Sequence[str | int]) -> Source:
        for length in range(len(path), 0, -1):
            if (variable := self._variables.get(tuple(path[:length]))) is not None:
                return Source(f"variable {variable}")
        if path and path[0] not in self._document.value:
            for known, variable in self._variables.items():
                if known[: len(path)] == tuple(path):
                    return Source(f"variable {variable}")
        return self._document.locate(path)


# ---- variables ----


def _override(tree: dict[str, Any], environ: Mapping[str, str], place: _Places) -> list[Fault]:
    faults = []
    for variable in sorted(environ):
        if not variable.startswith(VARIABLE):
            continue
        path = _path_of(variable)
        if path[0] not in DocumentModel.model_fields and "__" not in variable:
            continue  # STAGEDOOR_CONFIG and the like belong to the command
        found, broken = documents.read_text(environ[variable].encode(), f"variable {variable}")
        broken = [*broken, *(fault for document in found for fault in document.faults)]
        if not broken and not _put(tree, path, found[0].value if found else None):
            broken = [Fault(Source(f"variable {variable}"), f"`{_dotted(path)}` leads nowhere in the file", "")]
        faults += broken
        place.overridden(path, variable)
    return faults


def _path_of(variable: str) -> tuple[str | int, ...]:
    parts = variable.removeprefix(VARIABLE).lower().split("__")
    return tuple(int(part) if part.isdecimal() else part for part in parts)


def _put(tree: Any, path: tuple[str | int, ...], value: object) -> bool:
    for part, following in zip(path, path[1:], strict=False):
        fresh: Any = [] if isinstance(following, int) else {}
        if isinstance(tree, dict) and isinstance(part, str):
            if tree.get(part) is None:
                tree[part] = fresh
            tree = tree[part]
        elif isinstance(tree, list) and isinstance(part, int) and part <= len(tree):
            if part == len(tree):
                tree.append(fresh)
            tree = tree[part]
        else:
            return False
    last = path[-1]
    if isinstance(tree, dict) and isinstance(last, str):
        tree[last] = value
    elif isinstance(tree, list) and isinstance(last, int) and last <= len(tree):
        tree[last : last + 1] = [value]
    else:
        return False
    return True


# ---- faults of the models, in our words ----


def _validated(tree: dict[str, Any], place: _Places, faults: list[Fault]) -> DocumentModel | None:
    try:
        return DocumentModel.model_validate(tree)
    except ValidationError as errors:
        for error in errors.errors(include_url=False):
            path = error["loc"]
            message, suggestion = _in_our_words(error, path)
            faults.append(Fault(place.locate(path), message, suggestion))
    return None


def _in_our_words(error: Any, path: tuple[str | int, ...]) -> tuple[str, str]:
    dotted = _dotted(path)
    match error["type"]:
        case "extra_forbidden":
            return _unknown_key(path)
        case "missing":
            return f"`{dotted}` is missing", ""
        case "value_error":
            text = str(error["ctx"]["error"])
            message, _, suggestion = text.partition("; ")
            return f"`{dotted}`: {message}", suggestion
        case _:
            shown = str(error["input"])
            shown = f" is `{shown[:60]}`" if not isinstance(error["input"], (dict, list)) else ""
            return f"`{dotted}`{shown}: {error['msg'][:1].lower()}{error['msg'][1:]}", ""


def _unknown_key(path: tuple[str | int, ...]) -> tuple[str, str]:
    dotted = _dotted(path)
    if (feature := _unsupported(path)) is not None:
        return f"`{dotted}` is not supported by this version", f"it belongs to {feature}; remove it"
    known = _keys_at(path[:-1])
    close = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.6)
    return f"unknown key `{dotted}`", f"did you mean `{close[0]}`" if close else f"known here: {', '.join(known)}"


def _unsupported(path: tuple[str | int, ...]) -> str | None:
    parts = [str(part) for part in path]
    for pattern, feature in UNSUPPORTED.items():
        expected = pattern.split(".")
        if len(expected) == len(parts) and all(a in ("*", b) for a, b in zip(expected, parts, strict=True)):
            return feature
    return None


def _keys_at(path: tuple[str | int, ...]) -> list[str]:
    """The keys that the model accepts at a place."""
    at: Any = DocumentModel
    for part in path:
        model = _model_in(at)
        at = model.model_fields[str(part)].annotation if model and str(part) in model.model_fields else _inner(at)
    model = _model_in(at)
    return sorted(model.model_fields) if model else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) is typing.Annotated:
        return _model_in(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return next((model for each in typing.get_args(annotation) if (model := _model_in(each))), None)
    return None


def _inner(annotation: Any) -> Any:
    """What a list or mapping holds."""
    held = [each for each in typing.get_args(annotation) if each is not types.NoneType]
    if typing.get_origin(annotation) in (types.UnionType, typing.Union, typing.Annotated) and held:
        return _inner(held[0])
    return held[-1] if held else None


def _dotted(path: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in path)
