"""Reads `tests` of the access policy: a call each, and what it must come to.

As a line, or as a mapping where scopes, a client or an actor are to be shown:

    SUBJECT [with mfa] [with certificate] CALL [in ENVIRONMENT] → permit [REASON] | refused [REASON]

CALL is ``GET https://payments.example.com/refunds``, or below a service ``POST /refunds of payments``, or an operation
by its name: ``createRefund of payments``. `->` is as good as `→`. Nothing is shown but what is said: a sign-in a moment
ago, with one factor, in a token without scopes.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from policy.demands import DemandReader
from policy.paths import METHODS, Template, template_fault
from policy.promises.phrases import LONGEST, VERBS, component_in, doing_in, environments_in, subject_in, words_of
from policy.reading import Path, did_you_mean
from policy.reasons import PERMIT_ORDER, REFUSAL_ORDER
from policy.statements import Expectation, Shown

KEYS: Final = ("who", "with", "call", "of", "in", "expect", "name")
SHOWN: Final = ("scopes", "mfa", "signed-in", "issuer", "from", "certificate", "through", "acting")
WORDS: Final = {"permit": True, "permitted": True, "allowed": True, "refused": False}
_ARROWS: Final = ("→", "->")
_FORM: Final = "write `jane GET https://payments.example.com/refunds in prod → refused no_rule`"
_REFUSED_PATH: Final = "the door answers such a path with 400, before any rule is asked"


class _Call(NamedTuple):
    """What is called: by URL, by path below a service, or by an operation's name."""

    method: str = ""
    path: Template | None = None
    host: str = ""
    operation: str = ""


_NOTHING: Final = _Call()


def expectations_in(reader: DemandReader, node: object, environments: tuple[str, ...]) -> tuple[Expectation, ...]:
    """All that the document says, in its order; whatever is at fault is left out and told."""
    found = []
    for place, item in reader.one_or_many(node, ("tests",)):
        before = len(reader.faults)
        if isinstance(item, Mapping):
            read = _from_mapping(reader, item, place, environments)
        else:
            read = _from_text(reader, reader.text(item, place), place, environments)
        if read is not None and len(reader.faults) == before:
            found.append(read)
    return tuple(found)


def _from_text(reader: DemandReader, text: str, path: Path, environments: tuple[str, ...]) -> Expectation | None:
    if not text:
        return None
    if len(text) > LONGEST:
        reader.fault(path, f"a line of more than {LONGEST} characters", "write it as a mapping")
        return None
    arrow = next((each for each in _ARROWS if each in text), "")
    asked, _, expected = text.rpartition(arrow) if arrow else (text, "", "")
    words = words_of(asked)
    if not arrow or not words or not expected.strip():
        missing = "what it must come to" if words else "who calls what"
        reader.fault(path, f"`{text}` does not say {missing}", _FORM)
        return None
    subject = subject_in(reader, words[0], path, "user")
    shown, rest = _shown_in_words(reader, words[1:], path)
    where: list[str] = []
    if "in" in rest:
        at = rest.index("in")
        rest, where = rest[:at], rest[at + 1 :]
        if len(where) != 1:
            reader.fault(path, f"`in` is followed by one environment and the arrow in `{text}`", _FORM)
    service = ""
    if "of" in rest:
        at = rest.index("of")
        service = component_in(reader, " ".join(rest[at + 1 :]), path)
        rest = rest[:at]
    call = _call_in(reader, " ".join(rest), path)
    allowed, reason = _expected_in(reader, expected, path)
    known = environments_in(reader, where[:1], path, environments)
    return _checked(
        reader, path, Expectation(
            " ".join(text.split()), subject, call.method, call.path, call.host, call.operation, service,
            next(iter(known), ""), shown, allowed, reason, reader.locate(path),
        ),
    )  # fmt: skip


def _shown_in_words(reader: DemandReader, words: list[str], path: Path) -> tuple[Shown, list[str]]:
    """`with mfa`, `with certificate`, before the call."""
    shown = Shown()
    while words and words[0] == "with":
        for each in words[1].split(",") if len(words) > 1 else [""]:
            if each not in ("mfa", "certificate"):
                hint = did_you_mean(each, ("mfa", "certificate")) or "say scopes and the like in a mapping's `with`"
                reader.fault(path, f"`with {each}` is nothing that a line can show", hint)
            shown = shown._replace(mfa=shown.mfa or each == "mfa", certificate=shown.certificate or each != "mfa")
        words = words[2:]
    return shown, words


def _from_mapping(
    reader: DemandReader, node: Mapping[str, object], path: Path, environments: tuple[str, ...]
) -> Expectation | None:
    keys = reader.mapping(node, path, KEYS)
    before = len(reader.faults)
    texts = {}
    for key in ("who", "call", "expect"):
        if key in keys:
            texts[key] = reader.text(keys[key], (*path, key))
        else:
            reader.fault(path, f"a test must say `{key}`", _FORM)
    for key in ("of", "in", "name"):
        texts[key] = reader.text(keys[key], (*path, key)) if key in keys else ""
    if len(reader.faults) > before:
        return None
    subject = subject_in(reader, texts["who"], (*path, "who"), "user")
    shown = _shown_in(reader, keys.get("with"), (*path, "with"))
    call = _call_in(reader, texts["call"], (*path, "call"))
    service = component_in(reader, texts["of"], (*path, "of")) if texts["of"] else ""
    known = environments_in(reader, [texts["in"]] if texts["in"] else [], (*path, "in"), environments)
    allowed, reason = _expected_in(reader, texts["expect"], (*path, "expect"))
    said = [texts["who"], texts["call"], *(f"{key} {texts[key]}" for key in ("of", "in") if texts[key])]
    name = texts["name"] or f"{' '.join(said)} → {texts['expect']}"
    return _checked(
        reader, path, Expectation(
            name, subject, call.method, call.path, call.host, call.operation, service, next(iter(known), ""),
            shown, allowed, reason, reader.locate(path),
        ),
    )  # fmt: skip


def _shown_in(reader: DemandReader, node: object, path: Path) -> Shown:
    keys = reader.mapping(node, path, SHOWN)
    flags = {}
    for key in ("mfa", "certificate"):
        value = keys.get(key, False)
        flags[key] = value is True
        if not isinstance(value, bool):
            reader.fault((*path, key), f"`{key}` must be `true` or `false`")
    address = reader.text(keys["from"], (*path, "from")) if "from" in keys else ""
    try:
        ip_address(address or "::")
    except ValueError:
        reader.fault((*path, "from"), f"`{address}` is no address", "write `10.1.2.3`")
    acting = reader.texts(keys.get("acting"), (*path, "acting"))
    return Shown(
        frozenset(reader.texts(keys.get("scopes"), (*path, "scopes"))),
        flags["mfa"],
        reader.duration(keys["signed-in"], (*path, "signed-in")) if "signed-in" in keys else 0,
        reader.text(keys["issuer"], (*path, "issuer")) if "issuer" in keys else "",
        address,
        flags["certificate"],
        component_in(reader, reader.text(keys["through"], (*path, "through")), path) if "through" in keys else "",
        tuple(filter(None, (subject_in(reader, each, (*path, "acting"), "component") for each in acting))),
    )


def _call_in(reader: DemandReader, text: str, path: Path) -> _Call:
    method, _, target = text.partition(" ")
    target = target.strip()
    if "://" in target or "://" in method:
        if method in METHODS:
            return _url_in(reader, method, target, path)
        reader.fault(path, f"`{method}` is no method that passes the door", did_you_mean(method.upper(), METHODS))
        return _NOTHING
    if not text or (method in METHODS and target and not target.startswith("/")):
        said = f"`{target}` is neither a URL nor a path" if text else "a test must say what is called"
        reader.fault(path, said, _FORM)
        return _NOTHING
    doing = doing_in(reader, text, path)
    if doing is None:
        return _NOTHING
    if doing.operation or doing.text in VERBS:  # a definition may call an operation `read`
        return _Call(operation=doing.text)
    if doing.template is None:
        reader.fault(path, f"`{text}` is no single call", "name a path, `GET /refunds`, or an operation")
        return _NOTHING
    return _Call(method, doing.template)


def _url_in(reader: DemandReader, method: str, url: str, path: Path) -> _Call:
    """Read as plainly as a request would be; what the door refuses unread is a slip here."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "") if parts.port != 0 else ""
        segments = tuple(unquote(each, errors="strict") for each in (parts.path or "/")[1:].split("/"))
    except (ValueError, UnicodeDecodeError):
        parts, host, segments = urlsplit(""), "", ("",)
    if parts.scheme not in ("http", "https") or not host:
        reader.fault(path, f"`{url}` is no URL", "write `https://payments.example.com/refunds`")
        return _NOTHING
    odd = any(each in (".", "..") or set(each) & set("/\\;\0") or not each.isprintable() for each in segments)
    if odd or "" in segments[:-1]:
        reader.fault(path, f"`{parts.path}` is no plain path", _REFUSED_PATH)
        return _NOTHING
    if any("{" in each or "}" in each for each in segments):
        reader.fault(path, f"`{parts.path}` has a variable", "write a value in its place: a test is one call")
        return _NOTHING
    return _Call(method, segments, host.lower())


def _expected_in(reader: DemandReader, text: str, path: Path) -> tuple[bool, str]:
    words = text.split()
    if not words or words[0] not in WORDS or len(words) > 2:
        hint = did_you_mean(words[0], WORDS) if words else ""
        reader.fault(path, f"`{text.strip()}` is nothing that a call comes to", hint or "write `permit` or `refused`")
        return False, ""
    allowed, reason = WORDS[words[0]], words[1] if len(words) > 1 else ""
    known, others = (PERMIT_ORDER, REFUSAL_ORDER) if allowed else (REFUSAL_ORDER, PERMIT_ORDER)
    if reason and reason not in known:
        said = f"`{reason}` is a reason to {'refuse' if allowed else 'permit'}" if reason in others else ""
        hint = did_you_mean(reason, known) or "reasons are " + ", ".join(f"`{each}`" for each in known)
        reader.fault(path, said or f"`{reason}` is no reason", hint)
    return allowed, reason


def _checked(reader: DemandReader, path: Path, found: Expectation) -> Expectation:
    """A URL names the exposure; everything else needs a service and an environment."""
    if found.host and found.service:
        reader.fault(path, "a URL says which service is called", "leave out `of`, or the host")
    elif not found.host and (found.path is not None or found.operation):
        if not found.service:
            reader.fault(path, "a call without a URL must say whose it is", "add `of SERVICE in ENVIRONMENT`")
        elif not found.environment:
            reader.fault(path, "a call without a URL must say where", "add `in ENVIRONMENT`")
        if found.path is not None and template_fault("/" + "/".join(found.path)):
            reader.fault(path, f"`/{'/'.join(found.path)}` is no path")
    return found
