"""What a step costs with 1 to 64 trials in it, beside a plain peft loop that trains one: random weights, no network.

    python tests/bench/packing.py [--shape tiny] [--rows 8 --tokens 8] [--slots 1 2 4 8 16] [--precision fp32]
    python tests/bench/packing.py --device cuda --shape 135M      (and 360M, 1.2B, 7B: each under 10 minutes on an H100)
    python tests/bench/packing.py --device cuda --list            (what is promised there)

Needs torch, transformers, peft and pydantic; fewtune need not be installed. All contestants are warm, take turns within
each repeat and train the same rows, answered at the last token by 4 label words: LoRA on every linear layer, the same
precision and attention. The plain loop pads nothing and takes the logits of the label words only. Ends with 1 where a
promise is falsified, or where losses in fp32 differ.
"""

import argparse
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from claims import ON_CPU, ON_CUDA, Claim, claims_table
from contestants import SHAPES, Cell, Contestant, base, measured, packed, plain, wait
from workplace import machine

from fewtune.runtime.train.memory import release
from fewtune.runtime.train.model import DTYPES

SLOTS = (1, 2, 4, 8, 16, 32, 64)
"""Up to the most that is promised, or to 16."""
ALONE = 60
"""Steps of a trial that has a process of its own."""
SAME = 1e-3
"""Largest difference of a loss in fp32."""

UNMEASURED = """# Packing on a GPU: not measured yet

No CUDA device was there. One H100, torch, transformers, peft and pydantic are enough; each command takes less than 10
minutes and ends with 1 where a promise is falsified:

    pytest tests/gpu
    python tests/bench/packing.py --device cuda --shape 135M --output tests/bench/packing_135M.md
    python tests/bench/packing.py --device cuda --shape 360M --output tests/bench/packing_360M.md
    python tests/bench/packing.py --device cuda --shape 1.2B --output tests/bench/packing_1.2B.md
    python tests/bench/packing.py --device cuda --shape 7B --output tests/bench/packing_7B.md
    python tests/bench/sweep.py --device cuda --output tests/bench/sweep.md

{claims}
"""


@dataclass
class Curve:
    """One cell with all its contestants."""

    cell: Cell
    contestants: list[Contestant]
    useful: float
    """FLOP of one trial's step: 4 for each weight of the blocks and token."""
    others: dict[str, float] = field(default_factory=dict)
    """Seconds of a step of a contestant that did not take turns."""
    too_many: int | None = None
    """Slots that did not fit into memory."""

    @property
    def reference(self) -> Contestant:
        return self.contestants[0]

    def seconds(self, slots: int) -> float | None:
        found = [each for each in self.contestants[1:] if each.trials == slots and each.seconds]
        return statistics.median(found[0].seconds) if found else None

    def value(self, claim: Claim, product: float) -> float | None:
        """What a promise came to, if it was measured; the worst value where the slots did not fit into memory."""
        if self.too_many is not None and claim.slots >= self.too_many:
            return 0.0 if claim.accept > claim.falsify else math.inf
        took, one = self.seconds(claim.slots), self.seconds(1)
        if took is None or one is None:
            return None
        if claim.against == "one":
            return took / one
        if claim.against == "product":
            return claim.slots * self.useful / took / product
        alone = {"plain": statistics.median(self.reference.seconds), **self.others}.get(claim.against)
        return None if alone is None else claim.slots * alone / took

    def apart(self, contestant: Contestant) -> float:
        """Largest difference of a loss from the plain loop's."""
        return max(abs(a - b) for a, b in zip(contestant.losses, self.reference.losses, strict=False))

    def table(self) -> str:
        lines = [
            "| | ms a step | against k = 1 | ms a trial | trials a second, plain loop = 1 | losses differ by at most |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        one, plain_one = self.seconds(1) or float("nan"), statistics.median(self.reference.seconds)
        for each in self.contestants:
            took = statistics.median(each.seconds)
            lines.append(
                f"| {each.name} | {1e3 * took:.1f} | {took / one:.2f} | {1e3 * took / each.trials:.2f} | "
                f"{each.trials * plain_one / took:.2f} | {self.apart(each):.1e} |"
            )
        lines += [f"| {name} | {1e3 * took:.1f} | | | | |" for name, took in self.others.items()]
        return "\n".join(lines)


def curve(cell: Cell, slots: Sequence[int], against: set[str], steps: int, repeats: int) -> Curve:
    """Measure a cell."""
    model = base(cell)
    blocks = [each for each in model.model.base_model.layers.modules() if isinstance(each, torch.nn.Linear)]
    useful = 4.0 * cell.rows * cell.tokens * sum(each.weight.numel() for each in blocks)
    contestants, too_many = [plain(cell, model)], None
    for count in slots:
        try:
            more = packed(cell, model, count)
            more.losses += [more.run() for _ in range(2)]  # a GPU's second step is recorded
        except torch.OutOfMemoryError:
            too_many = count
            break
        contestants.append(more)
    found = Curve(cell, contestants, useful, too_many=too_many)
    measured(contestants, steps, repeats, cell.device)
    if "compiled" in against:
        compiled = plain(cell, model, compiled=True)
        measured([compiled], steps, repeats, cell.device)
        found.others["compiled"] = statistics.median(compiled.seconds)
        del compiled
    for contestant in contestants:
        contestant.forget()
    del model, blocks
    release()
    if "process" in against:
        found.others["process"] = in_a_process(cell) / ALONE
    return found


def in_a_process(cell: Cell) -> float:
    """Seconds of a process that trains one trial by the plain loop: imports, model and all."""
    options = ["--shape", cell.shape, "--rows", str(cell.rows), "--tokens", str(cell.tokens), "--device", cell.device]
    began = time.perf_counter()
    subprocess.run([sys.executable, __file__, "--alone", *options, "--precision", cell.precision], check=True)
    return time.perf_counter() - began


def rate(work: Callable[[], object], device: str, times: int = 10) -> float:
    """Runs a second, warm."""
    work()
    wait(device)
    began = time.perf_counter()
    for _ in range(times):
        work()
    wait(device)
    return times / (time.perf_counter() - began)


def ability(device: str, precision: str) -> tuple[float, str]:
    """(FLOP a second of a large product, what the device can do in words)."""
    side, numbers = (8192, 2**28) if device != "cpu" else (2048, 2**24)
    a = torch.randn(side, side, dtype=DTYPES[precision], device=device)  # type: ignore[index]
    x, one = torch.empty(numbers, device=device), torch.zeros(1, device=device)
    product = 2.0 * side**3 * rate(lambda: a @ a, device)
    copied = 8.0 * numbers * rate(x.clone, device)
    launch = rate(lambda: one.add_(1), device, 2000)
    return product, (
        f"{product / 1e12:.2f} TFLOP/s in a {precision} product of {side}, {copied / 1e9:.0f} GB/s copied (read and "
        f"written), {1e6 / launch:.1f} us for the smallest operation"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=list(SHAPES), default="tiny")
    parser.add_argument("--rows", type=int, help="of a trial's step; with --tokens: this cell only")
    parser.add_argument("--tokens", type=int, help="of each row")
    parser.add_argument("--ranks", type=int, nargs="+", default=[8], help="of the slots, in turn")
    parser.add_argument("--precision", choices=["fp32", "bf16"], help="fp32 on a CPU, bf16 on a GPU")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--slots", type=int, nargs="+")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="what is promised for a GPU; measures nothing")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if options.list:
        text = UNMEASURED.format(claims=claims_table(ON_CUDA, {}))
        print(text)
        if options.output:
            options.output.write_text(text)
        return
    torch.set_num_threads(options.threads)
    promised = [claim for claim in (ON_CPU if options.device == "cpu" else ON_CUDA) if claim.shape == options.shape]
    precision = options.precision or ("fp32" if options.device == "cpu" else "bf16")
    shapes = sorted({claim.cell for claim in promised}) or [(8, 8)]
    if options.rows and options.tokens:
        shapes = [(options.rows, options.tokens)]
    cells = [
        Cell(options.shape, rows, tokens, tuple(options.ranks), precision, options.device) for rows, tokens in shapes
    ]
    if options.alone:
        trial = plain(cells[0], base(cells[0]))
        for _ in range(ALONE):
            trial.run()
        return
    steps = options.steps or (5 if options.device == "cpu" else 20)
    product, words = ability(options.device, precision)
    curves = {}
    for cell in cells:
        own = [claim for claim in promised if claim.cell == (cell.rows, cell.tokens)]
        most = max((claim.slots for claim in own if options.device == "cuda"), default=16)
        slots = options.slots or [count for count in SLOTS if count <= most]
        curves[cell.rows, cell.tokens] = curve(cell, slots, {claim.against for claim in own}, steps, options.repeats)
        print(f"{cell}\n{curves[cell.rows, cell.tokens].table()}\n", flush=True)
    values = {claim: curves[claim.cell].value(claim, product) for claim in promised if claim.cell in curves}
    known = {claim: value for claim, value in values.items() if value is not None}
    text = report(options, words, curves.values(), claims_table(promised, known))
    print(text)
    if options.output:
        options.output.write_text(text)
    wrong = precision == "fp32" and any(each.apart(c) > SAME for each in curves.values() for c in each.contestants)
    sys.exit(wrong or any(claim.verdict(value) == "FALSIFIED" for claim, value in known.items()))


def report(options: argparse.Namespace, words: str, curves: Iterable[Curve], claims: str) -> str:
    """All of it as Markdown."""
    where = torch.cuda.get_device_name() if options.device == "cuda" else f"{machine()}, {options.threads} thread(s)"
    parts = [
        f"# {options.shape} on {where}",
        f"`python tests/bench/packing.py {' '.join(sys.argv[1:])}`: {words}; medians of {options.repeats} repeats, "
        "contestants in turn.",
        claims,
    ]
    for each in curves:
        parts += [f"{each.cell.rows} rows of {each.cell.tokens} tokens, {each.cell.precision}:", each.table()]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
