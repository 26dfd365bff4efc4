"""Valid specs over tasks, methods, data shapes, models and limits, and the small files that they name.

Each names files of one folder, plans on a machine without a network, and is written without any regard to repairs.
"""

import csv
import json
import shutil
import struct
from collections.abc import Iterator, Mapping
from copy import deepcopy
from math import prod
from pathlib import Path
from typing import Any

from tiny import tiny_tokenizer

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDERS = ("legal", "finance", "reports", "support", "topics", "visits", "preference", "general")
Tree = dict[str, Any]

LEGAL = {"train": "legal/train.csv", "test": "legal/test.csv", "text": "clause", "label": "type", "label_budget": 48}
TASKS: dict[str, Tree] = {
    "clauses": {"task": {"type": "classification"}, "data": LEGAL},
    "asked clauses": {
        "task": {"type": "classification", "question": "What does this clause govern?"},
        "data": {**LEGAL, "label_budget": [24, 48]},
    },
    "replies": {
        "task": {
            "type": "pair-classification",
            "verbalizer": {"agrees": "yes", "contradicts": "no", "unrelated": "maybe"},
        },
        "data": {
            "train": "support/train.csv", "test": "support/test.csv", "premise": "statement", "hypothesis": "email",
            "label": "label",
        },
    },
    "answers": {
        "task": {"type": "question-answering"},
        "data": {
            "train": "finance/train.csv", "test": "finance/test.csv", "context": "context", "question": "question",
            "target": "answer", "label_budget": 64,
        },
    },
    "summaries": {
        "task": {"type": "summarisation", "instruction": "Summarise the report in a sentence or two."},
        "data": {"train": "reports/train.csv", "test": "reports/test.csv", "text": "report", "target": "summary"},
    },
    "texts": {
        "task": {"type": "generation", "instruction": "Write the answer to the prompt."},
        "data": {"train": "preference/train.csv", "test": "preference/test.csv", "text": "prompt", "target": "chosen"},
    },
    "topics": {
        "task": {"type": "multi-label"},
        "data": {"train": "topics/train.csv", "test": "topics/test.csv", "text": "text", "label": "topics"},
    },
    "names": {
        "task": {"type": "sequence-labelling"},
        "data": {"train": "visits/train.jsonl", "test": "visits/test.jsonl", "text": "words", "label": "tags"},
    },
    "likes": {
        "task": {"type": "preference", "instruction": "Answer the question."},
        "data": {
            "train": "preference/train.csv", "test": "preference/test.csv", "text": "prompt", "target": "chosen",
            "rejected": "rejected",
        },
    },
}  # fmt: skip
"""Name -> the tables of a task and its data."""

LORA = {"method": "pattern+lora"}
ANY: dict[str, Tree] = {
    "as it is": {},
    "seeds": {"evaluation": {"data_seeds": 4, "model_seeds": 2, "confidence": 0.9}, "tags": ["study", "small"]},
    "in eight GB": {"constraints": {"gpu_memory": "8 GB", "disk": "20 GB", "trials": 500}, "notes": "On the laptop."},
    "full precision": {
        "model": {"name": "smollm2-135m-instruct", "precision": "fp32"},
        "constraints": {"deployments": 3, "forgetting": 0.1},
    },
    "a folder's model": {"model": {"path": "models/tiny"}, "evaluation": {"data_seeds": 3}},
}  # fmt: skip
"""Tables that go with every task."""
LABELLED: dict[str, Tree] = {
    "pinned": {
        "methods": {"pin": {"rank": 4, "steps": 30, "learning_rate": 5e-4, "batch_size": 8, "schedule": "cosine",
                            "warmup_ratio": 0.1}},
        "evaluation": {"data_seeds": 3, "metric": "macro_f1"},
    },
    "two arms": {
        "methods": {"exclude": ["in-context"], "arms": [
            {"name": "pattern", **LORA, "rank": [4, 16], "steps": 40},
            {"name": "head", "method": "head+lora", "steps": 40, "learning_rate": 5e-4},
        ]},
        "evaluation": {"data_seeds": 3, "validation": "fixed-schedule"},
    },
    "other adaptations": {
        "methods": {"include": ["tfidf"], "arms": [
            {"method": "pattern+prefix", "virtual_tokens": 10}, {"method": "pattern+adapter", "width": 16,
             "placement": "pfeiffer"}, {"method": "head+top", "top_layers": 2},
        ]},
        "evaluation": {"data_seeds": 3},
    },
    "without tuning": {
        "methods": {"include": ["majority", "tfidf", "zero-shot"], "exclude": ["in-context"], "arms": [
            {**LORA, "rank": 8, "alpha": 16.0, "rslora": True, "weight_decay": 0.01, "max_grad_norm": 1.0}]},
        "evaluation": {"data_seeds": 3},
    },
    "held out": {
        "evaluation": {"validation": "held-out", "validation_fraction": 0.25, "data_seeds": 3, "metric": "mcc"},
        "methods": {"arms": [{**LORA, "early_stopping": True, "epochs": 3.0}, {"method": "head+lora"}]},
    },
}  # fmt: skip
"""Tables that go with one label for a text, or for a pair."""
CLAUSES: dict[str, Tree] = {
    "to another language": {"data": {"ood": {"german": "legal/german.csv"}}, "constraints": {"ood": True}},
    "noise": {
        "data": {"label_noise": [0.1, 0.3]}, "evaluation": {"data_seeds": 3, "validation": "fixed-schedule"},
        "methods": {"include": ["majority"], "arms": [LORA]},
    },
    "each class": {"data": {"label_budget": {"per_class": 8}}, "evaluation": {"data_seeds": 3}},
    "going on": {
        "data": {"unlabelled": "legal/unlabelled.csv", "replay": "general/sentences.csv"},
        "methods": {"arms": [{**LORA, "pretraining_steps": 30, "replay": 0.25}, {"name": "control", **LORA}]},
        "evaluation": {"validation": "fixed-schedule", "data_seeds": 3},
    },
    "taught": {
        "data": {"unlabelled": "legal/unlabelled.csv"},
        "methods": {"arms": [{**LORA, "objective": "context-distillation", "demonstrations": 6, "temperature": 2.0,
                              "label_weight": 0.5}]},
        "evaluation": {"data_seeds": 3},
    },
    "patterns": {
        "task": {"patterns": ["minimal", "{text} This clause is about"]},
        "methods": {"arms": [{**LORA, "pattern_use": ["each", "ensemble"], "steps": 20},
                             {"method": "in-context", "demonstrations": 6, "calibration": ["none", "contextual"]}]},
        "evaluation": {"data_seeds": 3},
    },
    "folds": {
        "data": {"train": {"path": "legal/train.csv", "rows": "1-90"}, "test": None, "label_budget": "all"},
        "evaluation": {"folds": 4, "data_seeds": 3},
    },
    "some labels": {
        "data": {
            "train": {"path": "legal/train.csv", "labels": {"warranty": "warranty", "liability": "liability"}},
            "test": {"path": "legal/test.csv", "labels": {"warranty": "warranty", "liability": "liability"}},
            "label_budget": 24,
        },
    },
    "by the clock": {"constraints": {"wall_time": "25 min", "latency": "5 s"}},
    "validated apart": {
        "data": {"validation": {"path": "legal/train.csv", "rows": "1-40"},
                 "train": {"path": "legal/train.csv", "rows": "41-240"}},
        "evaluation": {"data_seeds": 3},
    },
    "encoders": {
        "methods": {"arms": [{"method": "setfit", "pair_iterations": 10}, {"method": "encoder+full"}]},
        "evaluation": {"data_seeds": 3},
    },
}  # fmt: skip
"""Tables that go with clauses."""
OTHERS: dict[str, dict[str, Tree]] = {
    "replies": {"encoders": {"methods": {"arms": [{"method": "encoder+lora"}]}, "evaluation": {"data_seeds": 3}}},
    "answers": {
        "short": {"methods": {"pin": {"max_new_tokens": 24, "steps": 40}}, "evaluation": {"metric": "exact_match"}},
        "examples": {"methods": {"arms": [{"method": "in-context", "demonstrations": 4}, {"method": "generate+lora"}]}},
    },
    "summaries": {
        "lead": {"methods": {"include": ["lead"], "arms": [{"method": "generate+lora", "rank": 8, "steps": 40}]}},
        "in own words": {"task": {"patterns": ["{text}\nIn short:"]}, "evaluation": {"metric": "rouge_l"}},
    },
    "texts": {"dora": {"methods": {"arms": [{"method": "generate+dora", "rank": [4, 8], "dropout": 0.0}]}}},
    "topics": {
        "heads": {"methods": {"arms": [{"method": "head+lora"}, {"method": "head+norm"}]},
                  "evaluation": {"metric": "micro_f1", "data_seeds": 2}},
    },
    "names": {
        "heads": {"methods": {"include": ["unigram"], "arms": [{"method": "head+full", "layer_decay": 0.9}]},
                  "evaluation": {"metric": "span_f1", "data_seeds": 2}},
    },
    "likes": {
        "ways": {"methods": {"arms": [{"method": "dpo+lora", "beta": 0.1}, {"method": "orpo+lora", "odds_weight": 0.5},
                                      {"method": "simpo+lora", "beta": 2.0, "reward_margin": 1.0}]}},
        "judged": {"methods": {"arms": [{"method": "kto+lora", "beta": 0.1}]}, "evaluation": {"metric": "margin"}},
    },
}  # fmt: skip


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> Tree:
    """Both; tables merge, and None takes a key away."""
    tree = dict(deepcopy(dict(first)))
    for key, value in second.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict) and key != "train" and key != "test":
            tree[key] = _merged(tree[key], value)
        elif value is None:
            tree.pop(key, None)
        else:
            tree[key] = deepcopy(value)
    return tree


def _all() -> Iterator[tuple[str, Tree]]:
    for task, tables in TASKS.items():
        ways = dict(ANY)
        if task in ("clauses", "asked clauses", "replies"):
            ways |= LABELLED
        if task == "clauses":
            ways |= CLAUSES
        for way, more in (ways | OTHERS.get(task, {})).items():
            yield f"{task}, {way}", {"spec_version": 1, "name": f"{task}, {way}".replace("'", ""),
                                     **_merged(tables, more)}  # fmt: skip


SEEDS: dict[str, Tree] = dict(_all())
"""Title -> the tree of a valid spec."""


def write_files(folder: Path) -> Path:
    """Everything that the specs name."""
    for name in FOLDERS:
        shutil.copytree(EXAMPLES / name, folder / name)
    _tiny_model(folder / "models" / "tiny")
    return folder


def _tiny_model(folder: Path) -> None:
    """A model of zeros in the Hugging Face layout, without the help of a training library."""
    size, hidden, wide, layers = tiny_tokenizer(folder), 32, 64, 2
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (size, hidden), "model.norm.weight": (hidden,)}
    for layer in range(layers):
        at = f"model.layers.{layer}"
        shapes |= {f"{at}.self_attn.{name}.weight": (hidden, hidden) for name in ("q_proj", "k_proj", "v_proj")}
        shapes |= {f"{at}.self_attn.o_proj.weight": (hidden, hidden), f"{at}.input_layernorm.weight": (hidden,)}
        shapes |= {f"{at}.mlp.{name}.weight": (wide, hidden) for name in ("gate_proj", "up_proj")}
        shapes |= {f"{at}.mlp.down_proj.weight": (hidden, wide)}
    header, end = dict[str, Any](), 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": (start, end)}
    packed = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(packed)) + packed + bytes(end))
    config = {
        "model_type": "llama", "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": 4,
        "num_key_value_heads": 4, "intermediate_size": wide, "vocab_size": size, "max_position_embeddings": 2048,
        "tie_word_embeddings": True, "eos_token_id": 0,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))


def columns(path: Path) -> list[str]:
    """A data file's columns."""
    with path.open(encoding="utf-8", newline="") as handle:
        return list(json.loads(handle.readline())) if path.suffix == ".jsonl" else next(csv.reader(handle))
