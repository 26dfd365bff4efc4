"""What 40 written pairs move: margin and accuracy on 20 other pairs, and the loss on neutral texts before and after.

Every arm of `examples/preference.toml` and those that its rules leave out, on the embedded model, three data seeds:

    OMP_NUM_THREADS=1 python tests/bench/preference.py WORKSPACE [--arms dpo,orpo,kto,simpo,generate] > preference.md

A second call goes on from what is there. Forgetting is measured on the states that the trials left.
"""

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

import torch

from fewtune.api.answers import results
from fewtune.api.querying import ask
from fewtune.api.running import How, apply
from fewtune.api.session import plan_spec
from fewtune.compiler.plan import Arm, Plan
from fewtune.runtime.job import Progress
from fewtune.runtime.train import adaptation
from fewtune.runtime.train.judging import measured
from fewtune.runtime.train.loop import Example
from fewtune.runtime.train.model import Base, load
from fewtune.runtime.train.prompt import load_tokenizer
from fewtune.runtime.train.pulse import Pulse
from fewtune.store.reader import Reader

ROOT = Path(__file__).resolve().parents[2]
NEUTRAL = (
    "The river rises in the hills to the north and flows past three towns before it reaches the sea.",
    "On Monday the council met to discuss the new bridge, which is to be opened in the spring of next year.",
    "She put the letter back into the drawer, locked it, and went down to the kitchen without a word.",
    "Rice is grown in flooded fields; the water keeps weeds away and evens out the temperature at night.",
    "The first trains ran between the two cities in 1846, and within ten years the canal had lost its trade.",
    "A triangle whose sides are three, four and five units long has a right angle opposite the longest side.",
    "The committee published its report in June; two of its nine members did not agree with its conclusions.",
    "When the storm had passed, the boats went out again, and by noon the market was full of fish.",
)
"""Texts that have nothing to do with the task."""


class Quiet:
    """A reporter that says which jobs ended."""

    def began(self, run: str, jobs: int, seconds: float) -> None:
        return

    def progress(self, progress: Progress) -> None:
        return

    def ended(self, job: str, outcome: str, done: int, jobs: int, left: float) -> None:
        print(f"<!-- {job}: {outcome}, {done} of {jobs} -->", flush=True)

    def said(self, text: str) -> None:
        return


def mean_token_loss(base: Base, arm: Arm | None, state: bytes) -> float:
    """Mean negative log-probability of a token of the neutral texts, in nats; without an arm that of the base."""
    plain = arm is None
    some = arm or ARM
    tensors = {} if plain else adaptation.restored(base, some, state)
    tuned = adaptation.tuned(base, some.model_copy(update={"adaptation": "none"}) if plain else some, [], tensors)
    rows = [TOKENIZER.encode(text).ids for text in NEUTRAL]
    texts = [Example(row[:-1], target=row[1:]) for row in rows]
    sums = measured(tuned, texts, Pulse("bench", lambda _: None), "scoring")
    return -sum(sums) / sum(len(text.target) for text in texts)


def forgetting(plan: Plan, reader: Reader, base: Base) -> dict[str, list[float]]:
    """Arm -> loss after training minus loss before, for each data seed."""
    before, found = mean_token_loss(base, None, b""), dict[str, list[float]]()
    for stage in plan.stages:
        event = reader.history().fitted.get(stage.fingerprint)
        if stage.kind == "train" and event is not None and event.artefact is not None:
            after = mean_token_loss(base, plan.arm(stage.arm or ""), reader.read(event.artefact))
            found.setdefault(stage.arm or "", []).append(after - before)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--arms", default="dpo,orpo,kto,simpo,generate")
    given = parser.parse_args()
    torch.set_num_threads(1)
    methods = [f"{name}+lora" for name in given.arms.split(",")]
    lines = (ROOT / "examples" / "preference.toml").read_text().replace('wall_time = "30 min"', 'wall_time = "9 h"')
    others = [name for name in ("dpo+lora", "orpo+lora", "generate+lora") if name not in methods]
    tables = f"\n[methods]\ninclude = {methods!r}\nexclude = {others!r}\n"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "preference.toml"
        shutil.copytree(ROOT / "examples" / "preference", path.with_suffix(""))
        path.write_text(lines + tables.replace("'", '"'))
        apply(path, given.workspace, How(in_process=True), Quiet())
        plan = plan_spec(path, given.workspace).compiled.plan
    ARM = next(arm for arm in plan.arms if arm.trained)
    from fewtune.runtime.folders import embedded_folder

    place = embedded_folder()
    TOKENIZER = load_tokenizer(str(place / "tokenizer.json"))
    base = load(str(place), ARM.precision, "cpu")
    lost = forgetting(plan, Reader(given.workspace), base)
    rows = ask(
        given.workspace,
        "SELECT arm, metric, mean, ci_low, ci_high, seeds FROM leaderboard WHERE split = 'test'", 1000,
    )[0].rows  # fmt: skip
    table = {(arm, metric): (mean, low, high, seeds) for arm, metric, mean, low, high, seeds in rows}
    seconds = dict(
        ask(given.workspace, "SELECT arm, avg(seconds) FROM attempts WHERE state = 'succeeded' GROUP BY arm", 100)[
            0
        ].rows
    )
    print(results(given.workspace).verdict)
    print("| arm | margin, nats a token | preference accuracy | loss on neutral texts, after - before | s a trial |")
    print("| --- | --- | --- | --- | --- |")
    for arm in plan.arms:
        cells = [f"{m:.2f} [{low:.2f}, {high:.2f}]" for m, low, high, _ in
                 (table[arm.name, metric] for metric in ("margin", "preference_accuracy"))]  # fmt: skip
        change = lost.get(arm.name, [])
        said = f"{statistics.mean(change):+.3f} ({min(change):+.3f} to {max(change):+.3f})" if change else "0"
        print(f"| {arm.name} | {cells[0]} | {cells[1]} | {said} | {seconds.get(arm.name, 0):.0f} |")
