"""What this machine does in a second: a few steps and readings of a small random model, as a worker would take them.

    python -m fewtune.runtime.train.calibration cpu 2 bf16 fp32

The processor's rate depends on its neighbours: other workers share its memory and, on many virtual machines, its cores.
So as many of these run side by side as a run has workers.
"""

import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from fewtune.compiler.arm import Arm, Lora, Precision, Recipe
from fewtune.compiler.cost import SPREAD, rate_of
from fewtune.compiler.facts import Calibration, DeviceFacts, Linear, ModelFacts
from fewtune.compiler.memory import lora_parameters

Answer = dict[str, float]
"""Seconds of a "step" and of a "reading"."""
SHAPES = {
    "cpu": {"hidden": 576, "intermediate": 1536, "heads": 9, "kv_heads": 3, "layers": 6, "rows": 16, "tokens": 64},
    "cuda": {"hidden": 2048, "intermediate": 8192, "heads": 32, "kv_heads": 8, "layers": 4, "rows": 64, "tokens": 128},
}
"""The trial model of each kind of device, and the rows of a step."""
RANK = 8
VOCABULARY = 1000
SECONDS = 2.0
"""Of the steps, and of the readings, in each precision."""
MOST_PROCESSES = 4


def calibrate(device: DeviceFacts, seconds: float = SECONDS) -> Calibration:
    """Measure this machine.

    Args:
        device: what it is.
        seconds: of each of the four parts.

    Raises:
        RuntimeError: where a trial does not come to its end.
    """
    precisions: tuple[Precision, ...] = ("bf16", "fp32") if device.bf16 else ("fp32",)
    found = _measured(device, precisions, seconds)
    return Calibration(rates={p: _rates(device, p, [process[p] for process in found]) for p in precisions})


def _measured(device: DeviceFacts, precisions: Sequence[Precision], seconds: float) -> list[dict[str, Answer]]:
    """What each process answers: precision -> seconds of a step and of a reading."""
    count = min(device.cores, MOST_PROCESSES) if device.kind == "cpu" else 1
    command = [sys.executable, "-m", __spec__.name, device.kind, str(seconds), *precisions]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, **pipes) for _ in range(count)]
    found = []
    for process in started:
        said, complaint = process.communicate()
        if process.returncode:
            raise RuntimeError(complaint.strip().splitlines()[-1] if complaint.strip() else "a trial ended early")
        found.append(json.loads(said.splitlines()[-1]))
    return found


def _rates(device: DeviceFacts, precision: Precision, found: Sequence[Answer]) -> tuple[float, float]:
    """GFLOP/s when training and forward only, of a GPU or of one core."""
    model, one = trial_model(device.kind), device.model_copy(update={"cores": 1})
    tokens = SHAPES[device.kind]["rows"] * SHAPES[device.kind]["tokens"]
    moving = lora_parameters(model, RANK, _targets(model))
    each = [rate_of(model, one, precision, tokens=tokens, trainable=moving, **answer) for answer in found]
    train, forward = (sum(rates) / len(found) ** SPREAD for rates in zip(*each, strict=True))
    return round(train, 1), round(forward, 1)


def trial_model(kind: str) -> ModelFacts:
    """What the cost model has to know of it."""
    shape = SHAPES[kind]
    hidden, wide = shape["hidden"], shape["intermediate"]
    narrow = hidden * shape["kv_heads"] // shape["heads"]
    sizes = {
        "q_proj": (hidden, hidden), "k_proj": (hidden, narrow), "v_proj": (hidden, narrow), "o_proj": (hidden, hidden),
        "gate_proj": (hidden, wide), "up_proj": (hidden, wide), "down_proj": (wide, hidden),
    }  # fmt: skip
    linears = tuple(
        Linear(name=name, d_in=d_in, d_out=d_out, count=shape["layers"]) for name, (d_in, d_out) in sizes.items()
    )
    blocks = sum(linear.d_in * linear.d_out * linear.count for linear in linears)
    return ModelFacts(
        place="trial", source="path", architecture="llama", weights_hash="", tokenizer_hash="",
        parameters=blocks + VOCABULARY * hidden, embedding_parameters=VOCABULARY * hidden, hidden=hidden,
        layers=shape["layers"], heads=shape["heads"], kv_heads=shape["kv_heads"], intermediate=wide,
        vocabulary=VOCABULARY, max_positions=2048, tied=True, instruct=False, linears=linears, stored_bytes=2 * blocks,
        word_tokens={}, pattern_tokens={},
    )  # fmt: skip


def _targets(model: ModelFacts) -> tuple[str, ...]:
    return tuple(linear.name for linear in model.linears)


def trial(kind: str, precision: Precision, seconds: float) -> Answer:
    """Seconds of a LoRA step and of a reading, medians, in this process."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from fewtune.runtime.train.loop import Example, Training
    from fewtune.runtime.train.model import DTYPES, prepared
    from fewtune.runtime.train.pack import Pack
    from fewtune.runtime.train.pulse import Pulse

    torch.set_num_threads(1)
    torch.manual_seed(0)
    shape, facts = SHAPES[kind], trial_model(kind)
    config = AutoConfig.for_model(
        "llama", hidden_size=facts.hidden, intermediate_size=facts.intermediate, num_hidden_layers=facts.layers,
        num_attention_heads=facts.heads, num_key_value_heads=facts.kv_heads, vocab_size=VOCABULARY,
        tie_word_embeddings=True,
    )  # fmt: skip
    with torch.device(kind):
        attention = "eager" if kind == "cpu" else "sdpa"
        made: Any = AutoModelForCausalLM.from_config(config, dtype=DTYPES[precision], attn_implementation=attention)
    base, source, rows = prepared(made), random.Random(0), shape["rows"]
    texts = [[source.randrange(10, VOCABULARY) for _ in range(shape["tokens"])] for _ in range(rows)]
    recipe = Recipe(n=rows, steps=10**6, batch_size=rows, micro_batch=rows, learning_rate=1e-4, schedule="constant")
    arm = Arm(
        name="trial", method="pattern+lora", formulation="pattern", adaptation="lora", role="candidate",
        pattern="{text}", lora=Lora(rank=RANK, alpha=2 * RANK, targets=_targets(facts)), precision=precision,
        recipes=(recipe,),
    )  # fmt: skip
    pack = Pack(base, [arm], (5, 6), 2, slots=1)
    examples = [Example(text, place % 2) for place, text in enumerate(texts)]
    training = Training(pack.seat(0, arm, 0), recipe, examples, 0, None, Pulse("trial", lambda _: None))
    reader = base.reader(base.model)

    def read() -> None:
        with torch.inference_mode():
            float(reader.read(texts).sum())  # waits for the device

    return {"step": _median(lambda: pack.step([training], [0]), seconds), "reading": _median(read, seconds)}


def _median(work: Callable[[], None], seconds: float) -> float:
    """Of as many runs as fit, the first two apart: kernels are made there."""
    for _ in range(2):
        work()
    found, began = list[float](), time.perf_counter()
    while not found or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


if __name__ == "__main__":
    own, limit, *asked = sys.argv[1:]
    sys.stdout.write(json.dumps({name: trial(own, name, float(limit)) for name in asked}))  # type: ignore[arg-type]
