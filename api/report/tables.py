"""Tables with a caption, and lists of facts."""

from collections.abc import Collection, Sequence

from fewtune.api.report.markup import Child, Html, element


def table(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Child]],
    *,
    numbers: Collection[str] = (),
    classes: dict[str, str] | None = None,
    marked: Collection[int] = (),
    stacked: bool = False,
) -> Html:
    """A table whose first column names the rows.

    Args:
        caption: what it shows.
        columns: headings.
        rows: cells, as many as headings.
        numbers: columns that are aligned on the right.
        classes: column -> class.
        marked: places of rows in the accent's colour.
        stacked: a row's cells stand one below the other where the page is narrow.
    """
    kinds = [("number" if name in numbers else (classes or {}).get(name)) for name in columns]
    head = element(
        "tr", *(element("th", name, scope="col", class_=kind) for name, kind in zip(columns, kinds, strict=True))
    )
    body = []
    for place, row in enumerate(rows):
        first, *rest = row
        cells = [element("th", first, scope="row", class_=kinds[0])]
        cells += [element("td", cell, class_=kind) for cell, kind in zip(rest, kinds[1:], strict=True)]
        body.append(element("tr", *cells, class_="marked" if place in marked else None))
    whole = element("table", element("caption", caption), element("thead", head), element("tbody", *body))
    return element(
        "div", whole, class_="scroll stack" if stacked else "scroll", role="region", aria_label=caption, tabindex=0
    )


def facts(pairs: Sequence[tuple[str, Child]]) -> Html:
    """Names with what is known of them; what is not known is left out."""
    shown = [(element("dt", name), element("dd", value)) for name, value in pairs if value not in (None, "")]
    return element("dl", *(part for pair in shown for part in pair))
