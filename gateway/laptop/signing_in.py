"""Signing somebody in on their own machine: ask the central host where, send the browser there, or show a code.

The browser is opened where there is one to open; else, and with `--device`, the code of RFC 8628 is typed in on any
other device. Where an issuer has no such codes, the address is shown, to be opened by hand.
"""

from __future__ import annotations

import os
import sys
import time
import webbrowser
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from gateway.errors import StagedoorError, Unauthorized
from gateway.laptop.asking import Answer, Away, Web
from gateway.laptop.keeping import KEYRING, LONGEST_S, Keeper, SignIn
from gateway.laptop.loopback import listening
from gateway.laptop.places import PATH, Described, Offered, Place, chosen, described
from gateway.laptop.provider import DeviceCode, Provider, Refused, Tokens, begin, discovered
from gateway.laptop.stronger import MFA, NOTHING, Wanted, command_for, parameters_of

BROWSER_S: Final = 300.0  # in which somebody signs in
SLOWER_S: Final = 5  # RFC 8628, 3.5: what `slow_down` adds
ELSEWHERE: Final = "Open this address in a browser on this machine (over SSH, forward the port it comes back to):"
_NOT_YET: Final = ("authorization_pending", "slow_down")

Say = Callable[[str], None]


class Wish(NamedTuple):
    """What the command line asked for. ``port`` 0: any."""

    place: Place
    ca: str
    issuer: str
    device: bool
    port: int
    browser: bool
    wanted: Wanted = NOTHING


def sign_in(wish: Wish, web: Web, say: Say) -> SignIn:
    """Raises `Unauthorized` where somebody is refused, `StagedoorError` where it cannot be done."""
    node = what_it_says(wish.place, web)
    offered = chosen(wish.place, node.offers, wish.issuer)
    provider = discovered(web, offered)
    say(f"{wish.place} has people sign in at {offered.issuer}.")
    shows = wish.browser and can_show_pages(os.environ)  # noqa: TID251 - of the person's desktop
    by_device = wish.device or (bool(provider.endpoints.device) and not shows)
    try:
        more = parameters_of(wish.wanted, offered.mfa_acr_values)
        tokens = _by_device(provider, more, say) if by_device else _by_browser(provider, more, wish.port, shows, say)
    except Refused as refused:
        raise Unauthorized(str(refused)) from None
    return _kept(wish, node, offered, tokens, int(time.time()))


def sign_in_again(folder: Path, earlier: SignIn, wanted: Wanted, ca: str, say: Say) -> SignIn:
    """The same once more, as strong or as recent as is wanted, and kept where the earlier one is. ``folder``:
    `$XDG_STATE_HOME`; ``ca``: authorities named now, "" = the earlier ones. Raises as :func:`sign_in` does.

    It was asked for by somebody else than the person, so it may not cost them what they have: who had a second factor
    is asked for one again, and keeps the earlier sign-in where the new one does not show it.
    """
    keeper = Keeper(folder, keyring=earlier.kept == KEYRING)
    web = Web(ca or earlier.ca)
    is_strong = _shows_mfa(earlier.place, earlier.access, web)
    words = (*wanted.acr_values, MFA) if is_strong and MFA not in wanted.acr_values else wanted.acr_values
    wish = Wish(
        earlier.place, earlier.ca, earlier.name, earlier.by_device, earlier.comes_back_to, browser=True,
        wanted=wanted._replace(acr_values=words),
    )  # fmt: skip
    found = sign_in(wish, web, say)
    if is_strong and not _shows_mfa(found.place, found.access, web):
        todo = f"to have the weaker one all the same: {command_for(found.place, wanted)}"
        raise Unauthorized(f"the new sign-in shows no `{MFA}`, and the one that you have does, so that stays; {todo}")
    with keeper.lock(earlier.place):
        return keeper.write(found, new=True)


def known_as(place: Place, token: str, web: Web) -> Answer:
    """What the node says of the token's bearer. Raises `Away`."""
    return web.get(f"{place.origin}/.stagedoor/whoami", {"Authorization": f"Bearer {token}"})


def _shows_mfa(place: Place, token: str, web: Web) -> bool:
    """Whether the node sees a second factor in the token. Raises `Away` where it cannot say."""
    answer = known_as(place, token, web)
    if answer.status == 429 or answer.status >= 500:
        raise Away(f"`{place}` answers {answer.status} when asked how strong a sign-in is: try again")
    methods = answer.said.get("amr")
    return answer.status == 200 and isinstance(methods, list) and MFA in methods


def what_it_says(place: Place, web: Web) -> Described:
    """The document of a central host. Raises `StagedoorError` where there is none."""
    address = f"{place.origin}{PATH}"
    answer = web.get(address)
    if answer.status != 200:
        raise Away(f"`{address}` answers {answer.status}: is `{place}` Stagedoor's central host?")
    return described(place, answer.said)


def can_show_pages(environment: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether a browser that is opened here appears before whoever sits at this terminal."""
    if environment.get("BROWSER"):
        return True
    if "SSH_CONNECTION" in environment or "SSH_TTY" in environment:
        return False
    return platform == "darwin" or bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def renewed(earlier: SignIn, tokens: Tokens, now: int) -> dict[str, object]:
    """The members of a sign-in that new tokens replace."""
    return {
        "access": tokens.access, "refresh": tokens.refresh,
        "access_until": min(now + tokens.lifetime_s, earlier.until), "renew_at": _renew_at(tokens, now),
    }  # fmt: skip


def _by_browser(provider: Provider, more: Mapping[str, str], port: int, shows: bool, say: Say) -> Tokens:
    with listening(port) as listener:
        attempt = begin(listener.redirect_uri)
        address = provider.authorization_address(attempt, more)
        listener.expect(attempt.state)
        opened = shows and _open(address)
        say("Your browser should open now. If it does not, open this address:" if opened else ELSEWHERE)
        say(f"\n  {address}\n")
        say(f"Waiting for the browser to come back to {listener.redirect_uri} (Ctrl-C ends it) …")
        arrival = listener.wait(BROWSER_S)
        if arrival is None:
            todo = "try again, or use `--device` where the browser is on another machine"
            raise StagedoorError(f"nobody came back from the browser within {BROWSER_S / 60:.0f} minutes: {todo}")
        try:
            tokens = provider.redeem(attempt, provider.code_in(attempt, arrival.said))
        except StagedoorError as error:
            arrival.tell(f"{error} Your terminal says more.", good=False)
            raise
        arrival.tell("You can close this page and go on in your terminal.", good=True)
        return tokens


def _by_device(provider: Provider, more: Mapping[str, str], say: Say) -> Tokens:
    code = provider.device_code(more)
    say("On any device, open this address and enter the code:")
    say(f"\n  {code.address}\n  {code.user_code}\n")
    if code.whole_address:
        say(f"or open it with the code already in it:\n\n  {code.whole_address}\n")
    say("Make sure that you began this yourself. Waiting until it is done (Ctrl-C ends it) …")
    return _polled(provider, code)


def _polled(provider: Provider, code: DeviceCode) -> Tokens:
    pause_s = code.pause_s
    deadline = time.monotonic() + code.lifetime_s
    while time.monotonic() < deadline:
        time.sleep(pause_s)
        try:
            return provider.redeem_device(code)
        except Refused as refused:
            if refused.code not in _NOT_YET:
                raise
            pause_s += SLOWER_S if refused.code == "slow_down" else 0
        except Away:
            pause_s *= 2  # RFC 8628, 3.5
    raise StagedoorError("nobody entered the code in time: try again")


def _open(address: str) -> bool:
    try:
        return webbrowser.open(address)
    except (webbrowser.Error, OSError):
        return False


def _kept(wish: Wish, node: Described, offered: Offered, tokens: Tokens, now: int) -> SignIn:
    return SignIn(
        wish.place.host, wish.place.port, wish.ca, offered.name, offered.issuer, offered.client_id, offered.scopes,
        offered.parameters, node.hosts, now, tokens.access, min(now + tokens.lifetime_s, now + LONGEST_S),
        _renew_at(tokens, now), tokens.refresh, comes_back_to=wish.port, by_device=wish.device,
        mfa_acr_values=offered.mfa_acr_values,
    )  # fmt: skip


def _renew_at(tokens: Tokens, now: int) -> int:
    """A minute before its end, or in the last third of a short life."""
    return now + tokens.lifetime_s - min(60, tokens.lifetime_s // 3)
