"""Elements of a page: everything that is not an element is text, and is escaped.

Names, labels and messages come from files that anyone may have written. Characters that would turn, hide or move text
are written out, so that what is read is what is there.
"""

import unicodedata
from html import escape

VOID = ("meta", "line", "circle", "rect", "path", "polyline")
"""Elements without content."""
_JOINERS = "\u200c\u200d"
"""Format characters that scripts need within words."""
_WRITTEN_OUT = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


class Html(str):
    """Text that is already markup; only `element` and `together` make it."""

    __slots__ = ()


Child = Html | str | float | None
"""None: nothing."""


def element(tag: str, *children: Child, **attributes: str | float | bool | None) -> Html:
    """An element with its content.

    Args:
        tag: its name.
        children: elements, and text, which is escaped.
        attributes: `class_` is class, an underscore is a hyphen; None and False are left out, True has no value.

    >>> element("p", "a < b", class_="x")
    '<p class="x">a &lt; b</p>'
    """
    given = "".join(
        f" {name.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{_text(value)}"')
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    if tag in VOID and not children:
        return Html(f"<{tag}{given}>" if tag == "meta" else f"<{tag}{given}/>")
    return Html(f"<{tag}{given}>{together(*children)}</{tag}>")


def together(*children: Child) -> Html:
    """Elements and text, one after the other."""
    return Html("".join(child if isinstance(child, Html) else _text(child) for child in children if child is not None))


def visible(text: object) -> str:
    r"""The text with what cannot be seen written out.

    >>> visible("a\u202eb\n")
    'a\\u202eb\n'
    """
    return "".join(char if _harmless(char) else f"\\u{ord(char):04x}" for char in str(text))


def _harmless(char: str) -> bool:
    return char in "\n\t" or char in _JOINERS or unicodedata.category(char) not in _WRITTEN_OUT


def _text(value: object) -> str:
    return escape(visible(f"{value:g}" if isinstance(value, float) else value), quote=True)
