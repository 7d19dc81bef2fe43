"""`stagedoor config`: what an editor or a pipeline wants to know about the operator's files."""

from __future__ import annotations

from typing import Literal

import click

from gateway.terminal import write_json


@click.group("config")
def command() -> None:
    """JSON Schemas of the operator's files, for editors."""


@command.command()
@click.option(
    "--of", "document", type=click.Choice(["configuration", "access-policy", "apm-mapping"]),
    default="configuration", show_default=True, help="Which file.",
)  # fmt: skip
@click.option("--json", is_flag=True, expose_value=False, help="Accepted; a schema is JSON anyway.")
def schema(document: Literal["configuration", "access-policy", "apm-mapping"]) -> None:
    """Print the JSON Schema of a file.

    For an editor: save it, and write `# yaml-language-server: $schema=FILE` into the first line of the YAML file.
    """
    if document == "configuration":
        from gateway.config_load.schema import configuration_schema

        write_json(configuration_schema())
    elif document == "apm-mapping":
        from gateway.config_load.devices.apm import mapping_schema

        write_json(mapping_schema())
    else:
        from gateway.authoring.access_schema import access_schema

        write_json(access_schema())
