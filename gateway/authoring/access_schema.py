"""JSON Schema (2020-12) of the access policy, for editors and for pipelines that check it before it is merged.

The reader in `policy.access` is the authority; this says the same as far as a schema can: keys, words, forms of
durations and operations. It takes whatever the reader takes. What the reader alone knows (that a rule names known
environments, that `allow: anyone` lists operations) is for `stagedoor check`.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.config_load.schema import DIALECT
from policy.paths import METHODS

IDENTITY: Final = "https://stagedoor.dev/schemas/access-policy.json"
VERBS: Final = ("read", "write", "all")

Schema = dict[str, Any]


def access_schema() -> Schema:
    """The schema of one file that holds a whole access policy."""
    return {
        "$schema": DIALECT,
        "$id": IDENTITY,
        "title": "access policy",
        "description": "What the platform team allows, environment by environment.",
        **_mapping(
            {
                "version": {"const": 1},
                "environments": _named(
                    _environment(), "What a relation to a service is worth. A key left out: none.", nullable=False
                ),
                "roles": _named(_role(), "Scopes that members of a team have."),
                "scopes": _named(_scope(), "Scopes that stand for those of many operations."),
                "defaults": _list(_default(), "The access of services that do not state their own."),
                "rules": _list(_rule(), "Rules that stand on their own. A deny wins over everything."),
                "waive": _list(_waiver(), "Findings of `stagedoor lint` that are accepted for a time."),
                "tests": _one_or_many(_test(), "Calls and what they must come to."),
                "never": _one_or_many(_invariant("contractors any in prod"), "Who must never do what."),
                "only": _one_or_many(
                    _invariant("payments may createRefund of payments in prod"), "Who alone may do what."
                ),
            },
            required=["version", "environments"],
        ),
    }


def _mapping(keys: Schema, **more: Any) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": keys, **more}


def _named(inner: Schema, description: str, *, nullable: bool = True) -> Schema:
    entry = {"anyOf": [inner, *([{"type": "null"}] if nullable else [])]}
    pattern = "^[A-Za-z0-9][A-Za-z0-9_.:/-]*$"
    return {
        "description": description,
        "type": ["object", "null"],
        "additionalProperties": False,
        "patternProperties": {pattern: entry},
    }


def _list(inner: Schema, description: str) -> Schema:
    return {"description": description, "type": ["array", "null"], "items": inner}


def _one_or_many(item: Schema, description: str) -> Schema:
    return {"description": description, "anyOf": [item, {"type": "array", "items": item}, {"type": "null"}]}


def _words(words: tuple[str, ...], description: str) -> Schema:
    return _one_or_many({"enum": list(words)}, description)


def _texts(description: str) -> Schema:
    return _one_or_many({"type": "string", "pattern": r"\S"}, description)


def _people() -> Schema:
    one = {"anyOf": [{"const": "mfa"}, _mapping({"fresh": _duration("How long ago a sign-in may be.")})]}
    return _one_or_many(one, "What a person's sign-in must show.")


def _workloads() -> Schema:
    named = _mapping({"issuer": _texts("Whose tokens they must bring."), "network": _texts("Where they call from.")})
    return _one_or_many({"anyOf": [{"const": "certificate"}, named]}, "What a program must show.")


def _environment() -> Schema:
    return _mapping(
        {
            "owners": _words(VERBS, "What the owning team may do without asking."),
            "consumers": _words((*VERBS, "declared"), "What services that use its API may do."),
            "everyone": _words(VERBS, "What everyone known may do where the owner opens a service to all."),
            "groups": _words(VERBS, "What teams named in `allow-groups` may do."),
            "consent": {"enum": ["named", "same-system", "any"], "description": "Which consumers count."},
            "public": {"enum": ["never", "declared"], "description": "Whether owners may open operations to anyone."},
            "people": _mapping({"require": _people()}),
            "workloads": _mapping({"require": _workloads()}),
            "temporary": _mapping(
                {
                    "longest": _duration("How long temporary access may last."),
                    "approvers": _texts("`owners`, or refs of teams."),
                    "reason": {"enum": ["required", "optional"]},
                },
                required=["longest"],
            ),
        }
    )


def _duration(description: str) -> Schema:
    return {
        "description": description, "type": "string", "pattern": "^[1-9][0-9]{0,6}[smhd]$", "examples": ["30s", "8h"],
    }  # fmt: skip


def _role() -> Schema:
    return _mapping({"groups": _texts("Refs of teams."), "scopes": _texts("Scopes their members have.")})


def _selector() -> Schema:
    return {
        "service": _texts("Components, by ref."),
        "system": _texts("All services of a system."),
        "domain": _texts("All services of a domain."),
        "api": _texts("Services that provide an API."),
        "type": _texts("Services of a type, such as `website`."),
        "tag": _texts("Services with a tag."),
    }


def _methods() -> Schema:
    return _words(METHODS, "HTTP methods.")


def _scope() -> Schema:
    return _mapping({**_selector(), "methods": _methods()})


def _default() -> Schema:
    return _mapping(
        {
            "for": _mapping(_selector(), minProperties=1, description="Left out: all services."),
            "access": {"enum": ["owners", "consumers", "everyone"]},
            "in": _texts("Environments; left out: all."),
        },
        required=["access"],
    )


def _rule() -> Schema:
    operation = {"type": "string", "pattern": rf"^\s*({'|'.join(METHODS)}) \s*/", "examples": ["POST /webhooks/github"]}
    subject = {"type": "string", "examples": ["group:default/support", "all-people", "anyone"]}
    return _mapping(
        {
            "allow": _one_or_many(subject, "Who may: refs, `all-people`, `all-workloads` or `anyone`."),
            "deny": _one_or_many(subject, "Who must never."),
            "to": _mapping(_selector(), description="Which services: every key must agree, one value is enough."),
            "in": _texts("Environments. An allow must name them; a deny without them holds in all."),
            "methods": _methods(),
            "operations": _one_or_many(operation, "Method and path template."),
            "scopes": _texts("Scopes this rule confers."),
            "require": {
                "description": "What must be shown: a list for people, or `{people: …, workloads: …}`.",
                "anyOf": [_people(), _mapping({"people": _people(), "workloads": _workloads()})],
            },
            "except": _words(("grants",), "What a deny spares."),
            "because": {"type": "string", "pattern": r"\S", "description": "The reason, for those it is refused to."},
        },
        required=["because"],
        oneOf=[{"required": ["allow"]}, {"required": ["deny"]}],
    )


def _waiver() -> Schema:
    return _mapping(
        {
            "finding": {"type": "string", "pattern": r"\S", "description": "Its id, or with `for` its kind."},
            "for": {"type": "string", "pattern": r"\S", "description": "What it is about: a ref, a rule, …"},
            "until": {
                "type": "string",
                "pattern": r"^\s*[0-9]{4}-[0-9]{2}-[0-9]{2}\s*$",
                "description": "The last day.",
            },
            "because": {"type": "string", "pattern": r"\S", "description": "Why it is accepted."},
        },
        required=["finding", "until", "because"],
    )


def _text(description: str, *examples: str) -> Schema:
    return {"type": "string", "pattern": r"\S", "description": description, "examples": list(examples)}


def _test() -> Schema:
    line = {
        "type": "string",
        "pattern": r"\S.*(→|->)\s*(permit|permitted|allowed|refused)(\s+[a-z_]+)?\s*$",
        "examples": ["jane GET https://payments.example.com/refunds in prod → refused no_rule"],
    }
    shown = _mapping(
        {
            "scopes": _texts("Scopes in the token, which then bound what it may do."),
            "mfa": {"type": "boolean"},
            "signed-in": _duration("How long ago."),
            "issuer": _text("Whose token it is."),
            "from": _text("The address of the client.", "10.1.2.3"),
            "certificate": {"type": "boolean", "description": "With a verified client certificate."},
            "through": _text("The component that carries a person's token.", "component:default/web"),
            "acting": _texts("Who acts for the caller."),
        },
        description="What the caller shows.",
    )
    return {
        "anyOf": [
            line,
            _mapping(
                {
                    "who": _text("Who calls.", "jane", "component:default/orders", "anyone"),
                    "with": {"anyOf": [shown, {"type": "null"}]},
                    "call": _text("What is called.", "GET https://payments.example.com/refunds", "createRefund"),
                    "of": _text("Whose operation it is.", "payments"),
                    "in": _text("The environment.", "prod"),
                    "expect": _text("What it must come to.", "permit", "refused no_rule"),
                    "name": _text("What it is called in reports."),
                },
                required=["who", "call", "expect"],
            ),
        ]
    }


def _invariant(example: str) -> Schema:
    return {
        "anyOf": [
            {"type": "string", "pattern": r"\S\s+\S", "examples": [example]},
            _mapping(
                {
                    "who": _texts("Refs, `all-people`, `all-workloads`, `anyone`; a bare name is a team."),
                    "do": _texts("`any`, `read`, `write`, a method, `POST /refunds` or an operation's name."),
                    "of": {
                        "description": "Which services; left out: all.",
                        "anyOf": [_texts("Services."), _mapping(_selector())],
                    },
                    "in": _texts("Environments; left out: all."),
                    "because": _text("The reason, for people."),
                    "name": _text("What it is called in reports."),
                },
                required=["who", "do"],
            ),
        ]
    }
