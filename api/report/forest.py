"""Values with their intervals, one below the other on one axis."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fewtune.api.report.markup import Html, element
from fewtune.api.report.scale import Scale

WIDE, NARROW = 780, 344
"""Pixels; a page shows the one that fits."""
LETTER = 6.4
"""Pixels of a letter, about."""
LONGEST = 260
"""Pixels of a name; what is longer is cut, and whole in the title."""


ARROW = 5
"""Pixels of an arrow's head, along and across."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One row."""

    name: str
    low: float
    high: float
    value: float | None
    """The point; None: only the interval is known."""
    said: str
    """The numbers in words."""
    marked: bool = False
    """In the accent's colour."""
    open_low: bool = False
    """An arrow says that the value lies below `low`, no one knows where."""
    open_high: bool = False
    """The same above `high`."""


def forest(bars: Sequence[Bar], low: float, high: float, *, title: str, form: Callable[[float], str],
           log: bool = False, zero: float | None = None) -> Html:  # fmt: skip
    """A figure in two widths.

    Args:
        bars: rows, from above.
        low: start of the axis.
        high: end of the axis.
        title: what is shown, in words: for those who do not see it.
        form: writes a tick.
        log: equal factors are equal lengths.
        zero: where a line across all rows stands.
    """
    names = min(max(len(bar.name) for bar in bars) * LETTER, LONGEST) + 20
    words = max(len(bar.said) for bar in bars) * LETTER * 1.1 + 20
    drawn = [
        _drawn(bars, Scale(low, high, start, width - end, log), width, title, form, zero)
        for width, start, end in ((WIDE, names, words), (NARROW, 8, 12))
    ]
    return element("figure", element("div", drawn[0], class_="wide"), element("div", drawn[1], class_="narrow"))


def _drawn(bars: Sequence[Bar], scale: Scale, width: int, title: str, form: Callable[[float], str],
           zero: float | None) -> Html:  # fmt: skip
    wide = width == WIDE
    step = 27 if wide else 42
    height = step * len(bars) + 26
    axis = height - 20
    lines = [element("line", x1=scale(tick), x2=scale(tick), y1=0, y2=axis, class_="grid") for tick in scale.ticks()]
    texts = [
        element("text", form(tick), x=scale(tick), y=height - 5, text_anchor="middle", class_="tick")
        for tick in scale.ticks()
    ]
    if zero is not None:
        lines.append(element("line", x1=scale(zero), x2=scale(zero), y1=0, y2=axis, class_="zero"))
    rows = [_row(bar, scale, width, step * place, step) for place, bar in enumerate(bars)]
    return element(
        "svg", element("title", title), *lines, *texts, *rows, viewBox=f"0 0 {width} {height}", role="img", width=width,
        height=height,
    )  # fmt: skip


def _row(bar: Bar, scale: Scale, width: int, top: int, step: int) -> Html:
    wide = width == WIDE
    y = top + step / 2 if wide else top + step - 9
    text_y = y + 4 if wide else y - 14
    room = int((LONGEST if wide else width - len(bar.said) * LETTER - 16) / LETTER)
    name = bar.name if len(bar.name) <= room else bar.name[: room - 1] + "…"
    point = element("circle", cx=scale(bar.value), cy=y, r=4.5) if bar.value is not None else None
    return element(
        "g",
        element("title", f"{bar.name}: {bar.said}"),
        element("text", name, x=0, y=text_y),
        element("line", x1=scale(bar.low), x2=scale(bar.high), y1=y, y2=y, class_="bar"),
        point,
        _arrow(scale(bar.low), y, -1) if bar.open_low else None,
        _arrow(scale(bar.high), y, 1) if bar.open_high else None,
        element("text", bar.said, x=width, y=text_y, text_anchor="end", class_="said"),
        class_="marked" if bar.marked else None,
    )


def _arrow(x: float, y: float, way: int) -> Html:
    """A head at the end of a bar, that points left (-1) or right (1)."""
    tip = x + ARROW * way
    return element("polyline", points=f"{x},{y - ARROW} {tip},{y} {x},{y + ARROW}", class_="arrow")
