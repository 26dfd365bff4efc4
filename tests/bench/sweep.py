"""A whole sweep of small trials on random weights: packed with refill, and a warm peft loop, one after the other.

    python tests/bench/sweep.py --device cuda [--trials 256] [--slots 32] [--output tests/bench/sweep.md]
    python tests/bench/sweep.py --shape tiny --trials 24 --slots 8         (a processor)

135M weights, 40 to 80 steps a trial, ranks 4, 8 and 16 in turn, 4 rows of 8 to 56 tokens: slots become free one by one
and are given to the next trial. The loop and a process for each trial are timed on a few trials and scaled. Needs
torch, transformers, peft and pydantic; no network, no ray. Ends with 1 where the last losses in fp32 differ, or a
promise is falsified.
"""

import argparse
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from claims import ON_CUDA, claims_table
from contestants import LABELS, SHAPES, Cell, base, packed, plain, wait
from packing import ALONE, SAME, in_a_process
from workplace import machine

from fewtune.compiler.arm import Arm
from fewtune.runtime.train.loop import Training
from fewtune.runtime.train.model import Base
from fewtune.runtime.train.pack import Pack, train_packed
from fewtune.runtime.train.pulse import Pulse

PROMISED = next(claim for claim in ON_CUDA if claim.against == "process")
RANKS = (4, 8, 16)
TIMED = 8
"""Trials of the loop."""
PROFILED = 3
"""Steps whose kernel launches are counted."""


def steps(trial: int) -> int:
    """40 to 80, 60 in the mean."""
    return ALONE - 20 + 17 * trial % 41


def arm(cell: Cell, trial: int) -> Arm:
    made = cell.arm(trial)
    return made.model_copy(update={"recipes": (cell.recipe.model_copy(update={"steps": steps(trial)}),)})


def sweep(cell: Cell, model: Base, trials: int, slots: int) -> tuple[float, list[float]]:
    """(seconds, the last loss of each trial)."""
    arms = [arm(cell, trial) for trial in range(trials)]
    pack = Pack(model, arms, LABELS, len(LABELS), slots)

    def start(trial: int, slot: int) -> Training:
        learner = pack.seat(slot, arms[trial], trial + 1)
        pulse = Pulse("sweep", lambda _: None)
        return Training(learner, arms[trial].recipes[0], cell.data(trial + 1), trial + 1, None, pulse)

    wait(cell.device)
    began = time.perf_counter()
    queue = sorted(range(trials), key=steps, reverse=True)
    found = {trial: course for trial, course, _ in train_packed(pack, queue, start)}
    wait(cell.device)
    return time.perf_counter() - began, [found[trial].losses[-1][1] for trial in range(trials)]


def one_by_one(cell: Cell, model: Base, trial: int) -> tuple[float, float]:
    """(seconds of one trial's steps in a warm peft loop, its last loss)."""
    contestant = plain(cell, model, trial=trial)
    wait(cell.device)
    began = time.perf_counter()
    for _ in range(steps(trial)):
        loss = contestant.run()
    wait(cell.device)
    return time.perf_counter() - began, loss


def launches(cell: Cell, model: Base, slots: int) -> float:
    """Kernels and graphs that are launched for one step of so many slots; on a processor operations that are called."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if cell.device != "cpu":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    contestant = packed(replace(cell, ragged=False), model, slots)
    for _ in range(3):  # the third one is replayed
        contestant.run()
    with torch.profiler.profile(activities=activities) as profile:
        for _ in range(PROFILED):
            contestant.run()
    launched = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch") if cell.device != "cpu" else ("aten::",)
    counted = sum(event.count for event in profile.key_averages() if event.key.startswith(launched))
    return counted / PROFILED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=list(SHAPES), default="135M")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["fp32", "bf16"], help="fp32 on a CPU, bf16 on a GPU")
    parser.add_argument("--trials", type=int, default=256)
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    precision = options.precision or ("fp32" if options.device == "cpu" else "bf16")
    cell = Cell(options.shape, 4, 32, RANKS, precision, options.device, ragged=True)
    model = base(cell)
    sweep(cell, model, options.slots, options.slots)  # warms up
    seconds, losses = sweep(cell, model, options.trials, options.slots)
    places = [place * options.trials // TIMED for place in range(min(TIMED, options.trials))]
    alone = {place: one_by_one(cell, model, place) for place in places}
    every = sum(map(steps, range(options.trials)))
    loop = statistics.median(took / steps(place) for place, (took, _) in alone.items()) * every
    process = in_a_process(replace(cell, ragged=False)) / ALONE * every
    apart = max(abs(loss - losses[place]) for place, (_, loss) in alone.items())
    counts = {slots: launches(cell, model, slots) for slots in (1, options.slots)}
    promised = (
        {PROMISED: process / seconds} if (options.shape, options.slots) == (PROMISED.shape, PROMISED.slots) else {}
    )
    where = torch.cuda.get_device_name() if options.device == "cuda" else f"{machine()}, {options.threads} thread(s)"
    lines = [
        f"| {name} | {took:.1f} | {took / seconds:.2f} |"
        for name, took in (
            (f"fewtune, {options.slots} slots", seconds),
            (f"a warm peft loop, {len(places)} trials scaled", loop),
            ("a process for each trial, one scaled", process),
        )
    ]
    called = "launches of kernels and graphs" if options.device == "cuda" else "operations called"
    text = f"""# A sweep of {options.trials} trials: {options.shape} on {where}

`python tests/bench/sweep.py {" ".join(sys.argv[1:])}`: {every} steps in all, {precision}.

| | seconds | packed is so many times as fast |
| --- | --- | --- |
{chr(10).join(lines)}

The last losses of {len(places)} trials differ from the loop's by at most {apart:.1e}. A step of one slot has
{counts[1]:.0f} {called}, one of {options.slots} slots {counts[options.slots]:.0f}.

{claims_table([PROMISED], promised)}
"""
    print(text)
    if options.output:
        options.output.write_text(text)
    falsified = any(claim.verdict(value) == "FALSIFIED" for claim, value in promised.items())
    sys.exit((precision == "fp32" and apart > SAME) or (options.device == "cuda" and falsified))


if __name__ == "__main__":
    main()
