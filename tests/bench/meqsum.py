"""MeQSum with 64 labels: consumer health questions in one short question, and generation in batches.

    python tests/bench/meqsum.py --data ../shared/data [--output tests/bench/meqsum.md] [--folder F]

ROUGE-L on test rows 1-100 with the interval of each arm: the chosen one, zero-shot and the first sentence; 64 labels,
3 data seeds, full fine-tuning left out, at most 40 minutes. Then the chosen arm's model writes the same texts once in
batches and once row by row, in fp32 and in alternation. Ends with 1 where the chosen arm's interval is not above
zero-shot's, or where texts differ, or batches are not three times as fast. `--rows`, `--labels`, `--steps`, `--seeds`
make it smaller, to try it: a smaller one claims nothing and ends with 0.

It takes about half an hour on two cores; run it where nothing else runs.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from workplace import Workplace, leaderboard_table, machine

SPEC = """\
spec_version = 1
name = "MeQSum"

[task]
type = "summarisation"
instruction = "Summarise the question of a patient in one short question."

[data]
train = "train.jsonl"
test = {{ path = "test.jsonl", rows = "1-{rows}" }}
text = "question"
target = "summary"
label_budget = {labels}

[evaluation]
data_seeds = {seeds}

[methods]
exclude = ["generate+full"]
{pin}
[constraints]
wall_time = "40 min"
"""
REPEATS = 3
FASTER = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--folder", type=Path, help="where to work; an interrupted run goes on there")
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--labels", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="omitted: the rules'")
    parser.add_argument("--timed", type=int, default=32, help="rows that are written in both ways")
    options = parser.parse_args()
    place = Workplace("meqsum", options.folder)
    for name in ("train", "test"):
        place.add(options.data / "meqsum" / f"{name}.jsonl")
    pin = f"pin = {{ steps = {options.steps} }}\n" if options.steps else ""
    place.write("meqsum.toml", SPEC.format(rows=options.rows, labels=options.labels, seeds=options.seeds, pin=pin))
    applied, seconds = place.run("apply", "meqsum.toml")
    results, _ = place.run("results", "MeQSum")
    board = {row["arm"]: row for row in results["leaderboard"] if row["split"] == "test"}
    chosen = next(row for row in board.values() if row["chosen"])
    above = chosen["ci_low"] > board["zero-shot"]["ci_high"]
    timed = side_by_side(place.folder, options.timed)
    text = report(results, applied, seconds, chosen, board["zero-shot"], timed)
    print(text)
    if options.output:
        options.output.write_text(text)
    whole = (options.rows, options.labels, options.seeds, options.steps) == (100, 64, 3, None)
    if whole and not (above and timed["same"] and timed["ratio"] >= FASTER):
        sys.exit(1)


def side_by_side(folder: Path, rows: int) -> dict[str, Any]:
    """The chosen model's texts for the first test rows, in batches and one by one: fp32, taking turns."""
    import json

    import torch

    from fewtune.api.using import chosen
    from fewtune.runtime.train import adaptation
    from fewtune.runtime.train.generation import Ending, generate
    from fewtune.runtime.train.model import load
    from fewtune.runtime.train.prompt import Encoder, Template, load_tokenizer
    from fewtune.runtime.train.pulse import Pulse
    from fewtune.store.reader import Reader

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    model = chosen(Reader(Path(os.environ.get("FEWTUNE_WORKSPACE", folder / ".fewtune"))))
    arm = model.arm.model_copy(update={"precision": "fp32"})
    assert arm.generation is not None
    assert arm.pattern is not None
    base = load(str(model.model_folder), "fp32", "cpu")
    tuned = adaptation.tuned(base, arm, [], adaptation.restored(base, arm, model.state or b""))
    encoder = Encoder(load_tokenizer(str(model.model_folder / "tokenizer.json")))
    with (folder / "test.jsonl").open(encoding="utf-8") as handle:
        texts = [json.loads(line)["question"] for _, line in zip(range(rows), handle, strict=False)]
    prompts = [encoder.fitting(Template(arm.pattern), {"text": text}, arm.max_tokens)[1] for text in texts]
    ending, quiet = Ending(arm.generation, encoder.tokenizer), Pulse("bench", lambda _: None)

    def together() -> list[list[int]]:
        return generate(tuned, prompts, ending, quiet)

    def apart() -> list[list[int]]:
        return [generate(tuned, [prompt], ending, quiet)[0] for prompt in prompts]

    found: dict[str, list[list[int]]] = {}
    times: dict[str, list[float]] = {"together": [], "apart": []}
    for turn in range(REPEATS + 1):
        for name, work in (("together", together), ("apart", apart))[:: 1 if turn % 2 else -1]:
            began = time.perf_counter()
            found[name] = work()
            if turn:  # the first turn warms up
                times[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(each) for name, each in times.items()}
    return {
        **medians, "rows": len(prompts), "ratio": medians["apart"] / medians["together"],
        "tokens": sum(map(len, found["together"])),
        "same": [ending.text(row) for row in found["together"]] == [ending.text(row) for row in found["apart"]],
    }  # fmt: skip


def report(results: Any, applied: Any, seconds: float, chosen: Any, zero: Any, timed: dict[str, Any]) -> str:
    above = chosen["ci_low"] > zero["ci_high"]
    texts = "the same texts" if timed["same"] else "texts that differ"
    return f"""# MeQSum, {chosen["n"]} labels

`python tests/bench/meqsum.py --data ../shared/data --output tests/bench/meqsum.md`, {machine()}.

{results["verdict"]["sentence"]}

{leaderboard_table(results, "test")}

ROUGE-L; the chosen arm's interval is {"above" if above else "NOT above"} that of zero-shot.
{applied["started"]} jobs in {seconds:.0f} s.

## Batched generation

{timed["rows"]} rows by the chosen model in fp32, {timed["tokens"]} tokens, medians of {REPEATS} in alternation:
in batches {timed["together"]:.1f} s, row by row {timed["apart"]:.1f} s: {timed["ratio"]:.1f} times as fast, {texts}.
"""


if __name__ == "__main__":
    main()
