"""The report: one page that asks for nothing, says what the store says, and is itself whatever the names are."""

import json
import re
import sys
from pathlib import Path

import browser
import miniature
import pytest

from fewtune.api.cli import main
from fewtune.api.report import reasons
from fewtune.api.report.findings import find
from fewtune.api.report.markup import element, visible
from fewtune.api.report.page import page, write_report
from fewtune.specs.diagnostic import RunError, StoreError
from fewtune.specs.load import load, load_file
from fewtune.store.past import past_standings
from fewtune.store.reader import Reader
from fewtune.store.writer import Store

HOSTILE = (
    "<script>hacked=1</script><img src=x onerror=hacked=1>\u202edeb\u0007\u200b\"'&amp;</title></style></pre>"
    "<a href='http://example.org/a'>x</a><link rel=stylesheet href=http://example.org/b>"
)
WIDTHS = [400, 1200]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two data sizes, several arms, a failure, a diverged trial; then a later run of the same experiment."""
    root = tmp_path_factory.mktemp("report")
    plan = miniature.make_plan(levels=(8, 16), seeds=2, notes=HOSTILE)
    miniature.applied(root, plan, failing=["pattern/n8/d0"], diverging=["head/n16/d1"])
    return root


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page whose every text was written by somebody who means harm."""
    root = tmp_path_factory.mktemp("hostile")
    plan = miniature.make_plan(arms=("zero-shot", "pattern + LoRA r=8"), levels=(8, 16), notes=HOSTILE)
    decision = plan.decisions[0].model_copy(update={"because": HOSTILE, "value": HOSTILE, "source": HOSTILE})
    facts = plan.facts.model_copy(update={"labels": {HOSTILE: 9}, "columns": {"text": HOSTILE}, "model": HOSTILE})
    plan = plan.model_copy(update={"decisions": (decision,), "facts": facts})
    with Store.open(root) as store:
        for _ in miniature.apply(store, plan):
            pass
    found = find(root)
    failure = {
        "trial": HOSTILE,
        "arm": None,
        "attempt": HOSTILE,
        "failure": "error",
        "message": HOSTILE,
        "seconds": 1.0,
    }
    found.failures.append(failure)
    found.costs.append(found.costs[0] | {"arm": HOSTILE})
    return page(found)


def test_it_says_what_the_store_says(workspace: Path) -> None:
    found, text = find(workspace), page(find(workspace))
    assert found.results.verdict is not None
    for said in (
        element("p", found.results.verdict.sentence, class_="verdict"),
        *(f"{row.mean:.3f}" for row in found.results.board),
        *(element("td", decision.because, class_="why") for decision in found.decisions),
        found.results.plan.hash,
        "worker_lost",
        "1 diverged",
        "Learning curves",
        "train loss",
        found.results.run.id,
    ):
        assert said in text
    assert text == page(find(workspace)), "the same results give the same page"


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "examples").glob("*.toml")), ids=lambda p: p.stem)
def test_the_spec_in_it_gives_the_same_experiment(path: Path) -> None:
    experiment = load_file(path).experiment
    shown = visible(json.dumps(reasons.spec(experiment), ensure_ascii=False))
    assert load(shown.encode()).experiment == experiment


def test_a_run_of_before_has_its_own_page(tmp_path: Path) -> None:
    """The views have the latest run of an experiment; what they said of an earlier one is computed again."""
    arms = ("zero-shot", "pattern + LoRA r=8")
    miniature.applied(tmp_path, miniature.make_plan(arms=arms))
    reader = Reader(tmp_path)
    before = reader.leaderboard(), sorted(map(repr, reader.comparisons()))
    board, compared = past_standings(reader, reader.run("r0001"))
    assert (sorted(map(repr, board)), sorted(map(repr, compared))) == (sorted(map(repr, before[0])), before[1])
    miniature.applied(tmp_path, miniature.make_plan(arms=arms, learning_rate=1e-3))
    earlier = find(tmp_path, "r0001")
    assert sorted(row.mean for row in earlier.results.board) == sorted(
        row.mean for row in before[0] if row.metric == "accuracy"
    )
    assert "run r0001" in page(earlier)
    assert find(tmp_path).results.run.id == "r0002"
    with pytest.raises(StoreError, match="E-not-found"):
        find(tmp_path, "r0009")


def test_the_verb_writes_the_page(workspace: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    output = tmp_path / "report.html"
    monkeypatch.setattr(sys, "argv", ["fewtune", "report", "-w", str(workspace), "-o", str(output), "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert said["data"] == {"run": "r0001", "path": str(output), "bytes": output.stat().st_size}
    assert output.read_text() == page(find(workspace))


@pytest.mark.parametrize(
    "content", [b"text,label\na,b\n", b"<!doctype html>\n<html><head><title>mine</title>", b"\xff\x00"]
)
def test_only_a_report_of_before_is_replaced(workspace: Path, tmp_path: Path, content: bytes) -> None:
    output, found = tmp_path / "train.csv", find(workspace)
    output.write_bytes(content)
    with pytest.raises(RunError, match=r"E-usage.*train\.csv is there and is no report"):
        write_report(found, output)
    assert output.read_bytes() == content
    output.write_bytes(b"")
    assert write_report(found, output) == write_report(found, output) == output.stat().st_size


def test_nothing_in_it_comes_from_elsewhere(workspace: Path, hostile: str) -> None:
    for text in (page(find(workspace)), hostile):
        markup = re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
        assert not re.search(r"<(script|img|link|iframe|object|embed|base|a|form)\b", markup)
        assert not re.search(r"<[^>]*\s(src|href|style|on\w+)=", markup)
        assert "url(" not in text
        assert "@import" not in text
        assert "default-src 'none'" in text.replace("&#x27;", "'")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb", "a\\u202eb"),
        ("a\x1b[31mb", "a\\u001b[31mb"),
        ("\u200b\ufeff\u2066", "\\u200b\\ufeff\\u2066"),
        ("\ud800", "\\ud800"),
        ("नमस्ते‍, می‌خواهم, 日本語, é", "नमस्ते‍, می‌خواهم, 日本語, é"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown
    element("p", text).encode()


@pytest.mark.skipif(browser.browser() is None, reason=f"no browser on the PATH, and {browser.VARIABLE} names none")
def test_a_browser_shows_it_and_asks_for_nothing(workspace: Path, hostile: str, tmp_path: Path) -> None:
    program = browser.browser() or ""
    pages = {"own": page(find(workspace)), "hostile": hostile}
    for name, text in pages.items():
        measured, requests = browser.opened(program, text, WIDTHS, tmp_path / name)
        assert requests == []
        assert [one["width"] for one in measured] == WIDTHS
        for one in measured:
            assert one["scroll"] <= one["width"]
            assert one["over"] == []
            assert one["hacked"] == "undefinedundefined"
            assert one["title"].endswith("run r0001")
            nothing = ("script", "img", "link", "iframe", "object", "a", "form", "[style]", "[onload]", "[onerror]")
            assert {key: one["counts"][key] for key in nothing} == dict.fromkeys(nothing, 0)
            assert one["counts"]["svg"] == one["counts"]["svg > title"] > 0
            assert one["counts"]["table"] == one["counts"]["caption"] > 0
            assert one["counts"]["h1"] == 1
            assert "<script>hacked=1</script>" in one["text"]
            assert "\\u202edeb\\u0007" in one["text"]
            assert "\u202e" not in one["text"]


@pytest.mark.skipif(browser.browser() is None, reason=f"no browser on the PATH, and {browser.VARIABLE} names none")
def test_the_browser_would_have_told(tmp_path: Path) -> None:
    """Requests to this host and another, scripts and what overflows are seen where they are."""
    text = (
        "<!doctype html><title>x</title><p style='width: 3000px'>wide</p><script>hacked=1</script>"
        "<img src='/own.png'><img src='http://example.org/other.png'>"
    )
    [measured], requests = browser.opened(browser.browser() or "", text, [400], tmp_path)
    assert {"report.test /own.png", "example.org /other.png"} <= set(requests)
    assert measured["scroll"] > measured["width"]
    assert measured["over"]
    assert measured["hacked"] == "1undefined"
