"""Frames are plain, deterministic and readable by the table; one per exposure, blocks for the rest."""

from __future__ import annotations

import marshal
import random
import subprocess
import sys

from policy.compile import compile_frames
from policy.derive import derive
from policy.facts import Catalog, KeyField, Operation
from policy.statements import AccessPolicy, EnvironmentPolicy, Requirement, Role
from tests.support.policy_worlds import catalog, person, service, team

MFA = Requirement("person", "mfa")
POLICY = AccessPolicy(
    {"prod": EnvironmentPolicy("prod", ("all",), ("declared",), ("read",), requirements=(MFA,))},
    (Role("r", ("group:default/t1",), frozenset({"a", "b"})),),
)
KEYS = (KeyField("main", "person", "sub", "annotations.sub"), KeyField("main", "team", "groups", "metadata.name"))


def facts(shuffled: random.Random | None = None) -> Catalog:
    entities: list[object] = [
        *(team(f"t{n}", f"t{n // 2}", **{"metadata.name": f"t{n}"}) for n in range(1, 9)),
        *(person(f"p{n}", f"t{n % 8 + 1}", "t1", **{"annotations.sub": f"s{n}"}) for n in range(20)),
        *(
            service(
                f"s{n}",
                *(
                    Operation(
                        method, template, (frozenset({"r", "w", f"x{n}"}), frozenset({"admin"})), f"api:default/a{n}"
                    )
                    for template in ("/a", "/a/{x}", "/a/B", "/a/b", "/f-{x}.pdf", "/**")
                    for method in ("GET", "POST")
                ),
                access="everyone",
                consumes=("api:default/a0", "api:default/a1"),
                allow_consumers=tuple(f"component:default/s{m}" for m in range(12)),
                client_ids={"": f"c{n}"},
                options=frozenset({"assertion", "strip-prefix", "encoded-slashes"}),
            )
            for n in range(12)
        ),
    ]
    if shuffled:
        shuffled.shuffle(entities)
    return catalog(*entities)  # type: ignore[arg-type]  # facts of all kinds


def written(found: Catalog) -> dict[str, bytes]:
    frames = compile_frames(found, derive(found, POLICY, ("prod",)), KEYS)
    return {name: marshal.dumps(frame, 2) for name, frame in frames.items()}


def test_frames_are_named_by_kind() -> None:
    kinds = {name.partition("/")[0] for name in written(facts())}
    assert kinds == {"exposure", "why", "people", "keys", "teams", "workloads", "roles"}


def test_equal_facts_give_equal_bytes() -> None:
    """Whatever the order of the facts: only then may a frame's hash be its name."""
    plain = written(facts())
    for seed in range(5):
        assert written(facts(random.Random(seed))) == plain


def test_bytes_do_not_depend_on_the_process() -> None:
    """String hashing differs from process to process, and sets with it."""
    script = (
        "from tests.unit.policy.test_compile import *; from hashlib import sha256;"
        "print(sha256(repr(sorted(written(facts()).items())).encode()).hexdigest())"
    )
    outputs = {
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, env=seeded).stdout
        for seeded in ({"PYTHONHASHSEED": seed, "PYTHONPATH": "."} for seed in ("1", "2"))
    }
    assert len(outputs) == 1


def test_frames_are_plain() -> None:
    """marshal writes nothing but values: a frame can't hold a dataclass by mistake."""
    for content in written(facts()).values():
        marshal.loads(content)


def test_one_changed_service_changes_its_frames_alone() -> None:
    before = facts()
    services = dict(before.services)
    services["component:default/s3"] = service("s3", Operation("GET", "/new"), access="everyone", client_ids={"": "c3"})
    after = Catalog(before.people, before.teams, services)
    old, new = written(before), written(after)
    changed = {name for name in old if old[name] != new.get(name)}
    used = {f"{kind}/component:default/s{n}@prod" for kind in ("exposure", "why") for n in (0, 1)}
    assert changed == used | {"exposure/component:default/s3@prod"}, "s3, and those whose API it no longer uses"
