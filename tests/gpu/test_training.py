"""Training on a GPU: trials that share their steps, the engine, full fine-tuning on a copy, and no waiting for it.

`pytest tests/gpu` needs torch, transformers, peft and pydantic, and fewtune need not be installed. Without CUDA all is
skipped; FEWTUNE_TEST_DEVICE=cpu tries the same paths on the processor.
"""

import os
import random
import warnings
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

import bare  # noqa: F401  before fewtune
import pytest
import torch
from tiny import LABELS, tiny_model, tiny_rows, tiny_word_tokens

from fewtune.compiler.arm import Arm, Lora, Precision, Recipe
from fewtune.runtime.job import Corpus, Fit, Fitted, Job, ModelRef, RowRef, Score
from fewtune.runtime.train import adaptation
from fewtune.runtime.train.engine import Engine
from fewtune.runtime.train.loop import Course, Example, Learner, Training, train
from fewtune.runtime.train.model import Base, load
from fewtune.runtime.train.pack import Pack, train_packed
from fewtune.runtime.train.pulse import Pulse
from fewtune.runtime.train.reading import Reader

DEVICE = os.environ.get("FEWTUNE_TEST_DEVICE", "cuda")
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
TOKENS = (5, 6, 7, 8)
"""Of the labels."""
STEPS = 12

pytestmark = pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model."""
    return tiny_model(tmp_path_factory.mktemp("tiny"))


def arm(kind: str, precision: Precision = "fp32", **given: object) -> Arm:
    """A pattern arm; rank apart, what is given goes to its recipe."""
    rank = int(str(given.pop("rank", 4)))
    usual: dict[str, object] = {
        "n": 48, "steps": STEPS, "batch_size": 8, "micro_batch": 8, "learning_rate": 0.01, "warmup_steps": 1
    }  # fmt: skip
    return Arm(
        name=f"{kind} {rank} {given}",
        method="pattern+lora" if kind == "lora" else "pattern+full",
        formulation="pattern",
        adaptation=kind,  # type: ignore[arg-type]
        role="candidate",
        pattern="{text}\nTopic:",
        lora=Lora(rank=rank, alpha=2 * rank, targets=TARGETS) if kind == "lora" else None,
        max_tokens=64,
        precision=precision,
        recipes=(Recipe.model_validate(usual | given),),
    )


def rows(seed: int, count: int = 24) -> list[Example]:
    source = random.Random(seed)
    return [
        Example([source.randrange(10, 90) for _ in range(source.randint(2, 30))], source.randrange(len(TOKENS)))
        for _ in range(count)
    ]


def training(learner: Learner, own: Arm, seed: int) -> Training:
    return Training(learner, own.recipes[0], rows(seed), seed, None, Pulse(own.name, lambda _: None))


def alone(base: Base, own: Arm, seed: int) -> Course:
    """One trial without neighbours."""
    weights = adaptation.moving(base, own, len(TOKENS), seed)
    return train(
        training(Learner(lambda: adaptation.tuned(base, own, TOKENS, weights.working), weights, True), own, seed)
    )


def together(base: Base, arms: Sequence[Arm], seeds: Sequence[int], slots: int) -> list[Course]:
    """Trials that share their steps, in the order of the arms."""
    pack = Pack(base, arms, TOKENS, len(TOKENS), slots)

    def start(trial: int, slot: int) -> Training:
        return training(pack.seat(slot, arms[trial], seeds[trial]), arms[trial], seeds[trial])

    found = {trial: course for trial, course, _ in train_packed(pack, range(len(arms)), start)}
    return [found[trial] for trial in range(len(arms))]


def losses(course: Course) -> list[float]:
    return [loss for _, loss in course.losses]


def test_packed_trials_are_as_if_each_were_alone(folder: Path) -> None:
    """Ranks, rates, batches and lengths differ, and freed slots are given to others."""
    base = load(str(folder), "fp32", DEVICE)
    arms = [
        arm("lora", rank=(1, 4, 16)[place % 3], learning_rate=(0.01, 0.003)[place % 2], steps=STEPS - place,
            batch_size=3 + place, micro_batch=2 + place)
        for place in range(5)
    ]  # fmt: skip
    for place, course in enumerate(together(base, arms, range(5), slots=3)):
        expected = alone(base, arms[place], place)
        assert losses(course) == pytest.approx(losses(expected), rel=1e-4)
        for name, value in course.result.items():
            torch.testing.assert_close(value, expected.result[name], atol=2e-4, rtol=1e-3)


def test_packed_trials_in_bf16_differ_by_rounding_alone(folder: Path) -> None:
    """The mean difference of the last losses is within what rounding scatters, and small."""
    base = load(str(folder), "bf16", DEVICE)
    arms, seeds = [arm("lora", "bf16", learning_rate=0.003)] * 8, range(8)
    pairs = zip(together(base, arms, seeds, slots=8), (alone(base, arms[seed], seed) for seed in seeds), strict=True)
    apart = [losses(packed)[-1] - losses(single)[-1] for packed, single in pairs]
    assert abs(mean(apart)) <= 3 * stdev(apart) / len(apart) ** 0.5 + 1e-3
    assert max(map(abs, apart)) < 0.05


@pytest.mark.skipif(DEVICE != "cuda", reason="only CUDA records")
def test_steps_are_recorded_once_and_replayed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One graph for each shape of rows and one for the optimizers; later steps launch nothing singly."""
    replayed, graph = [], torch.cuda.CUDAGraph
    replay = graph.replay
    monkeypatch.setattr(graph, "replay", lambda self: (replayed.append(id(self)), replay(self))[1])
    base = load(str(folder), "fp32", DEVICE)
    together(base, [arm("lora")] * 4, range(4), slots=2)
    shapes = len(set(replayed)) - 1
    assert 1 <= shapes <= 3
    assert len(replayed) >= 2 * 2 * STEPS - shapes  # two rounds of so many steps; a shape's first run is not recorded


@pytest.mark.skipif(DEVICE != "cuda", reason="only CUDA records")
def test_a_model_that_waits_for_the_device_is_trained_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its steps cannot be recorded: they are launched one by one, on the stream as before, and another pack records."""
    base, arms = load(str(folder), "fp32", DEVICE), [arm("lora")] * 2
    expected, before = together(base, arms, range(2), slots=2), torch.cuda.current_stream()
    read = Reader.hidden

    def waiting(self: Reader, ids: torch.Tensor) -> torch.Tensor:
        ids.sum().item()
        return read(self, ids)

    monkeypatch.setattr(Reader, "hidden", waiting)
    with pytest.warns(RuntimeWarning, match="cannot be recorded"):
        found = together(base, arms, range(2), slots=2)
    monkeypatch.undo()
    assert torch.cuda.current_stream() == before
    again = together(base, arms, range(2), slots=2)
    for one, two, three in zip(expected, found, again, strict=True):
        assert losses(two) == pytest.approx(losses(one), rel=1e-4)
        assert losses(three) == pytest.approx(losses(one), rel=1e-4)


@pytest.fixture
def engine(folder: Path) -> Engine:
    """An engine in this process."""
    made = tiny_rows(72, seed=1)
    corpus = Corpus(labels=LABELS, splits={"train": made[:48], "test": made[48:]})
    return Engine(ModelRef(path=str(folder), weights_hash="tiny"), corpus, device=DEVICE)


def job(folder: Path, own: Arm) -> Job:
    """Train on 48 rows, score 24."""
    parts = {split: RowRef(split=split, rows=tuple(range(count))) for split, count in (("train", 48), ("test", 24))}
    return Job(
        id="job",
        arm=own,
        recipe=own.recipes[0],
        words={label: label for label in LABELS},
        tokens=tiny_word_tokens(folder),
        fit=Fit(stage="fit", fingerprint="f", train=parts["train"], validation=None, init_seed=1, order_seed=2),
        scores=(Score(stage="score", fingerprint="s", split="test", rows=parts["test"]),),
    )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["lora", "full"])
def test_the_engine_learns_and_leaves_the_base_as_it_was(
    kind: str, precision: Precision, folder: Path, engine: Engine
) -> None:
    own = arm(kind, precision, steps=60, learning_rate=0.01 if kind == "lora" else 0.003)
    first = engine.run(job(folder, own))
    assert first.failure is None, first.message
    fitted = first.outcomes[0]
    assert isinstance(fitted, Fitted)
    assert fitted.losses[-1][1] < 0.5 * fitted.losses[0][1]
    assert fitted.peak_memory_bytes > 0
    again = engine.run(job(folder, own)).outcomes[0]
    assert isinstance(again, Fitted)
    assert [loss for _, loss in again.losses] == pytest.approx([loss for _, loss in fitted.losses], rel=0.02, abs=0.01)


def test_training_everything_works_on_a_copy(folder: Path) -> None:
    base = load(str(folder), "fp32", DEVICE)
    before = {name: value.clone() for name, value in base.model.named_parameters()}
    course = alone(base, arm("full", learning_rate=0.003), seed=1)
    assert all(torch.equal(before[name], value) for name, value in base.model.named_parameters())
    assert any(not torch.equal(before[name].cpu(), course.result[name]) for name in before)


def waits(folder: Path, slots: int) -> int:
    """Times that the host waits for the GPU in a step of so many trials."""
    base, own = load(str(folder), "bf16", DEVICE), arm("lora", "bf16")
    pack = Pack(base, [own], TOKENS, len(TOKENS), slots)
    running = [training(pack.seat(slot, own, slot), own, slot) for slot in range(slots)]
    places = list(range(slots))
    for _ in range(3):  # the third one is replayed
        pack.step(running, places)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            pack.step(running, places)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in told)


@pytest.mark.skipif(DEVICE != "cuda", reason="only CUDA tells")
def test_the_host_waits_no_more_often_for_many_trials_than_for_one(folder: Path) -> None:
    """Rows are copied and losses are read once a step, not once a trial."""
    assert waits(folder, 8) == waits(folder, 1)
