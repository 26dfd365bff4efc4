"""describe: pages about how fewtune works, as plain text."""

from importlib.resources import files
from typing import Any

from fewtune.api.ruling import rule_page
from fewtune.specs.diagnostic import Diagnostic, RunError


def pages() -> dict[str, str]:
    """Topic -> its text, whose first line is its title."""
    found = sorted(files("fewtune.api.topics").iterdir(), key=lambda page: page.name)
    return {page.name[:-3]: page.read_text(encoding="utf-8") for page in found if page.name.endswith(".md")}


def title(text: str) -> str:
    """A page's title."""
    return text.split("\n", 1)[0].removeprefix("# ")


def topics() -> dict[str, str]:
    """Topic -> its title."""
    return {name: title(text) for name, text in pages().items()}


def described(topic: str | None, name: str | None) -> dict[str, Any]:
    """The list of topics; or a page: its title and text.

    Raises:
        RunError: E-usage, E-not-found.
    """
    if (topic == "rule") is not (name is not None):
        message = "describe takes a topic, or: rule R-035 (`fewtune rules` lists them)"
        raise RunError(Diagnostic(code="E-usage", message=message), exit_status=2)
    if name is not None:
        return rule_page(name)
    return {"topics": topics()} if topic is None else page(topic)


def page(topic: str) -> dict[str, Any]:
    """A topic's title and text.

    Raises:
        RunError: E-not-found.
    """
    known = pages()
    if topic not in known:
        remedy = f"the topics are {', '.join(known)}"
        diagnostic = Diagnostic(code="E-not-found", message=f"there is no topic {topic!r}", remedy=remedy)
        raise RunError(diagnostic, exit_status=7)
    return {"topic": topic, "title": title(known[topic]), "text": known[topic]}
