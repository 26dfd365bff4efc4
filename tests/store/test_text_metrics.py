"""Scores of texts against the values of the rouge-score package 0.1.2, of SQuAD's script, and by hand beyond ASCII."""

import random

import pytest

from fewtune.specs.evaluation import TEXT_METRICS
from fewtune.store.text_metrics import exact_match, item_scores, rouge_l, token_f1

ROUGE = [
    ("the cat sat on the mat", "the cat lay on the mat", 0.8333333333333334),
    ("What causes loss of taste?", "What are the causes of taste loss?", 0.6666666666666666),
    ("", "", 0.0),
    ("one", "", 0.0),
    ("Pain in the left knee, 3/10; no swelling.", "No swelling; pain 3/10 in the left knee.", 0.5555555555555556),
    ("EBITDA rose 4.5% to $12.3m", "EBITDA grew by 4.5 % to $12.3 million", 0.6250000000000001),
    ("naïve Café", "naive cafe", 0.0),
    ("a a a a b", "b a a", 0.5),
    ("Don't stop", "do not stop", 0.3333333333333333),
    ("x_y z", "x y z", 1.0),
    ("für Männer", "für Frauen", 0.5),
    ("患者头痛。", "患者发热", 0.5),
    ("боль в колене", "Боль в локте", 2 / 3),
    ("cafe\u0301", "café", 1.0),
]
SQUAD = [
    ("the third quarter", "Third quarter.", 1.0, 1.0),
    ("in the third quarter", "third quarter of 2021", 0.0, 4 / 7),
    ("12.3 million", "$12.3 million", 1.0, 1.0),
    ("4.5 %", "4.5%", 1.0, 1.0),
    ("", "4.5%", 0.0, 0.0),
    ("", "the", 1.0, 1.0),
    ("yes yes no", "yes no no", 0.0, 2 / 3),
    ("well-known", "wellknown", 1.0, 1.0),
    ("约十二亿元。", "约十二亿元", 1.0, 1.0),
    ("十二亿", "约十二亿元", 0.0, 0.75),
    ("«Да»", "да", 1.0, 1.0),
]


@pytest.mark.parametrize(("text", "target", "score"), ROUGE)
def test_rouge_l(text: str, target: str, score: float) -> None:
    assert rouge_l(text, target) == pytest.approx(score, abs=1e-12)
    assert rouge_l(target, text) == pytest.approx(score, abs=1e-12)


@pytest.mark.parametrize(("text", "target", "exact", "shared"), SQUAD)
def test_exact_match_and_token_f1(text: str, target: str, exact: float, shared: float) -> None:
    assert exact_match(text, target) == exact
    assert token_f1(text, target) == pytest.approx(shared, abs=1e-12)


def test_rouge_l_is_that_of_the_package() -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"], use_stemmer=False)
    source = random.Random(0)
    words = ["Pain", "pain", "knee,", "3/10", "of", "the", "B12", "--", "can't"]
    for _ in range(300):
        text, target = (" ".join(source.choices(words, k=source.randrange(12))) for _ in range(2))
        assert rouge_l(text, target) == pytest.approx(scorer.score(target, text)["rougeL"].fmeasure, abs=1e-12)


def test_every_metric_of_texts_scores_each_item() -> None:
    for metric in TEXT_METRICS:
        assert item_scores(metric, ["a b", "c"], ["a b", "d"]) in [(1.0, 0.0)]
