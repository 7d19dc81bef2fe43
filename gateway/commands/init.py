"""`stagedoor init`: the first configuration, from a few answers; every question is also a flag."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.terminal import USUAL_PLACES, from_here, json_option, plain, write_json

if TYPE_CHECKING:
    from gateway.authoring.first_files import Answers, Written
    from gateway.config import Settings
    from gateway.doctor.lines import Line

PROVIDERS: Final = ("auth0", "entra", "generic", "google", "keycloak", "okta")  # those that people sign in with
DEFAULT_CATALOG: Final = "catalog"
DEFAULT_TOKEN: Final = "backstage.token"
DEFAULT_AUDIENCE: Final = "services"  # not the API's, `stagedoor`: doors pass tokens on to the services
DEFAULT_UPSTREAMS: Final = ".internal"


@click.command("init")
@click.option("--host", help="Public host of Stagedoor; services are published below it.")
@click.option("--issuer", help="Issuer of the tokens: their exact `iss`.")
@click.option(
    "--catalog", help=f"Folder with the Backstage entities, or address of a Backstage.  [default: {DEFAULT_CATALOG}]"
)
@click.option("--token-file", help=f"File with the token for that Backstage.  [default: {DEFAULT_TOKEN}]")
@click.option("--audience", help=f"What a token's `aud` must name.  [default: {DEFAULT_AUDIENCE}]")
@click.option(
    "--upstream", "upstreams", multiple=True,
    help=f"Network or name where services run; may be repeated.  [default: {DEFAULT_UPSTREAMS}]",
)  # fmt: skip
@click.option("--preset", type=click.Choice(PROVIDERS), help="Identity provider.  [default: by the issuer's address]")
@click.option("--match", help="CLAIM=FIELD: which claim equals which field of a User.")
@click.option("--listen", default="", help="Address and port.  [default: 127.0.0.1:8080, with TLS 0.0.0.0:8443]")
@click.option("--certificate", default="", help="PEM file with the certificate chain; needs --key.")
@click.option("--key", default="", help="PEM file with its key.")
@click.option("--state", default="state", show_default=True, help="The node's state folder.")
@click.option(
    "--config", "file", type=click.Path(dir_okay=False, path_type=Path), default=USUAL_PLACES[0], show_default=True,
    help="Where to write it.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace a configuration that is there.")
@click.option("--yes", is_flag=True, help="Ask nothing: what no flag says takes its default.")
@json_option
def command(file: Path, force: bool, yes: bool, as_json: bool, **said: Any) -> None:
    """Write a first configuration and access policy.

    Asks for what no flag says, tries the issuer and the Backstage, and ends with the commands that come next. An
    access policy that is there already is kept.
    """
    if file.exists() and not force:
        raise click.UsageError(f"`{file}` is there: replace it with --force, or write another with --config")
    if bool(said["certificate"]) != bool(said["key"]):
        raise click.UsageError("--certificate and --key belong together")
    answers = _answers(file, said, yes)
    written = _written(file, answers, force)
    issuer, catalog = asyncio.run(_asked(written.settings))
    report = _report(written, answers, issuer, catalog)
    write_json(report) if as_json else _show(report)


# === questions ===


def _answers(file: Path, said: dict[str, Any], yes: bool) -> Answers:
    from gateway.authoring.first_files import Answers
    from gateway.config_load.values import host_name, issuer_url, upstream_pattern

    def networks(text: str) -> str:
        return " ".join(upstream_pattern(each) for each in text.split())

    ask = _Questions(yes).ask
    host = ask("Public host of Stagedoor; services are published below it", "--host", said["host"], None, host_name)
    issuer = ask("Issuer of the tokens, their exact `iss`", "--issuer", said["issuer"], None, issuer_url)
    catalog = ask(
        "Folder with the Backstage entities, or address of a Backstage", "--catalog", said["catalog"], DEFAULT_CATALOG,
        _catalog,
    )  # fmt: skip
    token = ""
    if _is_address(catalog):
        token = ask("File with the token for that Backstage", "--token-file", said["token_file"], DEFAULT_TOKEN, _token)
    audience = ask("Audience that a token must name", "--audience", said["audience"], DEFAULT_AUDIENCE, _text)
    where = " ".join(said["upstreams"]) or None
    upstreams = ask("Networks or names where services run", "--upstream", where, DEFAULT_UPSTREAMS, networks)
    return Answers(
        host=host,
        issuer=issuer,
        catalog=catalog if token else _beside(file, catalog),
        token=_beside(file, token),
        audience=audience,
        upstreams=tuple(upstreams.split()),
        preset=said["preset"] or "",
        match=_match(said["match"]),
        address=said["listen"],
        certificate=_beside(file, said["certificate"]),
        key=_beside(file, said["key"]),
        state=_beside(file, said["state"]),
    )


class _Questions:
    """``unattended``: nobody is asked, what no flag says takes its default."""

    def __init__(self, unattended: bool) -> None:
        self._unattended = unattended

    def ask(self, question: str, flag: str, said: str | None, default: str | None, valid: Callable[[str], str]) -> str:
        """What the flag says, else the default or what a person answers; asked again until it is valid."""

        def checked(text: str) -> str:
            try:
                return valid(text.strip())
            except ValueError as error:
                raise click.BadParameter(str(error)) from None

        at_hand = default if said is None and self._unattended else said
        if at_hand is not None:
            try:
                return checked(at_hand)
            except click.BadParameter as error:
                raise click.UsageError(f"{flag}: {error.message}") from None
        if self._unattended:
            raise click.UsageError(f"{flag} is needed: nobody is asked with --yes")
        try:
            answer: str = click.prompt(question, default=default, value_proc=checked, err=True)
        except click.Abort:
            raise click.UsageError(f"no answer: say {flag}, and --yes where nobody is there to ask") from None
        return answer


def _is_address(catalog: str) -> bool:
    return catalog.startswith(("https://", "http://"))


def _catalog(text: str) -> str:
    from gateway.config_load.values import endpoint_address

    if not _is_address(text):
        return _text(text)
    try:
        return endpoint_address(text).rstrip("/").removesuffix("/api/catalog")
    except ValueError:
        raise ValueError(f"`{text}` is no address of a Backstage; write `https://backstage.example.com`") from None


def _token(text: str) -> str:
    from gateway.secret_files import secret_fault

    if fault := secret_fault(_text(text)):
        raise ValueError(f"{fault}; write the token into it, one line and nothing else")
    return text


def _text(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("is empty or holds control characters")
    return text


def _match(said: str | None) -> tuple[str, str] | None:
    if said is None:
        return None
    claim, equals, field = said.partition("=")
    if not (claim and equals and field):
        raise click.UsageError(f"--match: `{said}` is no match; write `sub=annotations.example.com/id`")
    return claim, field


def _beside(file: Path, path: str) -> str:
    """A path that was said from here, as it stands in the file: relative to the file's folder, or whole."""
    if not path:
        return ""
    whole, folder = Path(os.path.abspath(path)), Path(os.path.abspath(file.parent))
    return str(whole.relative_to(folder)) if whole.is_relative_to(folder) else str(whole)


# === files and what became of them ===


def _written(file: Path, answers: Answers, force: bool) -> Written:
    from gateway.authoring.first_files import write
    from gateway.errors import ConfigError

    try:
        return write(file, answers, replace=force)
    except FileExistsError:
        raise click.UsageError(f"`{file}` is there: replace it with --force, or write another with --config") from None
    except OSError as error:
        raise ConfigError(f"`{file.parent}` cannot be written: {error.strerror}") from None


async def _asked(settings: Settings) -> tuple[Line, Line | None]:
    """Whether the issuer answers, and the Backstage if there is one; for at most as long as a node would wait."""
    from gateway.doctor.catalogs import catalog
    from gateway.doctor.issuers import keys
    from gateway.doctor.running import Check, run_checks
    from gateway.egress.look_ups import Names

    names = Names()
    (issuer,) = settings.issuers
    checks = [Check("issuer", issuer.name, lambda: keys(issuer, names))]
    checks += [Check("catalog", each.name, partial(catalog, each, names)) for each in settings.catalog.backstage]
    told = [lines[0] async for lines in run_checks(checks)]
    return told[0], told[1] if len(told) > 1 else None


def _report(written: Written, answers: Answers, issuer: Line, catalog: Line | None) -> dict[str, Any]:
    files = [written.file, *([written.access] if written.access_is_new else [])]
    named = [] if written.file == USUAL_PLACES[0] else ["--config", from_here(str(written.file.absolute()))]
    notes = []
    notes += [
        f"`{from_here(folder)}` is not there yet: nothing is published before"
        for folder in written.settings.catalog.files
        if not os.path.exists(folder)
    ]
    if not answers.certificate:
        notes.append("the listener speaks plain HTTP on loopback: for other machines, give it a certificate")
    return {
        "written": [str(file.absolute()) for file in files],
        "kept": [] if written.access_is_new else [str(written.access.absolute())],
        "issuer": {"reached": issuer.verdict == "OK", "found": issuer.found, "fix": issuer.fix},
        "catalog": None
        if catalog is None
        else {"reached": catalog.verdict != "FAIL", "found": catalog.found, "fix": catalog.fix},
        "notes": notes,
        "next": [" ".join(["stagedoor", word, *named]) for word in ("check", "doctor", "serve")],
    }


def _show(report: dict[str, Any]) -> None:
    for file in report["written"]:
        click.echo(f"wrote   {from_here(file)}")
    for file in report["kept"]:
        click.echo(f"kept    {from_here(file)}, which was there")
    issuer = report["issuer"]
    if issuer["reached"]:
        click.echo(plain(f"issuer  answers: {issuer['found']}"))
    else:
        click.echo(plain(f"issuer  could not be asked: {issuer['found']}"))
        click.echo(plain(f"        {issuer['fix']}"))
    if (catalog := report["catalog"]) is not None:
        click.echo(plain(f"catalog {'answers' if catalog['reached'] else 'cannot be read'}: {catalog['found']}"))
        if catalog["fix"]:
            click.echo(plain(f"        {catalog['fix']}"))
    for note in report["notes"]:
        click.echo(plain(f"note    {note}"))
    click.echo("\nnext:")
    for line in report["next"]:
        click.echo(f"  {line}")
