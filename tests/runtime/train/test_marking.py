"""Several labels for a text: losses against plain torch, words against their tokens, baselines by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from tiny import tiny_tokenizer
from torch.nn import functional

from fewtune.runtime.train.linear import separate, separate_standardised, usual_set
from fewtune.runtime.train.loop import Example, backward
from fewtune.runtime.train.loss import NO_LABEL, set_losses
from fewtune.runtime.train.marking import certain, laid
from fewtune.runtime.train.prediction import given, in_sets
from fewtune.runtime.train.prompt import load_tokenizer
from fewtune.runtime.train.unigram import tagger

SCORES = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


def test_the_loss_of_sets_is_torchs() -> None:
    sets = [(0, 3), (), (1,)]
    wanted = torch.tensor([[1.0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]])
    assert set_losses(SCORES, sets).mean() == pytest.approx(torch.nn.BCEWithLogitsLoss()(SCORES, wanted).item())


def test_a_batch_of_sets_in_micro_batches() -> None:
    examples = [Example([1], labels=labels) for labels in ((0, 3), (), (1,))]
    scores, wanted = SCORES.clone().requires_grad_(), torch.tensor([[1.0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]])
    parts = iter([scores[:2], scores[2:]])
    loss = backward([[examples[:2], examples[2:]]], lambda _: next(parts))
    plain = SCORES.clone().requires_grad_()
    expected = functional.binary_cross_entropy_with_logits(plain, wanted)
    expected.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(expected.item())
    torch.testing.assert_close(scores.grad, plain.grad)


def test_tags_weigh_by_words_and_not_by_tokens() -> None:
    one, two = Example([1, 2], target=[NO_LABEL, 2]), Example([1, 2, 3], target=[0, NO_LABEL, 3])
    assert (one.counted, two.counted) == (1, 2)
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    scores = logits.clone().requires_grad_()
    parts = iter([scores[:2], scores[2:]])
    loss = backward([[[one], [two]]], lambda _: next(parts))
    plain = logits.clone().requires_grad_()
    expected = functional.cross_entropy(plain[[1, 2, 4]], torch.tensor([2, 0, 3]))  # over three words, not five tokens
    expected.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(expected.item())
    torch.testing.assert_close(scores.grad, plain.grad)


TEXTS = ["goal coach", "unheard goal äöü", "a", "new 世界 report", "🙂 people"]


@pytest.mark.parametrize("begins", [None, "<s>"])
@pytest.mark.parametrize("text", TEXTS)
def test_each_word_ends_at_its_last_token(tmp_path: Path, text: str, begins: str | None) -> None:
    tiny_tokenizer(tmp_path, begins=begins)
    tokenizer = load_tokenizer(str(tmp_path / "tokenizer.json"))
    found, words = laid(tokenizer, text, 512), text.split()
    assert len(found.ends) == len(words) == found.words
    for place, end in enumerate(found.ends):
        read = tokenizer.decode(list(found.tokens[: end + 1])).strip()
        assert read == " ".join(words[: place + 1])
        assert "".join(tokenizer.decode(list(found.tokens[:end])).split()) != "".join(words[: place + 1])


def test_a_word_that_is_cut_has_no_end(tmp_path: Path) -> None:
    tiny_tokenizer(tmp_path)
    tokenizer = load_tokenizer(str(tmp_path / "tokenizer.json"))
    whole = laid(tokenizer, "goal unheard coach", 512)
    for limit in range(1, len(whole.tokens)):
        found = laid(tokenizer, "goal unheard coach", limit)
        assert found.ends == tuple(end for end in whole.ends if end < limit)
        assert found.words == 3
    assert whole.targets([5, 6, 7]).count(NO_LABEL) == len(whole.tokens) - 3
    assert [whole.targets([5, 6, 7])[end] for end in whole.ends] == [5, 6, 7]
    cut = laid(tokenizer, "goal 世", len(tokenizer.encode("goal 世").ids) - 1)
    assert len(cut.ends) == 1


def test_one_against_the_rest_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 5))
    sets = [[label for label in range(3) if features[row, label] + rng.normal() > 0] for row in range(40)]
    wanted = np.array([[int(label in each) for label in range(3)] for each in sets])
    oracle = OneVsRestClassifier(LogisticRegression(C=0.5, max_iter=1000, class_weight="balanced")).fit(
        features, wanted
    )
    np.testing.assert_allclose(
        separate(features, sets, 3, 2.0).shares(features), oracle.predict_proba(features), atol=1e-6
    )
    scaled = (features - features.mean(0)) / features.std(0)
    oracle.fit(scaled, wanted)
    found = separate_standardised(features, sets, 3, 2.0).shares(features)
    np.testing.assert_allclose(found, oracle.predict_proba(scaled), atol=1e-4)


def test_labels_that_no_row_or_every_row_has() -> None:
    found = separate(np.eye(3), [[0, 1], [0], [0, 1]], 3)
    assert [given(row) for row in found.shares(np.eye(3) * 0)] == [(0, 1)] * 3
    assert found.shares(np.eye(3))[0][2] == 0.0


def test_the_most_frequent_set() -> None:
    linear = usual_set([[2], [0, 1], [1, 0], []], 3, 2)
    assert linear.shares(np.zeros((1, 2))) == ((1.0, 1.0, 0.0),)
    assert usual_set([[], []], 2, 0).shares(np.zeros((1, 0))) == ((0.0, 0.0),)


def test_states_are_ranked_by_the_metric_then_by_the_loss() -> None:
    wanted = [(0,), (1,)]
    sure, unsure = (in_sets(((0.9, 0.1), (share, 0.6)), "micro_f1", 0.0) for share in (0.1, 0.4))
    assert sure.quality(wanted)[0] == unsure.quality(wanted)[0] == 1.0
    assert sure.quality(wanted) > unsure.quality(wanted)
    assert unsure.quality(wanted) > in_sets(((0.9, 0.6), (0.1, 0.9)), "micro_f1", 0.0).quality(wanted)


def test_a_diverged_model_gives_no_label() -> None:
    assert certain([[float("nan"), 0.7]]) == ((0.0, 0.7),)


def test_the_tagger_knows_the_usual_tag_of_a_word() -> None:
    known, rest = tagger([["a", "b", "a"], ["a", "b"]], [[1, 0, 1], [2, 3]])
    assert known == {"a": 1, "b": 0}  # b: both once, the first in order
    assert rest == 1
