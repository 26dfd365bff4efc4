"""Losses on preferences: hand-worked values, the formulas in plain Python, and steps against autograd on the model."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForCausalLM

from fewtune.compiler.arm import Generation, PreferenceLoss
from fewtune.runtime.job import Corpus, Row
from fewtune.runtime.train import adaptation, preference
from fewtune.runtime.train.judging import Judge, Judged, compared, judged, measured, training_examples
from fewtune.runtime.train.loop import Example, Learner, Training, train
from fewtune.runtime.train.pulse import Pulse

PULSE = Pulse("job", lambda _: None)
LN2 = math.log(2)
WRITES = Generation(max_new_tokens=8, end_tokens=(0,), stop_at_newline=False)


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_dpo_by_hand() -> None:
    """Ahead by (-10 + 12) - (-20 + 15) = 7; at beta 0.1 that is -log sigmoid(0.7) = 0.4031860."""
    found = preference.dpo(numbers(-10, -3), numbers(-20, -4), numbers(-12, -3), numbers(-15, -4), 0.1)
    assert found.tolist() == pytest.approx([0.40318604888545797, LN2], abs=1e-12)


def test_simpo_by_hand() -> None:
    """2 (-1 + 1.5) - 1 = 0, and 2 (-2 + 1) - 1 = -3, of which -log sigmoid is 3.0485874."""
    found = preference.simpo(numbers(-1, -2), numbers(-1.5, -1), 2.0, 1.0)
    assert found.tolist() == pytest.approx([LN2, 3.048587351573742], abs=1e-12)


def test_orpo_by_hand() -> None:
    """Tokens of probability 1/2 and 1/4: the odds are 1 and 1/3, their ratio 3, its sigmoid 3/4."""
    found = preference.orpo(numbers(-LN2), numbers(-2 * LN2), 0.1)
    assert found.tolist() == pytest.approx([LN2 + 0.1 * math.log(4 / 3)], abs=1e-12)


def test_kto_by_hand() -> None:
    """The reference point is (2 + 4 - 3) / 3 = 1: a liked text that gained 3 is ahead by 2, a disliked one behind."""
    divergence = preference.divergence_of(numbers(2, 4, -3))
    assert divergence.item() == 1.0
    liked = torch.tensor([True, False, True])
    found = preference.kto(numbers(3, 3, 1), liked, divergence, numbers(1, 2, 1), 0.5)
    assert found.tolist() == pytest.approx([1 - sigmoid(1), 2 * (1 - sigmoid(-1)), 0.5], abs=1e-12)
    assert preference.divergence_of(numbers(-2, 1)).item() == 0.0


def test_formulas_in_plain_python() -> None:
    """Random log-probabilities, each formula as the paper writes it, by `math` alone."""
    random = torch.Generator().manual_seed(3)
    w, worse, bw, bl = (-10 * torch.rand(50, generator=random, dtype=torch.float64) - 0.01 for _ in range(4))
    rows = list(zip(*(x.tolist() for x in (w, worse, bw, bl)), strict=True))
    dpo = [-math.log(sigmoid(0.3 * ((a - c) - (b - d)))) for a, b, c, d in rows]
    assert preference.dpo(w, worse, bw, bl, 0.3).tolist() == pytest.approx(dpo, rel=1e-12)
    simpo = [-math.log(sigmoid(2.5 * (a - b) - 1.4)) for a, b, _, _ in rows]
    assert preference.simpo(w, worse, 2.5, 1.4).tolist() == pytest.approx(simpo, rel=1e-12)

    def odds(mean: float) -> float:
        return math.exp(mean) / (1 - math.exp(mean))

    orpo = [-a - 0.2 * math.log(sigmoid(math.log(odds(a) / odds(b)))) for a, b, _, _ in rows]
    assert preference.orpo(w, worse, 0.2).tolist() == pytest.approx(orpo, rel=1e-10)


@pytest.mark.parametrize("name", ["dpo", "orpo", "simpo"])
def test_a_gradient_raises_the_preferred_text_and_lowers_the_other(name: str) -> None:
    better, worse = numbers(-1.0).requires_grad_(), numbers(-1.0).requires_grad_()
    losses = {
        "dpo": lambda: preference.dpo(better, worse, numbers(-1), numbers(-1), 0.1),
        "orpo": lambda: preference.orpo(better, worse, 0.1),
        "simpo": lambda: preference.simpo(better, worse, 2.0, 1.0),
    }
    losses[name]().sum().backward()  # type: ignore[no-untyped-call]
    assert better.grad is not None
    assert worse.grad is not None
    assert better.grad.item() < 0 < worse.grad.item()


def test_log_odds_of_a_certain_text_are_finite() -> None:
    found = preference.log_odds(torch.tensor([0.0, -1e-9, -80.0]))
    assert torch.isfinite(found).all()


# on a tiny model


def texts(seed: int, pairs: int) -> list[list[Example]]:
    """Prompts with two targets of different lengths."""
    random = torch.Generator().manual_seed(seed)

    def tokens(count: int) -> list[int]:
        return torch.randint(1, 300, (count,), generator=random).tolist()

    rows = []
    for place in range(pairs):
        prompt = tokens(3 + place % 4)
        both = tokens(2 + place % 3), tokens(5 - place % 2)
        rows.append([Example([*prompt, *target[:-1]], target=target) for target in both])
    return rows


def model_sums(model: Any, examples: Sequence[Example]) -> Tensor:
    """Log-probability of each text's target, each read alone by transformers' model."""
    sums = []
    for text in examples:
        logits = model(input_ids=torch.tensor([text.tokens])).logits[0, -len(text.target) :]
        sums.append(functional.log_softmax(logits, dim=-1)[range(len(text.target)), list(text.target)].sum())
    return torch.stack(sums)


@pytest.fixture
def arm(job: Any) -> Any:
    return job("generation", "lora").arm.model_copy(update={"generation": WRITES})


def test_log_probabilities_are_the_models(models: Any, bases: Any, arm: Any) -> None:
    base = bases("llama", "double")
    tuned = adaptation.tuned(base, arm.model_copy(update={"adaptation": "none"}), [], {})
    rows = [text for pair in texts(1, 7) for text in pair]
    model = AutoModelForCausalLM.from_pretrained(models(), attn_implementation="eager").double()
    found = measured(tuned, rows, PULSE, "scoring")
    assert found == pytest.approx(model_sums(model, rows).tolist(), rel=1e-6)


LOSSES = {
    "dpo": PreferenceLoss(kind="dpo", beta=0.5),
    "orpo": PreferenceLoss(kind="orpo", odds_weight=0.3),
    "simpo": PreferenceLoss(kind="simpo", beta=2.0, reward_margin=1.0),
    "kto": PreferenceLoss(kind="kto", beta=0.5),
}


def expected(kind: str, model: Any, base: Any, examples: Sequence[Judged]) -> Tensor:
    """The loss of a batch, from transformers' models."""
    loss, rows = LOSSES[kind], [text for each in examples for text in each.texts]
    with torch.no_grad():
        before = model_sums(base, rows)
    sums, lengths = model_sums(model, rows), torch.tensor([len(text.target) for text in rows])
    means = sums / lengths
    if kind == "dpo":
        return preference.dpo(sums[::2], sums[1::2], before[::2], before[1::2], loss.beta).mean()
    if kind == "orpo":
        return preference.orpo(means[::2], means[1::2], loss.odds_weight).mean()
    if kind == "simpo":
        return preference.simpo(means[::2], means[1::2], loss.beta, loss.reward_margin).mean()
    strays = [each.stray for each in examples if each.stray is not None]
    with torch.no_grad():
        divergence = (model_sums(model, strays) - model_sums(base, strays)).mean().clamp_min(0)
    liked = torch.tensor([True, False] * len(examples))
    return preference.kto(sums - before, liked, divergence, torch.ones(len(rows)), loss.beta).mean()


@pytest.mark.parametrize("kind", LOSSES)
def test_a_step_has_the_gradient_of_the_plain_loss(kind: str, models: Any, bases: Any, arm: Any) -> None:
    """All weights move, away from the base by hand; micro-batches of any size give the same sum."""
    base = bases("llama", "double")
    moved = arm.model_copy(update={"adaptation": "full", "lora": None})
    weights = adaptation.moving(base, moved, 0, seed=5)
    shifted = {name: value + 0.02 * torch.randn_like(value) for name, value in weights.working.items()}
    for name, value in weights.working.items():
        value.data.copy_(shifted[name])
    plain = adaptation.tuned(base, arm.model_copy(update={"adaptation": "none"}), [], {})
    rows = texts(2, 6)
    examples = training_examples(
        rows, [(True, False)] * len(rows), LOSSES[kind], lambda some: measured(plain, some, PULSE, "training")
    )
    tuned = adaptation.tuned(base, moved, [], weights.working)

    def logits(parts: Sequence[Sequence[Example]]) -> Tensor:
        (some,) = parts
        return tuned.logits([text.tokens for text in some], last=[len(text.answers) for text in some])

    reference = AutoModelForCausalLM.from_pretrained(models(), attn_implementation="eager").double()
    model = copy.deepcopy(reference)
    model.load_state_dict(shifted, strict=False)
    wanted = expected(kind, model, reference, examples)
    wanted.backward()  # type: ignore[no-untyped-call]
    gradients = dict(model.named_parameters())
    for size in (6, 2):
        for value in weights.working.values():
            assert value.grad is not None
            value.grad.zero_()
        parts = [examples[start : start + size] for start in range(0, len(examples), size)]
        loss = Judge(LOSSES[kind]).backward([parts], logits)
        assert loss.item() == pytest.approx(wanted.item(), rel=1e-6)
        for name, value in weights.working.items():
            torch.testing.assert_close(value.grad, gradients[name].grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", LOSSES)
def test_training_lowers_the_loss(kind: str, bases: Any, job: Any, arm: Any) -> None:
    base, task = bases(), job("generation", "lora", steps=20, batch_size=4, micro_batch=2, learning_rate=1e-2)
    plain = adaptation.tuned(base, arm.model_copy(update={"adaptation": "none"}), [], {})
    weights = adaptation.moving(base, arm, 0, seed=5)
    tuned = adaptation.tuned(base, arm, [], weights.working)
    rows = texts(4, 8)
    examples = training_examples(
        rows, [(True, False)] * len(rows), LOSSES[kind], lambda some: measured(plain, some, PULSE, "training")
    )
    learner = Learner(lambda: tuned, weights, keeps_masters=True)
    course = train(Training(learner, task.recipe, examples, 1, None, PULSE, backward=Judge(LOSSES[kind]).backward))
    first, last = course.losses[0][1], course.losses[-1][1]
    assert last < 0.8 * first
    if kind == "dpo":
        assert first == pytest.approx(LN2, abs=1e-6)
    assert course.tokens == sum(len(each.tokens) for each in examples) * 20 * 4 / len(examples)


def test_strays_are_the_next_rows_preferred_text_behind_the_own_prompt() -> None:
    rows = [[Example([1, 2, 5], target=[5, 0])], [Example([3, 7, 8], target=[7, 8, 0])]]
    found = training_examples(
        rows, [(True,), (False,)], LOSSES["kto"], lambda some: [float(len(t.tokens)) for t in some]
    )
    strays = [(each.stray.tokens, each.stray.target) for each in found if each.stray]
    assert strays == [([1, 2, 7, 8], [7, 8, 0]), ([3, 5], [5, 0])]
    assert [each.base_stray for each in found] == [4.0, 2.0]
    assert [each.base for each in found] == [(3.0,), (3.0,)]


def test_losses_without_a_reference_never_ask_the_base() -> None:
    def refuse(_: Sequence[Example]) -> list[float]:
        raise AssertionError

    for kind in ("orpo", "simpo"):
        assert len(training_examples(texts(1, 3), [(True, False)] * 3, LOSSES[kind], refuse)) == 3


def test_scores_are_means_over_tokens() -> None:
    pair, single = texts(1, 2)
    own = [-4.0, -15.0, -3.0]
    base = [-2.0, -15.0, -6.0]
    found = compared([pair, single[:1]], [None, True], lambda _: own, lambda _: base)
    lengths = [len(text.target) for text in pair]
    assert found.items[0].own == pytest.approx((-4 / lengths[0], -15 / lengths[1]))
    assert found.items[0].margin == pytest.approx(-2 / lengths[0])
    assert found.items[1].margin == pytest.approx(3 / len(single[0].target))
    assert found.quality([]) == (1.0, pytest.approx((found.items[0].margin + found.items[1].margin) / 2))


def test_what_is_not_finite_is_as_unlikely_as_scores_go() -> None:
    (pair,) = texts(1, 1)
    found = compared([pair], [None], lambda _: [math.nan, -5.0], lambda _: [-1.0, -1.0])
    assert found.items[0].right == 0.0


def test_the_base_is_asked_once_for_each_text(models: Any, engine: Any, job: Any) -> None:
    """Two trials on one worker share what the base says."""
    from fewtune.runtime.job import ModelRef
    from fewtune.runtime.train.engine import Engine

    rows = tuple(
        Row(fields={"text": f"coach match {n}"}, target="people says", rejected="long report") for n in range(8)
    )
    corpus = Corpus(labels=(), splits={"train": rows, "test": rows[:3]})
    worker = Engine(ModelRef(path=str(models()), weights_hash="tiny"), corpus)
    task = job("generation", "lora", steps=2, batch_size=4, rows=range(8), scored=range(3), compares=True)
    loss = PreferenceLoss(kind="dpo", beta=0.1)
    arm = task.arm.model_copy(update={"generation": WRITES, "preference": loss, "method": "dpo+lora"})
    task = task.model_copy(update={"arm": arm, "tokens": {}})
    for _ in range(2):
        answer = worker.run(task)
        assert answer.failure is None, answer.message
        assert len(answer.outcomes) == 2
    assert len(worker._tuner._reference.known) == 16


def test_judged_holds_the_tokens_of_all_its_texts() -> None:
    (pair,) = texts(1, 1)
    assert len(judged(pair).tokens) == sum(len(text.tokens) for text in pair)
