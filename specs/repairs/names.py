"""Names that other tools, and habit, use for what this language calls otherwise."""

import re
from collections.abc import Mapping

KEYS: Mapping[str, tuple[str, ...]] = {
    "version": ("spec_version",), "schema_version": ("spec_version",), "api_version": ("spec_version",),
    "experiment_name": ("name",), "experiment": ("name",), "run_name": ("name",), "id": ("name",),
    "model_name": ("name",), "model_name_or_path": ("name", "path"), "model_id": ("name",), "base_model": ("name",),
    "description": ("notes", "title"), "comment": ("notes",), "comments": ("notes",), "keywords": ("tags",),
    "labels_list": ("labels",), "classes": ("labels",), "class_names": ("labels",),
    "kind": ("type", "method"), "task_type": ("type",), "task_name": ("type",), "problem": ("task",),
    "problem_type": ("type",), "query": ("question",), "system_prompt": ("instruction",), "prompt": ("instruction",),
    "label_words": ("verbalizer",), "label_map": ("verbalizer",), "id2label": ("verbalizer",),
    "templates": ("patterns",), "prompts": ("patterns",), "prompt_templates": ("patterns",), "template": ("patterns",),
    "train_file": ("train",), "train_path": ("train",), "train_data": ("train",), "training": ("train", "pin"),
    "train_split": ("train",), "train_set": ("train",), "test_file": ("test",), "test_path": ("test",),
    "test_data": ("test",), "test_set": ("test",), "eval_file": ("test",), "eval_data": ("test",),
    "val": ("validation",), "dev": ("validation",), "valid": ("validation",), "validation_file": ("validation",),
    "unlabeled": ("unlabelled",), "out_of_domain": ("ood",), "ood_sets": ("ood",), "ood_splits": ("ood",),
    "text_column": ("text",), "text_field": ("text",), "text_col": ("text",), "input_column": ("text",),
    "label_column": ("label",), "label_field": ("label",), "label_col": ("label",), "labels_column": ("label",),
    "target_column": ("target",), "output_column": ("target",), "response": ("target",), "response_column": ("target",),
    "rejected_column": ("rejected",), "worse": ("rejected",), "budget": ("label_budget", "constraints"),
    "n_labels": ("label_budget",), "num_labels": ("label_budget",), "num_examples": ("label_budget",),
    "n_train": ("label_budget",), "max_train_samples": ("label_budget",), "n_shots": ("demonstrations",),
    "file": ("path",), "filename": ("path",), "file_name": ("path",), "data_files": ("path",), "dataset_name": ("hub",),
    "name": ("path", "hub"),
    "row_range": ("rows",), "slice": ("rows",), "subset": ("config",),
    "dtype": ("precision",), "torch_dtype": ("precision",), "mixed_precision": ("precision",),
    "max_memory": ("gpu_memory",), "vram": ("gpu_memory",), "memory": ("gpu_memory",), "gpu_mem": ("gpu_memory",),
    "disk_space": ("disk",), "max_disk": ("disk",), "storage": ("disk",), "time_limit": ("wall_time",),
    "max_time": ("wall_time",), "timeout": ("wall_time",), "walltime": ("wall_time",), "time": ("wall_time",),
    "time_budget": ("wall_time",), "max_runtime": ("wall_time",), "max_trials": ("trials",), "n_trials": ("trials",),
    "num_trials": ("trials",), "max_latency": ("latency",), "methods": ("include",), "use": ("include",),
    "skip": ("exclude",), "ignore": ("exclude",), "hyperparameters": ("pin",), "hyperparams": ("pin",),
    "params": ("pin",), "fixed": ("pin",), "pins": ("pin",), "pinned": ("pin",), "parameters": ("pin",),
    "training_args": ("pin",), "training_arguments": ("pin",), "lora": ("pin",), "train_config": ("pin",),
    "r": ("rank",), "lora_r": ("rank",), "lora_rank": ("rank",), "lora_alpha": ("alpha",),
    "use_rslora": ("rslora",), "lora_dropout": ("dropout",), "target_modules": ("targets",),
    "lora_target_modules": ("targets",), "loraplus_lr_ratio": ("lr_ratio",), "lora_plus_ratio": ("lr_ratio",),
    "lr": ("learning_rate",), "max_lr": ("learning_rate",), "peak_lr": ("learning_rate",),
    "learning_rates": ("learning_rate",), "max_steps": ("steps",), "num_steps": ("steps",), "n_steps": ("steps",),
    "train_steps": ("steps",), "iterations": ("steps",), "num_train_epochs": ("epochs",), "num_epochs": ("epochs",),
    "n_epochs": ("epochs",), "max_epochs": ("epochs",), "per_device_train_batch_size": ("batch_size",),
    "train_batch_size": ("batch_size",), "global_batch_size": ("batch_size",), "bs": ("batch_size",),
    "lr_scheduler_type": ("schedule",), "scheduler": ("schedule",), "lr_scheduler": ("schedule",),
    "lr_schedule": ("schedule",), "warmup": ("warmup_ratio",), "warmup_proportion": ("warmup_ratio",),
    "warmup_fraction": ("warmup_ratio",), "gradient_clipping": ("max_grad_norm",), "grad_clip": ("max_grad_norm",),
    "clip_grad_norm": ("max_grad_norm",), "gradient_clip_val": ("max_grad_norm",), "wd": ("weight_decay",),
    "early_stop": ("early_stopping",), "num_virtual_tokens": ("virtual_tokens",), "prefix_length": ("virtual_tokens",),
    "prompt_length": ("virtual_tokens",), "bottleneck": ("width",), "bottleneck_dim": ("width",),
    "adapter_size": ("width",), "max_tokens": ("max_new_tokens",), "max_length": ("max_new_tokens",),
    "generation_max_length": ("max_new_tokens",), "shots": ("demonstrations",), "k_shot": ("demonstrations",),
    "num_shots": ("demonstrations",), "few_shot": ("demonstrations",), "dpo_beta": ("beta",),
    "gamma": ("reward_margin",),
    "adaptation": ("method",), "peft_method": ("method",), "peft_type": ("method",), "type": ("method",),
    "eval_metric": ("metric",), "metric_for_best_model": ("metric",), "metrics": ("metric",), "seeds": ("data_seeds",),
    "num_seeds": ("data_seeds",), "n_seeds": ("data_seeds",), "repeats": ("data_seeds",), "runs": ("data_seeds",),
    "init_seeds": ("model_seeds",), "num_model_seeds": ("model_seeds",), "n_folds": ("folds",), "k_folds": ("folds",),
    "kfold": ("folds",), "cv": ("folds",), "cv_folds": ("folds",), "n_splits": ("folds",),
    "val_fraction": ("validation_fraction",), "val_size": ("validation_fraction",),
    "validation_split": ("validation_fraction",), "eval_split": ("validation_fraction",),
    "validation_size": ("validation_fraction",), "confidence_level": ("confidence",), "ci": ("confidence",),
    "dataset": ("data",), "datasets": ("data",), "data_config": ("data",), "limits": ("constraints",),
    "resources": ("constraints",), "limit": ("constraints",), "eval": ("evaluation",), "evaluate": ("evaluation",),
    "eval_config": ("evaluation",), "task": ("type",), "model_config": ("model",),
}  # fmt: skip
"""Another name of a key -> what it may be here, the likeliest first."""
WORDS: Mapping[str, tuple[str, ...]] = {
    "text-classification": ("classification",), "classify": ("classification",), "sentiment": ("classification",),
    "nli": ("pair-classification",), "pairs": ("pair-classification",), "paraphrase": ("pair-classification",),
    "sentence-pair-classification": ("pair-classification",), "summarization": ("summarisation",),
    "summary": ("summarisation",), "summarize": ("summarisation",), "qa": ("question-answering",),
    "extractive-qa": ("question-answering",), "text-generation": ("generation",), "generate": ("generation",),
    "sft": ("generation",), "preferences": ("preference",), "preference-learning": ("preference",),
    "dpo": ("preference", "dpo+lora"), "orpo": ("orpo+lora",), "kto": ("kto+lora",), "simpo": ("simpo+lora",),
    "multilabel": ("multi-label",), "multi-label-classification": ("multi-label",),
    "sequence-labeling": ("sequence-labelling",), "ner": ("sequence-labelling",), "tagging": ("sequence-labelling",),
    "token-classification": ("sequence-labelling",), "f1": ("macro_f1", "micro_f1", "token_f1", "span_f1"),
    "f1-macro": ("macro_f1",), "f1-micro": ("micro_f1",), "acc": ("accuracy", "tag_accuracy"), "matthews": ("mcc",),
    "matthews-correlation": ("mcc",), "rouge": ("rouge_l",), "rougel": ("rouge_l",), "em": ("exact_match",),
    "holdout": ("held-out",), "hold-out": ("held-out",), "fixed": ("fixed-schedule",), "none": ("fixed-schedule",),
    "cv": ("cross-validation",), "kfold": ("cross-validation",), "cosine-with-restarts": ("cosine",),
    "cos": ("cosine",),
    "float32": ("fp32",), "32": ("fp32",), "bfloat16": ("bf16",), "16": ("bf16",), "float16": ("bf16",),
    "lora": ("pattern+lora", "generate+lora", "head+lora"), "qlora": ("pattern+qlora", "generate+qlora", "head+qlora"),
    "full": ("pattern+full", "generate+full", "head+full"), "full-finetuning": ("pattern+full", "generate+full"),
    "cls+lora": ("head+lora",), "classification+lora": ("head+lora",), "generation+lora": ("generate+lora",),
    "icl": ("in-context",), "few-shot": ("in-context",), "majority-class": ("majority",), "zeroshot": ("zero-shot",),
    "tf-idf": ("tfidf",), "distillation": ("context-distillation",), "context": ("contextual",),
    "knn": ("nearest",), "all-layers": ("all-linear",),
}  # fmt: skip
"""Another word for a value -> what it may be here, the likeliest first; words count without case, _ as -."""


def plain(name: str) -> str:
    """A key in our spelling.

    >>> plain("dataSeeds"), plain("Wall-Time")
    ('data_seeds', 'wall_time')
    """
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[\s.-]+", "_", snake).lower().strip("_")


def bare(name: str) -> str:
    """A name without case and what joins its parts.

    >>> bare("Wall_Time") == bare("walltime")
    True
    """
    return re.sub(r"[^a-z0-9]", "", name.lower())
