"""Errors for a reader."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from fewtune.api.erring import NUMBERS, Confused, Errors, text_of
from fewtune.api.shows.console import heading, safe, table
from fewtune.runtime.duplicates import TRAIN, Copies
from fewtune.runtime.suspects import Checked, Suspect

WIDTH, NARROW = 60, 44
"""Characters of a text in a table, and beside long columns."""
PLACES = 4
"""Rows that one line of duplicates names."""


def show_errors(out: Console, found: Errors, limit: int) -> None:
    """Print the three lists, so many lines of each."""
    out.print("Rows are counted from 1 in their file; the header of a CSV is not counted.")
    if found.confused is not None:
        _show_confusions(out, found, found.confused, limit)
    if found.checked is not None:
        _show_suspects(out, found, found.checked, limit)
    _show_duplicates(out, found, limit)


def _show_confusions(out: Console, found: Errors, confused: Confused, limit: int) -> None:
    where = "cross-validation" if confused.scored == "cv" else confused.scored
    heading(out, f"Confusions of {confused.arm} (run {confused.run}, {where}, n = {confused.n})")
    trials = f"{confused.trials} trial{'s' * (confused.trials != 1)}"
    say(out, f"{confused.accuracy:.0%} of {confused.items} rows of {found.place(confused.split)} right, over {trials}.")
    rows = [
        (one.label, one.predicted or "(no answer)", one.count, f"{one.share:.0%}",
         numbers([found.number(confused.split, item) for item in one.items], NUMBERS))
        for one in confused.rows[:limit]
    ]  # fmt: skip
    if rows:
        table(out, ("label", "predicted", "answers", "of the label's", "rows"), rows,
              right=("answers", "of the label's"))  # fmt: skip
    more(out, len(rows), len(confused.rows))


def _show_suspects(out: Console, found: Errors, checked: Checked, limit: int) -> None:
    heading(out, f"Likely mislabelled rows of {found.place(TRAIN)}")
    for sentence in judgement(checked):
        say(out, sentence)
    shown = checked.suspects[:limit]
    second = ("words say",) if len(checked.views) > 1 else ()
    rows = [_suspect(found, one, bool(second)) for one in shown]
    table(out, ("", "row", "label", "suggested", "wrong", *second, "text"), rows, right=("row", "wrong"))
    more(out, len(shown), len(checked.suspects))


def _suspect(found: Errors, one: Suspect, second: bool) -> tuple[Any, ...]:
    words = (one.says["words"],) if second else ()
    text = excerpt(text_of(found.row(one.place)))
    mark, wrong = "*" if one.marked else "", "-" if one.wrong is None else f"{one.wrong:.2f}"
    return mark, found.number(TRAIN, one.place), one.label, one.suggested, wrong, *words, text


def judgement(checked: Checked) -> list[str]:
    """What the check is worth, and what it found."""
    by = "sentence encoder and words" if len(checked.views) > 1 else "words alone"
    said = [
        f"{len(checked.suspects)} rows, each checked by models that never saw it ({by}).",
        f"They find {checked.accuracy:.0%} of the labels; the most frequent label is {checked.majority:.0%}.",
    ]
    if checked.expected is None:
        said.append("So they cannot judge this task, and no row is marked.")
    elif not checked.beyond_chance:
        said.append("No more labels look wrong than doubtful rows with right labels do, and no row is marked.")
    else:
        marks = f"* marks the {checked.marked} that are likelier wrong than right"
        said.append(f"About {checked.expected:.0f} labels look wrong; {marks}.")
    if checked.left_out:
        rare = f"; too rare: {', '.join(checked.rare)}" if checked.rare else ""
        said.append(f"{checked.left_out} rows were left out (no text, no label, or a rare one{rare}).")
    return said


def _show_duplicates(out: Console, found: Errors, limit: int) -> None:
    heading(out, "Duplicates across splits and within the training data")
    copies = found.duplicates
    for name, what in (("the same text", copies.exact), ("nearly the same text", copies.near)):
        conflicts, across = sum(one.conflict for one in what), sum(one.across for one in what)
        said = f"{len(what)} with {name}" + (
            f": {across} across splits, {conflicts} with labels that differ (!)" * bool(what)
        )
        say(out, said)
        if what:
            table(out, ("", "alike", "rows", "labels", "text"), [_copies(found, one) for one in what[:limit]],
                  right=("alike",))  # fmt: skip
            more(out, min(limit, len(what)), len(what))


def _copies(found: Errors, copies: Copies) -> tuple[Any, ...]:
    by_split: dict[str, list[int]] = {}
    for row in copies.rows:
        by_split.setdefault(row.split, []).append(found.number(row.split, row.place))
    rows = "; ".join(f"{split} {numbers(each, PLACES)}" for split, each in by_split.items())
    labels = " / ".join(dict.fromkeys(row.label or "(none)" for row in copies.rows))
    return "!" * copies.conflict, f"{copies.likeness:.2f}", rows, labels, excerpt(copies.rows[0].text, NARROW)


def numbers(rows: Sequence[int], most: int) -> str:
    """The first few of some numbers."""
    left = f" and {len(rows) - most} more" if len(rows) > most else ""
    return ", ".join(map(str, rows[:most])) + left


def excerpt(text: str, width: int = WIDTH) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 3] + "..."


def say(out: Console, text: str) -> None:
    """A sentence with names from files in it."""
    out.print(Text(safe(text)))


def more(out: Console, shown: int, total: int) -> None:
    """How many lines a limit left out."""
    if shown < total:
        out.print(Text(f"{total - shown} more; --limit shows them", style="dim"))
