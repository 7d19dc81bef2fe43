"""The calls the lab suggests: who asks for what, and what it is meant to show.

Whether a call is allowed is not written here; the start page asks the table. A call knows its command line for a
terminal, so that the summary, the page and the README all say the same.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Final

from gateway.lab.folder import LabFacts


@dataclass(frozen=True, slots=True)
class Call:
    title: str
    url_host: str
    path: str
    method: str = "GET"
    user: str = ""
    client: str = ""
    scope: str = ""
    mfa: bool = True
    body: str = ""

    @property
    def who(self) -> str:
        return self.user or self.client or "nobody"

    def token_command(self, facts: LabFacts) -> str:
        words = [facts.command, "lab", "token"]
        if self.user:
            words += ["--user", self.user]
        else:
            words += ["--client", self.client]
        if self.scope:
            words += ["--scope", shlex.quote(self.scope)]
        if not self.mfa:
            words.append("--no-mfa")
        return " ".join(words)

    def command(self, facts: LabFacts) -> str:
        """For a POSIX shell, to be pasted as it is."""
        words = ["curl", "--cacert", shlex.quote(facts.ca)]
        if self.user or self.client:
            words += ["-H", f'"Authorization: Bearer $({self.token_command(facts)})"']
        if self.body:
            words += ["-d", shlex.quote(self.body)]
        elif self.method != "GET":
            words += ["-X", self.method]
        words.append(shlex.quote(facts.origin(self.url_host) + self.path))
        return " ".join(words)


ALLOWED: Final = Call("Jane reads what her team owns", "payments.localhost", "/payments", user="jane")
REFUSED: Final = Call("Priya is on another team", "payments.localhost", "/fees", user="priya")
EDITED: Final = "payments.yaml"  # the file of step 3, in which REFUSED becomes allowed
EDIT_FROM: Final = "stagedoor.dev/access: consumers"
EDIT_TO: Final = "stagedoor.dev/access: everyone"

CALLS: Final[tuple[Call, ...]] = (
    ALLOWED,
    Call("A scope, but the wrong one", "payments.localhost", "/payments", user="jane", scope="fees:read"),
    Call("A password alone does not open production", "payments.localhost", "/payments", user="jane", mfa=False),
    Call(
        "Production is for looking", "payments.localhost", "/payments", "POST", user="jane", body='{"amount": "5.00"}'
    ),
    Call(
        "In staging she charges cards", "payments.staging.localhost", "/payments", "POST", user="jane",
        body='{"amount": "5.00"}',
    ),
    REFUSED,
    Call("Her own service is open to her", "orders.localhost", "/orders", user="priya"),
    Call("Support reads payments", "payments.localhost", "/payments/pay-2041", user="amara"),
    Call("Support sees where a parcel is", "shipping.localhost", "/parcels/3S-884120", user="amara"),
    Call("Same team as Jane, but a contractor", "payments.localhost", "/payments", user="omar"),
    Call("In dev he may work", "payments.dev.localhost", "/payments", user="omar"),
    Call("The books are his", "ledger.localhost", "/v1/accounts", user="tomas"),
    Call("No such operation", "ledger.localhost", "/v1/backdoor", user="tomas"),
    Call("The catalogue is open to everybody", "products.localhost", "/products", user="lukas"),
    Call("His parcels", "shipping.localhost", "/parcels/3S-884120", user="henk"),
    Call("Everybody reads the handbook", "handbook.localhost", "/", user="henk"),
    Call("Sales as they happen, a line each", "reports.localhost", "/events/stream", user="mei"),
    Call("Staging figures of another domain", "ledger.staging.localhost", "/v1/accounts", user="mei"),
    Call(
        "Orders charges a card through the API it consumes", "payments.localhost", "/payments", "POST",
        client="orders", scope="payments:charge", body='{"amount": "84.50"}',
    ),
    Call("The carrier's webhook needs no account", "orders.localhost", "/webhooks/carrier", "POST"),
    Call("Nobody in particular", "payments.localhost", "/payments"),
    Call("Zoe has left: a good token, and no such person", "payments.localhost", "/payments", user="zoe"),
)  # fmt: skip
