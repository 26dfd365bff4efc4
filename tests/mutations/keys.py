"""Faults of keys: misspelt, misplaced, in another spelling, of another tool, missing."""

from random import Random

from mutations import clues
from mutations.fault import (
    TABLES,
    Fault,
    Parts,
    Spec,
    drop,
    fields_at,
    get,
    keys,
    pointer,
    put,
    rename,
)

NEIGHBOURS = {"a": "s", "e": "r", "i": "o", "o": "p", "n": "m", "t": "r", "s": "d", "l": "k", "r": "t", "d": "f"}


def typo(chance: Random, word: str) -> str:
    """One slip of the hand, behind the first letter."""
    at = chance.randrange(1, len(word)) if len(word) > 1 else 0
    letter = word[at]
    return chance.choice([
        word[:at] + word[at + 1 :],
        word[:at] + letter + word[at:],
        word[: at - 1] + letter + word[at - 1] + word[at + 1 :] if at else word + letter,
        word[:at] + NEIGHBOURS.get(letter, "x") + word[at + 1 :],
    ])  # fmt: skip


def misspelt_key(chance: Random, spec: Spec) -> Fault | None:
    parts = chance.choice(list(keys(spec.bad)))
    name = typo(chance, str(parts[-1]))
    return _renamed(spec, "misspelt key", parts, name)


def _renamed(spec: Spec, kind: str, parts: Parts, name: str) -> Fault | None:
    owner = get(spec.bad, parts[:-1])
    if name in owner or name in (fields_at(parts[:-1]) or {}) or not name:
        return None
    was = owner[parts[-1]]
    rename(spec.bad, parts, name)
    return Fault(kind, (pointer((*parts[:-1], name)),), was, f"{parts[-1]} as {name}")


def spelling_of_key(chance: Random, spec: Spec) -> Fault | None:
    parts = chance.choice(list(keys(spec.bad)))
    words = str(parts[-1]).split("_")
    names = [str(parts[-1]).upper(), str(parts[-1]).capitalize(), "-".join(words), " ".join(words), "".join(words),
             words[0] + "".join(map(str.capitalize, words[1:])), "".join(map(str.capitalize, words))]  # fmt: skip
    return _renamed(spec, "spelling of a key", parts, chance.choice([n for n in names if n != parts[-1]]))


def misplaced_key(chance: Random, spec: Spec) -> Fault | None:
    movable = [p for p in keys(spec.bad) if p[0] in TABLES and len(p) > 1 and p[-1] not in ("type", "name", "pin")]
    movable = [p for p in movable if not (p[0] == "data" and len(p) > 2)]
    if not movable:
        return None
    parts = chance.choice(movable)
    homes: list[Parts] = [(), *((name,) for name in TABLES), ("methods", "pin")]
    homes = [home for home in homes if home != parts[:-1] and parts[-1] not in (fields_at(home) or {})]
    homes = [home for home in homes if not home or home[0] != parts[0] or len(home) < len(parts)]
    home = chance.choice(homes)
    owner = get(spec.bad, home)
    if (owner is not None and (not isinstance(owner, dict) or parts[-1] in owner)) or len(parts) > 3:
        return None
    value = drop(spec.bad, parts)
    put(spec.bad, (*home, parts[-1]), value)
    return Fault("misplaced key", (pointer((*home, parts[-1])),), value, f"from {pointer(parts)}")


ALIASES: dict[str, tuple[str, ...]] = {
    "spec_version": ("version", "schema_version", "apiVersion"),
    "name": ("experiment_name", "experiment", "run_name", "id"),
    "notes": ("description", "comment"),
    "type": ("kind", "task_type", "task"),
    "question": ("query",),
    "instruction": ("system_prompt", "prompt"),
    "verbalizer": ("label_words", "label_map"),
    "patterns": ("templates", "prompts", "prompt_templates"),
    "train": ("train_file", "train_path", "training", "train_data"),
    "test": ("test_file", "test_path", "eval_file", "test_data"),
    "validation": ("val", "dev", "valid"),
    "text": ("text_column", "text_field", "input_column", "text_col"),
    "label": ("label_column", "label_field", "label_col", "labels_column"),
    "target": ("target_column", "output_column", "response"),
    "rejected": ("rejected_column", "worse"),
    "label_budget": ("budget", "n_labels", "num_examples", "max_train_samples", "n_train"),
    "ood": ("out_of_domain", "ood_sets"),
    "precision": ("dtype", "torch_dtype"),
    "path": ("file", "filename", "data_files"),
    "rows": ("row_range", "slice"),
    "gpu_memory": ("max_memory", "vram", "memory"),
    "disk": ("disk_space", "max_disk"),
    "wall_time": ("time_limit", "max_time", "timeout", "walltime"),
    "trials": ("max_trials", "n_trials"),
    "include": ("methods", "use"),
    "exclude": ("skip", "ignore"),
    "pin": ("hyperparameters", "params", "fixed"),
    "rank": ("r", "lora_r", "lora_rank"),
    "alpha": ("lora_alpha",),
    "rslora": ("use_rslora",),
    "dropout": ("lora_dropout",),
    "learning_rate": ("lr", "max_lr", "peak_lr"),
    "steps": ("max_steps", "num_steps", "n_steps", "iterations"),
    "epochs": ("num_train_epochs", "num_epochs", "n_epochs"),
    "batch_size": ("per_device_train_batch_size", "train_batch_size", "bs"),
    "schedule": ("lr_scheduler_type", "scheduler", "lr_scheduler"),
    "warmup_ratio": ("warmup", "warmup_proportion"),
    "max_grad_norm": ("gradient_clipping", "grad_clip", "clip_grad_norm"),
    "weight_decay": ("wd",),
    "early_stopping": ("early_stop",),
    "virtual_tokens": ("num_virtual_tokens", "prefix_length"),
    "width": ("bottleneck", "bottleneck_dim", "adapter_size"),
    "max_new_tokens": ("max_tokens", "max_length", "generation_max_length"),
    "demonstrations": ("shots", "k_shot", "num_shots", "n_shots"),
    "method": ("type", "adaptation", "peft_method", "peft_type"),
    "metric": ("eval_metric", "metric_for_best_model", "metrics"),
    "data_seeds": ("seeds", "num_seeds", "n_seeds", "repeats"),
    "model_seeds": ("init_seeds", "num_model_seeds"),
    "folds": ("n_folds", "k_folds", "cv", "n_splits"),
    "validation_fraction": ("val_fraction", "val_size", "validation_split", "eval_split"),
    "confidence": ("confidence_level", "ci"),
    "task": ("problem",),
    "data": ("dataset", "datasets", "data_config"),
    "constraints": ("limits", "resources"),
    "evaluation": ("eval", "evaluate"),
}  # fmt: skip
"""Our key -> what other tools, and earlier drafts of the language, call it."""


def renamed_key(chance: Random, spec: Spec) -> Fault | None:
    known = [parts for parts in keys(spec.bad) if parts[-1] in ALIASES]
    parts = chance.choice(known)
    return _renamed(spec, "renamed key", parts, chance.choice(ALIASES[str(parts[-1])]))


def missing_key(chance: Random, spec: Spec) -> Fault | None:
    needed: list[Parts] = [("spec_version",), ("task",), ("task", "type"), ("data",), ("data", "train")]
    needed += [("methods", "arms", index, "method") for index in range(len(get(spec.bad, ("methods", "arms")) or ()))]
    needed += [p for p in keys(spec.bad) if p[-1] in ("path", "per_class") and p[0] == "data"]
    parts = chance.choice(needed)
    if get(spec.bad, parts) is None:
        return None
    was = drop(spec.bad, parts)
    return Fault("missing key", (pointer(parts),), was, str(parts[-1]), lost=clues.of_missing(spec.bad, parts, was))
