"""The tag worker against the emulated firewall: what it tells, in which order, and what it leaves alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.network.answers.tag_requests import planned
from gateway.engine.network.faults import DeviceFault, Outdated, Rejected, Unreachable
from gateway.engine.network.panos import names
from gateway.engine.network.panos.device.userid import What
from gateway.engine.network.plans.guards import Basis, Consent
from gateway.engine.network.reconcile import NotNow
from gateway.lab.panos.faults import Upset
from gateway.lab.panos.pairs import Pair
from tests.support.panos import Clock, running_pair
from tests.support.tag_scenes import GRANT, HOSTS, MARK, OPS, PAY, alone, run, wish
from tests.support.tag_worker import QUICK, Trust, Worked, working

DAY_S = 24 * 3600


# === giving and taking ===


@pytest.mark.parametrize("knobs", [{}, {"duplicate_is_error": False}, {"host_masks": True}], ids=str)
def test_a_wish_is_told_and_changes_are_told_as_what_they_change(tmp_path: Path, knobs: dict[str, bool]) -> None:
    async def scene(worked: Worked) -> None:
        worked.firewall.knobs.set(knobs)
        hosts = {"192.0.2.1": {HOSTS}, "192.0.2.8/29": {HOSTS}}
        await worked.settled(wish({r"corp\Ann": {PAY}, "bob": {PAY, OPS}}, hosts))
        assert worked.tags(r"corp\ann") == {PAY, MARK}
        assert worked.tags("192.0.2.8/29", What.ADDRESS) == {HOSTS, MARK}
        await worked.settled(wish({"bob": {OPS}, "cy": {PAY}}, hosts))
        assert worked.tags(r"corp\ann") == set(), "the watermark goes with the last tag"
        assert worked.tags("bob") == {OPS, MARK}
        assert worked.tags("cy") == {PAY, MARK}
        assert worked.worker.has("bob", OPS) is True
        assert worked.worker.has("bob", PAY) is False
        assert worked.worker.standing()["state"] == "in-step"

    alone(scene, tmp_path, removed_share=1.0)


def test_tags_of_others_stay_and_so_do_names_of_ours_that_we_did_not_give(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        users = worked.identities.users
        for user, tag in (("ann", "vip"), ("eve", PAY), ("ann", "sd-mine")):
            users.register(user, tag, 0, persistent=True, refresh=False)
        await worked.settled(wish({"ann": {PAY}}))
        await worked.settled(wish())
        assert worked.tags("ann") == {"vip", "sd-mine"}
        assert worked.tags("eve") == {PAY}
        assert any("eve" in text for text in worked.worker.standing()["remarks"])
        await worked.settled(wish(cut=frozenset({"Eve"})))
        assert worked.tags("eve") == set(), "a cut takes whatever opens a door, whoever gave it"

    alone(scene, tmp_path, removed_share=1.0)


def test_losses_are_told_first_and_alone(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        await worked.settled(wish({"ann": {PAY}, "bob": {PAY}}))
        told = _messages(worked)
        await worked.settled(wish({"bob": {PAY}, "cy": {PAY}}, cut=frozenset({"ann"})))
        first, second = (each for each in told if "canary" not in each)
        assert "unregister-user" in first and "ann" in first
        assert re.findall("<(?:un)?register[a-z-]*>", second) == ["<register-user>"]

    alone(scene, tmp_path)


def _messages(worked: Worked) -> list[str]:
    """Every document that comes from now on."""
    told: list[str] = []
    taken = worked.identities.apply

    def apply(document: str) -> Any:
        told.append(document)
        return taken(document)

    worked.identities.apply = apply  # type: ignore[method-assign] # a witness
    return told


# === grants ===


def test_a_grant_is_told_with_the_time_that_is_left_and_ends_though_nobody_says_so(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        end = int(worked.clock()) + 3600
        worked.clock.passes(600.5)
        await worked.settled(wish(timed={("ann", GRANT): end}))
        assert worked.end("ann", GRANT) == pytest.approx(end, abs=1)
        assert worked.end("ann", GRANT) <= end
        worked.clock.passes(3000)
        assert worked.tags("ann") == {MARK}
        await worked.settled()
        assert worked.tags("ann") == set()

    alone(scene, tmp_path)


def test_an_end_that_changes_is_told_in_one_message_though_telling_again_renews_nothing(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        now = int(worked.clock())
        await worked.settled(wish(timed={("ann", GRANT): now + 3600}))
        told = _messages(worked)
        for end in (now + 7200, now + 60):
            await worked.settled(wish(timed={("ann", GRANT): end}))
            assert worked.end("ann", GRANT) == end
        assert len(told) == 2
        assert all("<unregister-user>" in each and "<register-user>" in each for each in told)
        await worked.settled(wish(timed={("ann", GRANT): now + 60}))
        assert len(told) == 2, "an end that is right is left alone"

    alone(scene, tmp_path)


def test_a_grant_of_a_year_lasts_30_days_at_most_and_is_moved_on_day_by_day(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        year = wish(timed={("ann", GRANT): int(worked.clock()) + 365 * DAY_S})
        await worked.settled(year)
        first = worked.end("ann", GRANT)
        assert first == worked.clock() + 30 * DAY_S
        await worked.settled(year)
        assert worked.end("ann", GRANT) == first
        worked.clock.passes(DAY_S + 1)
        await worked.settled(year)
        assert worked.end("ann", GRANT) == pytest.approx(worked.clock() + 30 * DAY_S, abs=1)

    alone(scene, tmp_path)


def test_after_a_start_no_end_is_known_and_each_is_given_anew(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        now = int(worked.clock())
        await worked.settled(wish(timed={("ann", GRANT): now + 9000}))
        async with working(tmp_path, worked.firewall, clock=worked.clock) as anew:
            await anew.settled(wish(timed={("ann", GRANT): now + 60}))
            assert anew.end("ann", GRANT) == now + 60

    alone(scene, tmp_path)


# === what the catalog is worth ===


def test_a_stale_catalog_gives_nothing_and_takes_only_by_revocation(tmp_path: Path) -> None:
    trust = Trust()

    async def scene(worked: Worked) -> None:
        now = int(worked.clock())
        people = {name: {PAY, OPS} for name in ("ann", "bob", "cy", "dan", "eve")}
        await worked.settled(wish(people, timed={("zoe", GRANT): now + 999, ("yan", GRANT): now + 999}))
        trust.basis = Basis(10, "catalog main is away")
        del people["ann"], people["bob"]
        people |= {"cy": {PAY}, "new": {PAY}}
        worked.worker.want(
            wish(people, timed={("yan", GRANT): now + 99, ("x", GRANT): now + 9}, cut=frozenset({"bob"}))
        )
        await worked.settled()
        assert worked.tags("bob") == set(), "a cut"
        assert worked.tags("ann") == set(), "who has nothing left at all"
        assert worked.tags("zoe") == set(), "a grant that is over"
        assert worked.end("yan", GRANT) == now + 99, "a grant that ends sooner"
        assert worked.tags("cy") == {PAY, OPS, MARK}
        assert worked.tags("new") == worked.tags("x") == set()
        assert [each.code for each in worked.worker.waits] == ["catalog_away"]
        trust.basis = Basis(10)
        await worked.settled()
        assert worked.tags("cy") == {PAY, MARK}
        assert worked.tags("new") == {PAY, MARK}

    alone(scene, tmp_path, basis=trust)


def test_an_empty_catalog_takes_nothing_but_what_was_cut(tmp_path: Path) -> None:
    trust = Trust()

    async def scene(worked: Worked) -> None:
        await worked.settled(wish({"ann": {PAY}, "bob": {PAY}}, {"192.0.2.1": {HOSTS}}))
        trust.basis = Basis(0)
        await worked.settled(wish(cut=frozenset({"bob"})))
        assert worked.tags("ann") == {PAY, MARK}
        assert worked.tags("192.0.2.1", What.ADDRESS) == {HOSTS, MARK}
        assert worked.tags("bob") == set()
        assert [each.code for each in worked.worker.waits] == ["catalog_empty"]

    alone(scene, tmp_path, basis=trust, removed_share=1.0)


def test_many_losses_wait_for_a_person_and_revocations_do_not(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        people = [f"p{number}" for number in range(10)]
        await worked.settled(wish({name: {PAY} for name in people}))
        timed = {("p1", GRANT): int(worked.clock()) + 99}
        await worked.settled(wish({name: {PAY} for name in (*people[:6], "new")}, timed=timed, cut=frozenset({"p9"})))
        assert worked.tags("p1") == {PAY, GRANT, MARK}
        assert worked.tags("p9") == set()
        assert worked.tags("p8") == {PAY, MARK}
        assert worked.tags("new") == set(), "what the same catalog gives waits with it"
        (hindrance,) = worked.worker.waits
        assert (hindrance.code, "3 of 10 users" in hindrance.why) == ("removals", False), hindrance.why
        plan = await worked.worker.look()
        assert [step.sentence for step in plan.steps] == [
            f"Takes `{PAY}` from 3 users: p6, p7, p8.", f"Gives `{PAY}` to 1 user: new.",
        ]  # fmt: skip
        with pytest.raises(NotNow, match="3 of 9 users"):
            await worked.worker.apply(Consent("ann"), plan.fingerprint)
        with pytest.raises(Outdated, match="plan again"):
            await worked.worker.apply(Consent("ann", removals=True), "another")
        outcome = await worked.worker.apply(Consent("ann", removals=True), plan.fingerprint)
        assert outcome.done
        assert worked.tags("p8") == set()
        assert worked.tags("new") == {PAY, MARK}

    alone(scene, tmp_path, removed_share=0.2)


def test_losses_bit_by_bit_count_together_for_an_hour(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        people = [f"p{number}" for number in range(100)]
        for left in (100, 88, 76):
            await worked.settled(wish({name: {PAY} for name in people[:left]}))
        assert worked.tags("p80") == {PAY, MARK}
        assert "within the last hour" in worked.worker.waits[0].why
        worked.clock.passes(3601)
        await worked.settled()
        assert worked.tags("p80") == set()

    alone(scene, tmp_path, removed_share=0.15, removed_most=15)


@pytest.mark.parametrize("mode", ["observe", "plan"])
def test_only_enforce_writes_by_itself(tmp_path: Path, mode: str) -> None:
    async def scene(worked: Worked) -> None:
        await worked.settled(wish({"ann": {PAY}}))
        assert {call.type for call in worked.firewall.front.calls} == {"op"}
        assert [each.code for each in worked.worker.waits] == ["mode"]
        plan = await worked.worker.look()
        if mode == "plan":
            assert (await worked.worker.apply(Consent("ann"), plan.fingerprint)).done
            assert worked.tags("ann") == {PAY, MARK}
        else:
            with pytest.raises(NotNow, match="nothing is ever written"):
                await worked.worker.apply(Consent("ann"), plan.fingerprint)
            assert worked.tags("ann") == set()

    alone(scene, tmp_path, tags=mode)


# === what may go wrong ===


@pytest.mark.parametrize("when", ["before", "after", "body"])
def test_a_message_that_nobody_answered_is_read_back_and_told_until_it_is_there(tmp_path: Path, when: Any) -> None:
    async def scene(worked: Worked) -> None:
        await worked.settled(wish({"bob": {PAY}}))
        worked.firewall.knobs.next = [Upset("user-id", "ann", 1, when)]
        with pytest.raises(DeviceFault):
            await worked.settled(wish({"ann": {PAY}, "bob": {PAY}}, timed={("ann", GRANT): int(worked.clock()) + 99}))
        await worked.settled()
        assert worked.tags("ann") == {PAY, GRANT, MARK}
        assert worked.end("ann", GRANT) == worked.clock() + 99
        assert worked.worker.standing()["refused"] == 0

    alone(scene, tmp_path)


def test_an_end_that_nobody_answered_for_is_told_until_it_is_certain(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        now = int(worked.clock())
        await worked.settled(wish(timed={("ann", GRANT): now + 3600}))
        worked.firewall.knobs.next = [Upset("user-id", "ann", 1, "before")]
        with pytest.raises(DeviceFault):
            await worked.settled(wish(timed={("ann", GRANT): now + 60}))
        assert worked.end("ann", GRANT) == now + 3600
        await worked.settled()
        assert worked.end("ann", GRANT) == now + 60

    alone(scene, tmp_path)


def test_what_the_firewall_refuses_is_named_and_the_rest_is_done(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        worked.firewall.knobs.capacity = 2
        await worked.settled(wish({}, {f"192.0.2.{number}": {HOSTS} for number in (1, 2)}))
        assert worked.tags("192.0.2.1", What.ADDRESS) == {HOSTS, MARK}
        told = _messages(worked)
        standing = worked.worker.standing()
        assert (standing["refused"], standing["state"]) == (1, "waiting")
        assert "192.0.2.2: Failed to register" in standing["refusals"][0]
        await worked.settled()
        assert told == [], "the same again would be refused again"

    alone(scene, tmp_path)


def test_one_hostile_name_spoils_nobody_elses_tags(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        users = {"a\x00b": {PAY}, "</entry>&\"'": {PAY}, "ann": {PAY}, "\ud800": {PAY}}
        await worked.settled(wish(users))
        assert worked.tags("ann") == worked.tags("</entry>&\"'") == {PAY, MARK}
        assert any("2 have names" in text for text in worked.worker.standing()["remarks"])

    alone(scene, tmp_path)


def test_a_table_that_was_lost_is_noticed_by_the_canary_and_told_again(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        worked.worker.want(
            wish({"ann": {PAY}}, {"192.0.2.1": {HOSTS}}, timed={("bob", GRANT): int(worked.clock()) + 99})
        )
        worked.worker.start()
        await worked.until(lambda: worked.worker.standing()["state"] == "in-step")
        worked.identities.addresses.clear()
        worked.identities.users.clear()
        await worked.until(lambda: worked.tags("192.0.2.1", What.ADDRESS) == {HOSTS, MARK})
        await worked.until(lambda: worked.tags("bob") == {GRANT, MARK})
        assert worked.tags("ann") == {PAY, MARK}

    alone(scene, tmp_path, rhythm=QUICK._replace(counted_s=3600.0))


def test_a_table_that_is_lost_after_the_canary_was_asked_for_is_noticed_when_it_is_renewed(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        await worked.settled(wish({"ann": {PAY}}))
        taken = worked.identities.apply

        def lost(document: str) -> Any:
            worked.identities.addresses.clear()
            worked.identities.users.clear()
            worked.identities.apply = taken  # type: ignore[method-assign] # it happens once
            return taken(document)

        worked.identities.apply = lost  # type: ignore[method-assign] # the next that is told is the canary's renewal
        worked.worker.recheck()
        await worked.settled()
        assert worked.tags("ann") == {PAY, MARK}

    alone(scene, tmp_path)


def test_a_firewall_that_keeps_no_canary_is_not_taken_for_one_that_lost_its_tables(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        taken = worked.identities.apply

        def apply(document: str) -> Any:
            answer = taken(document)
            worked.identities.addresses.forget(names.CANARY_ADDRESS)
            return answer

        worked.identities.apply = apply  # type: ignore[method-assign] # no IPv6 there
        for _ in range(4):
            worked.worker.recheck()
            await worked.settled(wish({"ann": {PAY}}))
        assert worked.worker.standing()["wholes"] == 1

    alone(scene, tmp_path)


def test_what_another_hand_took_away_is_noticed_by_a_count(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        worked.worker.want(wish({"ann": {PAY}, "bob": {PAY}}))
        worked.worker.start()
        await worked.until(lambda: worked.worker.standing()["state"] == "in-step")
        worked.identities.users.forget("ann")
        await worked.until(lambda: worked.tags("ann") == {PAY, MARK})

    alone(scene, tmp_path, rhythm=QUICK)


def test_a_second_stagedoor_with_another_instance_stands_still_and_says_so(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        await worked.settled(wish({"ann": {PAY}}))
        async with working(tmp_path, worked.firewall, clock=worked.clock, instance="staging") as other:
            with pytest.raises(Rejected, match=r"another Stagedoor .*this one \(`staging`\)"):
                await other.settled(wish({"eve": {PAY}}))
            assert worked.tags("eve") == set()
            await worked.settled(wish({"ann": {PAY, OPS}}))
            assert worked.tags("ann") == {PAY, OPS, MARK}, "who was there first goes on"
            worked.clock.passes(2 * 3600 + 1)
            await other.settled()
            assert worked.tags("eve") == {PAY, MARK}, "a canary that nobody renews stops nobody"

    alone(scene, tmp_path)


@pytest.mark.parametrize("crosses", [True, False])
def test_after_a_failover_the_other_unit_has_what_is_wanted_and_only_it_is_written_to(
    tmp_path: Path, crosses: bool
) -> None:
    async def scene() -> None:
        clock, pair = Clock(), Pair(tags_cross=crosses)
        async with (
            running_pair(tmp_path, pair=pair, clock=clock) as (first, second),
            working(tmp_path, first, second, clock=clock) as worked,
        ):
            end = int(clock()) + 999
            await worked.settled(wish({"ann": {PAY}, "bob": {PAY}}, timed={("zoe", GRANT): end}))
            pair.fail_over()
            before = len([call for call in first.front.calls if call.type == "user-id"])
            await worked.settled(wish({"ann": {PAY}}, timed={("zoe", GRANT): end}))
            users = second.device.identities_of("").users
            assert {held.text for held in users.of("ann").values()} == {PAY, MARK}
            assert users.of("zoe")[GRANT].ends == end
            assert not users.has("bob")
            assert len([call for call in first.front.calls if call.type == "user-id"]) == before

    run(scene)


def test_a_cut_does_not_wait_for_a_table_that_is_being_read(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        people = {f"p{number}": {PAY} for number in range(2500)}
        worked.worker.want(wish(people))
        worked.worker.start()
        await worked.until(lambda: worked.worker.standing()["state"] == "in-step")
        worked.worker.set_leading(False)
        wholes, calls = worked.worker.standing()["wholes"], len(worked.firewall.front.calls)
        worked.firewall.knobs.slow_s = 0.3
        worked.worker.set_leading(True)
        await worked.until(lambda: len(worked.firewall.front.calls) >= calls + 3)
        del people["p7"]
        worked.worker.want(wish(people, cut=frozenset({"p7"})))
        await worked.until(lambda: not worked.tags("p7"))
        assert worked.worker.standing()["wholes"] == wholes, "the reading goes on"
        worked.firewall.knobs.slow_s = 0.0
        await worked.until(lambda: worked.worker.standing()["state"] == "in-step")
        assert worked.tags("p7") == set()

    alone(scene, tmp_path)


def test_a_cut_goes_before_a_reading_that_is_due(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        await worked.settled(wish({"ann": {PAY}, "bob": {PAY}}))
        worked.worker.reread()
        calls = len(worked.firewall.front.calls)
        await worked.settled(wish({"bob": {PAY}}, cut=frozenset({"ann"})))
        assert [call.type for call in worked.firewall.front.calls[calls:]][:3] == ["op", "user-id", "op"]
        assert worked.tags("ann") == set()

    alone(scene, tmp_path)


def test_users_whom_the_firewall_never_mapped_are_listed(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        worked.identities.apply(
            "<uid-message><payload><login><entry name='CORP\\ann' ip='10.0.0.1'/></login></payload></uid-message>"
        )
        await worked.settled(wish({r"corp\ann": {PAY}, "bob": {PAY}}))
        await worked.worker.look()
        await worked.until(lambda: worked.worker.standing()["never_mapped"] == 1)
        assert worked.worker.standing()["never_mapped_first"] == ["bob"]

    alone(scene, tmp_path)


def test_a_firewall_that_comes_back_is_told_what_it_missed(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        worked.firewall.knobs.next = [Upset(times=3, message="x is unexpected", code=17)]
        worked.worker.want(wish({"ann": {PAY}}))
        worked.worker.start()
        await worked.until(lambda: "x is unexpected" in worked.worker.fault)
        await worked.until(lambda: worked.tags("ann") == {PAY, MARK} and not worked.worker.fault)

    alone(scene, tmp_path)


def test_before_anybody_has_wished_nothing_is_planned_let_alone_taken_away(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        for tag in (MARK, PAY):
            worked.identities.users.register("ann", tag, 0, persistent=True, refresh=False)
        with pytest.raises(DeviceFault, match="nobody has said yet"):
            await worked.worker.look()
        with pytest.raises(DeviceFault, match="nobody has said yet"):
            await worked.worker.apply(Consent("ann", removals=True), "")
        assert worked.tags("ann") == {PAY, MARK}
        assert worked.worker.standing()["state"] == "no-wish"

    alone(scene, tmp_path)


def test_a_large_wish_is_left_for_a_cut_after_the_next_messages(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        worked.firewall.knobs.slow_s = 0.1
        people = {f"p{number}": {PAY} for number in range(5_000)}
        worked.worker.want(wish(people))
        worked.worker.start()
        await worked.until(lambda: worked.tags("p7") != set())
        del people["p7"]
        worked.worker.want(wish(people, cut=frozenset({"p7"})))
        await worked.until(lambda: not worked.tags("p7"))
        assert len(worked.identities.users) < len(people), "the rest is still to come"
        worked.firewall.knobs.slow_s = 0.0
        await worked.until(lambda: worked.worker.standing()["state"] == "in-step")
        assert worked.tags("p4999") == {PAY, MARK}

    alone(scene, tmp_path)


def test_a_person_who_asks_a_silent_firewall_about_tags_is_told_soon(tmp_path: Path) -> None:
    async def scene(worked: Worked) -> None:
        await worked.settled(wish({"ann": {PAY}}))
        worked.firewall.knobs.slow_s = 1.0
        with pytest.raises(Unreachable, match="`edge` does not answer, or is being read: no answer within 0.3 s"):
            await planned(worked.worker, 0.3)
        worked.firewall.knobs.slow_s = 0.1  # each answer, of more than three: slow is not silent
        assert (await planned(worked.worker, 0.3))["plan"]["steps"] == []

    alone(scene, tmp_path)
