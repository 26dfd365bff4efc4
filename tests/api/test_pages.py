"""The pages of `describe` are the documentation: short, true, and what they say can be done."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))

import miniature

from fewtune.api.cli import VERBS
from fewtune.api.envelope import EXIT
from fewtune.api.pages.advice import ADVICE
from fewtune.api.pages.brief import brief
from fewtune.api.pages.describing import MOST, described, page, topics
from fewtune.specs.diagnostic import CODES, FewtuneError
from fewtune.specs.load import load
from fewtune.specs.projection import whole_schema
from fewtune.store.event import Looked
from fewtune.store.query import run_sql
from fewtune.store.views import PUBLIC
from fewtune.store.workspace import Workspace
from fewtune.store.writer import Store

ROOT = Path(__file__).parents[2]
EXAMPLES = [path.stem for path in sorted((ROOT / "examples").glob("*.toml"))]


PLACES = {"TOPIC", "NAME", "CODE", "/POINTER", "--json"}
"""Stand for what a reader puts there."""


def pointers(node: dict[str, Any], at: str = "") -> Iterator[str]:
    for branch in node.get("anyOf", [node]):
        for name, field in branch.get("properties", {}).items():
            if name not in ("key", "value"):
                yield f"{at}/{name}"
                yield from pointers(field, f"{at}/{name}")
        if "items" in branch:
            yield from pointers(branch["items"], at)


NAMED = [
    *(("spec", pointer) for pointer in pointers(whole_schema())),
    *(("view", view.name) for view in PUBLIC),
    *(("code", code) for code in CODES),
    *(("example", name) for name in EXAMPLES),
]


@pytest.fixture(scope="module")
def everything() -> dict[str, str]:
    """Page -> its text."""
    found = {topic: str(page(topic)["text"]) for topic in topics()}
    return found | {f"{topic} {name}": str(described(topic, name)["text"]) for topic, name in NAMED}


def test_every_page_is_short_and_begins_with_its_title(everything: dict[str, str]) -> None:
    for name, text in everything.items():
        assert len(text.encode()) <= MOST, name
        assert text.startswith("# "), name
    for topic, title in topics().items():
        assert everything[topic].startswith(f"# {title}\n")


def test_every_field_view_and_code_has_something_to_say(everything: dict[str, str]) -> None:
    for view in PUBLIC:
        assert all(f"{column}: {text}" in everything[f"view {view.name}"] for column, text in view.columns.items())
        assert view.comment in everything["results"]
    assert CODES.keys() >= ADVICE.keys()
    assert all(CODES[code] in everything[f"code {code}"] for code in CODES)
    assert all(line in everything["spec"] for line in ("[task]", "type: classification", "(required)", "layer_decay"))


def commands(text: str) -> Iterator[list[str]]:
    """The command lines in a page: between backticks, or a line of code."""
    found = re.findall(r"`(fewtune [^`]+)`", text) + re.findall(r"^ *(fewtune [a-z].*)$", text, re.MULTILINE)
    for line in found:
        yield re.sub(r'"[^"]*"', "TEXT", line.split("#")[0]).replace("|", " ").replace(",", " ").split()[1:]


def known_options() -> dict[str, set[str]]:
    app = typer.Typer()
    for verb in VERBS:
        app.command()(verb)
    group: Any = get_command(app)
    return {name: {option for one in command.params for option in one.opts} for name, command in group.commands.items()}


def test_every_command_in_a_page_exists(everything: dict[str, str]) -> None:
    known, seen = known_options(), 0
    agents = {"AGENTS.md": (ROOT / "AGENTS.md").read_text()}
    for name, text in (everything | agents).items():
        if name == "verbs":
            continue
        for verb, *rest in commands(text):
            if verb == "VERB":
                continue
            assert verb in known, (name, verb)
            options = {one.split("=")[0] for one in rest if one.startswith("--")}
            assert options <= known[verb] | {"--help"}, (name, verb, options)
            seen += 1
            if verb == "describe" and rest and not PLACES & set(rest[:2]):
                described(rest[0], rest[1] if rest[1:] else None)
    assert seen > 40


@pytest.mark.parametrize(("many", "one"), [
    (("examples", "quickstart"), ("example", "quickstart")), (("results", "runs"), ("view", "runs")),
    (("codes", "E-budget"), ("code", "E-budget")), (("rules", "R-035"), ("rule", "R-035")),
])  # fmt: skip
def test_the_word_for_all_will_do_for_one(many: tuple[str, str], one: tuple[str, str]) -> None:
    assert described(*many) == described(*one)


@pytest.mark.parametrize(
    ("asked", "near"), [("polcy", "policy"), ("Look", "looks"), ("exampels", "examples"), ("xyz", None)]
)
def test_the_nearest_topic_is_named(asked: str, near: str | None) -> None:
    with pytest.raises(FewtuneError) as raised:
        described(asked, None)
    assert raised.value.diagnostics[0].nearest == near


def test_what_may_be_left_out_is_marked(everything: dict[str, str]) -> None:
    for line in ("fewtune watch [RUN]", "fewtune results [EXPERIMENT]", "fewtune compare A B", "fewtune plan SPEC"):
        assert line in everything["verbs"]


def test_exit_codes_are_the_same_in_every_page(everything: dict[str, str]) -> None:
    for text in (everything["verbs"], brief({})):
        flat = " ".join(text.split())
        assert all(f"{number} {word}" in flat for word, number in EXIT.items())
        assert "validate ends with 3" in flat


def test_every_query_of_the_page_runs(tmp_path: Path) -> None:
    plan = miniature.make_plan(levels=(8, 16), seeds=2)
    with Store.open(tmp_path) as store:
        list(miniature.apply(store, plan, publish=False))
        store.record(Looked(content="c", plan_hash=plan.hash, split="test", arms=4))
    queries = re.findall(r"```sql\n(.*?)```", str(page("queries")["text"]), re.DOTALL)
    assert len(queries) == 10
    rows = [run_sql(Workspace(tmp_path), query).rows for query in queries]
    assert all(rows[:-1])
    assert rows[-1] == []


def test_every_spec_in_a_page_loads(everything: dict[str, str]) -> None:
    found = 0
    for name, text in everything.items():
        blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
        blocks += [text.split("\n", 2)[2]] if name.startswith("example ") else []
        for block in blocks:
            if "spec_version" in block:
                load(block.encode(), format="toml", stem="page")
                found += 1
    assert found >= len(EXAMPLES)


@pytest.mark.parametrize(
    ("topic", "name", "remedy"),
    [
        ("view", "leaderbord", "leaderboard"),
        ("code", "E-colunm", "E-column"),
        ("example", "quikstart", "quickstart"),
        ("spec", "/data/tran", "train"),
        ("nothing", None, "looks"),
        ("looks", "more", None),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(topic: str, name: str | None, remedy: str | None) -> None:
    with pytest.raises(FewtuneError) as caught:
        described(topic, name)
    found = caught.value.diagnostics[0]
    assert remedy is None or remedy in (found.remedy or "")


def test_the_router_of_agents_is_short() -> None:
    text = (ROOT / "AGENTS.md").read_text()
    assert len(text.splitlines()) <= 15
    assert "fewtune brief" in text
