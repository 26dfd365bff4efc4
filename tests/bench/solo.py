"""How much of the processor a LoRA step of one trial uses, beside two peft loops, and where its time goes.

    python tests/bench/solo.py [--rows 16] [--steps 8] [--threads 2] [--profile] [--output tests/bench/solo.md]

Clauses of the quickstart, LoRA r=8 on every linear layer, the same batches from the same adapter. After a step to warm
up the contestants take a step each in turn, and before each two bf16 matrices of 2048 x 2048 are multiplied: what the
processor can do at that moment. A real token is worth 4 FLOP for each weight of the blocks, half of it for the gradient
of the layer's input; padding and recomputation are worth nothing. Ends with 1 where fewtune reaches neither 35 % of the
product's rate nor 1.3 times the rate of the loop in bf16, or where its losses differ from that loop's.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from step import SEED, Task, quickstart, starting  # sets what threads do before torch is loaded
from workplace import machine

sys.path.insert(0, str(Path(__file__).parents[1]))

import plain_loop
import torch
from torch import Tensor

from fewtune.runtime.folders import embedded_folder
from fewtune.runtime.train import adaptation, loop
from fewtune.runtime.train.loop import Learner, Training
from fewtune.runtime.train.model import BLOCK, load
from fewtune.runtime.train.order import batches
from fewtune.runtime.train.pulse import Pulse

SIDE = 2048
SHARE = 0.35
"""Of the product's rate."""
GAIN = 1.3
"""Times the rate of the loop in bf16."""
NEAR = 0.03
"""Largest relative difference of a step's loss between the two that compute in bf16."""
RATE = 1e-4
"""Peak learning rate: small, so that rounding does not grow from step to step."""
OURS, AUTOCAST, PLAIN = "fewtune, bf16", "peft loop, bf16 base, autocast, eager attention", "peft loop, fp32"
CLASSES = {
    "products of the linear layers": ("aten::mm", "aten::addmm", "aten::addmm_"),
    "products of the attention": ("aten::bmm", "aten::baddbmm", "aten::baddbmm_"),
    "softmax": ("aten::_softmax", "aten::_softmax_backward_data"),
    "casts and copies": ("aten::copy_", "aten::cat", "aten::index_select", "aten::index_copy_", "aten::_foreach_copy_"),
    "optimizer and clipping": ("aten::_fused_adamw_", "aten::_foreach_norm", "aten::linalg_vector_norm"),
    "element by element": (
        "aten::mul", "aten::mul_", "aten::add", "aten::add_", "aten::silu", "aten::silu_backward", "aten::neg",
        "aten::addcmul_", "aten::pow", "aten::mean", "aten::rsqrt_", "aten::linalg_vecdot", "aten::sum", "aten::zero_",
        "aten::fill_",
    ),
}  # fmt: skip
"""What an operation is for."""


@dataclass
class Contestant:
    """One way to take a step."""

    run: Callable[[], float]
    """Returns the step's loss."""
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    """Useful FLOP a second of each step."""
    shares: list[float] = field(default_factory=list)
    """The same, of the rate of the product that was measured just before."""

    def apart(self, other: "Contestant") -> float:
        """Largest relative difference of a step's loss."""
        return max(abs(a - b) / b for a, b in zip(self.losses, other.losses, strict=True))


def fewtune(task: Task) -> Contestant:
    base = load(str(embedded_folder()), "bf16", "cpu")
    weights = adaptation.moving(base, task.arm, len(task.words), seed=SEED)
    learner = Learner(
        lambda: adaptation.tuned(base, task.arm, task.words, weights.working), weights, keeps_masters=True
    )
    told: list[float] = []
    pulse = Pulse("solo", lambda progress: told.append(progress.loss or 0.0))
    training = Training(learner, task.recipe, task.examples, SEED, None, pulse)

    def run() -> float:
        pulse._last = 0.0  # every loss is told
        loop.step([training], lambda parts: learner.tuned.logits([example.tokens for example in parts[0]]))
        return told.pop()

    return Contestant(run)


def peft_loop(task: Task, *, autocast: bool) -> Contestant:
    """A loop over padded batches; in bf16 with the logits of the label words alone."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    lora, options = task.arm.lora, {"dtype": torch.bfloat16, "attn_implementation": "eager"} if autocast else {}
    assert lora is not None
    model = AutoModelForCausalLM.from_pretrained(embedded_folder(), **({"dtype": torch.float32} | options))
    config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=list(lora.targets), lora_dropout=0.0)
    tuned: Any = get_peft_model(model, config).eval()
    live = dict(tuned.named_parameters())
    with torch.no_grad():
        for name, value in starting(task).items():
            live[name.replace(".weight", ".default.weight")].copy_(value)
    words = model.get_output_embeddings().weight[task.words].float()

    def logits(ids: Tensor, mask: Tensor) -> Tensor:
        if not autocast:
            return plain_loop.last(tuned(input_ids=ids, attention_mask=mask).logits, mask)[:, task.words]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = tuned.base_model.model.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        return plain_loop.last(hidden, mask).float() @ words.t()

    moving = [parameter for parameter in live.values() if parameter.requires_grad]
    losses = plain_loop.steps(moving, logits, task.recipe, task.examples, SEED)
    return Contestant(lambda: next(losses))


def product_rate() -> float:
    """FLOP a second of one product."""
    a, b = torch.ones(SIDE, SIDE, dtype=torch.bfloat16), torch.ones(SIDE, SIDE, dtype=torch.bfloat16)
    a @ b
    began = time.perf_counter()
    for _ in range(3):
        a @ b
    return 3 * 2 * SIDE**3 / (time.perf_counter() - began)


def work(task: Task) -> Iterator[float]:
    """Useful FLOP of each step."""
    base = load(str(embedded_folder()), "bf16", "cpu")
    linear = (each for path, each in base.model.named_modules() if BLOCK.search(path))
    weights = sum(each.weight.numel() for each in linear if isinstance(each, torch.nn.Linear))
    for places in batches(len(task.examples), task.recipe.batch_size, SEED):
        yield 4.0 * weights * sum(len(task.examples[place].tokens) for place in places)


def profiled(contestant: Contestant, steps: int) -> str:
    """Where the time of some steps goes, as Markdown."""
    contestant.run()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(steps):
            contestant.run()
    spent = {event.key: event.self_cpu_time_total for event in profile.key_averages()}
    total, named = sum(spent.values()), {name for names in CLASSES.values() for name in names}
    classes = {title: sum(spent.get(name, 0.0) for name in names) for title, names in CLASSES.items()}
    rest = sorted((name for name in spent if name not in named), key=lambda name: -spent[name])
    classes["other"] = sum(spent[name] for name in rest)
    lines = [f"| {title} | {100 * part / total:.1f} % |" for title, part in classes.items()]
    largest = ", ".join(f"{name} {100 * spent[name] / total:.1f} %" for name in rest[:4])
    return "\n".join(["| time of a step | |", "| --- | --- |", *lines, "", f"The largest of the others: {largest}."])


def interleaved(contestants: dict[str, Contestant], task: Task, steps: int) -> list[float]:
    """Let them take their steps, the first to warm up; returns the FLOP a second of the products between them."""
    rates = list[float]()
    flop = work(task)
    for step in range(1 + steps):
        done = next(flop)
        for contestant in contestants.values():
            able = product_rate()
            began = time.perf_counter()
            contestant.losses.append(contestant.run())
            seconds = time.perf_counter() - began
            if step:
                rates.append(able)
                contestant.rates.append(done / seconds)
                contestant.shares.append(done / seconds / able)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=16, help="clauses a step, of about 50 tokens each")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--profile", action="store_true", help="say where fewtune's time goes")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    task = quickstart(1_000_000, options.rows)
    task = replace(task, recipe=task.recipe.model_copy(update={"learning_rate": RATE}))
    contestants = {
        OURS: fewtune(task),
        AUTOCAST: peft_loop(task, autocast=True),
        PLAIN: peft_loop(task, autocast=False),
    }
    rates = interleaved(contestants, task, options.steps)
    ours, rival, reference = (contestants[name] for name in (OURS, AUTOCAST, PLAIN))
    share = statistics.median(ours.shares)
    gain = statistics.median(ours.rates) / statistics.median(rival.rates)
    met = f"{100 * share:.0f} % of the product's rate (promised: {100 * SHARE:.0f} %), or {gain:.2f} times the loop in"
    checks = {
        f"{met} bf16 (promised: {GAIN})": share >= SHARE or gain >= GAIN,
        f"losses differ from that loop's by {100 * ours.apart(rival):.1f} %, at most {100 * NEAR:.0f} %": (
            ours.apart(rival) <= NEAR
        ),
    }
    lines = [
        f"| {name} | {statistics.median(each.rates) / 1e9:.0f} | {100 * statistics.median(each.shares):.1f} % | "
        f"{statistics.median(each.rates) / statistics.median(rival.rates):.2f} | {each.losses[0]:.4f} | "
        f"{each.losses[-1]:.4f} | {100 * each.apart(reference):.1f} % |"
        for name, each in contestants.items()
    ]
    text = f"""# The step of one trial

`python tests/bench/solo.py {" ".join(sys.argv[1:])}`, {machine()}, {options.threads} thread(s); {options.steps} steps
of {options.rows} clauses, in turn. The product: {statistics.median(rates) / 1e9:.0f} GFLOP/s ({min(rates) / 1e9:.0f} to
{max(rates) / 1e9:.0f}).

| | useful GFLOP/s | of the product's rate | against the loop in bf16 | first loss | last loss | furthest from fp32 |
| --- | --- | --- | --- | --- | --- | --- |
{chr(10).join(lines)}

{chr(10).join(f"- {'holds' if holds else 'DOES NOT HOLD'}: {what}" for what, holds in checks.items())}
"""
    if options.profile:
        text += f"\n{profiled(ours, 3)}\n"
    print(text)
    if options.output:
        options.output.write_text(text)
    sys.exit(not all(checks.values()))


if __name__ == "__main__":
    main()
