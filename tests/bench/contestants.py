"""Ways to take a training step on random weights, warm and in turns: used by packing.py; no network, no ray."""

import random
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import bare  # noqa: F401
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from fewtune.compiler.arm import Arm, Lora, Recipe
from fewtune.runtime.train import adaptation
from fewtune.runtime.train.loop import Example, Training
from fewtune.runtime.train.model import DTYPES, Base, prepared
from fewtune.runtime.train.order import batches
from fewtune.runtime.train.pack import Pack
from fewtune.runtime.train.pulse import Pulse

SHAPES: dict[str, dict[str, int]] = {
    "tiny": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
             "intermediate_size": 64, "vocab_size": 1000},
    "135M": {"hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
             "intermediate_size": 1536, "vocab_size": 49152},
    "360M": {"hidden_size": 960, "num_hidden_layers": 32, "num_attention_heads": 15, "num_key_value_heads": 5,
             "intermediate_size": 2560, "vocab_size": 49152},
    "1.2B": {"hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8,
             "intermediate_size": 8192, "vocab_size": 128256},
    "7B": {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
           "intermediate_size": 11008, "vocab_size": 32000},
}  # fmt: skip
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
LABELS = (5, 6, 7, 8)
"""Tokens of the label words."""
MANY = 10**6
"""Steps of the recipe: it never ends here."""


@dataclass(frozen=True)
class Cell:
    """What each trial trains in a step."""

    shape: str = "tiny"
    rows: int = 8
    tokens: int = 8
    """Of each row."""
    ranks: tuple[int, ...] = (8,)
    """The slots take them in turn; the loops the first."""
    precision: str = "fp32"
    device: str = "cpu"
    ragged: bool = False
    """Rows of a quarter to seven quarters of so many tokens instead."""

    def data(self, seed: int) -> list[Example]:
        """The rows of one trial."""
        source = random.Random(seed)
        return [
            Example([source.randrange(10, 900) for _ in range(self._length(source))], source.randrange(len(LABELS)))
            for _ in range(self.rows)
        ]

    def _length(self, source: random.Random) -> int:
        return source.randint(self.tokens // 4, 7 * self.tokens // 4) if self.ragged else self.tokens

    def arm(self, slot: int = 0) -> Arm:
        """The arm of a slot."""
        rank = self.ranks[slot % len(self.ranks)]
        return Arm(
            name=f"LoRA r={rank}", method="pattern+lora", formulation="pattern", adaptation="lora", role="candidate",
            pattern="{text}", lora=Lora(rank=rank, alpha=2 * rank, targets=TARGETS),
            precision=self.precision, recipes=(self.recipe,),  # type: ignore[arg-type]
        )  # fmt: skip

    @property
    def recipe(self) -> Recipe:
        return Recipe(
            n=0, steps=MANY, batch_size=self.rows, micro_batch=self.rows, learning_rate=1e-3, schedule="constant"
        )


@dataclass
class Contestant:
    """One way to train so many trials a step."""

    name: str
    trials: int
    run: Callable[[], float]
    """Takes a step of every trial; returns the first trial's loss."""
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def forget(self) -> None:
        """Give up the model and all else that it runs on."""
        self.run = lambda: float("nan")


def random_model(cell: Cell) -> Any:
    """Random weights of a real shape; equal each time."""
    config = AutoConfig.for_model("llama", max_position_embeddings=2048, tie_word_embeddings=True, **SHAPES[cell.shape])
    torch.manual_seed(0)
    attention = "eager" if cell.device == "cpu" else "sdpa"  # the faster one to train with
    with torch.device(cell.device):
        dtype = DTYPES[cell.precision]  # type: ignore[index]
        return AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=attention)


def base(cell: Cell) -> Base:
    return prepared(random_model(cell))


def packed(cell: Cell, model: Base, slots: int) -> Contestant:
    """Our engine with so many slots; one slot is a pack, too."""
    arms = [cell.arm(slot) for slot in range(slots)]
    pack = Pack(model, arms, LABELS, len(LABELS), slots)
    losses: list[float] = []
    running = []
    for slot, arm in enumerate(arms):
        learner = pack.seat(slot, arm, seed := slot + 1)
        pulse = Pulse("bench", lambda progress: losses.append(progress.loss or 0.0))
        running.append(Training(learner, cell.recipe, cell.data(seed), seed, None, pulse))
    places = list(range(slots))

    def run() -> float:
        losses.clear()
        running[0].pulse._last = 0.0  # every loss of the first trial is told
        pack.step(running, places)
        return losses[0]

    return Contestant(f"fewtune, k = {slots}", slots, run)


def plain(cell: Cell, model: Base, *, compiled: bool = False, trial: int = 0) -> Contestant:
    """A peft loop that trains one slot's trial: the label words' logits only, autocast in bf16."""
    from peft import LoraConfig, get_peft_model

    own, lora, recipe = random_model(cell), cell.arm(trial).lora, cell.recipe
    assert lora is not None
    config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=list(TARGETS))
    tuned: Any = get_peft_model(own, config).eval()
    live = dict(tuned.named_parameters())
    with torch.no_grad():
        for name, value in adaptation.initial(model, cell.arm(trial), len(LABELS), trial + 1).items():
            live[name.replace(".weight", ".default.weight")].copy_(value)
    moving = [parameter for parameter in live.values() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(moving, lr=recipe.learning_rate, weight_decay=0.0, fused=True)
    data = cell.data(trial + 1)
    stream = batches(len(data), cell.rows, trial + 1)
    words = own.get_output_embeddings().weight[list(LABELS)].float()
    backbone: Any = tuned.base_model.model.model
    if compiled:
        backbone = torch.compile(backbone, mode="reduce-overhead" if cell.device != "cpu" else None, dynamic=False)
    narrow = cell.precision == "bf16"

    def run() -> float:
        batch = [data[place] for place in next(stream)]
        ends = [len(each.tokens) - 1 for each in batch]  # causal: what comes after a row's end is not seen
        rows = [[*each.tokens, *[0] * (max(ends) - end)] for each, end in zip(batch, ends, strict=True)]
        ids = torch.tensor(rows, device=cell.device)
        labels = torch.tensor([each.label for each in batch], device=cell.device)
        with torch.autocast(torch.device(cell.device).type, dtype=torch.bfloat16) if narrow else nullcontext():
            states = backbone(input_ids=ids, use_cache=False).last_hidden_state
        hidden = states[:, -1] if len(set(ends)) == 1 else states[range(len(batch)), ends]
        loss = torch.nn.functional.cross_entropy(hidden.float() @ words.t(), labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(moving, recipe.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return Contestant("plain peft loop, compiled" if compiled else "plain peft loop", 1, run)


def measured(contestants: Sequence[Contestant], steps: int, repeats: int, device: str) -> None:
    """Time them in turn, every second time in the other order."""
    for contestant in contestants:
        contestant.losses += [contestant.run() for _ in range(2)]
    for repeat in range(repeats):
        for contestant in contestants if repeat % 2 == 0 else reversed(contestants):
            wait(device)
            began = time.perf_counter()
            contestant.losses += [contestant.run() for _ in range(steps)]
            wait(device)
            contestant.seconds.append((time.perf_counter() - began) / steps)


def wait(device: str) -> None:
    """Until the device has done what it was told."""
    if device != "cpu":
        torch.cuda.synchronize()
