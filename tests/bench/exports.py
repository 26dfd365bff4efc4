"""Exports against predict on the 200 AG News test rows: a peft adapter, and merged models in fp32 and bf16.

    python tests/bench/exports.py --data ../shared/data [--output tests/bench/exports.md] [--folder FOLDER]

Learns AG News with 32 labels first (about 15 minutes); in a folder where agnews.py ran, nothing is started.
Each export is used by the script written beside it, in a process of its own with an empty model cache. Ends with 1
where an export that was not rounded gives another label than predict in fp32.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from agnews import SPEC
from workplace import Workplace, machine

ROWS = 200
EXPORTS: dict[str, tuple[str, ...]] = {
    "adapter, plain peft": (),
    "merged in fp32, plain transformers": ("--merged",),
    "merged in bf16, plain transformers": ("--merged", "--precision", "bf16"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--folder", type=Path, help="where to work; what is finished there is used")
    options = parser.parse_args()
    place = Workplace("exports", options.folder)
    for name in ("train", "test"):
        place.add(options.data / "agnews" / f"{name}.jsonl")
    place.write("rules.toml", SPEC.format(name="AG News"))
    applied, _ = place.run("apply", "rules.toml")
    rows = [json.loads(line) for line in (place.folder / "test.jsonl").read_text().splitlines()[:ROWS]]
    place.write("rows.jsonl", "".join(json.dumps({"text": row["text"]}) + "\n" for row in rows))
    ours = {precision: predicted(place, precision) for precision in ("fp32", "bf16")}
    lines, said, differing = [], "", 0
    for name, arguments in EXPORTS.items():
        folder = place.folder / "exports" / name.split(",")[0].replace(" ", "-")
        shutil.rmtree(folder, ignore_errors=True)
        place.run("export", str(folder), "--run", applied["run"], *arguments)
        theirs = script(place, folder)
        shares = [sum(a == b for a, b in zip(theirs, ours[p], strict=True)) for p in ("fp32", "bf16")]
        differing += 0 if "bf16" in arguments else len(rows) - shares[0]
        lines.append(f"| {name} | {shares[0]} of {len(rows)} | {shares[1]} of {len(rows)} |")
        said = next(line for line in (folder / "README.md").read_text().splitlines() if "`predict.py` computes" in line)
    text = f"""# Exports against predict, {len(rows)} AG News rows

`python tests/bench/exports.py --data ../shared/data --output tests/bench/exports.md`, {machine()}. The script beside
each export computes in fp32; `fewtune predict` computes as trained, here in bf16, or as told by `--precision`.

| export | labels equal to predict in fp32 | in bf16 |
| --- | --- | --- |
{chr(10).join(lines)}

The model card says: "{said.removeprefix("- ")}"
"""
    print(text)
    if options.output:
        options.output.write_text(text)
    sys.exit(differing > 0)


def predicted(place: Workplace, precision: str) -> list[str]:
    """Predict's labels."""
    answer, _ = place.run("predict", "rows.jsonl", "--precision", precision)
    column = answer["columns"].index("label")
    return [row[column] for row in answer["rows"]]


def script(place: Workplace, folder: Path) -> list[str]:
    """The labels of the script in an exported folder."""
    environment = {**os.environ, "HF_HOME": str(place.folder / "empty"), "HF_HUB_OFFLINE": "1"}
    with (place.folder / "rows.jsonl").open() as handle:
        done = subprocess.run(
            [sys.executable, folder / "predict.py"], stdin=handle, capture_output=True, text=True, env=environment
        )
    if done.returncode:
        raise SystemExit(done.stderr)
    return [json.loads(line)["label"] for line in done.stdout.splitlines()]


if __name__ == "__main__":
    main()
