"""One environment on a device group: whole applies over real TLS, and everything that may go wrong on the way."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial, wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gateway.config.devices import Bigip
from gateway.engine.network.bigip.as3.declaration import declaration_of
from gateway.engine.network.bigip.device.units import DeviceGroup
from gateway.engine.network.bigip.target import BigipTarget
from gateway.engine.network.faults import Busy, Outdated, Rejected, Unknown, Unreachable
from gateway.engine.network.plans.plan import Difference, Kind, Plan
from tests.support.declarations import desired, environment, place
from tests.support.scripted_device import (
    DECLARE,
    LOCKED,
    MCPD_LOST,
    NO_TOKEN,
    NOT_REGISTERED,
    RESTARTING,
    FakeTime,
    Script,
    ScriptedDevice,
    breaks_off,
    group_of,
    says,
    scripted,
    settings_of,
)

NAME = "stagedoor_prod"
POOL = f"/{NAME}/Shared/pool"
MEMBER = "192.0.2.21:8443"
SHOP, PAY, NEWS = place("shop"), place("pay", owner="group:default/money"), place("news")


class Scene(NamedTuple):
    device: ScriptedDevice
    standby: ScriptedDevice
    group: DeviceGroup
    target: BigipTarget
    clock: FakeTime

    async def plan(self, *places: Any, version: str = "abcdefghijkl") -> Plan:
        return self.target.plan(desired(*places, version=version), await self.target.observe(), "2026-01-01T00:00:00Z")

    async def applied(self, *places: Any) -> Plan:
        plan = await self.plan(*places)
        assert (await self.target.apply(plan)).done
        return plan


@asynccontextmanager
async def scene(folder: Path, *, pair: bool = False, **changes: Any) -> AsyncIterator[Scene]:
    clock = FakeTime()
    clock.share = 0.01
    async with scripted(folder) as device, scripted(folder) as standby:
        standby.failover = "STANDBY"
        units = (device, standby) if pair else (device,)
        settings = settings_of(folder, *units, **changes)
        async with group_of(settings, clock) as group:
            yield Scene(device, standby, group, target_of(group, settings), clock)


def target_of(group: DeviceGroup, settings: Bigip) -> BigipTarget:
    at = environment()
    render = partial(declaration_of, device=settings, environment=at, assigned={})
    return BigipTarget(group, at, render)


def run(folder: Path, play: Callable[[Scene], Coroutine[Any, Any, None]], **changes: Any) -> None:
    async def whole() -> None:
        async with scene(folder, **changes) as it:
            await play(it)

    asyncio.run(whole())


def played(**changes: Any) -> Callable[[Callable[..., Coroutine[Any, Any, None]]], Callable[..., None]]:
    """Makes a test of a play: it gets a scene of its own, of which ``changes`` say how it is."""

    def made(play: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
        @wraps(play)
        def test(tmp_path: Path, **given: Any) -> None:
            run(tmp_path, lambda it: play(it, **given), **changes)

        _, *others = signature(play).parameters.values()
        where = Parameter("tmp_path", Parameter.POSITIONAL_OR_KEYWORD)
        test.__signature__ = Signature([where, *others])  # type: ignore[attr-defined]  # what pytest asks for
        return test

    return made


def sent_to(device: ScriptedDevice) -> list[dict[str, Any]]:
    return [body for body in device.bodies if isinstance(body, dict) and body.get("class") == "AS3"]


def posts(device: ScriptedDevice) -> list[str]:
    return [call for call in device.asked(f"POST {DECLARE}") if "dryRun" not in call]


# === the day's work ===


@played()
async def test_a_first_apply_makes_the_tenant_and_the_same_again_changes_nothing(it: Scene) -> None:
    plan = await it.plan(SHOP, PAY)
    assert {step.kind for step in plan.steps} == {Kind.ADD}
    outcome = await it.target.apply(plan)
    assert outcome.done
    assert outcome.changed
    assert outcome.task
    again = await it.plan(SHOP, PAY)
    assert again.steps == ()
    assert again.fingerprint == outcome.fingerprint
    assert (await it.target.apply(again)).changed is False
    assert len(posts(it.device)) == 1


@played()
async def test_an_addition_a_change_and_a_removal_are_sent_with_the_lock_key_to_their_own_tenant(it: Scene) -> None:
    await it.applied(SHOP, PAY)
    key = it.device.key()
    plan = await it.plan(replace(SHOP, owner="group:default/other"), NEWS, version="bbbbbbbbbbbb")
    assert [step.kind for step in plan.steps] == [Kind.REMOVE, Kind.CHANGE, Kind.CHANGE, Kind.ADD]
    assert (await it.target.apply(plan)).done
    assert posts(it.device)[-1] == f"POST {DECLARE}/{NAME}?async=true"
    sent = next(each for each in reversed(it.device.bodies) if each and each.get("class") == "AS3")
    assert (sent["action"], sent["persist"]) == ("deploy", True)
    assert sent["declaration"]["updateMode"] == "selective"
    assert sent["declaration"][NAME]["optimisticLockKey"] == key
    assert (await it.target.observe()).entities == ("component:default/news", "component:default/shop")


@played()
async def test_a_declaration_that_is_answered_at_once_is_as_good(it: Scene) -> None:
    it.device.async_posts = False
    outcome = await it.target.apply(await it.plan(SHOP))
    assert outcome.done
    assert outcome.task == ""


@played(pair=True)
async def test_a_poll_asks_fewer_than_twenty_requests_logins_included(it: Scene) -> None:
    await it.target.observe()
    assert it.group.requests < 20
    await it.applied(SHOP)
    before = it.group.requests
    await it.target.observe()
    assert it.group.requests - before < 20
    assert it.device.given == it.standby.given == 1


# === what is not ours stays ===


@played()
async def test_a_tenant_without_our_mark_is_shown_and_not_written_to(it: Scene) -> None:
    plan = await it.plan(SHOP)
    it.device.declare({"class": "ADC", "id": "cis", NAME: {"class": "Tenant", "label": "somebody"}})
    assert not (await it.target.observe()).ours
    with pytest.raises(Rejected, match="does not carry our mark"):
        await it.target.apply(replace(plan, fingerprint=(await it.target.observe()).fingerprint))
    assert posts(it.device) == []
    adopted = replace(await it.plan(SHOP), adopts=True)
    assert (await it.target.apply(adopted)).done


@played()
async def test_a_partition_that_somebody_filled_by_hand_is_not_ours_either(it: Scene) -> None:
    it.device.objects["pool"] = [{"fullPath": f"/{NAME}/legacy", "name": "legacy", "membersReference": {}}]
    observed = await it.target.observe()
    assert observed.content is None
    assert not observed.ours
    with pytest.raises(Rejected, match="mark"):
        await it.target.apply(await it.plan(SHOP))


@played()
async def test_a_plan_of_another_state_is_outdated(it: Scene) -> None:
    await it.applied(SHOP)
    plan = await it.plan(SHOP, PAY)
    other = {**it.device.declaration, "id": "cis"} if it.device.declaration else {}
    it.device.declare({**other, NAME: {**other[NAME], "remark": "by somebody"}})
    with pytest.raises(Outdated):
        await it.target.apply(plan)
    assert len(posts(it.device)) == 1


@played()
async def test_an_object_edited_by_hand_since_outdates_a_plan_too(it: Scene) -> None:
    await it.applied(SHOP)
    plan = await it.plan(SHOP, PAY)
    it.device.item("pool", POOL)["loadBalancingMode"] = "least-connections-member"
    with pytest.raises(Outdated):
        await it.target.apply(plan)


@played()
async def test_another_writer_between_reading_and_sending_is_noticed_by_the_lock_key(it: Scene) -> None:
    await it.applied(SHOP)
    plan = await it.plan(SHOP, PAY)
    mismatch = "The hash you submitted does not match the hash on the current Tenant. This usually indicates"
    result = {"code": 422, "message": mismatch, "tenant": NAME, "host": "localhost"}
    it.device.script("POST", DECLARE, says(422, {"results": [result], "code": 422}))
    with pytest.raises(Outdated):
        await it.target.apply(plan)


@played()
async def test_a_drained_member_stays_drained_and_no_drain_outdates_a_plan(it: Scene) -> None:
    await it.applied(SHOP)
    plan = await it.plan(SHOP, PAY)
    it.device.member(POOL, MEMBER).update(session="user-disabled", state="user-down")
    assert (await it.target.apply(plan)).done
    member = it.device.member(POOL, MEMBER)
    assert (member["session"], member["state"]) == ("user-disabled", "user-down")
    observed = await it.target.observe()
    assert observed.drained == (f"{POOL} {MEMBER}",)
    assert (await it.plan(SHOP, PAY)).steps == (), "a drain is no difference"
    (drift,) = it.target.drift(desired(SHOP, PAY), (await it.plan(SHOP, PAY)).content, observed)
    assert drift.difference is Difference.DRAINED
    member.update(session="monitor-enabled", state="up")
    await it.applied(SHOP)
    assert it.device.member(POOL, MEMBER)["session"] == "monitor-enabled", "enabled again by its operator"


@played()
async def test_what_a_plan_says_of_drained_members_is_short_and_in_plain_letters(it: Scene) -> None:
    """A device that lies has as many members as it likes, called what it likes."""
    await it.applied(SHOP)
    members = it.device.item("pool", POOL)["membersReference"]["items"]
    names = ["0 evil\n\x1b[2J" + "A" * 5000, *(f"192.0.2.{number}:8443" for number in range(100, 190))]
    members += [{"name": name, "session": "user-disabled"} for name in names]
    observed = await it.target.observe()
    for told in (observed.remarks, observed.drained, (await it.plan(SHOP)).remarks):
        assert len(told) == 11
        assert "81 more members" in told[-1]
        assert all(each.isprintable() and len(each) < 300 for each in told)


# === what goes wrong ===


@pytest.mark.parametrize(
    "trouble", [LOCKED, NOT_REGISTERED, NO_TOKEN], ids=["locked", "unregistered", "token"],
)  # fmt: skip
@played()
async def test_what_was_not_begun_is_sent_again(it: Scene, trouble: Script) -> None:
    plan = await it.plan(SHOP)
    it.device.script("POST", DECLARE, trouble)
    assert (await it.target.apply(plan)).done
    assert len(posts(it.device)) == 2


@pytest.mark.parametrize(
    "trouble", [RESTARTING, MCPD_LOST, breaks_off(), says(200, text='{"results": [{')],
    ids=["restarting", "mcpd", "reset", "truncated"],
)  # fmt: skip
@played()
async def test_an_unknown_outcome_is_read_and_tried_dry_before_it_is_sent_again(it: Scene, trouble: Script) -> None:
    plan = await it.plan(SHOP)
    it.device.script("POST", DECLARE, trouble)
    assert (await it.target.apply(plan)).done
    calls = [call for call in it.device.calls if DECLARE in call]
    first = calls.index(posts(it.device)[0])
    second = calls.index(posts(it.device)[1], first + 1)
    between = calls[first + 1 : second]
    assert any(call.startswith("GET") for call in between)
    assert any("dryRun=true" in call for call in between)
    assert len(posts(it.device)) == 2


@played()
async def test_a_repair_whose_answer_got_lost_is_found_undone_and_sent_again(it: Scene) -> None:
    """Its declaration is the one that is there already: only the objects tell whether anything was done."""
    await it.applied(SHOP)
    it.device.item("pool", POOL)["loadBalancingMode"] = "ratio-member"
    plan = await it.plan(SHOP)
    it.device.script("POST", DECLARE, breaks_off())
    outcome = await it.target.apply(plan)
    assert outcome.done
    assert "otherwise" not in outcome.sentence
    assert it.device.item("pool", POOL)["loadBalancingMode"] == "round-robin"
    assert len(posts(it.device)) == 3


@played()
async def test_a_failure_whose_declaration_was_kept_all_the_same_is_undone(it: Scene) -> None:
    await it.applied(SHOP)
    plan = await it.plan(SHOP, PAY)

    async def keeps_and_fails(request: Any) -> Any:
        it.device.declare((await request.json())["declaration"])
        results = [{"code": 200, "message": "success", "tenant": NAME},
                   {"code": 422, "message": "declaration failed", "tenant": "Common"}]  # fmt: skip
        return await says(207, {"results": results})(request)

    it.device.script("POST", DECLARE, keeps_and_fails)
    outcome = await it.target.apply(plan)
    assert (outcome.done, outcome.changed) == (False, False)
    assert (await it.plan(SHOP)).steps == ()


@played()
async def test_an_unknown_outcome_that_took_effect_is_not_sent_again(it: Scene) -> None:
    plan = await it.plan(SHOP)

    async def applies_and_resets(request: Any) -> Any:
        it.device.declare((await request.json())["declaration"])
        return await breaks_off()(request)

    it.device.script("POST", DECLARE, applies_and_resets)
    outcome = await it.target.apply(plan)
    assert outcome.done
    assert len(posts(it.device)) == 1


@played()
async def test_work_that_ends_while_the_device_is_asked_dry_counts(it: Scene) -> None:
    """The connection broke, the device went on: its lock says so until it has ended."""
    plan = await it.plan(SHOP)
    held: list[dict[str, Any]] = []

    async def goes_on(request: Any) -> Any:
        held.append((await request.json())["declaration"])
        return await breaks_off()(request)

    async def ends(request: Any) -> Any:
        it.device.declare(held[0])
        return await LOCKED(request)

    it.device.script("POST", DECLARE, goes_on, LOCKED, ends)
    assert (await it.target.apply(plan)).done
    assert len(posts(it.device)) == 1


@played()
async def test_a_declaration_that_never_takes_effect_is_sent_twice_at_most(it: Scene) -> None:
    plan = await it.plan(SHOP)
    it.device.applies = False
    with pytest.raises(Unknown):
        await it.target.apply(plan)
    assert len(posts(it.device)) == 2


@played()
async def test_a_cancelled_task_is_no_running_one(it: Scene) -> None:
    plan = await it.plan(SHOP)
    it.device.tasks["gone"] = [{"id": "gone", "results": [{"code": 0, "message": "task cancelled"}]}]
    it.device.script("POST", DECLARE, says(202, {"id": "gone", "results": [{"code": 0, "message": "submitted"}]}))
    assert (await it.target.apply(plan)).done
    assert len(posts(it.device)) == 2
    assert sum(it.clock.slept) < 60


@played()
async def test_a_task_is_looked_at_at_1_s_then_half_as_much_again_up_to_10_s_for_ten_minutes(it: Scene) -> None:
    plan = await it.plan(SHOP)
    it.device.tasks["slow"] = [{"id": "slow", "results": [{"code": 0, "message": "in progress"}]}]
    it.device.script("POST", DECLARE, says(202, {"id": "slow", "results": [{"code": 0, "message": "submitted"}]}))
    it.device.script("POST", DECLARE, *[LOCKED] * 200)
    it.clock.share = 0.5
    with pytest.raises(Unknown):
        await it.target.apply(plan)
    polls = it.clock.slept[: it.clock.slept.index(10.0) + 3]
    assert polls == [1.0, 1.5, 2.25, 3.375, 5.0625, 7.59375, 10.0, 10.0, 10.0]
    assert 600 <= sum(it.clock.slept[: len(it.device.asked("GET /mgmt/shared/appsvcs/task/slow"))]) < 612


@pytest.mark.parametrize(
    "trouble", [NO_TOKEN, RESTARTING, NOT_REGISTERED, breaks_off()],
    ids=["token", "restarting", "unregistered", "reset"],
)  # fmt: skip
@played()
async def test_a_task_is_followed_through_a_restart_and_a_login(it: Scene, trouble: Script) -> None:
    plan = await it.plan(SHOP)
    it.device.script("GET", "/mgmt/shared/appsvcs/task/", trouble)
    assert (await it.target.apply(plan)).done
    assert len(posts(it.device)) == 1


@played()
async def test_what_the_device_refuses_is_said_and_nothing_is_undone(it: Scene) -> None:
    await it.applied(SHOP)
    plan = await it.plan(SHOP, PAY)
    why = "0107176c:3: Invalid Node, the IP address 192.0.2.21 already exists."
    result = {"code": 422, "message": "declaration failed", "response": why, "tenant": NAME, "host": "localhost"}
    it.device.script("POST", DECLARE, says(422, {"results": [result], "code": 422}))
    with pytest.raises(Rejected, match="Invalid Node"):
        await it.target.apply(plan)
    assert len(posts(it.device)) == 2


@played()
async def test_a_failure_half_way_is_undone_to_the_last_good(it: Scene) -> None:
    """207: the device changed objects and then failed; the declaration it keeps is still the old one."""
    await it.applied(SHOP)
    good = it.device.declaration
    plan = await it.plan(SHOP, PAY)

    async def half_way(request: Any) -> Any:
        it.device.item("data-group/internal", f"/{NAME}/Shared/hosts")["records"] = []
        failed = {"code": 422, "message": "declaration failed", "response": "01070734:3:", "tenant": NAME}
        results = [{"code": 200, "message": "success", "tenant": "Common"}, failed]
        return await says(207, {"results": results})(request)

    it.device.script("POST", DECLARE, half_way)
    outcome = await it.target.apply(plan)
    assert not outcome.done
    assert not outcome.changed, "what was there before is back"
    assert "01070734" in outcome.sentence
    assert it.device.declaration == good
    assert it.device.item("data-group/internal", f"/{NAME}/Shared/hosts")["records"]
    assert (await it.plan(SHOP)).steps == ()


@played()
async def test_success_that_cannot_be_read_back_is_undone(it: Scene) -> None:
    await it.applied(SHOP)
    plan = await it.plan(SHOP, PAY)
    it.device.after = [lambda: it.device.objects["virtual"].clear()]
    outcome = await it.target.apply(plan)
    assert not outcome.done
    assert not outcome.changed
    first, undoing = [body["declaration"][NAME].get("optimisticLockKey", "") for body in sent_to(it.device)][-2:]
    assert undoing not in ("", first), "put back over what this plan left, and nothing else"
    assert f"/{NAME}/Shared/vs" in outcome.sentence
    assert (await it.plan(SHOP)).steps == ()


@played()
async def test_a_first_apply_that_fails_half_way_leaves_no_tenant(it: Scene) -> None:
    plan = await it.plan(SHOP)
    it.device.after = [lambda: it.device.objects["virtual"].clear()]
    outcome = await it.target.apply(plan)
    assert not outcome.changed
    assert it.device.declaration is None
    assert it.device.asked(f"DELETE {DECLARE}/{NAME}")


@played()
async def test_a_partition_that_was_filled_by_hand_is_never_deleted_to_undo_anything(it: Scene) -> None:
    it.device.objects["pool"] = [{"fullPath": f"/{NAME}/legacy", "name": "legacy", "membersReference": {}}]
    plan = replace(await it.plan(SHOP), adopts=True)
    assert plan.steps[0].kind is Kind.REMOVE
    it.device.after = [lambda: it.device.objects["virtual"].clear()]
    outcome = await it.target.apply(plan)
    assert not outcome.done
    assert outcome.changed
    assert "by hand" in outcome.sentence
    assert not it.device.asked("DELETE /mgmt/shared/appsvcs")


@played()
async def test_what_another_writer_left_meanwhile_is_not_undone(it: Scene) -> None:
    await it.applied(SHOP)
    plan = await it.plan(SHOP, PAY)
    theirs = {"class": "ADC", "id": "cis", NAME: {"class": "Tenant", "label": "stagedoor", "remark": "theirs"}}
    it.device.after = [lambda: it.device.declare(theirs)]
    outcome = await it.target.apply(plan)
    assert not outcome.done
    assert "another writer" in outcome.sentence
    assert it.device.declaration == theirs


@played()
async def test_applied_and_not_saved_is_saved_then(it: Scene) -> None:
    plan = await it.plan(SHOP)

    async def applies(request: Any) -> Any:
        it.device.declare((await request.json())["declaration"])
        return await says(500, {"code": 500, "message": "failed to save BIG-IP config"})(request)

    it.device.script("POST", DECLARE, applies)
    outcome = await it.target.apply(plan)
    assert outcome.done
    assert len(posts(it.device)) == 1
    assert it.device.asked("POST /mgmt/tm/task/sys/config")
    assert {"command": "save"} in it.device.bodies
    assert {"_taskState": "VALIDATING"} in it.device.bodies


@played(pair=True, device_group="pair")
async def test_a_task_whose_start_got_lost_is_started_again(it: Scene) -> None:
    plan = await it.plan(SHOP)
    it.standby.sync = it.device.sync = "Changes Pending"
    it.device.states = ["STARTED", "COMPLETED"]
    it.device.script("PUT", "/mgmt/tm/task/cm/config-sync", breaks_off())
    assert (await it.target.apply(plan)).done
    assert len(it.device.asked("PUT /mgmt/tm/task/cm/config-sync")) == 2


@pytest.mark.parametrize(("times", "said"), [(4, False), (5, True)])
@played()
async def test_a_task_that_is_not_found_for_a_moment_is_looked_for_again(it: Scene, times: int, said: bool) -> None:
    plan = await it.plan(SHOP)

    async def applies(request: Any) -> Any:
        it.device.declare((await request.json())["declaration"])
        return await says(500, {"code": 500, "message": "failed to save BIG-IP config"})(request)

    it.device.script("POST", DECLARE, applies)
    absent = says(404, {"code": 404, "message": "Task not found"})
    it.device.script("GET", "/mgmt/tm/task/sys/config", *[absent] * times)
    outcome = await it.target.apply(plan)
    assert outcome.done
    assert ("lost in a restart" in outcome.sentence) is said


@played()
async def test_applied_and_not_to_be_saved_is_told(it: Scene) -> None:
    plan = await it.plan(SHOP)
    it.device.states = ["FAILED"]

    async def applies(request: Any) -> Any:
        it.device.declare((await request.json())["declaration"])
        return await says(500, {"code": 500, "message": "failed to save BIG-IP config"})(request)

    it.device.script("POST", DECLARE, applies)
    outcome = await it.target.apply(plan)
    assert outcome.done
    assert "lost in a restart" in outcome.sentence


@played()
async def test_an_older_as3_is_named(it: Scene) -> None:
    it.device.version = "3.40.0"
    with pytest.raises(Rejected, match=r"AS3 3\.40\.0.*3\.50\.0"):
        await it.target.apply(await it.plan(SHOP))
    assert posts(it.device) == []


@pytest.mark.parametrize(
    "answer",
    [says(200, []), says(200, {"class": "ADC"}), says(404, text="<h1>Not Found</h1>", content_type="text/html"),
     says(200, text=""), says(200, {NAME: None})],
    ids=["list", "another", "page", "empty", "null"],
)  # fmt: skip
@played()
async def test_an_answer_that_is_no_declaration_is_never_an_absent_tenant(it: Scene, answer: Script) -> None:
    await it.applied(SHOP)
    it.device.script("GET", DECLARE, *[answer] * 20)
    with pytest.raises((Unreachable, Rejected, Busy)):
        await it.target.observe()


@played()
async def test_our_own_declaration_that_ended_late_is_no_other_writers(it: Scene) -> None:
    """The first answer got lost and the dry run found nothing; then it took effect, and the second met its lock key."""
    await it.applied(SHOP)
    plan = await it.plan(SHOP, PAY)
    held: list[dict[str, Any]] = []

    async def goes_on(request: Any) -> Any:
        held.append((await request.json())["declaration"])
        return await breaks_off()(request)

    async def idle(request: Any) -> Any:
        return await says(200, {"results": [{"code": 200, "message": "success", "tenant": NAME}]})(request)

    async def late(request: Any) -> Any:
        it.device.declare(held[0])
        mismatch = "The hash you submitted does not match the hash on the current Tenant."
        return await says(422, {"results": [{"code": 422, "message": mismatch, "tenant": NAME}]})(request)

    it.device.script("POST", DECLARE, goes_on, idle, late)
    assert (await it.target.apply(plan)).done
    assert len(posts(it.device)) == 3


@played()
async def test_a_device_that_writes_a_value_in_its_own_way_is_believed_once_it_took_it(it: Scene) -> None:
    def spells() -> None:
        it.device.item("pool", POOL)["loadBalancingMode"] = "round-robin (session)"

    it.device.after = [spells]
    plan = await it.plan(SHOP)
    outcome = await it.target.apply(plan)
    assert outcome.done
    assert f"balance of {POOL}" in outcome.sentence
    observed = await it.target.observe()
    assert it.target.plan(desired(SHOP), observed, "").steps == ()
    assert it.target.drift(desired(SHOP), plan.content, observed) == ()
    it.device.item("pool", POOL)["loadBalancingMode"] = "ratio-member"
    (drift,) = it.target.drift(desired(SHOP), plan.content, await it.target.observe())
    assert drift.difference is Difference.EDITED


def _stolen(device: ScriptedDevice) -> None:
    device.item("virtual", f"/{NAME}/Shared/vs")["rules"] = ["/Common/steal"]


def _off(device: ScriptedDevice) -> None:
    device.item("virtual", f"/{NAME}/Shared/vs")["disabled"] = True


def _bare(device: ScriptedDevice) -> None:
    device.item("virtual", f"/{NAME}/Shared/vs")["profilesReference"]["items"] = [{"fullPath": "/Common/http"}]


def _unwatched(device: ScriptedDevice) -> None:
    device.item("pool", POOL)["monitor"] = "min 1 of { /Common/tcp }"


def _anybody(device: ScriptedDevice) -> None:
    device.item("profile/server-ssl", f"/{NAME}/Shared/tls_out")["authenticateName"] = "none"


@pytest.mark.parametrize("spoil", [_stolen, _off, _bare, _unwatched, _anybody])
@played()
async def test_what_decides_anything_and_is_not_as_declared_after_an_apply_is_undone_and_never_learnt(
    it: Scene, spoil: Callable[[ScriptedDevice], None]
) -> None:
    await it.applied(SHOP)
    plan = await it.plan(SHOP, PAY)
    it.device.after = [lambda: spoil(it.device)]
    outcome = await it.target.apply(plan)
    assert (outcome.done, outcome.changed) == (False, False)
    spoil(it.device)
    found = it.target.drift(desired(SHOP), {**plan.content, NAME: None}, await it.target.observe())
    assert Difference.EDITED in [drift.difference for drift in found]


@played()
async def test_an_edit_amid_an_apply_of_what_was_as_declared_before_is_told_and_set_back(it: Scene) -> None:
    await it.applied(SHOP)
    plan = await it.plan(SHOP, PAY)

    def edits() -> None:
        it.device.item("pool", POOL)["loadBalancingMode"] = "ratio-member"

    it.device.after = [edits]
    outcome = await it.target.apply(plan)
    assert outcome.done
    assert f"Somebody changed `balance of {POOL}` meanwhile" in outcome.sentence
    (step,) = (await it.plan(SHOP, PAY)).steps
    assert "back to `round-robin`" in step.sentence


@played()
async def test_a_member_that_somebody_else_fills_in_is_in_a_plans_sentences_and_not_sent(it: Scene) -> None:
    await it.applied(SHOP)
    plan = await it.plan(SHOP, PAY)
    content = copy.deepcopy(plan.content)
    member = {"servicePort": 8443, "addressDiscovery": "fqdn", "hostname": "evil.example", "shareNodes": True}
    content[NAME]["Shared"]["pool"]["members"].append(member)
    observed = await it.target.observe()
    assert it.target.steps(content, observed) != plan.steps
    with pytest.raises(Rejected, match="somebody else would say who gets the requests"):
        await it.target.apply(replace(plan, content=content))
    assert len(posts(it.device)) == 1


@played()
async def test_what_cannot_be_read_after_it_was_sent_is_unknown_and_no_busy(it: Scene) -> None:
    plan = await it.plan(SHOP)
    it.clock.share = 1.0
    it.device.after = [lambda: it.device.script("GET", DECLARE, *[MCPD_LOST] * 50)]
    with pytest.raises(Unknown, match="was sent"):
        await it.target.apply(plan)


# === a pair ===


@played(pair=True, device_group="pair")
async def test_only_the_active_unit_is_written_to_and_the_group_is_brought_in_step(it: Scene) -> None:
    it.device.failover, it.standby.failover = "STANDBY", "ACTIVE"
    plan = await it.plan(SHOP)
    it.standby.sync = "Changes Pending"
    outcome = await it.target.apply(plan)
    assert outcome.done
    assert posts(it.device) == []
    assert len(posts(it.standby)) == 1
    assert {"command": "run", "options": [{"to-group": "/Common/pair"}]} in it.standby.bodies
    assert "not in step" in outcome.sentence, "it says so while the group still does"


@played(pair=True)
async def test_a_standby_that_is_away_holds_nothing_up(it: Scene) -> None:
    it.standby.script("GET", "/mgmt", *[breaks_off()] * 50)
    await it.applied(SHOP)
    assert it.clock.slept == [1.0, 1.5], "the looks at the task, and no pause for its sake"


@played(pair=True)
async def test_no_active_unit_and_two_active_units_are_left_alone(it: Scene) -> None:
    plan = await it.plan(SHOP)
    for states, said in {("ACTIVE", "ACTIVE"): "both say that", ("STANDBY", "STANDBY"): "no unit of"}.items():
        it.device.failover, it.standby.failover = states
        with pytest.raises(Busy, match=said):
            await it.target.apply(plan)
    assert posts(it.device) == posts(it.standby) == []


@played(pair=True)
async def test_a_failover_between_reading_and_writing_writes_to_the_new_active_unit(it: Scene) -> None:
    await it.applied(SHOP)
    assert it.device.declaration is not None
    it.standby.declare(it.device.declaration)
    plan = await it.plan(SHOP, PAY)
    it.device.failover, it.standby.failover = "STANDBY", "ACTIVE"
    assert (await it.target.apply(plan)).done
    assert len(posts(it.device)) == 1
    assert len(posts(it.standby)) == 1


@played(pair=True)
async def test_a_failover_amid_a_task_sends_nothing_to_the_new_active_unit(it: Scene) -> None:
    plan = await it.plan(SHOP)

    def fails_over() -> None:
        it.device.failover, it.standby.failover = "STANDBY", "ACTIVE"

    it.device.after = [fails_over]
    with pytest.raises(Unknown, match="became active"):
        await it.target.apply(plan)
    assert posts(it.standby) == []


@played(pair=True, device_group="pair")
async def test_a_failover_amid_a_task_is_done_when_the_sync_brings_the_change(it: Scene) -> None:
    plan = await it.plan(SHOP)

    def fails_over() -> None:
        it.device.failover, it.standby.failover = "STANDBY", "ACTIVE"

    async def pushed(request: Any) -> Any:
        assert it.device.declaration is not None
        it.standby.declare(it.device.declaration)
        return await says(200, {"_taskId": 9, "_taskState": "STARTED"})(request)

    it.device.after = [fails_over]
    it.device.script("POST", "/mgmt/tm/task/cm/config-sync", pushed)
    outcome = await it.target.apply(plan)
    assert outcome.done
    assert posts(it.standby) == []


@played(pair=True)
async def test_a_unit_that_dies_amid_a_task_is_not_waited_for(it: Scene) -> None:
    plan = await it.plan(SHOP)

    async def dies(request: Any) -> Any:
        it.standby.failover = "ACTIVE"
        it.device.script("GET", "/mgmt", *[breaks_off()] * 500)
        return await breaks_off()(request)

    it.device.script("GET", "/mgmt/shared/appsvcs/task/", dies)
    with pytest.raises(Unknown, match="became active"):
        await it.target.apply(plan)
    assert sum(it.clock.slept) < 120


# === one at a time ===


@played()
async def test_one_write_is_in_flight_for_the_whole_group(it: Scene) -> None:
    plan = await it.plan(SHOP)
    async with it.group.writing:
        with pytest.raises(Busy, match="already"):
            await it.target.apply(plan)
    assert posts(it.device) == []


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda content: content | {"Common": {"class": "Tenant"}}, "no other"),
        (lambda content: content | {"other": {"class": "Tenant", "label": "stagedoor"}}, "no other"),
        (lambda content: content | {NAME: content[NAME] | {"label": "cis"}}, "label"),
        (lambda content: content | {"updateMode": "complete"}, "may not be sent"),
        (lambda content: {"class": "ADC"}, "no other"),
    ],
    ids=["common", "two", "label", "complete", "none"],
)
@played()
async def test_a_plan_file_that_somebody_spoiled_is_refused(it: Scene, spoil: Any, match: str) -> None:
    plan = await it.plan(SHOP)
    with pytest.raises(Rejected, match=match):
        await it.target.apply(replace(plan, content=spoil(plan.content)))
    with pytest.raises(Rejected, match="is for"):
        await it.target.apply(replace(plan, device="dc2"))
    assert posts(it.device) == []


@played()
async def test_a_plan_names_the_policy_that_its_declaration_notes(it: Scene) -> None:
    """What is recorded and remembered of an apply is what the device was told."""
    plan = await it.plan(SHOP)
    for version in ("bbbbbbbbbbbb", "", "abcdefghijkl "):
        with pytest.raises(Rejected, match="its declaration notes `abcdefghijkl`"):
            await it.target.apply(replace(plan, version=version))
    assert posts(it.device) == []


@played()
async def test_a_dry_run_tells_the_differences_that_as3_sees(it: Scene) -> None:
    plan = await it.plan(SHOP)
    edit = {"kind": "E", "path": [POOL, "properties", "load-balancing-mode"], "command": "ltm pool",
            "lhs": "least-connections-member", "rhs": "round-robin"}  # fmt: skip
    result = {"code": 200, "message": "success", "dryRun": True, "tenant": NAME}
    body = {"results": [result], "traces": {f"{NAME}Diff": [edit, {"kind": "N", "path": [f"/{NAME}/Shared/vs"]}]}}
    it.device.script("POST", DECLARE, says(200, body))
    assert await it.target.dry_run(plan) == (
        f"AS3 changes `{POOL} properties load-balancing-mode` from `least-connections-member` to `round-robin`.",
        f"AS3 makes `/{NAME}/Shared/vs`.",
    )
    assert posts(it.device) == []
