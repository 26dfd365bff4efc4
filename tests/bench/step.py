"""Training steps of the quickstart's chosen arm: in bf16, in fp32, and as a plain peft loop.

    python tests/bench/step.py [--steps 12] [--repeats 3] [--threads 1 2] [--output tests/bench/step.md]

The same clauses in the same order, 8 a step, LoRA r=8 on every linear layer, starting from the same adapter. The plain
loop pads its batches, computes in fp32 and takes the whole vocabulary's logits of every position, as a first script
would. Losses of the first and the last step stand beside the rates: they must be equal in fp32 and near in bf16.
"""

import argparse
import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewtune.runtime.train.engine import THREAD_SETTINGS

os.environ.update({name: value for name, value in THREAD_SETTINGS.items() if name not in os.environ})  # before torch
sys.path.insert(0, str(Path(__file__).parents[1]))

import plain_loop
import torch
from torch import Tensor
from workplace import machine

from fewtune.api.session import plan_spec
from fewtune.compiler.arm import Arm, Recipe
from fewtune.runtime.folders import embedded_folder
from fewtune.runtime.job import RowRef
from fewtune.runtime.train import adaptation
from fewtune.runtime.train.loop import Example, Learner, Training, train
from fewtune.runtime.train.model import load
from fewtune.runtime.train.order import batches
from fewtune.runtime.train.prompt import Encoder, Template, load_tokenizer
from fewtune.runtime.train.pulse import Pulse

SPEC = Path(__file__).resolve().parents[2] / "examples" / "quickstart.toml"
SEED = 5


@dataclass(frozen=True)
class Task:
    """What is trained, by whomever."""

    arm: Arm
    recipe: Recipe
    words: list[int]
    """Token of each label's word."""
    examples: list[Example]

    @property
    def tokens(self) -> int:
        """Real tokens of all steps."""
        stream = batches(len(self.examples), self.recipe.batch_size, SEED)
        return sum(len(self.examples[place].tokens) for _ in range(self.recipe.steps) for place in next(stream))


def quickstart(steps: int, batch: int = 8) -> Task:
    """The chosen arm's training with so many clauses a step."""
    planned = plan_spec(SPEC, Path("unused"))
    plan, corpus = planned.plan, planned.probed.corpus
    arm = next(arm for arm in plan.arms if arm.method == "pattern+lora")
    recipe = arm.recipes[-1].model_copy(
        update={"steps": steps, "evaluate_every": None, "batch_size": batch, "micro_batch": batch}
    )
    rows = RowRef(split="train", rows=tuple(range(48)))
    encoder = Encoder(load_tokenizer(str(embedded_folder() / "tokenizer.json")))
    encoded = encoder.rows(Template(str(arm.pattern)), arm.max_tokens, corpus, rows)
    examples = [Example(tokens, corpus.splits["train"][row].label) for row, tokens in enumerate(encoded)]
    assert plan.verbalizer is not None
    return Task(arm, recipe, [plan.verbalizer.tokens[label] for label in plan.labels], examples)


def ours(task: Task, precision: Any) -> tuple[float, list[float]]:
    """Seconds and the loss of each step."""
    base = load(str(embedded_folder()), precision, "cpu")
    weights = adaptation.moving(base, task.arm, len(task.words), seed=SEED)
    learner = Learner(
        lambda: adaptation.tuned(base, task.arm, task.words, weights.working), weights, keeps_masters=True
    )
    began = time.perf_counter()
    course = train(Training(learner, task.recipe, task.examples, SEED, None, Pulse("bench", lambda _: None)))
    return time.perf_counter() - began, [loss for _, loss in course.losses]


def starting(task: Task) -> dict[str, Tensor]:
    """The adapter that every contestant begins with."""
    base = load(str(embedded_folder()), "fp32", "cpu")
    return adaptation.moving(base, task.arm, len(task.words), seed=SEED).snapshot(masters=True)


def plain(task: Task) -> tuple[float, list[float]]:
    """Seconds and losses of the loop that anyone would write."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    lora = task.arm.lora
    assert lora is not None
    model = AutoModelForCausalLM.from_pretrained(embedded_folder(), dtype=torch.float32).eval()
    config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=list(lora.targets), lora_dropout=0.0)
    tuned = get_peft_model(model, config).eval()
    live = dict(tuned.named_parameters())
    with torch.no_grad():
        for name, value in starting(task).items():
            live[name.replace(".weight", ".default.weight")].copy_(value)
    moving = [parameter for parameter in live.values() if parameter.requires_grad]

    def logits(ids: Tensor, mask: Tensor) -> Tensor:
        return plain_loop.last(tuned(input_ids=ids, attention_mask=mask).logits, mask)[:, task.words]

    began = time.perf_counter()
    losses = plain_loop.train(moving, logits, task.recipe, task.examples, SEED)
    return time.perf_counter() - began, losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    task = quickstart(options.steps)
    contestants = {
        "fewtune, bf16": lambda: ours(task, "bf16"),
        "fewtune, fp32": lambda: ours(task, "fp32"),
        "plain peft loop, fp32": lambda: plain(task),
    }
    lines = [
        f"{machine()}; {options.steps} steps of {task.recipe.batch_size}, {task.tokens} tokens; medians of "
        f"{options.repeats} repeats, contestants in turn. `python tests/bench/step.py {' '.join(sys.argv[1:])}`",
        "",
        "| threads | | tokens/s | against the plain loop | first loss | last loss |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for threads in options.threads:
        torch.set_num_threads(threads)
        seconds: dict[str, list[float]] = {name: [] for name in contestants}
        losses: dict[str, list[float]] = {}
        for _ in range(options.repeats):
            for name, work in contestants.items():
                took, losses[name] = work()
                seconds[name].append(took)
        slow = statistics.median(seconds["plain peft loop, fp32"])
        for name, several in seconds.items():
            took = statistics.median(several)
            lines.append(
                f"| {threads} | {name} | {task.tokens / took:.0f} | {slow / took:.2f} | {losses[name][0]:.4f} | "
                f"{losses[name][-1]:.4f} |"
            )
            print(lines[-1], flush=True)
    text = "\n".join(lines) + "\n"
    print(text)
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
