"""Why somebody cannot be signed in, as a closed list: a status, one sentence, and what to do.

The page says these words and a request id, never what a provider or a stranger wrote. What an operator needs to know
beside them goes to the log under the same code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final, NamedTuple


class Failure(NamedTuple):
    status: int
    sentence: str
    todo: str
    again: bool = True  # a link that begins anew makes sense


_ASK: Final = "Tell the operators of Stagedoor the request id below."

FAILURES: Final[Mapping[str, Failure]] = MappingProxyType(
    {
        "ticket_unknown": Failure(
            400, "This sign-in link is too old, or was not made by Stagedoor.",
            "Go back to the page you wanted and open it again.", again=False,
        ),
        "cookie_missing": Failure(
            400, "Your browser did not bring back the cookie of this sign-in.",
            "Allow cookies for this site, then begin again; a link that somebody sent you does not work here.",
        ),
        "callback_used": Failure(
            400, "This sign-in was finished before.", "Nothing is wrong: go on to where you wanted to be.",
        ),
        "callback_malformed": Failure(
            400, "What your identity provider sent back is not what it must be.",
            f"Begin again; if that does not help: {_ASK[0].lower()}{_ASK[1:]}",
        ),
        "issuer_mixed_up": Failure(
            400, "The answer came from another identity provider than the one you were sent to.",
            "Begin again, and tell the operators if it happens twice.",
        ),
        "issuer_unknown": Failure(
            400, "People cannot sign in with this identity provider.", "Choose another one.",
        ),
        "address_unknown": Failure(
            400, "No identity provider is known for this e-mail address.",
            "Check the address, or choose a provider by its name.",
        ),
        "denied": Failure(
            403, "Your identity provider did not sign you in.", "Begin again, or ask those who run it.",
        ),
        "pinned": Failure(
            403, "Somebody else has signed in as you before, or you did so with another account.",
            "Sign in with the account that you used first, or ask an administrator of Stagedoor to confirm this one.",
        ),
        "strength_unmet": Failure(
            403, "Your identity provider did not ask for the stronger sign-in that this page needs.",
            "Sign in again with a second factor; if you were not asked for one, tell the operators.",
        ),
        "provider_refused": Failure(
            502, "Your identity provider does not accept Stagedoor.", _ASK,
        ),
        "provider_away": Failure(
            503, "Your identity provider does not answer.", "Try again in a moment.",
        ),
        "provider_unbelieved": Failure(
            502, "What your identity provider said about you could not be verified.",
            f"Begin again; if that does not help: {_ASK[0].lower()}{_ASK[1:]}",
        ),
        "busy": Failure(
            503, "Too many sign-ins are under way at the moment.", "Try again in a moment.",
        ),
        "memory_away": Failure(
            503, "Stagedoor cannot reach its memory of sessions at the moment.", "Try again in a moment.",
        ),
        "https_needed": Failure(
            400, "Signing in needs a connection over https.", "Open the same address with https.", again=False,
        ),
        "failed": Failure(500, "Something went wrong in Stagedoor.", _ASK),
    }
)  # fmt: skip


class SignInFailed(Exception):
    """Raised by whoever looks; becomes the page. ``detail`` is for the log, and holds no code, token or cookie.
    ``back``: where the person wanted to go, and begins anew; ``cookie``: the line that ends this try."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.back = ""
        self.cookie = ""


@contextmanager
def leading_back(to: str) -> Iterator[None]:
    """Whoever fails begins anew at ``to``, where they wanted to go; "" where nobody knows."""
    try:
        yield
    except SignInFailed as failed:
        failed.back = to
        raise
