"""Small multiples: one small plot for each arm, the others pale behind it, all on the same axes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fewtune.api.report.markup import Html, element, together
from fewtune.api.report.scale import Scale, around

WIDTH, HEIGHT = 240, 148
LEFT, RIGHT, TOP, BOTTOM = 36, 8, 8, 20


@dataclass(frozen=True)
class Point:
    """A value at a place, with the ends of its interval where it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


Line = tuple[Point, ...]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """What one small plot shows."""

    name: str
    said: str
    """The values in words, for those who do not see them."""
    lines: tuple[Line, ...]
    marked: bool = False


def panels(found: Sequence[Panel], *, x_ticks: Sequence[float], x_form: Callable[[float], str],
           y_form: Callable[[float], str], log: bool, behind: bool) -> Html:  # fmt: skip
    """All panels.

    Args:
        found: each with one point at least.
        x_ticks: where the axis has numbers.
        x_form: writes them.
        y_form: writes a tick of the other axis.
        log: equal factors of x are equal lengths.
        behind: whether the other panels' lines stand pale behind each.
    """
    points = [point for panel in found for line in panel.lines for point in line]
    ends = [v for point in points for v in (point.y, point.low, point.high) if v is not None]
    xs = [point.x for point in points]
    x = Scale(min(xs), max(xs), LEFT + 6, WIDTH - RIGHT - 4, log)
    y = Scale(*around(ends), HEIGHT - BOTTOM, TOP)
    axes = together(*_across(y, y_form), *_along(x, x_ticks, x_form))
    everything = [line for panel in found for line in panel.lines]
    return element(
        "div", *(_panel(panel, x, y, axes, everything if behind else []) for panel in found), class_="panels"
    )


def _panel(panel: Panel, x: Scale, y: Scale, axes: Html, behind: Sequence[Line]) -> Html:
    pale = [_path(line, x, y, "pale") for line in behind if line not in panel.lines]
    own = [_path(line, x, y, "own") for line in panel.lines]
    marks = [_mark(point, x, y) for line in panel.lines for point in line if point.low is not None or len(line) == 1]
    drawn = element(
        "svg", element("title", f"{panel.name}: {panel.said}"), axes, *pale, *own, *marks,
        viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img",
    )  # fmt: skip
    return element(
        "figure", element("figcaption", panel.name), drawn, class_="panel marked" if panel.marked else "panel"
    )


def _across(y: Scale, form: Callable[[float], str]) -> list[Html]:
    found = []
    for tick in y.ticks(4):
        found.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(tick), y2=y(tick), class_="grid"))
        found.append(element("text", form(tick), x=LEFT - 5, y=y(tick) + 4, text_anchor="end", class_="tick"))
    return found


def _along(x: Scale, ticks: Sequence[float], form: Callable[[float], str]) -> list[Html]:
    return [
        element("text", form(tick), x=x(tick), y=HEIGHT - 5, class_="tick",
                text_anchor="end" if x(tick) > WIDTH - 40 else "middle")
        for tick in ticks
    ]  # fmt: skip


def _path(line: Line, x: Scale, y: Scale, kind: str) -> Html:
    return element("polyline", points=" ".join(f"{x(p.x):g},{y(p.y):g}" for p in line), class_=kind)


def _mark(point: Point, x: Scale, y: Scale) -> Html:
    interval = None
    if point.low is not None and point.high is not None:
        interval = element("line", x1=x(point.x), x2=x(point.x), y1=y(point.low), y2=y(point.high), class_="bar")
    return together(interval, element("circle", cx=x(point.x), cy=y(point.y), r=3.5))
