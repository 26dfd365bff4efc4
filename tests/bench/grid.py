"""A grid of 24 short LoRA trials: fewtune with and without packing, Trainer, a warm loop and Ray Tune, in one run.

    python tests/bench/grid.py --data ../shared/data [--quick] [--repeats 3] [--timed 4] [--output tests/bench/grid.md]
        [--kept FILE]

AG News on the embedded model: ranks 4, 8 and 16, two learning rates, 16 and 64 labels, two seeds; 16 steps of 8, then
200 test rows. The others (rivals.py) train the trials of fewtune's own plan: same tokens, order, first adapter,
learning rates and loss. They take `--timed` of the 24 and are scaled, what they pay once apart. Trainer has a process
for each trial, one after the other and, which is faster here and not judged, two side by side. Modes take turns. With
`--kept` an interrupted run goes on where it was.

Ends with 1 where packing misses what it promises, or where accuracies differ from the warm loop's.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.pop("OMP_NUM_THREADS", None)  # each mode says how many threads it wants

from trials import written
from workplace import Row, Workplace, machine

SPEC = """\
spec_version = 1
name = "grid"

[task]
type = "classification"
verbalizer = {{ World = "World", Sports = "Sports", Business = "Business", "Sci/Tech" = "Technology" }}

[data]
train = "train.jsonl"
test = {{ path = "test.jsonl", rows = "1-{items}" }}
label_budget = {budget}

[evaluation]
data_seeds = 2

[methods]
exclude = ["majority", "tfidf", "zero-shot", "in-context", "head+lora", "pattern+full", "probe",
    "encoder"]

[[methods.arms]]
method = "pattern+lora"
rank = {ranks}
learning_rate = [2e-4, 5e-4]
steps = {steps}
batch_size = 8
"""
FULL = {"items": 200, "steps": 16, "ranks": [4, 8, 16], "budget": [16, 64]}
QUICK = {"items": 20, "steps": 3, "ranks": [4], "budget": [16]}
ALONE, PACKED, LOOP = "fewtune, one by one", "fewtune, packed", "warm loop"
TRAINER, SIDE_BY_SIDE, TUNE = "Trainer", "Trainer, two at a time", "Ray Tune, two at a time"
PROMISED = {TRAINER: 4.0, LOOP: 1.6, TUNE: 3.0}
"""Mode -> how many times its trials an hour packing reaches."""
APART = 0.05
"""Mean difference of a trial's accuracy from the warm loop's: bf16 rounds differently in each mode."""
AT_ONCE = {SIDE_BY_SIDE: 2, TUNE: 2}
"""Mode -> trials at the same time."""
SECONDS = {TRAINER: 100.0, SIDE_BY_SIDE: 62.0, LOOP: 54.0, TUNE: 78.0, ALONE: 25.0, PACKED: 22.0}
"""About what a trial costs on two idle cores with AMX, to say beforehand how long the run takes."""


@dataclass(frozen=True)
class Measured:
    """One run of one mode."""

    timed: int
    wall: float
    once: float
    """Seconds of `wall` that do not grow with the number of trials."""
    train: float
    """Seconds of all timed trials, those at the same time added up."""
    evaluate: float
    at_once: int
    accuracies: tuple[float, ...]
    """Of the trials that every mode timed."""

    def seconds(self, trials: int) -> float:
        """On the clock, for so many trials."""
        return self.once + (self.wall - self.once) * trials / self.timed

    def phases(self, trials: int) -> tuple[float, float, float]:
        """Seconds on the clock for each of so many trials: (start-up and the rest, training, evaluation)."""
        train, evaluate = (spent / self.at_once / self.timed for spent in (self.train, self.evaluate))
        return self.seconds(trials) / trials - train - evaluate, train, evaluate


@dataclass(frozen=True)
class Bench:
    """Where all modes work, and on what."""

    place: Workplace
    trials: tuple[str, ...]
    """All trials, in the order of grid.json."""
    timed: tuple[str, ...]
    """Those that every mode times."""
    slots: dict[str, int]
    """Mode of fewtune -> trainings that share a step."""

    def rival(self, mode: str, command: str) -> Measured:
        """Run a rival on the timed trials."""
        at_once = AT_ONCE.get(mode, 1)
        places = [self.trials.index(trial) for trial in self.timed]
        alone = command == "trainer"
        groups = [places[start : start + at_once] for start in range(0, len(places), at_once)] if alone else [places]
        answers: list[Row] = []
        began = time.monotonic()
        for group in groups:
            answers += self._together([[place] for place in group] if alone else [group], command, at_once)
        wall = time.monotonic() - began
        train, evaluate = (sum(answer[name] for answer in answers) for name in ("train", "evaluate"))
        once = {"trainer": 0.0, "warm": wall - train - evaluate, "tune": answers[0].get("once", 0.0)}[command]
        accuracies = tuple(answer["accuracy"] for answer in answers)
        return Measured(len(places), wall, once, train, evaluate, at_once, accuracies)

    def _together(self, groups: Sequence[Sequence[int]], command: str, at_once: int) -> list[Row]:
        """Answers of processes side by side, which share the cores."""
        threads = max(1, (os.cpu_count() or 1) // (1 if command == "warm" else at_once))
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
        files = [self.place.folder / f"answers-{number}.json" for number in range(len(groups))]
        running = [
            subprocess.Popen(
                [sys.executable, Path(__file__).with_name("rivals.py"), command, "grid.json", file.name,
                 "--at-once", str(at_once), "--trials", *map(str, group)],
                cwd=self.place.folder, env=environment, stdout=subprocess.DEVNULL,
            )
            for group, file in zip(groups, files, strict=True)
        ]  # fmt: skip
        states = [process.wait() for process in running]
        if any(states):
            raise SystemExit(f"rivals.py {command} failed")
        return [answer for file in files for answer in json.loads(file.read_text())]

    def fewtune(self, mode: str) -> Measured:
        """Apply the spec in a fresh workspace."""
        shutil.rmtree(self.place.folder / ".fewtune", ignore_errors=True)
        _, wall = self.place.run("apply", "grid.toml", "--slots", str(self.slots[mode]))
        rows, _ = self.place.run(
            "sql", "SELECT t.trial, e.accuracy, t.seconds - e.seconds, e.seconds FROM trials t JOIN evaluations e "
            "USING (trial) WHERE e.split = 'test'",
        )  # fmt: skip
        workers, _ = self.place.run("sql", "SELECT count(DISTINCT worker) FROM attempts")
        found = {trial: accuracy for trial, accuracy, _, _ in rows["rows"]}
        train, evaluate = (sum(row[column] for row in rows["rows"]) for column in (2, 3))
        accuracies = tuple(found[trial] for trial in self.timed)
        return Measured(len(found), wall, 0.0, train, evaluate, workers["rows"][0][0], accuracies)


def kept(file: Path | None, settings: list[int]) -> dict[str, list[Measured]]:
    """What an interrupted run measured, by mode."""
    found: dict[str, list[Measured]] = defaultdict(list)
    for line in file.read_text().splitlines() if file and file.exists() else ():
        row = json.loads(line)
        if row.pop("settings") != settings:
            raise SystemExit(f"{file} was measured with other --slots, --timed or --quick")
        found[row.pop("mode")].append(Measured(**{**row, "accuracies": tuple(row["accuracies"])}))
    return found


def measured(bench: Bench, repeats: int, file: Path | None) -> dict[str, list[Measured]]:
    """Every mode so many times, each repeat beginning with another one; what was kept is not measured again."""
    modes = {
        TRAINER: lambda: bench.rival(TRAINER, "trainer"),
        SIDE_BY_SIDE: lambda: bench.rival(SIDE_BY_SIDE, "trainer"),
        LOOP: lambda: bench.rival(LOOP, "warm"),
        TUNE: lambda: bench.rival(TUNE, "tune"),
        **{mode: (lambda mode=mode: bench.fewtune(mode)) for mode in bench.slots},  # type: ignore[misc]
    }
    settings = [*bench.slots.values(), len(bench.timed), len(bench.trials)]
    known = kept(file, settings)
    found: dict[str, list[Measured]] = {mode: [] for mode in modes}
    for repeat in range(repeats):
        shift = 2 * repeat % len(modes)
        order = [*modes][shift:] + [*modes][:shift]
        for mode in order if repeat % 2 == 0 else reversed(order):
            old = known[mode][repeat : repeat + 1]
            found[mode] += old or [modes[mode]()]
            print(mode, found[mode][-1], flush=True)
            if file and not old:
                with file.open("a") as handle:
                    handle.write(json.dumps({"mode": mode, "settings": settings, **asdict(found[mode][-1])}) + "\n")
    return found


def table(found: dict[str, list[Measured]], trials: int) -> tuple[str, dict[str, float]]:
    """(the modes as Markdown, mode -> trials an hour)."""
    lines = [
        "| | seconds of all trials | trials an hour | packed is so many times as fast | start-up and rest, s a trial | "
        "training | evaluation | timed | at the same time | accuracy of the timed trials | range |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    middle = {mode: sorted(runs, key=lambda run: run.seconds(trials))[len(runs) // 2] for mode, runs in found.items()}
    rates = {mode: 3600.0 * trials / run.seconds(trials) for mode, run in middle.items()}
    for mode, run in middle.items():
        all_seconds = [each.seconds(trials) for each in found[mode]]
        rest, train, evaluate = run.phases(trials)
        accuracies = run.accuracies
        lines.append(
            f"| {mode} | {run.seconds(trials):.0f} ({min(all_seconds):.0f} to {max(all_seconds):.0f}) | "
            f"{rates[mode]:.0f} | {rates[PACKED] / rates[mode]:.2f} | {rest:.1f} | {train:.1f} | {evaluate:.1f} | "
            f"{run.timed} | {run.at_once} | {statistics.mean(accuracies):.3f} | {min(accuracies):.3f} to "
            f"{max(accuracies):.3f} |"
        )
    return "\n".join(lines), rates


def apart(found: dict[str, list[Measured]], mode: str) -> float:
    """Mean difference of a timed trial's accuracy from the warm loop's, over all repeats."""
    pairs = zip(found[mode], found[LOOP], strict=True)
    return statistics.mean(
        abs(a - b) for run, loop in pairs for a, b in zip(run.accuracies, loop.accuracies, strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="4 trials of 3 steps, 20 test rows; nothing is judged")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--timed", type=int, default=4, help="trials that the others are timed on")
    parser.add_argument("--slots", type=int, default=4, help="trainings that share a step when packed")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--kept", type=Path, help="where each measurement is kept as it is made")
    options = parser.parse_args()
    place = Workplace("grid")
    for name in ("train", "test"):
        place.add(options.data / "agnews" / f"{name}.jsonl")
    place.write("grid.toml", SPEC.format(**(QUICK if options.quick else FULL)))
    trials = written(place.folder / "grid.toml", place.folder / "grid.json")
    count = len(trials)
    timed = tuple(trials[place * (count - 1) // max(1, options.timed - 1)] for place in range(options.timed))
    bench = Bench(place, trials, timed, {ALONE: 1, PACKED: options.slots})
    expected = sum(seconds * (count if mode in bench.slots else options.timed) for mode, seconds in SECONDS.items())
    print(f"{count} trials; about {options.repeats * expected / 60:.0f} minutes on two idle cores", flush=True)
    how = "medians (of two the slower), modes in turn"
    how += ", in more than one sitting" if options.kept and options.kept.exists() else ""
    found = measured(bench, options.repeats, options.kept)
    modes, rates = table(found, count)
    checks = {
        f"packed against {mode}: {rates[PACKED] / rates[mode]:.2f} times, at least {promise}": (
            rates[PACKED] >= promise * rates[mode]
        )
        for mode, promise in PROMISED.items()
    } | {
        f"{mode}: accuracies differ from the {LOOP}'s by {apart(found, mode):.3f}, at most {APART}": (
            apart(found, mode) <= APART
        )
        for mode in found
        if mode != LOOP
    }
    lines = "\n".join(f"- {'holds' if holds else 'DOES NOT HOLD'}: {what}" for what, holds in checks.items())
    text = f"""# A grid of {count} trials

`python tests/bench/grid.py --data ../shared/data --repeats {options.repeats}`, {machine()}; {how}.
Trainer, the warm loop and Ray Tune were timed on {options.timed} trials and scaled to {count}; what they pay once was
not scaled. The accuracies are of those {options.timed} trials in every mode.

{modes}

{lines}

What packing alone adds: {rates[PACKED] / rates[ALONE]:.2f} times the trials of fewtune one by one.
"""
    print(text)
    if options.output:
        options.output.write_text(text)
    sys.exit(not options.quick and not all(checks.values()))


if __name__ == "__main__":
    main()
