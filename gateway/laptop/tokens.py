"""A token for an address: the sign-in that it belongs to, and an access token of it that is still good.

Several commands may find at once that the access token has to be renewed. The first to hold the lock renews it and
keeps what the issuer gave before anybody uses it; the others read that. So a refresh token that an issuer takes once is
used once. While the issuer is away, an access token counts to its own end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import click

from gateway.errors import StagedoorError, Unauthorized
from gateway.laptop.asking import Away, Web
from gateway.laptop.keeping import Keeper, SignIn
from gateway.laptop.places import Offered, Place, may_have_token
from gateway.laptop.provider import Ended, Provider, Refused, discovered
from gateway.laptop.signing_in import renewed

Clock = Callable[[], float]


def token_for(keeper: Keeper, target: Place, at: Place | None, ca: str, clock: Clock) -> SignIn:
    """The sign-in whose access token may be sent to ``target``, with one that is good now.

    ``at``: the central host to take, where several know the target. Raises `Unauthorized` where nobody is signed in.
    """
    return _fresh(keeper, _sign_in_for(keeper, target, at, int(clock())).place, ca, clock)


def provider_of(sign_in: SignIn, web: Web) -> Provider:
    offered = Offered(
        sign_in.name, sign_in.issuer, sign_in.client_id, tuple(sign_in.scopes), dict(sign_in.parameters)
    )  # fmt: skip
    return discovered(web, offered)


def read(keeper: Keeper, place: Place, now: int) -> SignIn | None:
    """The sign-in at a central host; one whose time has come is forgotten here."""
    found = keeper.read(place)
    if found is not None and not found.is_over(now):
        return found
    with keeper.lock(place):  # it may be about to be replaced
        found = keeper.read(place)
        if found is not None and found.is_over(now):
            keeper.forget(place)
            found = None
    return found


def _sign_in_for(keeper: Keeper, target: Place, at: Place | None, now: int) -> SignIn:
    places = [at] if at is not None else keeper.places()
    found_at = {place: read(keeper, place, now) for place in places}
    known = [found for found in found_at.values() if found is not None]
    fitting = [each for each in known if may_have_token(target, each.place, each.hosts)]
    exact = [each for each in fitting if each.place == target]
    if exact or len(fitting) == 1:
        return (exact or fitting)[0]
    if len(fitting) > 1:
        names = ", ".join(f"`{each.place}`" for each in fitting)
        raise click.UsageError(f"you are signed in at {names}, and each knows `{target}`: choose with --at")
    if at is not None and not known:
        raise Unauthorized(f"you are not signed in at `{at}`: run `stagedoor login {at}`")
    raise Unauthorized(_unknown(target, known, [place for place, found in found_at.items() if found is None]))


def _unknown(target: Place, known: Sequence[SignIn], over: Sequence[Place]) -> str:
    if not known and over:
        return "\n".join(f"your sign-in at `{place}` is over: run `stagedoor login {place}`" for place in over)
    if not known:
        return "you are signed in nowhere: run `stagedoor login HOST`, where HOST is Stagedoor's central host"
    lines = [f"no token is sent to `{target}`: it is not a host of a node that you are signed in at"]
    lines += [f"`{each.place}` has {_listed(each)}" for each in known]
    return "\n".join([*lines, "sign in at its own: run `stagedoor login HOST`"])


def _listed(sign_in: SignIn) -> str:
    port = "" if sign_in.port == 443 else f", all at port {sign_in.port}"
    return ", ".join(f"`{each}`" for each in sign_in.hosts) + port


def _fresh(keeper: Keeper, place: Place, ca: str, clock: Clock) -> SignIn:
    now = int(clock())
    found = keeper.read(place)
    if found is not None and not found.is_over(now) and now < found.renew_at:
        return found
    with keeper.lock(place):
        now = int(clock())
        found = keeper.read(place)
        if found is None or found.is_over(now):
            keeper.forget(place)
            raise Unauthorized(f"your sign-in at `{place}` is over: run `stagedoor login {place}`")
        if now < found.renew_at:  # somebody else was first
            return found
        return _renewed(keeper, found, ca, now)


def _renewed(keeper: Keeper, sign_in: SignIn, ca: str, now: int) -> SignIn:
    good = now < sign_in.access_until
    if not sign_in.refresh:
        if good:
            return sign_in
        keeper.forget(sign_in.place)
        raise Unauthorized(
            f"your access token for `{sign_in.place}` has expired, and `{sign_in.issuer}` gave no refresh token: "
            f"run `stagedoor login {sign_in.place}`"
        )
    try:
        tokens = provider_of(sign_in, Web(ca or sign_in.ca)).renew(sign_in.refresh)
    except Ended as ended:
        keeper.forget(sign_in.place)
        raise Unauthorized(f"{ended}\nyour sign-in is over: run `stagedoor login {sign_in.place}`") from None
    except (Away, Refused) as fault:
        if good:
            return sign_in
        raise StagedoorError(f"your access token has expired and cannot be renewed now: {fault}") from None
    return keeper.write(replace(sign_in, **renewed(sign_in, tokens, now)))  # type: ignore[arg-type]  # members of it
