"""What a step costs with 1 to 16 trials in it, beside a plain peft loop that trains one: random weights, no network.

    python tests/bench/packing.py [--shape tiny] [--rows 8] [--tokens 8] [--precision fp32] [--device cpu]
        [--slots 1 2 4 8 16] [--steps 5] [--repeats 5] [--output FILE]

All contestants are warm, take turns within each repeat and train on the same rows: LoRA r=8 on every linear layer,
batches of `--rows` rows of `--tokens` tokens, answered at the last token by 4 label words. The plain loop has the same
precision, eager attention, and takes the logits of the label words only. Losses must agree where the precision allows.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from fewtune.compiler.plan import Arm, Lora, Recipe
from fewtune.runtime.train import adaptation
from fewtune.runtime.train.loop import Example, Training, step
from fewtune.runtime.train.model import DTYPES, Base, prepared
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
RANK = 8
MANY = 10**6
"""Steps of the recipe: it never ends here."""


@dataclass
class Contestant:
    """One way to train so many trials a step."""

    name: str
    trials: int
    run: Callable[[], float]
    """Takes a step of every trial; returns the first trial's loss."""
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


def base(shape: str, precision: str, device: str) -> Base:
    config = AutoConfig.for_model("llama", max_position_embeddings=2048, tie_word_embeddings=True, **SHAPES[shape])
    torch.manual_seed(0)
    dtype = DTYPES[precision]  # type: ignore[index]
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="eager")
    return prepared(model)


def arm(precision: str) -> tuple[Arm, Recipe]:
    recipe = Recipe(n=0, steps=MANY, batch_size=0, learning_rate=1e-3, schedule="constant")
    lora = Lora(rank=RANK, alpha=2 * RANK, targets=TARGETS)
    made = Arm(
        name="LoRA", method="pattern+lora", formulation="pattern", adaptation="lora", role="candidate",
        pattern="{text}", lora=lora, precision=precision, recipes=(recipe,),  # type: ignore[arg-type]
    )  # fmt: skip
    return made, recipe


def rows(options: argparse.Namespace, seed: int) -> list[Example]:
    source = random.Random(seed)
    return [
        Example([source.randrange(10, 900) for _ in range(options.tokens)], source.randrange(len(LABELS)))
        for _ in range(options.rows)
    ]


def packed(options: argparse.Namespace, model: Base, slots: int) -> Contestant:
    """Our engine with so many slots; one slot is a pack, too."""
    made, recipe = arm(options.precision)
    recipe = recipe.model_copy(update={"batch_size": options.rows, "micro_batch": options.rows})
    pack = Pack(model, [made], LABELS, len(LABELS), slots)
    losses: list[float] = []
    running = []
    for slot in range(slots):
        learner = pack.seat(slot, made, seed := slot + 1)
        pulse = Pulse("bench", lambda progress: losses.append(progress.loss or 0.0))
        running.append(Training(learner, recipe, rows(options, seed), seed, None, pulse))
    places = list(range(slots))

    def run() -> float:
        losses.clear()
        running[0].pulse._last = 0.0  # every loss of the first trial is told
        step(running, lambda parts: pack.logits(parts, places))
        return losses[0]

    return Contestant(f"fewtune, k = {slots}", slots, run)


def plain(options: argparse.Namespace, model: Base) -> Contestant:
    """A peft loop without padding, logits of the label words only."""
    from peft import LoraConfig, get_peft_model

    from fewtune.runtime.train.order import batches

    made, recipe = arm(options.precision)
    own = base(options.shape, options.precision, options.device).model
    own.config._attn_implementation = "eager"
    tuned: Any = get_peft_model(own, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=list(TARGETS))).eval()
    live = dict(tuned.named_parameters())
    with torch.no_grad():
        for name, value in adaptation.initial(model, made, len(LABELS), 1).items():
            live[name.replace(".weight", ".default.weight")].copy_(value)
    moving = [parameter for parameter in live.values() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(moving, lr=recipe.learning_rate, weight_decay=0.0, fused=True)
    data = rows(options, 1)
    stream = batches(len(data), options.rows, 1)
    words = own.get_output_embeddings().weight[list(LABELS)].float()

    def run() -> float:
        batch = [data[place] for place in next(stream)]
        ids = torch.tensor([list(each.tokens) for each in batch], device=options.device)
        labels = torch.tensor([each.label for each in batch], device=options.device)
        hidden = tuned.base_model.model.model(input_ids=ids, use_cache=False).last_hidden_state[:, -1]
        loss = torch.nn.functional.cross_entropy(hidden.float() @ words.t(), labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(moving, recipe.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return Contestant("plain peft loop", 1, run)


def measured(contestants: Sequence[Contestant], steps: int, repeats: int, device: str) -> None:
    """Time them in turn, every second time in the other order."""
    for contestant in contestants:
        contestant.losses += [contestant.run() for _ in range(2)]
    for repeat in range(repeats):
        for contestant in contestants if repeat % 2 == 0 else reversed(contestants):
            began = time.perf_counter()
            contestant.losses += [contestant.run() for _ in range(steps)]
            if device != "cpu":
                torch.cuda.synchronize()
            contestant.seconds.append((time.perf_counter() - began) / steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=list(SHAPES), default="tiny")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = base(options.shape, options.precision, options.device)
    contestants = [plain(options, model), *(packed(options, model, slots) for slots in options.slots)]
    measured(contestants, options.steps, options.repeats, options.device)
    first = next(c for c in contestants if c.name == f"fewtune, k = {options.slots[0]}")
    reference, one = contestants[0], statistics.median(first.seconds)
    where = torch.cuda.get_device_name() if options.device != "cpu" else f"cpu, {options.threads} thread(s)"
    lines = [
        f"{where}: {options.shape}, {options.precision}, {options.rows} rows of {options.tokens} tokens a trial; "
        f"medians of {options.repeats} repeats of {options.steps} steps, contestants in turn.",
        "",
        f"`python tests/bench/packing.py {' '.join(sys.argv[1:])}`",
        "",
        "| | ms a step | against k = 1 | ms a trial | trials a second, plain loop = 1 | losses differ by at most |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for contestant in contestants:
        took = statistics.median(contestant.seconds)
        apart = max(abs(a - b) for a, b in zip(contestant.losses, reference.losses, strict=True))
        gain = contestant.trials * statistics.median(reference.seconds) / took
        lines.append(
            f"| {contestant.name} | {1e3 * took:.1f} | {took / one:.2f} | {1e3 * took / contestant.trials:.2f} | "
            f"{gain:.2f} | {apart:.1e} |"
        )
    text = "\n".join(lines) + "\n"
    print(text)
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
