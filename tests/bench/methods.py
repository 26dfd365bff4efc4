"""Every adaptation and objective in one spec: AG News with 32 labels; SICK and MeQSum with fewer arms.

    python tests/bench/methods.py --data ../shared/data [--task agnews|sick|meqsum] [--folder FOLDER] [--output FILE]

One data seed and 30 steps: what is shown is that each arm runs to its end, that its training loss falls, and what it
costs; differences between arms are noise at one seed. All columns come from one query. In fp32, so that every processor
can repeat it.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from workplace import Workplace, machine

from fewtune.store.reader import Reader

TASKS: dict[str, dict[str, Any]] = {
    "agnews": {
        "task": 'type = "classification"', "test": ("test.jsonl", "701-800"), "texts": "text", "metric": "accuracy",
        "arms": [
            ("pattern+lora", {}), ("pattern+lora", {"lr_ratio": 16.0, "name": "pattern + LoRA+"}),
            ("pattern+lora", {"rank": 128}), ("pattern+dora", {}), ("pattern+adapter", {}),
            ("pattern+adapter", {"placement": "pfeiffer"}), ("pattern+prefix", {}), ("pattern+prompt", {}),
            ("pattern+ia3", {}), ("pattern+norm", {}), ("pattern+top", {}), ("pattern+full", {}),
            ("head+lora", {}), ("head+top", {}), ("head+full", {}),
            ("pattern+lora", {"objective": "few-shot-distillation"}),
            ("pattern+lora", {"objective": "context-distillation"}), ("pattern+lora", {"pretraining_steps": 30}),
        ],
    },
    "sick": {
        "task": 'type = "pair-classification"', "test": ("test.jsonl", "2501-2600"), "texts": "", "metric": "accuracy",
        "arms": [
            ("pattern+lora", {}), ("pattern+dora", {}), ("pattern+adapter", {}), ("pattern+prefix", {}),
            ("pattern+ia3", {}), ("head+top", {}), ("pattern+lora", {"objective": "few-shot-distillation"}),
        ],
    },
    "meqsum": {
        "task": 'type = "summarisation"', "test": ("test.jsonl", "1-30"), "texts": "", "metric": "rouge_l",
        "arms": [("generate+lora", {}), ("generate+dora", {}), ("generate+prefix", {}), ("generate+norm", {})],
    },
}  # fmt: skip
SPEC = """\
spec_version = 1
name = "methods on {name}"

[task]
{task}

[model]
precision = "fp32"

[data]
train = {{ path = "train.jsonl", rows = "1-{train}" }}
test = {{ path = "{test}", rows = "{rows}" }}
label_budget = 32
{more}
[evaluation]
validation = "fixed-schedule"
data_seeds = 1

[methods]
include = {baselines}
exclude = ["in-context"]

[methods.pin]
steps = 30
"""
QUERY = """
SELECT t.arm, round(avg({metric}), 3) AS {metric}, round(avg(t.forgetting), 3) AS forgetting,
    round(avg(t.training_seconds)) AS seconds, round(max(t.peak_memory_bytes) / 1e9, 2) AS peak_gb,
    max(t.trainable_parameters) AS parameters, max(t.adapter_bytes) AS bytes, round(avg(t.latency_ms), 1) AS latency_ms
FROM trials t JOIN evaluations e USING (experiment, run, trial)
WHERE t.run = (SELECT max(run) FROM runs) AND e.split = 'test'
GROUP BY ALL ORDER BY {metric} DESC"""
"""All columns, a row for each arm."""


def written(arms: list[tuple[str, dict[str, Any]]]) -> str:
    """The arms as tables."""
    return "".join(
        "\n[[methods.arms]]\n"
        + "".join(f"{key} = {json.dumps(value)}\n" for key, value in {"method": m, **pins}.items())
        for m, pins in arms
    )


def falls(place: Workplace, experiment: str) -> dict[str, tuple[float, float]]:
    """Arm -> mean training loss of the first five and the last five noted steps."""
    reader = Reader(place.folder / ".fewtune")
    run = reader.latest_run(experiment)
    assert run is not None
    plan, fitted = reader.plan_of(run.id).plan, reader.history().fitted
    found = {}
    for stage in plan.stages:
        if stage.kind == "train" and stage.fingerprint in fitted and fitted[stage.fingerprint].losses:
            losses = [loss for _, loss in fitted[stage.fingerprint].losses if loss is not None]
            found[str(stage.arm)] = (sum(losses[:5]) / len(losses[:5]), sum(losses[-5:]) / len(losses[-5:]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--task", choices=TASKS, default="agnews")
    parser.add_argument("--folder", type=Path, help="where to work; what is finished there is used")
    parser.add_argument("--in-process", action="store_true")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    told, place = TASKS[options.task], Workplace("methods", options.folder)
    (test, rows), more = told["test"], ""
    for name in ("train.jsonl", test):
        place.add(options.data / options.task / name)
    table = [json.loads(line) for line in (place.folder / "train.jsonl").read_text().splitlines()]
    if told["texts"]:
        field, more = told["texts"], 'unlabelled = "unlabelled.jsonl"\n'
        place.write("unlabelled.jsonl", "".join(json.dumps({field: row[field]}) + "\n" for row in table[1000:2000]))
    baselines = ["zero-shot"] if told["metric"] == "rouge_l" else ["majority", "zero-shot"]
    spec = SPEC.format(
        name=options.task, task=told["task"], train=min(1000, len(table)), test=test, rows=rows, more=more,
        baselines=json.dumps(baselines),
    )  # fmt: skip
    place.write("spec.toml", spec + written(told["arms"]))
    place.run("apply", "spec.toml", *(["--in-process"] if options.in_process else []))
    losses = falls(place, f"methods on {options.task}")
    query = QUERY.format(metric=told["metric"])
    found, _ = place.run("sql", query)
    names = [column["name"] for column in found["columns"]]
    lines = [f"| {' | '.join([*names, 'loss, first 5', 'last 5'])} |", f"|{' --- |' * (len(names) + 2)}"]
    for row in found["rows"]:
        first, last = (f"{value:.3f}" for value in losses[row[0]]) if row[0] in losses else ("", "")
        lines.append(f"| {' | '.join('' if cell is None else str(cell) for cell in row)} | {first} | {last} |")
    fallen = sum(last < first for first, last in losses.values())
    text = f"""# Methods on {options.task}, 32 labels, 30 steps, one seed

`python tests/bench/methods.py --data ../shared/data --task {options.task}`, {machine()}. Training loss fell in {fallen}
of {len(losses)} trained arms. One seed: the order of the arms is noise.

{chr(10).join(lines)}

```sql{query}
```
"""
    print(text)
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
