"""Generation against transformers' own, and against one row at a time; training on targets against plain loops."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft_oracle import peft_model, peft_names
from tiny import LABELS
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForCausalLM

from fewtune.compiler.arm import Arm, Generation, Lora, Recipe
from fewtune.runtime.train import adaptation, generation
from fewtune.runtime.train.generation import Ending, generate
from fewtune.runtime.train.loop import Example, Learner, Training, train
from fewtune.runtime.train.order import batches
from fewtune.runtime.train.prompt import load_tokenizer
from fewtune.runtime.train.pulse import Pulse
from fewtune.runtime.train.schedule import factor

NEW = 12
QUIET = Pulse("job", lambda _: None)
OPENING = list(range(20, 40))
LENGTHS = (3, 17, 9, 1, 30, 9, 4, 12)


def prompts(opening: Sequence[int] = ()) -> list[list[int]]:
    """Rows of different lengths, with or without the same beginning."""
    source = torch.Generator().manual_seed(3)
    return [[*opening, *torch.randint(5, 200, (length,), generator=source).tolist()] for length in LENGTHS]


def writer(job: Any, architecture: str, moves: str = "none", **how: Any) -> Arm:
    task = job("generation", moves, architecture=architecture)
    ends = Generation(**{"max_new_tokens": NEW, "end_tokens": (0,), "stop_at_newline": False} | how)
    arm: Arm = task.arm.model_copy(update={"generation": ends})
    return arm


def ending(folder: Path, arm: Arm) -> Ending:
    assert arm.generation is not None
    return Ending(arm.generation, load_tokenizer(str(folder / "tokenizer.json")))


def shaken(base: Any, arm: Arm) -> dict[str, Tensor]:
    """An adapter that changes what is written."""
    source = torch.Generator().manual_seed(4)
    values = adaptation.initial(base, arm, 0, seed=1)
    return {name: torch.randn(value.shape, generator=source) * 0.3 for name, value in values.items()}


def by_transformers(model: Any, rows: Sequence[Sequence[int]], end: Sequence[int]) -> list[list[int]]:
    found = []
    for row in rows:
        ids = torch.tensor([row])
        output = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=NEW,
            eos_token_id=list(end), pad_token_id=0,
        )  # fmt: skip
        found.append(output[0, len(row) :].tolist())
    return found


@pytest.mark.parametrize("opening", [(), OPENING], ids=["apart", "shared"])
@pytest.mark.parametrize("moves", ["none", "lora"])
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "opt", "gpt_neox"])
def test_texts_are_those_of_transformers(
    architecture: str, moves: str, opening: Sequence[int], models: Any, bases: Any, job: Any
) -> None:
    base, folder = bases(architecture), models(architecture)
    arm, rows = writer(job, architecture, moves, end_tokens=(0,)), prompts(opening)
    tensors = shaken(base, arm) if moves == "lora" else {}
    tuned = adaptation.tuned(base, arm, [], tensors)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    if moves == "lora":
        model = peft_model(folder, arm, torch.float32)
        parameters = dict(model.named_parameters())
        for name, value in peft_names(tensors):
            parameters[name].data.copy_(value)
    longest = by_transformers(model, rows, [0])
    ends = (0, longest[0][4], longest[5][1])  # so that rows end at different places
    end = ending(folder, writer(job, architecture, moves, end_tokens=ends))
    before = base.model.config._attn_implementation
    found = generate(tuned, rows, end, QUIET)
    assert base.model.config._attn_implementation == before
    assert found == by_transformers(model, rows, ends)
    assert len({len(tokens) for tokens in found}) > 1
    assert found == [generate(tuned, [row], end, QUIET)[0] for row in rows]


@pytest.mark.parametrize("rows", [1, 3])
def test_small_batches_and_short_memory_write_the_same(
    rows: int, models: Any, bases: Any, job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, arm = bases(), writer(job, "llama")
    tuned, end = adaptation.tuned(base, arm, [], {}), ending(models(), arm)
    expected = generate(tuned, prompts(), end, QUIET)
    monkeypatch.setitem(generation.MOST_ROWS, "cpu", rows)
    assert generate(tuned, prompts(), end, QUIET) == expected
    monkeypatch.undo()
    usual = generation._greedy

    def short(tuned: Any, batch: Any, *rest: Any) -> Any:
        if len(batch) > rows:
            raise torch.OutOfMemoryError
        return usual(tuned, batch, *rest)

    monkeypatch.setattr(generation, "_greedy", short)
    assert generate(tuned, prompts(), end, QUIET) == expected


def test_a_text_ends_where_it_should(models: Any) -> None:
    folder = models()
    tokenizer = load_tokenizer(str(folder / "tokenizer.json"))

    def of(text: str) -> list[int]:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    lines = Ending(Generation(max_new_tokens=40, end_tokens=(0,), stop_at_newline=True), tokenizer)
    block = Ending(Generation(max_new_tokens=40, end_tokens=(0,), stop_at_newline=False), tokenizer)
    said = of("\n\n the coach\nsays")
    assert lines.text(said) == "the coach"
    assert block.text([*said, 0]) == "the coach\nsays"
    newline = next(place for place, token in enumerate(said) if place > 2 and "\n" in tokenizer.decode([token]))
    assert not any(lines.reached(said[:count]) for count in range(1, newline + 1))
    assert lines.reached(said[: newline + 1])
    assert not block.reached(said)
    assert block.reached([*said, 0])
    assert Ending(Generation(max_new_tokens=2, end_tokens=(), stop_at_newline=False), tokenizer).reached([5, 5])


def targets(count: int) -> list[Example]:
    """Rows with targets of different lengths: a row's inputs are its prompt and all but the last target token."""
    source = torch.Generator().manual_seed(7)
    found = []
    for place in range(count):
        lengths = (3 + 4 * (place % 5), 1 + place % 7)
        prompt, target = (torch.randint(5, 200, (length,), generator=source).tolist() for length in lengths)
        found.append(Example([*prompt, *target[:-1]], target=target))
    return found


def plainly(model: Any, moving: Sequence[Tensor], recipe: Recipe, data: Sequence[Example], seed: int) -> list[float]:
    """The loop of any fine-tuning script: labels of -100 outside of the targets, one mean over the batch's tokens."""
    optimizer = torch.optim.AdamW(moving, weight_decay=recipe.weight_decay, lr=0.0)
    stream, losses = batches(len(data), recipe.batch_size, seed), []
    for step in range(recipe.steps):
        batch = [data[place] for place in next(stream)]
        longest = max(len(each.tokens) + 1 for each in batch)
        rows = [[*each.tokens, each.target[-1]] for each in batch]
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
        labels = torch.full_like(ids, -100)
        for place, (row, each) in enumerate(zip(rows, batch, strict=True)):
            labels[place, len(row) - len(each.target) : len(row)] = torch.tensor(each.target)
        mask = torch.tensor([[place < len(row) for place in range(longest)] for row in rows]).long()
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
        loss = functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(moving, recipe.max_grad_norm)
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * factor(recipe.schedule, step, recipe.steps, recipe.warmup_steps)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("micro", [8, 3])
@pytest.mark.parametrize(
    ("architecture", "moves", "precision"),
    [("opt", "lora", "double"), ("llama", "lora", "fp32"), ("llama", "full", "fp32"), ("gpt_neox", "full", "fp32")],
)
def test_training_on_targets_is_a_plain_loops(
    architecture: str, moves: str, precision: str, micro: int, models: Any, bases: Any, job: Any
) -> None:
    base, folder = bases(architecture, precision), models(architecture)
    arm = writer(job, architecture, moves)
    recipe = Recipe(
        n=20, steps=8, batch_size=8, micro_batch=micro, learning_rate=1e-3, warmup_steps=1, weight_decay=0.1
    )
    weights = adaptation.moving(base, arm, len(LABELS), seed=5)
    learner = Learner(lambda: adaptation.tuned(base, arm, [], weights.working), weights, keeps_masters=moves == "lora")
    start = adaptation.initial(base, arm, len(LABELS), 5)
    course = train(Training(learner, recipe, targets(20), 11, None, QUIET))

    dtype = torch.float64 if precision == "double" else torch.float32
    if moves == "lora":
        assert isinstance(arm.lora, Lora)
        model = peft_model(folder, arm, dtype)
        parameters = dict(model.named_parameters())
        for name, value in peft_names(start):
            parameters[name].data.copy_(value)
        names = dict(peft_names(course.result))
    else:
        model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=dtype).eval()
        parameters, names = dict(model.named_parameters()), course.result
    moving = [parameter for parameter in parameters.values() if parameter.requires_grad]
    losses = plainly(model, moving, recipe, targets(20), 11)
    close = 1e-10 if precision == "double" else 1e-4
    assert [loss for _, loss in course.losses] == pytest.approx(losses, rel=close)
    assert names.keys() == {name for name, value in parameters.items() if value.requires_grad}
    for name, value in names.items():
        loose = close if moves == "lora" else 2e-4
        torch.testing.assert_close(value, parameters[name].data.to(value.dtype), atol=loose, rtol=10 * loose)
