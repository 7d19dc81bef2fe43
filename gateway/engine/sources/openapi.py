"""OpenAPI 2 and 3 definitions as operations with the scopes they need. Nothing is ever fetched.

Read are: server base paths, paths, methods, security requirements and the schemes they name. Only references inside
the document are followed. What cannot be known is never read as "open": an operation whose security names a scheme
that is not defined comes out unresolved and is refused, and a definition that cannot be read gives no operations
and a fault, so whoever used it keeps what was good before.
"""

from __future__ import annotations

import marshal
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from urllib.parse import urlsplit

from gateway.documents import Locate
from gateway.engine.sources.parsing import parsed
from gateway.engine.sources.references import resolved
from gateway.engine.sources.values import decoded_template
from policy.facts import Operation, Source
from policy.paths import template_fault
from policy.reading import Fault

MAX_BYTES = 4 * 1024 * 1024
MAX_OPERATIONS = 5000
MAX_TEMPLATES = 10 * MAX_OPERATIONS  # also those that no request can match
TOLD = 20  # warnings
SHOWN = 80  # characters of a path in a warning
MAX_NAME = 200  # of an operation's name
MAX_SCOPES = 200  # of one `security`, its alternatives counted
METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
_SCOPED = ("oauth2", "openidconnect")
_SCHEMES = (*_SCOPED, "apikey", "http", "basic", "mutualtls")  # OpenAPI 3.1, 4.8.27; Swagger 2.0
_VARIABLE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Definition:
    """``broken``: it could not be read and has no operations. ``kept``: it could not be read, the operations are those
    of its last good form. ``openapi``: it is of this family at all; other types (GraphQL, gRPC) have no operations.
    ``schemes``: the kinds of security that some operation names, of `http` its scheme."""

    operations: tuple[Operation, ...]
    faults: tuple[Fault, ...] = ()
    broken: bool = False
    kept: bool = False
    openapi: bool = True
    digest: str = ""
    schemes: tuple[str, ...] = ()


class _Unreadable(Exception):
    def __init__(self, path: Sequence[str | int], message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


def no_definition(kind: str) -> Definition:
    """An API of a type whose operations are not read."""
    return Definition((), openapi=False, digest=kind)


def broken(source: Source, message: str, suggestion: str = "") -> Definition:
    return Definition((), (Fault(source, message, suggestion),), broken=True, digest=message)


def read_definition(text: str, api: str, file: str, first_line: int) -> Definition:
    """The operations of a definition that starts at a line of a file."""
    source = Source(file, first_line, api)
    if len(text) > MAX_BYTES:
        return broken(source, f"definition is larger than {MAX_BYTES} bytes", "split the API")
    document, fault = parsed(text, file)
    if fault is not None:
        place = Source(file, first_line + max(fault.source.line - 1, 0), api)
        return broken(place, f"definition: {fault.message}", fault.suggestion)

    def locate(path: Sequence[str | int]) -> Source:
        line = document.locate(path).line
        return Source(file, first_line + line - 1 if line else first_line, api)

    try:
        reader = _Reader(document.value, api, locate)
        operations = tuple(reader.operations())
    except _Unreadable as unreadable:
        return broken(locate(unreadable.path), f"definition: {unreadable.message}")
    content = [
        (each.method, each.template, [sorted(s) for s in each.scopes], each.unresolved, each.operation_id,
         each.source.line)
        for each in operations
    ]  # fmt: skip
    digest = blake2b(marshal.dumps((file, content), 2), digest_size=16).hexdigest()
    return Definition(operations, tuple(reader.faults), digest=digest, schemes=tuple(sorted(reader.named_schemes)))


class _Reader:
    """One definition. ``faults`` are warnings: something in it is not used, and why."""

    def __init__(self, document: object, api: str, locate: Locate) -> None:
        if not isinstance(document, Mapping):
            raise _Unreadable((), "is no mapping")
        self._document: Mapping[str, Any] = document
        self._api = api
        self._locate = locate
        self._version3 = str(document.get("openapi", "")).startswith("3.")
        if not self._version3 and str(document.get("swagger", "")) not in ("2.0", "2"):
            raise _Unreadable((), "is neither OpenAPI 3 (`openapi: 3.x`) nor Swagger 2 (`swagger: '2.0'`)")
        holder = document.get("components") if self._version3 else document
        name = "securitySchemes" if self._version3 else "securityDefinitions"
        schemes = holder.get(name) if isinstance(holder, Mapping) else None
        self._schemes: Mapping[str, Any] = schemes if isinstance(schemes, Mapping) else {}
        self._plain_schemes: set[str] = set()
        self.named_schemes: set[str] = set()
        self._tried = 0  # paths, below each base
        # By identity of what the document holds: many operations may share one list, and it may be long.
        self._bases_of: dict[int, list[str]] = {}
        self._security_of: dict[int, tuple[tuple[frozenset[str], ...], bool]] = {}
        self.faults: list[Fault] = []

    def operations(self) -> Iterator[Operation]:
        # 3.1: a document may hold webhooks or components alone
        paths = self._document.get("paths", {} if self._version3 else None)
        if not isinstance(paths, Mapping):
            raise _Unreadable(("paths",), "`paths` is no mapping")
        count = 0
        for path, item in paths.items():
            if path.startswith("x-"):
                continue
            for operation in self._of_path(path, item):
                count += 1
                if count > MAX_OPERATIONS:
                    raise _Unreadable(("paths", path), f"has more than {MAX_OPERATIONS} operations")
                yield operation

    def _of_path(self, path: str, item: object) -> Iterator[Operation]:
        place: tuple[str | int, ...] = ("paths", path)
        item = resolved(self._document, item)
        if not isinstance(item, Mapping):
            message = f"path `{path[:SHOWN]}` is a reference that cannot be followed, or no mapping: it is refused"
            self._warn(place, message, "write it into this definition, nothing is fetched")
            yield from self._unknown(path, place)
            return
        if item.keys().isdisjoint(METHODS):
            self._warn(place, f"path `{path[:SHOWN]}` has no operation: it is refused", "say what it has, or remove it")
            yield from self._unknown(path, place)
            return
        for method in METHODS:
            if method not in item:
                continue
            operation = item[method]
            if not isinstance(operation, Mapping):
                raise _Unreadable((*place, method), f"`{method}` of `{path}` is no mapping")
            scopes, unresolved = self._security(operation, (*place, method))
            source = self._locate((*place, method))
            said = operation.get("operationId")
            name = said if isinstance(said, str) and len(said) <= MAX_NAME else ""
            for base in self._bases(operation, item, place):
                template = self._template(base, path, place)
                if template:
                    yield Operation(
                        method.upper(), template, scopes, self._api, unresolved, source=source, operation_id=name
                    )

    def _unknown(self, path: str, place: Sequence[str | int]) -> Iterator[Operation]:
        """A path of which nothing is known, refused for everybody: left out it would be one of those that a template
        beside it stands for."""
        source = self._locate(place)
        for base in self._bases({}, {}, place):
            if template := self._template(base, path, place):
                yield from (
                    Operation(method.upper(), template, (), self._api, unresolved=True, source=source)
                    for method in METHODS
                )

    # ---- where ----

    def _bases(self, operation: Mapping[str, Any], item: Mapping[str, Any], place: Sequence[str | int]) -> list[str]:
        """Base paths, distinct. OpenAPI 3: the nearest `servers` wins."""
        if not self._version3:
            base = self._document.get("basePath", "")
            if not isinstance(base, str):
                raise _Unreadable(("basePath",), "`basePath` is no text")
            return [_trimmed(base)]
        for holder in (operation, item, self._document):
            servers = holder.get("servers")
            if isinstance(servers, list) and servers:
                if id(servers) not in self._bases_of:
                    bases = dict.fromkeys(self._base_of(server, place) for server in servers)
                    self._bases_of[id(servers)] = list(bases)
                return self._bases_of[id(servers)]
        return [""]

    def _base_of(self, server: object, place: Sequence[str | int]) -> str:
        url = server.get("url") if isinstance(server, Mapping) else None
        if not isinstance(server, Mapping) or not isinstance(url, str):
            raise _Unreadable(("servers",), "a server has no `url`")
        variables = server.get("variables")

        def default(match: re.Match[str]) -> str:
            variable = variables.get(match[1]) if isinstance(variables, Mapping) else None
            value = variable.get("default") if isinstance(variable, Mapping) else None
            if not isinstance(value, (str, int)):
                raise _Unreadable(("servers",), f"server variable `{match[1]}` has no default")
            return str(value)

        try:
            return _trimmed(urlsplit(_VARIABLE.sub(default, url)).path)
        except ValueError:
            raise _Unreadable(("servers",), f"`{url[:80]}` is no address") from None

    def _template(self, base: str, path: str, place: Sequence[str | int]) -> str:
        """The whole template, literals decoded once as requests are; "" with a warning when it cannot match."""
        self._tried += 1
        if self._tried > MAX_TEMPLATES:
            raise _Unreadable(place, f"has more than {MAX_TEMPLATES} paths, server by server")
        template = decoded_template(base + path) if path.startswith("/") else ""
        if not template or template_fault(template):
            self._warn(place, f"path `{path[:SHOWN]}` can never match a request")
            return ""
        return template

    # ---- who ----

    def _security(
        self, operation: Mapping[str, Any], place: Sequence[str | int]
    ) -> tuple[tuple[frozenset[str], ...], bool]:
        """Alternatives of scopes; True when a scheme it names is not defined. What operations share is read once."""
        stated = operation.get("security", self._document.get("security", ()))
        if id(stated) not in self._security_of:
            self._security_of[id(stated)] = self._alternatives(stated, place)
        return self._security_of[id(stated)]

    def _alternatives(self, stated: object, place: Sequence[str | int]) -> tuple[tuple[frozenset[str], ...], bool]:
        if not isinstance(stated, list | tuple):
            raise _Unreadable((*place, "security"), "`security` is no list")
        alternatives: dict[frozenset[str], None] = {}
        for requirement in stated:
            if not isinstance(requirement, Mapping):
                raise _Unreadable((*place, "security"), "a security requirement is no mapping")
            needed: set[str] = set()
            knows_scopes = not requirement  # `{}` says that no security is needed
            for scheme, scopes in requirement.items():
                kind = self._scheme(scheme)
                if kind is None:
                    self._warn((*place, "security"), f"security scheme `{scheme}` is not defined: refused")
                    return (), True
                self.named_schemes.add(self._http_scheme(scheme) if kind == "http" else kind)
                if kind in _SCOPED:
                    if not isinstance(scopes, list) or not all(isinstance(scope, str) and scope for scope in scopes):
                        raise _Unreadable((*place, "security"), f"scopes of `{scheme}` are no list of texts")
                    needed.update(scopes)
                    knows_scopes = True
                else:
                    self._note_plain(scheme, kind)
            if knows_scopes:  # a key or a password is the service's to check: no way around the scopes of the others
                alternatives[frozenset(needed)] = None
            if sum(map(len, alternatives)) + len(alternatives) > MAX_SCOPES:
                raise _Unreadable((*place, "security"), f"names more than {MAX_SCOPES} scopes and alternatives")
        if frozenset() in alternatives:  # one way asks for no scope: then none is needed
            return (), False
        return tuple(sorted(alternatives, key=sorted)), False

    def _scheme(self, name: str) -> str | None:
        """The kind of a scheme in lower case; None where it is not defined, or of no kind that there is: a slip in its
        name must not take the scopes away that it asks for."""
        scheme = resolved(self._document, self._schemes.get(name))
        kind = scheme.get("type") if isinstance(scheme, Mapping) else None
        return kind.lower() if isinstance(kind, str) and kind.lower() in _SCHEMES else None

    def _http_scheme(self, name: str) -> str:
        scheme = resolved(self._document, self._schemes.get(name))
        return str(scheme.get("scheme", "http")).lower() if isinstance(scheme, Mapping) else "http"

    def _note_plain(self, scheme: str, kind: str) -> None:
        if scheme not in self._plain_schemes:
            self._plain_schemes.add(scheme)
            message = f"security scheme `{scheme}` is `{kind}` and asks for no scope here"
            self._warn(("components", "securitySchemes", scheme), message)

    # ---- faults ----

    def _warn(self, path: Sequence[str | int], message: str, suggestion: str = "") -> None:
        """So many as somebody mends: a hostile definition has a hundred thousand."""
        if len(self.faults) < TOLD:
            self.faults.append(Fault(self._locate(path), f"definition: {message}", suggestion, "warning"))
        elif len(self.faults) == TOLD:
            self.faults.append(Fault(self._locate(()), "definition: more of it is left out", "", "warning"))


def _trimmed(base: str) -> str:
    base = base.strip("/")
    return f"/{base}" if base else ""
