"""errors: wrong labels that were planted, copies that were planted, and the confusions of a run."""

import json
from pathlib import Path
from typing import Any

import pytest
from project import LABELS, Project, make_project, write_csv
from tiny import tiny_rows, tiny_tokenizer

from fewtune.api.erring import Errors, errors
from fewtune.runtime.job import Row
from fewtune.specs.diagnostic import PlanError, StoreError

PLANTED = (5, 33, 62, 90, 107)
"""Rows, from 1, that get the next label."""


def planted(rows: tuple[Row, ...]) -> list[Row]:
    return [
        row.model_copy(update={"label": (row.label + (number in PLANTED)) % len(LABELS)})
        for number, row in enumerate(rows, 1)
    ]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with a tiny random encoder in the embedded one's place."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("cache")
    place = folder / "models" / "all-minilm-l6-v2"
    size = tiny_tokenizer(place)
    shape: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=size, intermediate_size=64, max_position_embeddings=512, **shape)).save_pretrained(
        place
    )
    return folder


@pytest.fixture(autouse=True)
def _cached(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWTUNE_CACHE", str(cache))


def make_spec(folder: Path, rows: list[Row], **data: Any) -> Path:
    """A spec beside its training rows; no model, for none is needed."""
    write_csv(folder / "train.csv", rows)
    task = "pair-classification" if "premise" in rows[0].fields else "classification"
    spec = {"spec_version": 1, "task": {"type": task}, "data": {"train": "train.csv", **data}}
    (folder / "spec.json").write_text(json.dumps(spec))
    return folder / "spec.json"


def find(spec: Path, arm: str | None = None) -> Errors:
    return errors(spec, spec.parent / "workspace", arm, print)


@pytest.mark.parametrize("pairs", [False, True])
def test_planted_errors_come_first_and_are_named_with_their_label(tmp_path: Path, pairs: bool) -> None:
    rows = tiny_rows(120, seed=1, pairs=pairs)
    found = find(make_spec(tmp_path, planted(rows)))
    checked = found.checked
    assert checked is not None
    assert checked.views == ("encoder", "words")
    first = found.data(20)["mislabelled"]["rows"]
    ranking = [one["row"] for one in first]
    assert len(set(PLANTED) & set(ranking[:5])) >= (3 if pairs else 4)
    assert set(PLANTED) <= set(ranking)
    assert checked.informed
    for one in first:
        if one["row"] in PLANTED[:2]:
            right = LABELS[rows[one["row"] - 1].label]
            assert (one["suggested"], one["label"]) == (right, LABELS[(LABELS.index(right) + 1) % 4])


def test_right_labels_are_not_marked_and_planted_ones_are(tmp_path: Path) -> None:
    rows = tiny_rows(120, seed=1)
    (tmp_path / "wrong").mkdir()
    right, wrong = find(make_spec(tmp_path, list(rows))), find(make_spec(tmp_path / "wrong", planted(rows)))
    assert right.checked is not None
    assert wrong.checked is not None
    assert right.checked.marked == 0
    marked = [wrong.number("train", one.place) for one in wrong.checked.suspects if one.marked]
    assert len(marked) >= 3
    assert set(marked) <= set(PLANTED)
    assert wrong.checked.expected == pytest.approx(len(PLANTED), abs=3)


def test_where_nothing_can_be_known_nothing_is_marked(tmp_path: Path) -> None:
    shuffled = [row.model_copy(update={"label": (place * 7 // 5) % 4}) for place, row in enumerate(tiny_rows(80))]
    checked = find(make_spec(tmp_path, shuffled)).checked
    assert checked is not None
    assert not checked.informed
    assert checked.marked == 0
    assert {one.wrong for one in checked.suspects} == {None}


def test_without_the_encoder_words_do_and_pull_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWTUNE_CACHE", str(tmp_path / "empty"))
    found = find(make_spec(tmp_path, planted(tiny_rows(120, seed=1))))
    assert found.checked is not None
    assert found.checked.views == ("words",)
    assert len({found.number("train", one.place) for one in found.checked.suspects[:5]} & set(PLANTED)) >= 4
    missing = next(note for note in found.notes if note.code == "E-facts-missing")
    assert missing.severity == "warning"
    assert missing.remedy == "run `fewtune pull SPEC`"


def test_rare_labels_and_unlabelled_rows_are_left_out(tmp_path: Path) -> None:
    rows = [row for row in tiny_rows(60) if row.label < 3] + [
        Row(fields={"text": f"only {n} here"}, label=3) for n in "ab"
    ]
    path = make_spec(tmp_path, rows)
    text = (tmp_path / "train.csv").read_text()
    (tmp_path / "train.csv").write_text(text + "a text without a label,\n")
    checked = find(path).checked
    assert checked is not None
    assert (checked.left_out, checked.rare) == (3, ("science",))
    assert len(checked.suspects) == 45


def test_copies_are_found_within_train_and_across_splits(tmp_path: Path) -> None:
    rows = list(tiny_rows(24, seed=3))
    text = "the minister said on monday that the long talks about the border treaty had failed again"
    rows[3] = Row(fields={"text": text}, label=0)
    rows[10] = Row(fields={"text": text.upper() + "!"}, label=1)
    rows[20] = Row(fields={"text": text.replace("failed", "ended")}, label=0)
    write_csv(tmp_path / "test.csv", [Row(fields={"text": f"fresh {word} words here"}, label=2) for word in ("a", "b")]
              + [rows[5]])  # fmt: skip
    found = find(make_spec(tmp_path, rows, test="test.csv")).data(10)["duplicates"]

    def places(kind: str) -> list[tuple[list[tuple[str, int]], bool, bool]]:
        return [([(row["place"], row["row"]) for row in one["rows"]], one["across"], one["conflict"])
                for one in found[kind]]  # fmt: skip

    assert places("exact") == [
        ([("train.csv", 4), ("train.csv", 11)], False, True),
        ([("train.csv", 6), ("test.csv", 3)], True, False),
    ]
    assert places("near") == [([("train.csv", 4), ("train.csv", 21)], False, False)]
    assert 0.8 < found["near"][0]["likeness"] < 1
    assert len(found["near"][0]["texts"]) == 2


def test_rows_are_numbered_in_their_file(tmp_path: Path) -> None:
    rows = list(tiny_rows(40, seed=4))
    rows[34] = rows[30]
    path = make_spec(tmp_path, rows, train={"path": "train.csv", "rows": "21-40"})
    (copies,) = find(path).data(5)["duplicates"]["exact"]
    assert [row["row"] for row in copies["rows"]] == [31, 35]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Arms that train nothing, on a test split."""
    methods = {"exclude": ["pattern+full", "pattern+lora", "head+lora", "in-context", "probe", "encoder"], "pin": {}}
    made = make_project(tmp_path_factory.mktemp("errors"), n=24, train=60, test=40)
    made.spec["methods"] = methods
    assert made.apply().state == "succeeded"
    return made


def test_confusions_are_those_of_the_stored_predictions(ran: Project) -> None:
    answer = json.loads(ran.cli("errors", str(ran.path), "--arm", "majority", "--json").stdout)
    assert list(answer) == ["ok", "api", "verb", "data", "diagnostics", "next", "as_of", "truncated", "limits"]
    assert (answer["ok"], answer["verb"]) == (True, "errors")
    confused = answer["data"]["confusions"]
    assert (confused["arm"], confused["split"], confused["place"], confused["items"]) == (
        "majority",
        "test",
        "test.csv",
        40,
    )
    query = (
        "SELECT label, predicted, count(*) FROM predictions WHERE arm = 'majority' AND split = 'test' AND NOT correct "
        "GROUP BY ALL ORDER BY 3 DESC, 1, 2"
    )
    assert [[one["label"], one["predicted"], one["count"]] for one in confused["rows"]] == ran.sql(query)
    numbers = ran.sql("SELECT DISTINCT row_number FROM predictions WHERE arm = 'majority' AND NOT correct")
    assert {row for one in confused["rows"] for row in one["rows"]} <= {row for (row,) in numbers}


def test_the_chosen_arm_is_shown_and_a_limit_says_what_it_leaves_out(ran: Project) -> None:
    answer = json.loads(ran.cli("errors", str(ran.path), "--limit", "3", "--json").stdout)
    assert answer["data"]["confusions"]["arm"] == ran.sql("SELECT chosen_arm FROM runs")[0][0]
    assert len(answer["data"]["mislabelled"]["rows"]) == 3
    assert answer["truncated"]["total"]["mislabelled"] == 60
    shown = ran.cli("errors", str(ran.path), "--limit", "3").stdout
    for line in ("Confusions of", "Likely mislabelled rows of train.csv", "57 more", "Duplicates across splits"):
        assert line in shown


def test_changed_data_and_unknown_arms(ran: Project, tmp_path: Path) -> None:
    with pytest.raises(StoreError) as refused:
        find(ran.path, "pattern + LoRA")
    assert refused.value.diagnostics[0].code == "E-not-found"
    before = ran.rows("test.csv")
    ran.write("test.csv", [before[0], *before[2:]])
    try:
        found = find(ran.path)
    finally:
        ran.write("test.csv", before)
    assert found.confused is None
    assert "no longer those of run" in found.notes[0].message


def test_without_a_run_the_rest_is_shown(tmp_path: Path) -> None:
    path = make_spec(tmp_path, planted(tiny_rows(120, seed=1)))
    found = find(path)
    assert found.confused is None
    assert found.checked is not None
    note = found.notes[0]
    assert (note.code, note.severity, note.remedy) == ("E-nothing-to-show", "note", "run `fewtune apply SPEC`")
    assert not (tmp_path / "workspace").exists()


def test_tasks_without_labels_are_refused(tmp_path: Path) -> None:
    spec = {"spec_version": 1, "task": {"type": "summarisation"}, "data": {"train": "train.csv"}}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(PlanError) as refused:
        find(tmp_path / "spec.json")
    fault = refused.value.diagnostics[0]
    assert (fault.code, fault.pointer, fault.line) == ("E-conflict", "/task/type", 1)
