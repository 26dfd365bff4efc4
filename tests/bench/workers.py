"""One worker with all cores against several with a thread each: four short trainings on the embedded model.

python tests/bench/workers.py [--workers 1 2] [--repeats 2] [--output tests/bench/workers.md]

Each run is a process of its own in a fresh workspace; the numbers of workers take turns, every second time backwards.
The scores must be near each other: bf16 rounds by the number of threads.
"""

import argparse
import shutil
import statistics
from pathlib import Path

from workplace import Workplace, machine

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SPEC = """\
spec_version = 1
name = "workers"

[task]
type = "classification"

[data]
train = "legal/train.csv"
test = "legal/test.csv"
label_budget = 48

[evaluation]
data_seeds = 4

[methods]
exclude = ["tfidf", "zero-shot", "in-context", "head+lora", "pattern+full"]
pin = { steps = 15 }
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    place = Workplace("workers")
    shutil.copytree(EXAMPLES / "legal", place.folder / "legal")
    place.write("workers.toml", SPEC)
    seconds: dict[int, list[float]] = {count: [] for count in options.workers}
    means: dict[int, float] = {}
    for repeat in range(options.repeats):
        for count in options.workers if repeat % 2 == 0 else reversed(options.workers):
            shutil.rmtree(place.folder / ".fewtune", ignore_errors=True)
            _, took = place.run("apply", "workers.toml", "--workers", str(count))
            seconds[count].append(took)
            found, _ = place.run("results")
            means[count] = next(row["mean"] for row in found["leaderboard"] if row["chosen"])
    first = statistics.median(seconds[options.workers[0]])
    lines = [
        f"| {count} | {', '.join(f'{took:.0f}' for took in several)} | {statistics.median(several):.0f} | "
        f"{first / statistics.median(several):.2f} | {means[count]:.3f} |"
        for count, several in seconds.items()
    ]
    text = f"""# Workers on one processor

`python tests/bench/workers.py --output tests/bench/workers.md`, {machine()}: four
trainings of 15 steps and their scores, start and end of Ray included; {options.repeats} repeats, in turn.

| workers | seconds | median | times as fast | mean accuracy |
| --- | --- | --- | --- | --- |
{chr(10).join(lines)}
"""
    print(text)
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
