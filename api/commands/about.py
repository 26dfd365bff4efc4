"""The verbs about fewtune itself and this machine."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fewtune.api.commands.answering import Answered, answer, one_of, write
from fewtune.api.commands.options import Json, Workspace, workspace_of
from fewtune.api.envelope import Envelope


def schema(
    strict: Annotated[bool, typer.Option("--strict", help="For engines that write under a grammar.")] = False,
    core: Annotated[bool, typer.Option("--core", help="The same of the most used keys: it fits every engine.")] = False,
    restore: Annotated[
        Path | None, typer.Option(help="Print the spec that this JSON document of --strict or --core says.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the JSON Schema of the spec language, or turn a document of its strict forms into a spec."""

    def work() -> Answered:
        from fewtune.api.given import restored
        from fewtune.specs.projection import core_schema, whole_schema
        from fewtune.specs.schema import json_schema

        found = restored(restore) if restore else core_schema() if core else whole_schema() if strict else json_schema()
        envelope = Envelope(ok=True, verb="schema", data=found)
        return envelope, lambda: write(json.dumps(found, indent=2, ensure_ascii=False))

    answer("schema", as_json, work)


def brief(workspace: Workspace = None, as_json: Json = False) -> None:
    """Print the page that an agent reads first."""

    def work() -> Answered:
        from fewtune.api.client import Client
        from fewtune.api.concise import budget
        from fewtune.api.pages.brief import brief as page

        text = page(budget(Client(workspace=workspace_of(workspace))))
        return Envelope(ok=True, verb="brief", data={"text": text}), lambda: write(text)

    answer("brief", as_json, work)


def describe(
    topic: Annotated[
        str | None, typer.Argument(help="A topic [lists them]; spec, rule, view, code or example.")
    ] = None,
    name: Annotated[str | None, typer.Argument(help="A pointer, R-035, a view, E-..., or an example.")] = None,
    as_json: Json = False,
) -> None:
    """Explain how fewtune works: one page a topic, or one rule."""

    def work() -> Answered:
        from fewtune.api.pages.describing import described

        found = described(topic, name)
        known = found.get("topics")
        width = max(map(len, known or {"": ""}))
        text = (
            "\n".join(f"{one:<{width}}    {title}" for one, title in known.items()) if known else found["text"].rstrip()
        )
        return Envelope(ok=True, verb="describe", data=found), lambda: write(text)

    answer("describe", as_json, work)


def rules(
    about: Annotated[str | None, typer.Argument(help="A decision, a method, or a word of the text [all].")] = None,
    strength: Annotated[str | None, typer.Option(help="strong, mixed, folklore or local.")] = None,
    state: Annotated[str | None, typer.Option(help="active (decisions weigh it) or waiting.")] = None,
    as_json: Json = False,
) -> None:
    """List the evidence behind decisions: condition, effect, strength, source."""

    def work() -> Answered:
        from fewtune.api.ruling import STATES, rule_data, rule_rows, show_rules

        one_of("--strength", strength, "strong", "mixed", "folklore", "local")
        one_of("--state", state, *STATES)
        rows = rule_rows(about, strength, state)
        data = {"rules": [rule_data(row) for row in rows]}
        return Envelope(ok=True, verb="rules", data=data), lambda: show_rules(rows)

    answer("rules", as_json, work)


def models(as_json: Json = False) -> None:
    """List the models that can be used without fetching anything, with their facts."""

    def work() -> Answered:
        from fewtune.api.machine import model_rows, show_models

        rows = model_rows()
        return Envelope(ok=True, verb="models", data={"models": rows}), lambda: show_models(rows)

    answer("models", as_json, work)


def doctor(
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate", help="Measure this machine's rates first (half a minute); plans then rest on them."
        ),
    ] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Show what planning will assume about this machine, which libraries are there, and the workspace's health."""

    def work() -> Answered:
        from fewtune.api import machine

        if calibrate:
            machine.calibrate()
        health = machine.examine(workspace_of(workspace))
        envelope = Envelope(ok=health["ok"], verb="doctor", data=health)
        return envelope, lambda: machine.show_health(health)

    answer("doctor", as_json, work)
