"""The verb that serves agents."""

import os
from pathlib import Path
from typing import Annotated

import typer

from fewtune.api.commands.answering import show_error
from fewtune.api.commands.options import Workspace
from fewtune.specs.diagnostic import Diagnostic


def mcp(
    root: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="The folder that specs and data lie in.")
    ] = Path(),
    name: Annotated[str, typer.Option(help="Who works through it, for the record.")] = "mcp",
    workspace: Workspace = None,
) -> None:
    """Serve the verbs to an LLM agent as tools (Model Context Protocol, standard input and output)."""
    try:
        from fewtune.api.client import Client
        from fewtune.api.tools.server import serve
    except ModuleNotFoundError as error:
        fault = Diagnostic(code="E-usage", message=f"{error.name} is not installed", remedy="pip install fewtune[mcp]")
        show_error((fault,), "")()
        raise SystemExit(2) from None
    os.chdir(root)  # data files may lie below the current folder: it is the root, wherever a client starts its servers
    serve(Client(root=Path.cwd(), workspace=workspace, channel="agent", name=name))
