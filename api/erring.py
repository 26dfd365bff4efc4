"""errors: what a classifier confuses, which labels look wrong, and which rows are there twice."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fewtune.compiler.facts import DataFacts
from fewtune.compiler.plan import CV
from fewtune.runtime.duplicates import TRAIN, Copies, Duplicates, duplicates
from fewtune.runtime.job import Corpus, Progress, Row
from fewtune.runtime.lock import read_lock
from fewtune.runtime.minilm import encoder_is_ready
from fewtune.runtime.probe.data import corpus, data_facts, files, read
from fewtune.runtime.suspects import Checked, embedded_encoder, suspects
from fewtune.specs.data import Source
from fewtune.specs.diagnostic import Diagnostic, FewtuneError, PlanError, StoreError
from fewtune.specs.experiment import Experiment
from fewtune.specs.load import Loaded, load_file
from fewtune.store.confusions import Confusion, confusions
from fewtune.store.reader import Reader
from fewtune.store.trial_predictions import ArmRuns, arm_runs

TASKS = ("classification", "pair-classification")
LIMIT = 20
"""Rows of each list, unless asked otherwise."""
NUMBERS = 10
"""Row numbers that one confusion names."""
EXCERPT = 300
"""Characters of a text in the answer."""


@dataclass(frozen=True)
class Confused:
    """The wrong answers of one arm."""

    run: str
    arm: str
    split: str
    """Whose rows were answered."""
    scored: str
    """test, or cv."""
    n: int
    trials: int
    items: int
    accuracy: float
    rows: tuple[Confusion, ...]


@dataclass(frozen=True)
class Errors:
    """All that was found."""

    experiment: str
    sources: Mapping[str, Source]
    numbers: Mapping[str, Sequence[int]]
    """Split -> the number of each row in its file, from 1, a header not counted."""
    corpus: Corpus
    confused: Confused | None
    checked: Checked | None
    duplicates: Duplicates
    notes: tuple[Diagnostic, ...]
    """What could not be looked at, and why."""

    def number(self, split: str, place: int) -> int:
        """The number of a row in its file."""
        return self.numbers[split][place]

    def place(self, split: str) -> str:
        """How a person would name a split's file."""
        return self.sources[split].path or self.sources[split].place

    def row(self, place: int) -> Row:
        """A row of the training data."""
        return self.corpus.splits[TRAIN][place]

    def totals(self) -> dict[str, int]:
        """List -> how many entries it has."""
        return {
            "confusions": len(self.confused.rows) if self.confused else 0,
            "mislabelled": len(self.checked.suspects) if self.checked else 0,
            "exact": len(self.duplicates.exact),
            "near": len(self.duplicates.near),
        }

    def cut(self, limit: int) -> dict[str, Any] | None:
        """What a limit leaves out."""
        total = self.totals()
        shown = {name: min(count, limit) for name, count in total.items()}
        return None if shown == total else {"shown": shown, "total": total, "hint": "raise --limit"}

    def data(self, limit: int) -> dict[str, Any]:
        """For `--json`; so many entries of each list."""
        return {
            "experiment": self.experiment,
            "confusions": self._confusions(limit),
            "mislabelled": self._mislabelled(limit),
            "duplicates": {
                "exact": [self._copies(found) for found in self.duplicates.exact[:limit]],
                "near": [self._copies(found) for found in self.duplicates.near[:limit]],
            },
        }

    def _confusions(self, limit: int) -> dict[str, Any] | None:
        if self.confused is None:
            return None
        found = self.confused
        rows = [
            {"label": one.label, "predicted": one.predicted, "count": one.count, "share": one.share,
             "rows": [self.number(found.split, item) for item in one.items[:NUMBERS]]}
            for one in found.rows[:limit]
        ]  # fmt: skip
        return {
            "run": found.run, "arm": found.arm, "split": found.scored, "place": self.place(found.split), "n": found.n,
            "trials": found.trials, "items": found.items, "accuracy": found.accuracy, "rows": rows,
        }  # fmt: skip

    def _mislabelled(self, limit: int) -> dict[str, Any] | None:
        if self.checked is None:
            return None
        found = self.checked
        rows = [
            {"row": self.number(TRAIN, one.place), "label": one.label, "suggested": one.suggested,
             "wrong": one.wrong, "confidence": one.confidence, "marked": one.marked, "says": one.says,
             "ranks": one.ranks, "text": text_of(self.row(one.place))[:EXCERPT]}
            for one in found.suspects[:limit]
        ]  # fmt: skip
        return {
            "place": self.place(TRAIN), "checked": len(found.suspects), "left_out": found.left_out,
            "rare": found.rare, "expected": found.expected, "marked": found.marked, "accuracy": found.accuracy,
            "majority": found.majority, "informed": found.informed, "beyond_chance": found.beyond_chance,
            "views": found.views, "rows": rows,
        }  # fmt: skip

    def _copies(self, found: Copies) -> dict[str, Any]:
        rows = [
            {"split": row.split, "place": self.place(row.split), "row": self.number(row.split, row.place),
             "label": row.label}
            for row in found.rows
        ]  # fmt: skip
        texts = [row.text[:EXCERPT] for row in (found.rows if found.likeness < 1 else found.rows[:1])]
        return {"likeness": found.likeness, "across": found.across, "conflict": found.conflict, "rows": rows,
                "texts": texts}  # fmt: skip


def text_of(row: Row) -> str:
    """A row's fields in one line."""
    return " / ".join(row.fields.values())


def errors(spec: Path, workspace: Path, arm: str | None, say: Callable[[str], object]) -> Errors:
    """Look for errors.

    Args:
        spec: whose data and runs.
        workspace: where its runs are.
        arm: whose confusions; omitted: the chosen one's.
        say: is told what takes longer than a moment.

    Raises:
        FewtuneError: E-conflict where the answer is no single label, E-not-found for an unknown arm, or the faults of
            spec and data.
    """
    loaded = load_file(spec)
    experiment, base = loaded.experiment, spec.resolve().parent
    try:
        _refuse_other_tasks(experiment)
        found = read(experiment, files(experiment, base, read_lock(base)))
    except FewtuneError as error:
        raise type(error)(loaded.located(error.diagnostics), exit_status=error.exit_status) from error
    facts, rows = data_facts(found, lambda texts: [0] * len(texts)), corpus(found)
    confused, notes = _confused(loaded, workspace, arm, facts)
    checked, more = _checked(experiment, facts, rows, say)
    copies = duplicates(facts, rows)
    name = experiment.name or loaded.stem
    numbers = {split: table.numbers for split, table in found.tables.items()}
    return Errors(
        name, experiment.data.splits, numbers, rows, confused, checked, copies, (*notes, *loaded.located(more))
    )


def _refuse_other_tasks(experiment: Experiment) -> None:
    task = experiment.task.type
    if task not in TASKS:
        has = "a row may have several" if experiment.task.marks else f"{task} has none"
        message = f"errors compares labels, one for each row: {has}"
        remedy = f"it looks at {' and '.join(TASKS)}"
        raise PlanError(Diagnostic(code="E-conflict", message=message, pointer="/task/type", remedy=remedy))


def _confused(
    loaded: Loaded, workspace: Path, arm: str | None, facts: DataFacts
) -> tuple[Confused | None, list[Diagnostic]]:
    """The confusions of the latest run; or why there are none."""
    reader, name = Reader(workspace), loaded.experiment.name or loaded.stem
    try:
        return _confusions_of(reader, name, arm, facts), []
    except StoreError as error:
        first = error.diagnostics[0]
        if first.code != "E-nothing-to-show":
            raise
        return None, [first.model_copy(update={"severity": "note"})]


def _confusions_of(reader: Reader, experiment: str, arm: str | None, facts: DataFacts) -> Confused:
    run = reader.latest_run(experiment)
    if run is None:
        raise _nothing(f"no run of {experiment!r} yet, so no confusions", "run `fewtune apply SPEC`")
    plan, selection = reader.plan_of(run.id).plan, reader.selection_of(run.id)
    chosen = arm or (selection.arm if selection else None)
    known = [each.name for each in plan.arms]
    if chosen is None:
        raise _nothing(f"run {run.id} has not chosen an arm yet", f"name one with --arm: {', '.join(known)}")
    if chosen not in known:
        message, remedy = f"run {run.id} has no arm {chosen!r}", f"its arms are {', '.join(known)}"
        near = next(iter(get_close_matches(chosen, known, 1)), None)
        raise StoreError(Diagnostic(code="E-not-found", message=message, nearest=near, remedy=remedy), exit_status=7)
    scored = "test" if "test" in plan.facts.rows else CV
    found = arm_runs(reader, plan, chosen, plan.final_n, scored, "accuracy")
    split = TRAIN if scored == CV else scored
    own = facts.splits[split].labels if split in facts.splits else ()
    names = plan.labels
    if names != facts.labels or not _still(found, own):
        message = f"the data are no longer those of run {run.id}: the rows of its confusions cannot be named"
        raise _nothing(message, "run `fewtune apply SPEC` again")
    predicted = found.runs.predicted
    return Confused(
        run=run.id, arm=chosen, split=split, scored=scored, n=plan.final_n, trials=len(predicted),
        items=len(found.rows), accuracy=float((predicted == found.labels).mean()), rows=confusions(found, names),
    )  # fmt: skip


def _still(found: ArmRuns, labels: Sequence[int]) -> bool:
    """Whether the rows that were scored still have their labels."""
    rows = found.rows.tolist()
    return max(rows, default=0) < len(labels) and [labels[row] for row in rows] == found.labels.tolist()


def _nothing(message: str, remedy: str) -> StoreError:
    return StoreError(Diagnostic(code="E-nothing-to-show", message=message, remedy=remedy), exit_status=7)


def _checked(
    experiment: Experiment, facts: DataFacts, rows: Corpus, say: Callable[[str], object]
) -> tuple[Checked | None, list[Diagnostic]]:
    """The labels that look wrong; or why they were not looked for."""
    from fewtune.runtime.applying import refuse_without_libraries

    try:
        refuse_without_libraries()
    except FewtuneError as error:
        return None, [error.diagnostics[0].model_copy(update={"severity": "warning"})]
    from fewtune.runtime.probe.device import device_facts

    notes, encoder = list[Diagnostic](), None
    if encoder_is_ready():
        encoder = embedded_encoder(device_facts(), _progress(say))
    else:
        notes.append(_without_encoder(experiment))
    found = suspects(facts, rows, encoder)
    if found is None:
        message = "fewer than two labels have three different texts: no label can be checked"
        notes.append(Diagnostic(code="E-too-few-rows", severity="note", message=message, pointer="/data/train"))
    return found, notes


def _without_encoder(experiment: Experiment) -> Diagnostic:
    message = "the sentence encoder is not on this machine: labels were checked by their words alone"
    excluded = "encoder" in experiment.methods.exclude
    remedy = (
        "take encoder out of methods.exclude and run `fewtune pull SPEC`" if excluded else "run `fewtune pull SPEC`"
    )
    return Diagnostic(code="E-facts-missing", severity="warning", message=message, pointer="/methods", remedy=remedy)


def _progress(say: Callable[[str], object]) -> Callable[[Progress], None]:
    """Says every thousandth text or so."""
    last = 0

    def tell(progress: Progress) -> None:
        nonlocal last
        if progress.phase == "scoring" and progress.done // 1000 > last // 1000:
            last = progress.done
            say(f"{progress.done} of {progress.total} texts read")

    return tell
