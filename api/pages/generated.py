"""Pages that are made from what they describe: rules, results, views, codes, verbs, examples, strict schemas."""

import json
from collections import defaultdict
from typing import Any

from fewtune.api.envelope import EXIT, EXIT_OF_CODE, exit_codes
from fewtune.api.pages.advice import ADVICE, GENERAL
from fewtune.api.starting import example_folder
from fewtune.compiler.evidence import ROWS
from fewtune.specs.diagnostic import CODES, OF_THE_WHOLE, Diagnostic, RunError
from fewtune.specs.profiles import PROFILES, counts, violations
from fewtune.specs.projection import CORE, core_schema, whole_schema
from fewtune.store.views import PUBLIC


def rules_page() -> str:
    """Which rules are weighed by which decision."""
    by: dict[str, list[str]] = defaultdict(list)
    for row in ROWS:
        for decision in row.decides:
            by[decision].append(f"{row.id} {row.strength}")
    waiting = sum(not row.active for row in ROWS)
    lines = [
        "# Rules: the evidence behind decisions", "",
        f"{len(ROWS)} rows of published or measured evidence; {len(ROWS) - waiting} are weighed by decisions, "
        f"{waiting} wait for a capability. strong beats mixed beats folklore; local was measured by fewtune itself.",
        "`fewtune describe rule R-035` shows one; `fewtune explain SPEC FIELD` says which one decided a value, and "
        "what would flip it; `fewtune rules WORD` searches.", "", "Decision: rules",
    ]  # fmt: skip
    return "\n".join([*lines, *(f"{name}: {', '.join(rows)}" for name, rows in sorted(by.items()))])


def results_page() -> str:
    """The views with their columns."""
    lines = [
        "# Results: what SQL can ask", "",
        'The views of `fewtune sql "SELECT ..."` (DuckDB, read-only). `fewtune describe view NAME` explains each '
        "column with its unit, direction and what null means; `fewtune describe queries` has some to begin with.", "",
    ]  # fmt: skip
    for view in sorted(PUBLIC, key=lambda one: one.name):
        lines += [f"{view.name}: {view.comment}", f"  {', '.join(view.columns)}"]
    return "\n".join(lines)


def view_page(name: str) -> str:
    """A view's columns."""
    view = next((one for one in PUBLIC if one.name == name), None)
    if view is None:
        raise _missing("view", name, [one.name for one in PUBLIC])
    return "\n".join([f"# View {name}", "", view.comment, "", *(f"{k}: {text}" for k, text in view.columns.items())])


def codes_page() -> str:
    """All codes with their meaning."""
    about = "E- is an error, W- a warning. `fewtune describe code CODE` says what to do about one."
    return "\n".join(["# Codes of findings", "", about, "", *(f"{code}: {text}" for code, text in CODES.items())])


def code_page(name: str) -> str:
    """A code: its meaning, the remedy and an example."""
    code = next((one for one in CODES if one.casefold() == name.casefold()), None)
    if code is None:
        raise _missing("code", name, list(CODES))
    remedy, example = ADVICE.get(code, GENERAL)
    status = EXIT_OF_CODE.get(code)
    names = {number: word for word, number in EXIT.items()}
    lines = [f"# {code}", "", f"means    {CODES[code]}", f"do       {remedy}"]
    lines += ["example  " + example.replace("\n", "\n         ")] if example else []
    validated = "; validate ends with 3, as for every invalid spec" if code in OF_THE_WHOLE else ""
    lines += [f"exit     {status} ({names[status]}){validated}"] if status is not None else []
    return "\n".join(lines)


def examples_page() -> str:
    """The example specs with their first comment."""
    lines = [
        "# Example specs",
        "",
        "`fewtune describe example NAME` prints one; `fewtune init --example` writes the first.",
    ]
    for name, text in _examples().items():
        first = text.split("\n", 1)[0]
        what = first.removeprefix("# ") if first.startswith("#") else "the quickstart"
        lines.append(f"{name}: {what}")
    return "\n".join(lines)


def example_page(name: str) -> str:
    """The text of an example spec."""
    known = _examples()
    if name not in known:
        raise _missing("example", name, list(known))
    return f"# Example {name}\n\n{known[name]}"


def _examples() -> dict[str, str]:
    """Name -> text, the quickstart first."""
    found = sorted(example_folder().glob("*.toml"), key=lambda path: (path.stem != "quickstart", path.stem))
    return {path.stem: path.read_text(encoding="utf-8") for path in found}


def verbs_page() -> str:
    """The commands with their arguments."""
    from typer import Typer
    from typer.main import get_command

    from fewtune.api.cli import VERBS

    about = (
        f"Every verb takes --json, and --help. What stands in [] may be left out. Exit codes: {exit_codes()}. validate "
        "ends with 3 for every invalid spec, whatever was found; the others with the code of what stopped them: "
        "E-budget ends validate with 3, plan and apply with 6."
    )
    lines = ["# Verbs", "", about, ""]
    app = Typer(add_completion=False)
    for verb in VERBS:
        app.command()(verb)
    commands: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        arguments = [_argument(one) for one in command.params if one.param_type_name == "argument"]
        options = [one.opts[0] for one in command.params if one.param_type_name == "option" and one.name != "as_json"]
        shown = " ".join([f"fewtune {name}", *arguments, *(f"[{option}]" for option in options)])
        what = (command.help or "").split("\n", 1)[0]
        lines.append(f"{shown}: {what}")
    return "\n".join(lines)


def _argument(one: Any) -> str:
    name: str = one.metavar or one.name.upper()
    return name if one.required else f"[{name}]"


def strict_page() -> str:
    """The strict projections: what they fit, and what the core leaves out."""
    lines = [
        "# Strict schemas for structured output", "",
        "For engines that write JSON under a grammar: every object closed, every key required, null for \"the "
        "rules decide\", no keyword that an engine may refuse. Ranges stand in descriptions, and fewtune checks them.",
        "`fewtune schema --strict` prints the whole language, `fewtune schema --core` a flat one. `fewtune schema "
        "--restore FILE` turns a document of either into a spec, which validate, plan and apply take; in Python "
        "`fewtune.specs.projection.restore` does, and `project` makes one of a spec. Nothing is lost on the way. Where "
        "the MCP tools and the Python client take a spec, they take such a document as it is; pointers and fixes in "
        "answers are those of the spec that it says.", "",
    ]  # fmt: skip
    for name, schema in (("strict", whole_schema()), ("core", core_schema())):
        found = counts(schema)
        lines.append(
            f"{name}: {len(json.dumps(schema)):,} bytes on one line, {found.properties} properties, {found.depth} "
            f"levels of objects, {found.unions} unions, {found.enum_values} enum values"
        )
        for profile in PROFILES:
            against = violations(schema, profile)
            lines.append(f"  {profile.name} ({profile.as_of}): " + ("fits" if not against else "; ".join(against)))
    lines += ["", "The core's keys, and where a spec says them:"]
    lines += [f"  {key}: {pointer}" for key, pointer in CORE.items()]
    lines += [
        "", "What the core cannot say is left to the rules, or written in the whole language: several data sizes, hub "
        "data, splits named under data.ood, validation and texts without labels, verbalizers, patterns, labels, "
        "encoders, other limits, seeds of models, folds, pins and arms.",
    ]  # fmt: skip
    return "\n".join(lines)


def _missing(kind: str, name: str, known: list[str]) -> RunError:
    import difflib

    near = difflib.get_close_matches(name, known, 1)
    remedy = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known[:40])}"
    message = f"there is no {kind} {name!r}"
    return RunError(Diagnostic(code="E-not-found", message=message, remedy=remedy), exit_status=7)
