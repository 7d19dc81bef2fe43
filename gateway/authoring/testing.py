"""`stagedoor test` as values: what is asked, of which table, what came of it, and the forms that CI systems read.

Offline the table is compiled from the files, as the engine compiles them. Of a running node it is the one that its
doors serve, with the tests and invariants of the access policy in force there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from xml.etree import ElementTree as xml

from gateway import config, documents
from gateway.engine.access_files import MAX_BYTES, read_access_texts
from gateway.engine.journal import Journal
from gateway.engine.offline import Compilation, compile_offline
from gateway.engine.sources.assembly import Assembler, Bounds
from gateway.errors import ConfigError
from gateway.questions.explain import WhyFrames
from gateway.questions.rights import source_as_json, why_of
from gateway.snapshot import BaseLoader
from gateway.terminal import plain
from policy.access import AccessPolicy
from policy.claims import key_of
from policy.facts import Catalog, Permit, Source
from policy.promises.promised import Proof, Report, place_in, read_promises, report_of
from policy.promises.proofs import Breach, Place
from policy.promises.trials import Trial
from policy.reading import Fault
from policy.statements import Expectation, Invariant
from policy.table import Table

Status = Literal["passed", "failed", "void"]
SHOWN: Final = 20  # breaches of one invariant


class Asked(NamedTuple):
    """Everything that a run stands on. ``faults`` are of what was read, the catalog's among them."""

    expectations: tuple[Expectation, ...]
    invariants: tuple[Invariant, ...]
    table: Table
    why: WhyFrames
    places: Mapping[str, Place]
    faults: Sequence[Fault] = ()


class Finding(NamedTuple):
    """One decision that a result rests on: who calls what, by which rule."""

    caller: str
    exposure: str
    operation: str
    decision: str  # "permit owner", "refused no_rule"
    rule: str
    sentence: str
    source: Source


class Result(NamedTuple):
    """What came of one test or invariant. ``void``: what in it names nobody or nothing; ``todo``: what to do then. It
    is void when nothing else is wrong with it."""

    kind: Literal["test", "never", "only"]
    name: str
    status: Status
    source: Source
    expected: str
    findings: tuple[Finding, ...]
    void: str = ""
    todo: str = ""
    because: str = ""
    decided: int = 0  # exposures


def asked_offline(settings: config.Settings, files: Sequence[Path]) -> Asked:
    """Raises `ConfigError` when the access policy, or one of the files, cannot be used."""
    compiled = compile_offline(settings)
    policy = _usable(compiled.access.policy, compiled.access.faults)
    expectations, invariants = _promises(policy, files)
    return asked_of(compiled, policy)._replace(expectations=expectations, invariants=invariants)


def asked_of(compiled: Compilation, policy: AccessPolicy) -> Asked:
    """What the access policy itself says, over its own compilation."""
    places = {each.key: place_in(each.service, each.operations) for each in compiled.published}
    return Asked(policy.expectations, policy.invariants, compiled.table, compiled.why, places, compiled.faults)


def asked_of_node(settings: config.Settings, files: Sequence[Path]) -> Asked:
    """What the doors of the node in this state folder serve. Raises `ConfigError` when nothing was published yet."""
    folder = Path(settings.state_folder)
    if not (folder / "frames").is_dir():
        raise ConfigError(f"no node has published anything in `{folder}`")
    loader = BaseLoader(folder, with_why=True)
    table, journal = loader.load(), Journal(folder)
    sections = journal.sections
    if loader.fault or not table.ready or not sections["access"]:
        raise ConfigError(loader.fault or journal.fault or f"no node has published anything in `{folder}`")
    access = read_access_texts(sections["access"])
    expectations, invariants = _promises(_usable(access.policy, access.faults), files)
    assembler = Assembler(Bounds(settings.environments, settings.central_host))
    catalog = assembler.facts(sections["entities"], sections["routes"]).catalog
    return Asked(expectations, invariants, table, loader.why, _places_in(catalog, table), ())


def _usable(policy: AccessPolicy | None, faults: Iterable[Fault]) -> AccessPolicy:
    if policy is None:
        raise ConfigError("\n".join(plain(str(fault)) for fault in faults if fault.severity == "error"))
    return policy


def _promises(policy: AccessPolicy, files: Sequence[Path]) -> tuple[tuple[Expectation, ...], tuple[Invariant, ...]]:
    """Those of the files, or of the access policy when none is named."""
    if not files:
        return policy.expectations, policy.invariants
    expectations: list[Expectation] = []
    invariants: list[Invariant] = []
    faults: list[Fault] = []
    for file in files:
        found, spoiled = documents.read_file(file, max_bytes=MAX_BYTES)
        faults += [*spoiled, *(fault for document in found for fault in document.faults)]
        for document in found:
            tests, never_and_only, wrong = read_promises(document.value, document.locate, tuple(policy.environments))
            expectations += tests
            invariants += never_and_only
            faults += wrong
    if faults:
        raise ConfigError("\n".join(plain(str(fault)) for fault in faults))
    return tuple(expectations), tuple(invariants)


def _places_in(catalog: Catalog, table: Table) -> dict[str, Place]:
    return {
        key: place_in(service, service.operations)
        for ref, service in catalog.services.items()
        for key in (key_of(ref, exposure.environment) for exposure in service.exposures)
        if key in table.exposures
    }


def only_named(asked: Asked, names: Sequence[str]) -> Asked:
    """The tests and invariants whose text holds one of the names, case aside."""
    words = [name.casefold() for name in names]

    def is_named(name: str) -> bool:
        return any(word in name.casefold() for word in words)

    return asked._replace(
        expectations=tuple(each for each in asked.expectations if is_named(each.name)),
        invariants=tuple(each for each in asked.invariants if is_named(each.name)),
    )


def results_of(asked: Asked, now: int) -> list[Result]:
    report: Report = report_of(asked.expectations, asked.invariants, asked.table, asked.places, now)
    results = [_of_trial(each, asked.why) for each in report.trials]
    return results + [_of_proof(each, asked.why) for each in report.proofs]


def _of_trial(trial: Trial, why: WhyFrames) -> Result:
    expectation, verdict = trial.expectation, trial.verdict
    expected = f"{'permit' if expectation.allowed else 'refused'} {expectation.reason}".strip()
    plain = Result("test", expectation.name, "passed", expectation.source, expected, ())
    if verdict is None:
        return plain._replace(status="void", void=trial.void, todo=trial.hint)
    decision = f"{'permit' if isinstance(verdict, Permit) else 'refused'} {verdict.reason}"
    operation = verdict.operation or trial.request
    finding = _finding(expectation.subject, trial.exposure, operation, decision, verdict.rule, why)
    return plain._replace(status="passed" if trial.passed else "failed", findings=(finding,))


def _of_proof(proof: Proof, why: WhyFrames) -> Result:
    invariant = proof.invariant
    expected = "nobody of these may" if invariant.kind == "never" else "nobody else may"
    status: Status = "failed" if proof.breaches else "void" if proof.void else "passed"
    findings = tuple(_of_breach(each, why) for each in proof.breaches)
    return Result(
        invariant.kind, invariant.name, status, invariant.source, expected, findings, proof.void, proof.hint,
        invariant.because, proof.decided,
    )  # fmt: skip


def _of_breach(breach: Breach, why: WhyFrames) -> Finding:
    permit = breach.permit
    decision = f"permit {permit.reason}"
    return _finding(breach.caller.replace("`", ""), breach.exposure, permit.operation, decision, permit.rule, why)


def _finding(caller: str, exposure: str, operation: str, decision: str, rule: str, why: WhyFrames) -> Finding:
    told = why_of(why, exposure, rule)
    return Finding(caller, exposure, operation, decision, rule, told.sentence, told.source)


def counts_of(results: Iterable[Result]) -> dict[str, int]:
    counts = {"passed": 0, "failed": 0, "void": 0}
    for each in results:
        counts[each.status] += 1
    return counts


def results_as_json(results: Iterable[Result]) -> list[dict[str, Any]]:
    """The stable form: every key is always there."""
    return [
        {
            "kind": each.kind,
            "name": each.name,
            "status": each.status,
            "source": source_as_json(each.source),
            "expected": each.expected,
            "because": each.because,
            "void": each.void,
            "todo": each.todo,
            "decided": each.decided,
            "findings": [{**finding._asdict(), "source": source_as_json(finding.source)} for finding in each.findings],
        }
        for each in results
    ]


def junit_of(results: Sequence[Result], seconds: float) -> str:
    """JUnit XML as CI systems read it: a suite of tests and one of invariants, what is void as an error."""
    counts = counts_of(results)
    root = xml.Element("testsuites", _suite_counts("stagedoor", results, counts, seconds))
    for name, kinds in (("tests", ("test",)), ("invariants", ("never", "only"))):
        members = [each for each in results if each.kind in kinds]
        suite = xml.SubElement(root, "testsuite", _suite_counts(name, members, counts_of(members), seconds))
        for each in members:
            suite.append(_case(each))
    xml.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + xml.tostring(root, encoding="unicode") + "\n"


def _suite_counts(name: str, results: Sequence[Result], counts: Mapping[str, int], seconds: float) -> dict[str, str]:
    return {
        "name": name,
        "tests": str(len(results)),
        "failures": str(counts["failed"]),
        "errors": str(counts["void"]),
        "skipped": "0",
        "time": f"{seconds:.3f}",
    }


def _case(result: Result) -> xml.Element:
    place = {"file": _spelled(result.source.file), "line": str(max(result.source.line, 1))}
    name = {"classname": f"stagedoor.{result.kind}", "name": _spelled(result.name), "time": "0.000"}
    case = xml.Element("testcase", {**name, **place})
    if result.status != "passed":
        failed = result.status == "failed"
        said = {"message": _spelled(sentence_of(result)), "type": result.status}
        xml.SubElement(case, "failure" if failed else "error", said).text = _spelled("\n".join(lines_of(result)))
    return case


def sentence_of(result: Result) -> str:
    """What came of it, in one line."""
    if result.status == "void":
        return f"says nothing: {result.void}"
    if result.kind == "test":
        return f"expected {result.expected}, got {result.findings[0].decision}"
    number = len(result.findings)
    return f"broken on {number} {'exposure' if number == 1 else 'exposures'} of {result.decided}"


def lines_of(result: Result) -> list[str]:
    """Where it is said, and each decision with its rule."""
    lines = [f"at {result.source.file}:{result.source.line}"]
    lines += [f"note: {result.void}"] if result.void else []
    for each in result.findings[:SHOWN]:
        lines.append(f"{each.caller}: {each.operation} of {each.exposure or 'no exposure'} is {each.decision}")
        if each.rule:
            lines.append(f"by {each.rule} ({each.source.file}:{each.source.line}): {each.sentence}")
    if len(result.findings) > SHOWN:
        lines.append(f"and {len(result.findings) - SHOWN} more exposures")
    return [*lines, f"to do: {result.todo}"] if result.todo else lines


def _spelled(text: str) -> str:
    """XML 1.0 has no place for most control characters, not even escaped (section 2.2)."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )
