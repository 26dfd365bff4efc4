"""A spec as a person would write it for a data file, in the smallest form that can be planned."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fewtune.api.guessing import TRAIN_NAMES, Guess
from fewtune.compiler.compilation import compile_plan
from fewtune.compiler.plan import Compiled
from fewtune.runtime.probe.probing import probe
from fewtune.runtime.probe.rows import Table, cells
from fewtune.specs.diagnostic import Diagnostic, FewtuneError
from fewtune.specs.load import Loaded, load

TEST_ROWS = 500
"""Test rows of a large file: an accuracy is then known to about four points."""
SAMPLE = 128
"""The label budget where all labels would take too long."""
POOL = 4 * TEST_ROWS
"""Training rows of a large file: enough to sample from."""
TIMES = ("30 min", "2 h", "8 h", "3 days")
SETS = ("data", "dataset", "all", "full", *TRAIN_NAMES)
"""File names that say nothing of what is inside."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What goes into the spec beside the guesses."""

    train_rows: str | None = None
    test_rows: str | None = None
    """Of the test file; without one, of the training file."""
    budget: int | None = None
    wall_time: str = TIMES[0]
    total: int | None = None
    """Rows of a file of which only the first are used."""


def drafts(guess: Guess, table: Table, *, cut: bool) -> Iterator[Draft]:
    """Ways to write it, the plainest first; each takes less time than the one before, or allows more.

    Args:
        guess: what the file is about.
        table: its rows, as many as were read.
        cut: whether it has more.
    """
    plain = Draft()
    if cut:
        plain = Draft(train_rows=f"1-{len(table)}")
    yield plain
    budget = SAMPLE if len(guess.labels) * 4 <= SAMPLE else min(len(table), 8 * len(guess.labels))
    if guess.test:
        yield (small := replace(plain, budget=min(budget, len(table)), test_rows=f"1-{TEST_ROWS}"))
    elif len(table) >= 2 * TEST_ROWS and is_shuffled(guess, table):
        last = min(len(table), POOL + TEST_ROWS)
        pool = last - TEST_ROWS
        yield (small := Draft(train_rows=f"1-{pool}", test_rows=f"{pool + 1}-{last}", budget=min(budget, pool)))
    else:
        small = plain
    for longer in TIMES[1:]:
        yield replace(small, wall_time=longer)


def is_shuffled(guess: Guess, table: Table) -> bool:
    """Whether the last rows are as the first ones are: no label is found in one half only, but for rare ones."""
    if guess.label is None or not guess.labels:
        return True
    values = [cell.strip() for cell in cells(table.columns[guess.label])]
    half = len(values) // 2
    often = {label for label, count in guess.labels.items() if count >= 10}
    return often <= set(values[:half]) and often <= set(values[half:])


def spec_text(data: Path, target: Path, guess: Guess, draft: Draft) -> str:
    """The spec's TOML; comments stand where something was guessed or left out."""
    folder = target.resolve().parent

    def place(path: Path) -> str:
        return quoted(os.path.relpath(path.resolve(), folder))

    def key(name: str, column: str) -> str:
        why = guess.guessed.get(name)
        return f"{name} = {quoted(column)}" + (f" # {why}" if why else "")

    lines = ["spec_version = 1", f"name = {quoted(name_of(data))}", "", "[task]", f'type = "{guess.task}"', ""]
    lines += ["[data]", f"train = {_source(place(data), draft.train_rows, _kept(guess))}{_left_out(guess)}"]
    if guess.test:
        test = _source(place(data.with_name(guess.test)), draft.test_rows, {})
        lines.append(f"test = {test} # guessed by its name")
    elif draft.test_rows:
        test = _source(place(data), draft.test_rows, _kept(guess))
        lines.append(f"test = {test} # guessed: the rows are in no order; better a file of its own")
    lines += [key(field, column) for field, column in guess.columns.items()]
    lines += [key("label", guess.label)] if guess.label else []
    if draft.budget:
        lines.append(
            f"label_budget = {draft.budget} # of {guess.rows:,}{'+' * guess.more}: all of them would take too long here"
        )
    lines += ["", "[constraints]", f'wall_time = "{draft.wall_time}"', ""]
    return "\n".join(lines)


def _kept(guess: Guess) -> dict[str, str]:
    """The labels to be used, where rows without one are to be left out."""
    return {label: label for label in guess.labels} if guess.unlabelled else {}


def _left_out(guess: Guess) -> str:
    return f" # {guess.unlabelled} rows without a label are left out" if guess.unlabelled else ""


def _source(path: str, rows: str | None, labels: dict[str, str]) -> str:
    if not rows and not labels:
        return path
    parts = [f"path = {path}", *([f'rows = "{rows}"'] if rows else [])]
    if labels:
        parts.append("labels = { " + ", ".join(f"{quoted(one)} = {quoted(to)}" for one, to in labels.items()) + " }")
    return "{ " + ", ".join(parts) + " }"


def name_of(data: Path) -> str:
    """The experiment's name: the file's, or the folder's where the file's says nothing."""
    stem = data.resolve().parent.name if data.stem.lower() in SETS else data.stem
    return re.sub(r"^[^A-Za-z0-9]+|[^\w .-]+", " ", stem).strip(" .-_")[:60] or "experiment"


def quoted(text: str) -> str:
    """A TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def planned(text: str, target: Path) -> tuple[Loaded, Compiled | None, tuple[Diagnostic, ...]]:
    """Read and plan a spec that is not written yet: the plan, or why there is none, and what to mind."""
    loaded = load(text.encode(), format="toml", stem=target.stem)
    try:
        probed = probe(loaded.experiment, target.resolve().parent, target.parent)
        compiled = compile_plan(loaded.experiment, probed.facts, loaded.stem)
    except FewtuneError as error:
        return loaded, None, loaded.located(error.diagnostics)
    return loaded, compiled, loaded.located(tuple(one for one in compiled.plan.warnings if one.code != "W-cut"))
