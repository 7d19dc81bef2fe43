"""The rules that firewalls are to get: may the administrator that writes them do so, and is what they refer to there?

Asked of the active unit with the key that commits, by the same questions that stand before a change. Nothing is
changed, locked or validated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.config.devices import Panos, PanosEnvironment
from gateway.doctor.firewalls import FIREWALL, LIMITS
from gateway.doctor.lines import Line, counted, fail, ok, warn
from gateway.engine.network.faults import Busy, DeviceFault, Unreachable
from gateway.engine.network.panos.commit.change import Change
from gateway.engine.network.panos.commit.preflight import preflight
from gateway.engine.network.panos.device.locks import whoami
from gateway.engine.network.panos.device.units import Units
from gateway.engine.network.panos.rules.block import Block
from gateway.engine.network.transport.patience import Time


def with_rules(device: Panos) -> tuple[PanosEnvironment, ...]:
    """The environments whose rules it gets."""
    return tuple(each for each in device.environments if each.has_rules)


async def rules(device: Panos) -> Sequence[Line]:
    """A line an environment."""
    units = Units(replace(device, key_files=device.rules_key_files or device.key_files), Time(), LIMITS)
    lines: list[Line] = []
    try:
        for each in with_rules(device):
            lines += [await _line(units, each)]
    except Unreachable as fault:  # nor would it answer for the others
        return [*lines, *(_failed(_name(device, each), fault) for each in with_rules(device)[len(lines) :])]
    else:
        return lines
    finally:
        await units.close()


async def _line(units: Units, environment: PanosEnvironment) -> Line:
    """Raises `Unreachable`."""
    name = _name(units.device, environment)
    try:
        return await _looked(units, environment, name)
    except Busy as fault:
        return warn(FIREWALL, name, str(fault), "ask again when that is over: no rule is changed meanwhile")
    except Unreachable:
        raise
    except DeviceFault as fault:
        return _failed(name, fault)


def _name(device: Panos, environment: PanosEnvironment) -> str:
    return f"{device.name} rules of {environment.environment}"


def _failed(name: str, fault: DeviceFault) -> Line:
    what, _, fix = str(fault).rpartition("; ")
    return fail(FIREWALL, name, what or str(fault), fix if what else "no rule is written before that is mended")


async def _looked(units: Units, environment: PanosEnvironment, name: str) -> Line:
    client, availability = await units.active_with_state()
    administrator, block = await whoami(client), Block(units.device, environment.environment)
    sighted = await block.sighted(client, "running")
    nothing = _referring(block.change(sighted.content, sighted.content), environment)
    await preflight(client, units.device, availability, nothing, administrator)
    if sighted.faults:
        return fail(FIREWALL, name, *sighted.faults[0])
    count = counted(len(sighted.content["rules"]), "rule")
    return ok(FIREWALL, name, f"`{administrator}` reads {count}; their place and what they refer to are there")


def _referring(change: Change, environment: PanosEnvironment) -> Change:
    """The same, about everything that the settings name."""
    legs = [leg for leg in (environment.front, environment.back, environment.direct) if leg is not None]
    return replace(
        change,
        zones=frozenset(zone for leg in legs for zone in (*leg.from_zones, *leg.to_zones)),
        log_settings=frozenset(each for each in [environment.log_setting] if each),
        profile_groups=frozenset(each for each in [environment.profile_group] if each),
    )
