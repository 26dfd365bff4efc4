"""describe: pages about how fewtune works, as plain text of at most 8 kB; they are the documentation."""

from collections.abc import Callable
from difflib import get_close_matches
from importlib.resources import files
from typing import Any

from fewtune.api.ruling import rule_page
from fewtune.specs.diagnostic import Diagnostic, RunError

MOST = 8_000
"""Bytes of a page."""


def pages() -> dict[str, str]:
    """Topic -> its text, whose first line is its title: the written ones."""
    found = sorted(files("fewtune.api.topics").iterdir(), key=lambda page: page.name)
    return {page.name[:-3]: page.read_text(encoding="utf-8") for page in found if page.name.endswith(".md")}


def title(text: str) -> str:
    """A page's title."""
    return text.split("\n", 1)[0].removeprefix("# ")


GENERATED = {
    "spec": "The spec language",
    "rules": "Rules: the evidence behind decisions",
    "results": "Results: what SQL can ask",
    "codes": "Codes of findings",
    "examples": "Example specs",
    "verbs": "Verbs",
    "strict": "Strict schemas for structured output",
}
"""Topic -> title of the pages that are made from what they describe."""
NAMED = {"spec": "/POINTER", "rule": "R-035", "view": "NAME", "code": "E-...", "example": "NAME"}
"""Topics that take a name -> what it looks like."""

SINGLE = {"rules": "rule", "results": "view", "codes": "code", "examples": "example"}
"""Topic of all -> that of one, where a name follows: either word will do."""


def topics() -> dict[str, str]:
    """Topic -> its title."""
    return GENERATED | {name: title(text) for name, text in pages().items()}


def described(topic: str | None, name: str | None) -> dict[str, Any]:
    """The list of topics; or a page: its title and text.

    Raises:
        RunError: E-usage, E-not-found.
    """
    if topic is None:
        return {"topics": topics()}
    if name is None:
        topic = {one: many for many, one in SINGLE.items() if one != "rule"}.get(topic, topic)
    else:
        topic = SINGLE.get(topic, topic)
    if (topic == "rule" and name is None) or (name is not None and topic not in NAMED):
        ways = ", ".join(f"{kind} {form}" for kind, form in NAMED.items())
        message = f"describe takes a topic, or one of: {ways} (`fewtune rules` lists rules; one is rule R-035)"
        raise RunError(Diagnostic(code="E-usage", message=message), exit_status=2)
    if name is None:
        return page(topic)
    if topic == "rule":
        return rule_page(name)
    text = _named(topic)(name)
    return {"topic": f"{topic} {name}", "title": title(text), "text": text}


def _named(topic: str) -> Callable[[str], str]:
    from fewtune.api.pages import generated, language

    return {
        "spec": language.field_page, "view": generated.view_page, "code": generated.code_page,
        "example": generated.example_page,
    }[topic]  # fmt: skip


def _generated(topic: str) -> str:
    from fewtune.api.pages import generated, language

    return {
        "spec": language.overview, "rules": generated.rules_page, "results": generated.results_page,
        "codes": generated.codes_page, "examples": generated.examples_page, "verbs": generated.verbs_page,
        "strict": generated.strict_page,
    }[topic]()  # fmt: skip


def page(topic: str) -> dict[str, Any]:
    """A topic's title and text.

    Raises:
        RunError: E-not-found.
    """
    if topic in GENERATED:
        text = _generated(topic)
        return {"topic": topic, "title": title(text), "text": text}
    known = pages()
    if topic not in known:
        remedy = f"the topics are {', '.join(topics())}"
        near = get_close_matches(topic.casefold(), [*topics(), *NAMED], 1)
        diagnostic = Diagnostic(
            code="E-not-found", message=f"there is no topic {topic!r}", nearest=near[0] if near else None, remedy=remedy
        )
        raise RunError(diagnostic, exit_status=7)
    return {"topic": topic, "title": title(known[topic]), "text": known[topic]}
