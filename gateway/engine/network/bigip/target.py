"""One environment on one BIG-IP device group, as the reconciler sees it.

Puts together what the other files know: reading (`observe`), telling (`differences`, `drifting`) and carrying out
(`applying`). What is written is rendered by somebody else and checked here once more, because a plan may come out of
a file that people can edit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from gateway.config.devices import BigipEnvironment
from gateway.engine.network.bigip.applying import Applying
from gateway.engine.network.bigip.as3.apm import remarks_on
from gateway.engine.network.bigip.as3.lint import APPLICATIONS, MANY, faults_of
from gateway.engine.network.bigip.as3.names import MARK, MOST_APPLICATIONS, SERVICE, tenant_name, word
from gateway.engine.network.bigip.as3.records import policy_in, stamp
from gateway.engine.network.bigip.as3.schema import schema_faults
from gateway.engine.network.bigip.device.answers import Answer
from gateway.engine.network.bigip.device.declaring import dry_run, wrapped
from gateway.engine.network.bigip.device.observe import observe
from gateway.engine.network.bigip.device.references import uncovered
from gateway.engine.network.bigip.device.units import DeviceGroup
from gateway.engine.network.bigip.drains import drains_of, with_drains, without_drains
from gateway.engine.network.bigip.objects import at_port
from gateway.engine.network.bigip.review.comparison import Spellings, foreign
from gateway.engine.network.bigip.review.differences import deletions, ordered, repairs, steps_between
from gateway.engine.network.bigip.review.drifting import drifts
from gateway.engine.network.desired import Desired
from gateway.engine.network.faults import Busy, Rejected
from gateway.engine.network.plans.phrases import clean, some, word_of
from gateway.engine.network.plans.plan import Drift, Observed, Outcome, Plan, Step
from gateway.engine.network.transport.texts import shown

Render = Callable[[Desired], dict[str, Any]]
_TOLD_FAULTS: Final = 3


class BigipTarget:
    """``render`` makes the declaration of what is desired: an ADC with the environment's tenant."""

    def __init__(self, group: DeviceGroup, environment: BigipEnvironment, render: Render) -> None:
        self.device = group.device.name
        self.environment = environment.environment
        self._group = group
        self._settings = environment
        self._render = render
        self._name = tenant_name(group.device.tenant_prefix, environment.environment)
        self._spellings = Spellings()
        self._configured = tuple(map(_as_shown, group.device.members))

    async def observe(self) -> Observed:
        """From the active unit, nothing written. Raises `DeviceFault`."""
        client = await self._group.reading()
        return (await observe(client, self._name, self._settings)).observed

    def plan(self, desired: Desired, observed: Observed, made: str) -> Plan:
        content = self._render(desired)
        drains = drains_of(observed.parts)
        hosts = [place.host for place in desired.places]
        return Plan(
            device=self.device,
            environment=self.environment,
            made=made,
            version=desired.version,
            fingerprint=observed.fingerprint,
            steps=self.steps(content, observed),
            content={**content, self._name: with_drains(self._name, content[self._name], drains)},
            remarks=(
                *observed.remarks,
                *filter(None, [uncovered(hosts, observed.parts), _many(content[self._name])]),
                *remarks_on(self._settings, desired, owners := _owners(content[self._name])),
                *_without(self._settings, desired, owners),
            ),
        )

    def steps(self, content: Any, observed: Observed) -> tuple[Step, ...]:
        """What sending ``content`` would do, whoever's the tenant is now."""
        after = without_drains(self._name, _tenant_in(content, self._name))
        before = without_drains(self._name, _tenant_in(observed.content, self._name))
        steps = [*steps_between(self._name, self.environment, before, after, self._configured)]
        if before:
            steps += repairs(self._name, before, after, observed.parts, self._spellings)
        if steps:
            steps += deletions(foreign(self._name, before, observed.parts))
        return ordered(steps)

    async def apply(self, plan: Plan, by: str = "") -> Outcome:
        """One at a time for the whole device group. ``by`` is in our trail alone: a declaration that names people would
        be another one for each of them. Raises `DeviceFault`."""
        self._check(plan)
        if self._group.writing.locked():
            raise Busy(f"`{self.device}` is being written to already")
        async with self._group.writing:
            return await Applying(self._group, self._name, self._settings, self._spellings, plan).outcome()

    def drift(self, desired: Desired, applied: Any, observed: Observed) -> tuple[Drift, ...]:
        wanted = _tenant_in(self._render(desired), self._name)
        made = drifts(self._name, self.environment, desired.version, wanted, applied, observed, self._spellings)
        return tuple(replace(each, object=clean(each.object), sentence=clean(each.sentence)) for each in made)

    async def dry_run(self, plan: Plan) -> tuple[str, ...]:
        """What AS3 itself would do, object by object. Takes AS3's lock and marks an HA group `Changes Pending`."""
        self._check(plan)
        async with self._group.writing:
            client = await self._group.active()
            sight = await observe(client, self._name, self._settings)
            tenant = with_drains(self._name, plan.content[self._name], drains_of(sight.observed.parts))
            request = wrapped(plan.content, self._name, tenant, sight.lock_key)
            answer = await dry_run(client, self._name, request, _always)
        return _told(self._name, answer)

    def _check(self, plan: Plan) -> None:
        """Raises `Rejected` for a plan of somewhere else, or one whose content may not be sent."""
        if (plan.device, plan.environment) != (self.device, self.environment):
            where = f"`{plan.device}` {plan.environment}"
            raise Rejected(f"the plan is for {where}, not for `{self.device}` {self.environment}")
        if not isinstance(plan.content, dict):
            raise Rejected("the plan holds no declaration")
        own = [key for key, value in plan.content.items() if isinstance(value, dict) and value.get("class") == "Tenant"]
        if own != [self._name] or plan.content[self._name].get("label") != MARK:
            raise Rejected(f"the plan's declaration must hold tenant `{self._name}` with label `{MARK}` and no other")
        noted = policy_in(plan.content[self._name], word(self.environment))
        if noted != word(plan.version):
            raise Rejected(f"the plan is for policy {word_of(plan.version)}, its declaration notes {word_of(noted)}")
        faults = faults_of(plan.content) or schema_faults(plan.content, self._group.device.as3_schema)
        if faults:
            told = "; ".join(faults[:_TOLD_FAULTS])
            more = f" and {len(faults) - _TOLD_FAULTS} more" if len(faults) > _TOLD_FAULTS else ""
            raise Rejected(f"the plan's declaration may not be sent: {told}{more}")


def _tenant_in(content: Any, name: str) -> Mapping[str, Any]:
    tenant = content.get(name) if isinstance(content, dict) else None
    return tenant if isinstance(tenant, dict) else {}


def _owners(tenant: Mapping[str, Any]) -> set[str]:
    """Components with an address of their own."""
    services = (each.get(SERVICE) for each in tenant.values() if isinstance(each, dict))
    return {stamp(service, "entity") for service in services if isinstance(service, dict)}


def _without(environment: BigipEnvironment, desired: Desired, owners: set[str]) -> Iterator[str]:
    """Of `addresses: pool`: who has none."""
    entities = {place.entity for place in desired.places}
    without = sorted(entities - owners) if environment.addresses == "pool" else []
    if without:
        why = f"`networks` are full, or {MOST_APPLICATIONS:,} have one, or they are called like another"
        yield f"{len(without)} of {len(entities)} services have no address, {some(without)}: {why}"


def _many(tenant: Mapping[str, Any]) -> str:
    number = sum(isinstance(each, dict) and each.get("class") == "Application" for each in tenant.values()) - 1
    return MANY.format(number) if number > APPLICATIONS else ""


def _as_shown(member: str) -> str:
    """A member of the settings as a device writes it."""
    host, _, port = member.rpartition(":")
    return at_port(host.strip("[]"), port)


async def _always() -> bool:
    await asyncio.sleep(0)
    return True


_DID: Final = {"N": "makes", "D": "deletes", "E": "changes", "A": "changes"}


def _told(name: str, answer: Answer) -> tuple[str, ...]:
    """The differences in the trace of a dry run, one sentence each."""
    traces = answer.members.get("traces")
    listed = traces.get(f"{name}Diff") if isinstance(traces, dict) else None
    sentences = []
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and isinstance(each.get("path"), list):
            words = [shown(str(word)) for word in each["path"]]
            said = f"AS3 {_DID.get(str(each.get('kind')), 'touches')} `{' '.join(words)}`"
            if each.get("kind") == "E":
                said += f" from {word_of(each.get('lhs'))} to {word_of(each.get('rhs'))}"
            sentences.append(said + ".")
    return tuple(sentences)
