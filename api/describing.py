"""describe: pages about how fewtune works, as plain text."""

from importlib.resources import files
from typing import Any

from fewtune.specs.diagnostic import Diagnostic, RunError


def topics() -> dict[str, str]:
    """Topic -> its title."""
    pages = sorted(files("fewtune.api.topics").iterdir(), key=lambda page: page.name)
    texts = {
        page.name.removesuffix(".md"): page.read_text(encoding="utf-8") for page in pages if page.name.endswith(".md")
    }
    return {name: text.split("\n", 1)[0].removeprefix("# ") for name, text in texts.items()}


def page(topic: str) -> dict[str, Any]:
    """A topic's title and text.

    Raises:
        RunError: E-not-found.
    """
    known = topics()
    if topic not in known:
        remedy = f"the topics are {', '.join(known)}"
        diagnostic = Diagnostic(code="E-not-found", message=f"there is no topic {topic!r}", remedy=remedy)
        raise RunError(diagnostic, exit_status=7)
    text = (files("fewtune.api.topics") / f"{topic}.md").read_text(encoding="utf-8")
    return {"topic": topic, "title": known[topic], "text": text}
