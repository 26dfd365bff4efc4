"""Distillation: the loss by hand, a teacher without the text's own label, the gate, and what a student learns."""

import math
from typing import Any

import pytest
import torch
from tiny import KEYWORDS, LABELS

from fewtune.compiler.arm import Distillation
from fewtune.runtime.job import Corpus, RowRef, Score
from fewtune.runtime.train import adaptation
from fewtune.runtime.train.demonstrations import Demonstrations
from fewtune.runtime.train.loop import Example, Learner, Training, backward
from fewtune.runtime.train.loss import NO_LABEL, Soft, answer_losses
from fewtune.runtime.train.prediction import Prediction
from fewtune.runtime.train.pulse import Pulse
from fewtune.runtime.train.state import about
from fewtune.runtime.train.teacher import Context, Verdict, answers, softened, verdict


def test_the_loss_by_hand() -> None:
    """Scores (2, 0): at T = 2 the student says e / (e + 1) = 0.7311; the teacher says 0.6."""
    scores = torch.tensor([[2.0, 0.0]] * 4, dtype=torch.float64)
    soft = [None, Soft((0.6, 0.4), 2.0, 0.0), Soft((0.6, 0.4), 2.0, 0.25), Soft((0.6, 0.4), 2.0, 0.25)]
    found = answer_losses(scores, torch.tensor([0, NO_LABEL, 0, 1]), soft)
    hard = [math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))]
    q = math.e / (math.e + 1)
    kl = 4 * (0.6 * math.log(0.6 / q) + 0.4 * math.log(0.4 / (1 - q)))
    wanted = [hard[0], kl, 0.25 * hard[0] + 0.75 * kl, 0.25 * hard[1] + 0.75 * kl]
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 10.0])
def test_softening_is_a_softmax_over_the_temperature(temperature: float) -> None:
    logits = torch.tensor([1.5, -0.3, 0.2], dtype=torch.float64)
    wanted = (logits / temperature).softmax(-1)
    found = softened(logits.softmax(-1).tolist(), temperature)
    torch.testing.assert_close(torch.tensor(found, dtype=torch.float64), wanted, atol=1e-12, rtol=1e-12)


def test_a_teacher_does_not_see_the_texts_own_label() -> None:
    """Nor one demonstration of each other label, so that labels stay in balance."""
    texts = tuple(f"{name}\nTopic: {topic}" for name, topic in (
        ("a goal", "sports"), ("a bank", "business"), ("a coach", "sports"), ("a merger", "business")))  # fmt: skip
    context = Context(Demonstrations(texts, (1, 2, 1, 2), 4))
    assert context.before("a gene\nTopic:") == "".join(text + "\n\n" for text in texts)
    assert context.before("a goal\nTopic:") == texts[1] + "\n\n" + texts[2] + "\n\n"
    assert Context(text="Label it.").before("a goal\nTopic:") == "Label it.\n\n"
    assert Context().before("a goal\nTopic:") == ""


@pytest.mark.parametrize(("teacher", "zero_shot", "leads"), [(3, 2, True), (2, 2, False), (2, 3, False), (1, 0, False)])
def test_the_gate(teacher: int, zero_shot: int, leads: bool) -> None:
    """Of four rows, two of which have one label: the teacher has to have more right than both others."""

    def right(count: int) -> Prediction:
        labels = (0, 0, 1, 2)
        rows = [label if place < count else 3 for place, label in enumerate(labels)]
        return Prediction(probabilities=tuple(tuple(float(k == row) for k in range(4)) for row in rows), seconds=0.0)

    found = verdict(right(teacher), right(zero_shot), (0, 0, 1, 2))
    assert found == Verdict(teacher / 4, zero_shot / 4, 0.5, 4)
    assert found.leads is leads
    assert f"the teacher has {teacher / 4:.2f}" in found.note


def test_identical_contexts_have_no_loss(bases: Any, job: Any) -> None:
    """Where teacher and student see the same, and the student has not moved yet: zero, and no gradient."""
    base, task = bases("llama", "double"), job("pattern", "lora")
    arm, tokens = task.arm, list(task.tokens.values())
    plain = adaptation.tuned(base, arm.model_copy(update={"adaptation": "none"}), tokens, {})
    rows = [[3, 5, 7], [4, 9], [8, 2, 6, 11]]
    weights = adaptation.moving(base, arm, len(LABELS), 5)
    learner = Learner(lambda: adaptation.tuned(base, arm, tokens, weights.working), weights, keeps_masters=True)
    said = plain.logits(rows).softmax(-1).tolist()
    examples = [Example(r, NO_LABEL, soft=Soft(softened(p, 2.0), 2.0, 0.0)) for r, p in zip(rows, said, strict=True)]
    training = Training(learner, task.recipe, examples, 1, None, Pulse("job", lambda _: None))
    (loss,) = backward([[training.examples]], lambda parts: learner.tuned.logits([e.tokens for e in parts[0]]))  # type: ignore[list-item]
    assert abs(loss.item()) < 1e-12
    assert weights.master.grad is not None
    assert weights.master.grad.abs().max() < 1e-12


def distilling(job: Any, how: Distillation, objective: str, **given: Any) -> Any:
    work = job("pattern", "lora", steps=60, learning_rate=0.02, demonstrations=8, **given)
    arm = work.arm.model_copy(update={"objective": objective, "distillation": how})
    return work.model_copy(update={"arm": arm})


def test_a_closed_gate_leaves_the_base_as_it_is(job: Any, engine: Any) -> None:
    """A random model knows nothing: its teacher does not lead, nothing is trained, and the result says so."""
    how = Distillation(temperature=2.0, label_weight=0.5)
    answer = engine().run(distilling(job, how, "few-shot-distillation"))
    assert answer.failure is None, answer.message
    fitted, scored = answer.outcomes
    assert (fitted.steps, fitted.tokens) == (0, 0)
    assert fitted.note.startswith("nothing was distilled: on 32 labelled texts the teacher has ")
    plain = engine().run(job("pattern", fit=None))
    for row, other in zip(scored.probabilities, plain.outcomes[0].probabilities, strict=True):
        assert row == pytest.approx(other, abs=1e-6)


@pytest.mark.parametrize("calibration", ["none", "contextual"])
def test_a_teacher_says_what_the_in_context_arm_says(
    calibration: str, job: Any, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And zero-shot what that arm says, either calibrated in each of its contexts or not."""
    from fewtune.runtime.train import teacher, tuner

    heard: list[tuple[bool, Prediction]] = []

    def hear(context: Context, shown: Any, answer: Any) -> Prediction:
        heard.append((context.demonstrations is not None, answers(context, shown, answer)))
        return heard[-1][1]

    monkeypatch.setattr(tuner, "answers", hear)
    monkeypatch.setattr(teacher, "verdict", lambda *_: Verdict(1.0, 0.0, 0.0, 8))
    how = Distillation(temperature=1.0, label_weight=0.0, calibration=calibration)  # type: ignore[arg-type]
    work = distilling(job, how, "context-distillation", rows=range(8))
    rows = RowRef(split="test", rows=tuple(range(7)))
    answer = engine().run(work.model_copy(update={"fit": work.fit.model_copy(update={"transfer": rows})}))
    assert answer.failure is None, answer.message
    for shown, said in heard:
        if len(said.probabilities) == len(rows.rows):
            assert shown
            arm = job("in-context", demonstrations=8, rows=range(8), scored=rows.rows)
        elif not shown:
            scored = RowRef(split="train", rows=tuple(range(8)))
            score = Score(stage="score", fingerprint="s", split="train", rows=scored)
            arm = job("pattern", fit=None, scores=(score,))
        else:
            continue  # each labelled text without its own demonstration
        arm = arm.model_copy(update={"arm": arm.arm.model_copy(update={"calibration": calibration})})
        alone = engine().run(arm).outcomes[-1]
        for row, other in zip(said.probabilities, alone.probabilities, strict=True):
            assert row == pytest.approx(other, abs=1e-5)
    assert len(heard) == 3


def test_a_student_learns_what_its_teacher_says(
    job: Any, engine: Any, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a teacher that is right in 8 of 10, on texts without labels: the student comes to agree with it."""
    from fewtune.runtime.train import tuner

    def taught(context: Any, shown: list[str], answer: Any) -> Prediction:
        known = {text: label for label, name in enumerate(LABELS) for text in KEYWORDS[name]}
        best = [next(label for word, label in known.items() if word in text) for text in shown]
        right = 0.8 if context.demonstrations else 0.1
        rows = [[right if k == label else (1 - right) / 3 for k in range(4)] for label in best]
        return Prediction(probabilities=tuple(map(tuple, rows)), seconds=0.0)

    monkeypatch.setattr(tuner, "answers", taught)
    how = Distillation(temperature=1.0, label_weight=0.0)
    work = distilling(job, how, "context-distillation", rows=range(8), lora=None)
    work = work.model_copy(update={"arm": work.arm.model_copy(update={"adaptation": "full"})})
    recipe = work.recipe.model_copy(update={"steps": 80, "learning_rate": 0.005})
    fit = work.fit.model_copy(update={"transfer": RowRef(split="train", rows=tuple(range(8, 96)))})
    answer = engine().run(work.model_copy(update={"fit": fit, "recipe": recipe}))
    assert answer.failure is None, answer.message
    fitted, scored = answer.outcomes
    assert fitted.note == ""
    assert fitted.steps == 80
    assert fitted.losses[-1][1] < fitted.losses[0][1] / 3
    labels = [corpus.splits["test"][row].label for row in scored.rows.rows]
    right = sum(map(int.__eq__, scored.predicted, labels)) / len(labels)
    assert right > 0.7
    sure = [
        row[label]
        for row, label, said in zip(scored.probabilities, labels, scored.predicted, strict=True)
        if label == said
    ]
    assert 0.6 < sum(sure) / len(sure) < 0.9, "as sure as the teacher, not surer"
    assert about(fitted.state)["adaptation"] == "full"
