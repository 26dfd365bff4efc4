"""What grid.py measures fewtune against: Trainer with peft, a warm loop, Ray Tune. Nothing of fewtune is imported.

    python tests/bench/rivals.py {trainer,warm,tune} GRID.json ANSWERS.json [--trials 0 6] [--at-once 2]

All train the same trials: the same tokens in the same order from the same adapter, one learning rate a step, and cross
entropy over the label words at each row's last token. Base in bf16, adapters in fp32, autocast, eager attention (the
processor's backward pass of the fused one is slow). Trainer takes the model's own logits, every word at every place;
the warm loop takes the label words only and evaluates rows of similar length together.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Grid = dict[str, Any]
Answer = dict[str, Any]
Example = tuple[list[int], int]
EVALUATED = 16
"""Rows of an evaluation batch."""


def padded(batch: Sequence[Example]) -> dict[str, Any]:
    """Rows with their mask, padded on the right."""
    import torch

    longest = max(len(tokens) for tokens, _ in batch)
    ids = torch.tensor([[*tokens, *[0] * (longest - len(tokens))] for tokens, _ in batch])
    mask = torch.tensor([[1] * len(tokens) + [0] * (longest - len(tokens)) for tokens, _ in batch])
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([label for _, label in batch])}


def last(x: Any, mask: Any) -> Any:
    """What stands at each row's last token: (B, L, ...) -> (B, ...)."""
    import torch

    return x[torch.arange(len(x)), mask.sum(1) - 1]


def loaded(grid: Grid) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(grid["model"], dtype=torch.bfloat16, attn_implementation="eager")


def adapted(model: Any, trial: Grid) -> Any:
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
    from safetensors.torch import load_file

    config = LoraConfig(
        r=trial["rank"], lora_alpha=trial["alpha"], target_modules=trial["targets"], task_type="CAUSAL_LM"
    )
    tuned = get_peft_model(model, config)
    set_peft_model_state_dict(tuned, load_file(trial["adapter"]))
    return tuned


def optimizer(tuned: Any, trial: Grid) -> Any:
    import torch

    moving = [parameter for parameter in tuned.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(moving, lr=trial["rates"][0], weight_decay=trial["weight_decay"], fused=True)


def by_trainer(grid: Grid, trial: Grid) -> Answer:
    """One trial with transformers' Trainer; nothing is logged or saved."""
    import torch
    from torch.optim.lr_scheduler import LambdaLR
    from torch.utils.data import SequentialSampler
    from transformers import Trainer, TrainingArguments
    from transformers.utils import logging

    class Answering(Trainer):
        def _get_train_sampler(self, *_: Any) -> Any:
            return SequentialSampler(self.train_dataset)

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
            chosen = last(logits, inputs["attention_mask"])[:, grid["words"]].float()
            loss = torch.nn.functional.cross_entropy(chosen, inputs["labels"])
            return (loss, {"logits": chosen}) if return_outputs else loss

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tuned = adapted(loaded(grid), trial)
    adamw, rates = optimizer(tuned, trial), trial["rates"]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, max_steps=len(rates), per_device_train_batch_size=grid["batch"],
            per_device_eval_batch_size=EVALUATED, max_grad_norm=trial["max_grad_norm"], bf16=True, use_cpu=True,
            logging_strategy="no", save_strategy="no", eval_strategy="no", report_to=[], disable_tqdm=True,
            remove_unused_columns=False, label_names=["labels"],
        )  # fmt: skip
        schedule = LambdaLR(adamw, lambda step: rates[min(step, len(rates) - 1)] / rates[0])
        runner = Answering(
            tuned, arguments, padded, trial["examples"], optimizers=(adamw, schedule), eval_dataset=grid["test"]
        )
        began = time.perf_counter()
        runner.train()
        trained = time.perf_counter()
        logits = runner.predict(grid["test"]).predictions
        ended = time.perf_counter()
    right = sum(int(row.argmax()) == label for row, (_, label) in zip(logits, grid["test"], strict=True))
    return {"accuracy": right / len(grid["test"]), "train": trained - began, "evaluate": ended - trained}


def warm(grid: Grid, trials: Iterable[Grid]) -> list[Answer]:
    """Trials one after the other on one model in memory; the first answer knows how long loading took."""
    import torch

    model = loaded(grid)
    model.requires_grad_(False)
    answers: list[Answer] = []
    for trial in trials:
        began = time.perf_counter()
        tuned = adapted(model, trial)
        words = model.get_output_embeddings().weight[grid["words"]].float()

        def logits(batch: Any, tuned: Any = tuned, words: Any = words) -> Any:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                hidden = tuned.base_model.model.model(
                    input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False
                ).last_hidden_state
            return last(hidden, batch["attention_mask"]).float() @ words.t()

        warm_training(grid, trial, tuned, logits)
        trained = time.perf_counter()
        right = 0
        test = sorted(grid["test"], key=lambda example: len(example[0]))
        with torch.inference_mode():
            for start in range(0, len(test), EVALUATED):
                batch = padded(test[start : start + EVALUATED])
                right += int((logits(batch).argmax(1) == batch["labels"]).sum())
        ended = time.perf_counter()
        answers.append({"accuracy": right / len(test), "train": trained - began, "evaluate": ended - trained})
        model = tuned.unload()
    return answers


def warm_training(grid: Grid, trial: Grid, tuned: Any, logits: Any) -> None:
    import torch

    adamw, size = optimizer(tuned, trial), grid["batch"]
    moving = adamw.param_groups[0]["params"]
    for step, rate in enumerate(trial["rates"]):
        batch = padded(trial["examples"][step * size : (step + 1) * size])
        torch.nn.functional.cross_entropy(logits(batch), batch["labels"]).backward()
        torch.nn.utils.clip_grad_norm_(moving, trial["max_grad_norm"])
        adamw.param_groups[0]["lr"] = rate
        adamw.step()
        adamw.zero_grad()


def by_tune(grid: Grid, trials: Sequence[Grid], at_once: int) -> list[Answer]:
    """Trials of Trainer in Ray Tune, so many at the same time; the actors go on from trial to trial."""
    import ray
    from ray import tune

    entered, here = time.time(), str(Path(__file__).parent)
    cores = os.cpu_count() or 1
    ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False, logging_level="error")

    def trainable(config: dict[str, Any]) -> None:
        began = time.time()
        sys.path.insert(0, here)
        import rivals
        import torch

        torch.set_num_threads(max(1, cores // at_once))
        tune.report({"place": config["place"], "began": began, **rivals.by_trainer(grid, trials[config["place"]])})

    with tempfile.TemporaryDirectory() as folder:
        found = tune.Tuner(
            tune.with_resources(trainable, {"cpu": cores / at_once}),
            param_space={"place": tune.grid_search(list(range(len(trials))))},
            tune_config=tune.TuneConfig(reuse_actors=True, max_concurrent_trials=at_once),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        ).fit()
    ray.shutdown()
    answers: list[Answer] = [dict(result.metrics or {}) for result in found]
    once = min(answer["began"] for answer in answers) - entered
    keys = ("accuracy", "train", "evaluate")
    by_place = sorted(answers, key=lambda answer: int(answer["place"]))
    return [{**{key: answer[key] for key in keys}, "once": once} for answer in by_place]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=["trainer", "warm", "tune"])
    parser.add_argument("grid", type=Path)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--trials", type=int, nargs="+", required=True)
    parser.add_argument("--at-once", type=int, default=1)
    options = parser.parse_args()
    grid: Grid = json.loads(options.grid.read_text())
    trials = [grid["trials"][place] for place in options.trials]
    if options.mode == "warm":
        answers = warm(grid, trials)
    elif options.mode == "tune":
        answers = by_tune(grid, trials, options.at_once)
    else:
        answers = [by_trainer(grid, trial) for trial in trials]
    options.answers.write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
