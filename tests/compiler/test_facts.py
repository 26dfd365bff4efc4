"""Facts: what is hashed, what is weather, and what is derived from them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from situations import CPU, LLAMA_7B, OPT_125M, SMALL, facts, relabelled, with_model, with_split

from fewtune.compiler.encoder import EMBEDDED
from fewtune.compiler.facts import Facts, ModelFacts, Weather
from fewtune.compiler.fingerprint import canonical, fingerprint, seed


def test_the_small_model_is_the_embedded_one() -> None:
    """Shape and size of the tests' model are those of the model that the package index carries."""
    embedded = json.loads((Path(__file__).parents[2] / "runtime" / "embedded" / "facts.json").read_text())
    own = SMALL.model_dump(mode="json")
    for name, value in embedded.items():
        if name == "linears":
            assert sorted(own[name], key=lambda one: one["name"]) == sorted(value, key=lambda one: one["name"])
        elif name != "weights_hash":
            assert own[name] == value, name


@pytest.mark.parametrize(
    ("model", "norms"), [(SMALL, 61 * 576), (LLAMA_7B, 65 * 4096 + 131_072_000), (OPT_125M, 12 * 9984 + 1536)]
)
def test_parameters_add_up(model: ModelFacts, norms: int) -> None:
    """Embeddings, linear layers of the blocks, and what is left: norms, biases, an output layer of its own."""
    assert model.embedding_parameters + model.block_parameters + norms == model.parameters


IDENTITY: dict[str, Callable[[Facts], Facts]] = {
    "a text": lambda f: with_split(f, "test", text_keys=("0" * 16, *f.data.splits["test"].text_keys[1:])),
    "a label": lambda f: relabelled(f, 0, 1),
    "the order of the rows": lambda f: with_split(f, "train", text_keys=tuple(reversed(f.data.train.text_keys))),
    "the weights": lambda f: with_model(f, weights_hash="f" * 24),
    "the tokenizer": lambda f: with_model(f, tokenizer_hash="f" * 24),
    "a column": lambda f: Facts(
        data=f.data.model_copy(update={"columns": {"text": "body", "label": "label"}}), model=f.model, device=f.device
    ),
    "a label's name": lambda f: Facts(
        data=f.data.model_copy(update={"labels": ("a", "b", "c", "d")}), model=f.model, device=f.device
    ),
    "the device": lambda f: Facts(data=f.data, model=f.model, device=CPU.model_copy(update={"cores": 64})),
    "an encoder of one's own": lambda f: Facts(data=f.data, model=f.model, encoder=EMBEDDED, device=f.device),
}


@pytest.mark.parametrize("what", IDENTITY)
def test_identity_covers(what: str) -> None:
    assert IDENTITY[what](facts()).identity != facts().identity


NOT_IDENTITY: dict[str, Callable[[Facts], Facts]] = {
    "weather": lambda f: Facts(data=f.data, model=f.model, device=f.device, weather=Weather(free_disk_bytes=1)),
    "the name of a file": lambda f: with_split(f, "train", place="elsewhere.csv"),
    "where the model is": lambda f: with_model(f, place="./folder", source="path"),
}


@pytest.mark.parametrize("what", NOT_IDENTITY)
def test_identity_does_not_cover(what: str) -> None:
    assert NOT_IDENTITY[what](facts()).identity == facts().identity


def test_a_row_key_changes_with_text_and_label() -> None:
    given = facts()
    train, names = given.data.train, given.data.labels
    keys = {train.row_key(row, names) for row in range(len(train))}
    assert len(keys) == len(train)
    assert relabelled(given, 0, 1).data.train.row_key(0, names) not in keys
    assert relabelled(given, 0, -1).data.train.row_key(0, names).endswith(":")


def test_splits_have_their_roles() -> None:
    data = facts(ood={"zeta": 5, "alpha": 5}, validation_rows=5, unlabelled_rows=5).data
    assert data.train.name == "train"
    assert [split.name for split in data.ood] == ["alpha", "zeta"]
    assert [split.name for split in data.evaluated] == ["test", "alpha", "zeta"]
    assert facts(test_rows=0).data.evaluated == ()
    assert facts(test_rows=0).data.test is None


def test_facts_survive_json() -> None:
    given = facts(ood={"blogs": 5}, unlabelled_rows=3)
    again = Facts.model_validate_json(given.model_dump_json())
    assert again == given
    assert again.identity == given.identity


def test_the_same_parameters_give_the_same_facts() -> None:
    assert facts(labels=3) == facts(labels=3)


def test_canonical_json_has_one_form() -> None:
    assert canonical({"b": 1.0, "a": [1e-4, "é"]}) == '{"a":[0.0001,"\\u00e9"],"b":1.0}'
    with pytest.raises(ValueError, match="JSON"):
        canonical(float("nan"))


def test_a_fingerprint_names_kind_and_content() -> None:
    names = {fingerprint(kind, value) for kind in ("fit", "score") for value in ({"a": 1}, {"a": 2}, {"b": 1})}
    assert len(names) == 6
    assert {len(name) for name in names} == {24}
    assert fingerprint("fit", {"a": 1, "b": 2}) == fingerprint("fit", {"b": 2, "a": 1})


def test_seeds_are_spread_and_fit_into_a_signed_word() -> None:
    seeds = [seed("sample", number) for number in range(1000)]
    assert len(set(seeds)) == 1000
    assert 0 <= min(seeds) < 2**55
    assert max(seeds) < 2**63
    assert seed("a", 1) == seed("a", "1") != seed("a1")
