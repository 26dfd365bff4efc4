"""AG News with 32 labels: the rules' plan, and LoRA with a head as common tools would run it.

    python tests/bench/agnews.py --data ../shared/data [--output tests/bench/agnews.md]

Test rows 1-200, 3 data seeds, nothing pinned, at most 20 minutes; then a second spec in the same workspace that pins
LoRA with a classification head at 3 epochs and at the first spec's number of steps.
"""

import argparse
from pathlib import Path

from workplace import Workplace, leaderboard_table, machine

SPEC = """\
spec_version = 1
name = "{name}"

[task]
type = "classification"

[data]
train = "train.jsonl"
test = {{ path = "test.jsonl", rows = "1-200" }}
label_budget = 32

[evaluation]
data_seeds = 3

[constraints]
wall_time = "20 min"
"""
HEAD = """
[[methods.arms]]
method = "head+lora"
epochs = 3

[[methods.arms]]
method = "head+lora"
steps = {steps}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--folder", type=Path, help="where to work; an interrupted run goes on there")
    options = parser.parse_args()
    place = Workplace("agnews", options.folder)
    for name in ("train", "test"):
        place.add(options.data / "agnews" / f"{name}.jsonl")
    place.write("rules.toml", SPEC.format(name="AG News"))
    plan, _ = place.run("plan", "rules.toml")
    first, seconds = place.run("apply", "rules.toml")
    rules, _ = place.run("results", "AG News")
    chosen = next(arm for arm in plan["arms"] if arm["name"] == first["verdict"]["chosen"])
    place.write("head.toml", SPEC.format(name="AG News, head") + HEAD.format(steps=chosen["recipes"][0]["steps"]))
    _, head_seconds = place.run("apply", "head.toml")
    head, _ = place.run("results", "AG News, head")
    text = report(plan, first, seconds, rules, head, head_seconds)
    print(text)
    if options.output:
        options.output.write_text(text)


def report(plan: dict, first: dict, seconds: float, rules: dict, head: dict, head_seconds: float) -> str:  # type: ignore[type-arg]
    low, high = (plan["estimate"]["seconds"][name] for name in ("low", "high"))
    return f"""# AG News, 32 labels in all

`python tests/bench/agnews.py --data ../shared/data --output tests/bench/agnews.md`, {machine()}.

## Nothing pinned

{rules["verdict"]["sentence"]}

{leaderboard_table(rules, "test")}

{first["started"]} jobs in {seconds:.0f} s; the plan said {low:.0f} to {high:.0f} s.

## LoRA with a head, pinned

{leaderboard_table(head, "test")}

{head_seconds:.0f} s, the baselines reused.
"""


if __name__ == "__main__":
    main()
