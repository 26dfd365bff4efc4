"""Plain, narrow building blocks for the terminal: sections, tables, diagnostics.

Everything goes through one console for data (standard output) and one for talk (standard error). Text from files is
never read as markup, and control characters are shown as escapes.
"""

import re
import sys
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fewtune.specs.diagnostic import Diagnostic

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that could move the cursor or hide text."""
COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}
WIDTH = 118
"""Columns where the output is no terminal."""
GAP = 3
"""Columns between two cells of a table."""


def safe(text: object) -> str:
    """The text with control characters written out."""
    return CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", str(text))


def console(*, talk: bool = False) -> Console:
    """The console for data, or the one for progress and findings."""
    stream = sys.stderr if talk else sys.stdout
    width = None if stream.isatty() else WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, soft_wrap=False, emoji=False)


def heading(out: Console, text: str) -> None:
    """A section's title."""
    out.print()
    out.print(Text(safe(text), style="bold"))


def table(out: Console, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """A table without lines between rows; columns named in `right` hold numbers."""
    grid = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim")
    whole = _narrowest(columns) <= out.width
    for column in columns:
        least = max(map(len, column.split()), default=0) if whole else None
        grid.add_column(column, justify="right" if column in right else "left", overflow="fold", min_width=least)
    for row in rows:
        grid.add_row(*(Text(safe(cell)) for cell in row))
    out.print(grid)


def answer(out: Console, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A query's rows: a table, or where its headings do not fit side by side, each row as lines of column and cell."""
    if not rows:
        out.print(f"no rows of {', '.join(map(safe, columns))}")
    elif _narrowest(columns) <= out.width:
        table(out, columns, rows)
    else:
        for number, row in enumerate(rows, 1):
            heading(out, f"row {number}")
            grid = Table(box=None, pad_edge=False, show_header=False)
            grid.add_column(style="dim", no_wrap=True)
            grid.add_column(overflow="fold")
            for column, cell in zip(columns, row, strict=True):
                grid.add_row(Text(safe(column)), Text(safe(cell)))
            out.print(grid)


def _narrowest(columns: Sequence[str]) -> int:
    """The width of a table that breaks no word of its headings."""
    return sum(max(map(len, column.split()), default=0) + GAP for column in columns)


def diagnostics(out: Console, found: Iterable[Diagnostic], source: str = "") -> None:
    """Each finding as: place, code, message, and below it what to do."""
    for finding in found:
        place = f"{source}:{finding.line}:{finding.column}: " if finding.line is not None else ""
        line = Text(safe(place), style="dim")
        line.append(f"{finding.severity} {finding.code}", style=COLOURS[finding.severity])
        line.append(f": {safe(finding.message)}")
        out.print(line)
        for advice in advices(finding):
            out.print(Text(f"    {safe(advice)}", style="dim"))


def advices(finding: Diagnostic) -> list[str]:
    """What a reader may do about it."""
    said = []
    if finding.nearest is not None:
        said.append(f"did you mean {finding.nearest!r}?")
    if finding.remedy is not None:
        said.append(finding.remedy)
    return said + [f"fix ({fix.applicability}): {fix.title}" for fix in finding.fixes if finding.nearest is None]


def clock(seconds: float) -> str:
    """A span as a person says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """Bytes as a person says them."""
    for unit, amount in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= amount:
            return f"{count / amount:.3g} {unit}"
    return f"{count:.0f} B"
