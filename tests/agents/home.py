"""A folder as an agent finds it: data, a small model, an operator's policy."""

import json
from pathlib import Path
from typing import Any

from project import write_csv
from tiny import tiny_model, tiny_rows

from fewtune.specs.policy import Policy

SPEC: dict[str, Any] = {
    "spec_version": 1, "name": "toy", "task": {"type": "classification"},
    "data": {"train": "train.csv", "test": "test.csv", "label_budget": 12}, "model": {"path": "model"},
    "evaluation": {"data_seeds": 2}, "methods": {"include": ["majority", "tfidf", "head+lora"]},
}  # fmt: skip
ALLOWED: dict[str, Any] = {
    "policy_version": 1, "agents_submit": True, "network": False, "each": {"trials": 60, "looks": 20},
}  # fmt: skip


def make(folder: Path) -> Path:
    """The folder, and outside of it a secret."""
    root = folder / "home"
    root.mkdir()
    tiny_model(root / "model")
    write_csv(root / "train.csv", tiny_rows(24, seed=1))
    write_csv(root / "test.csv", tiny_rows(12, seed=2))
    (root / "spec.json").write_text(json.dumps(SPEC))
    write_csv(folder / "secret.csv", tiny_rows(4, seed=3))
    (folder / "policy.toml").write_text(toml(ALLOWED))
    return root


def allowed(**more: Any) -> Policy:
    """The policy of the folder, with other ceilings where these are given."""
    return Policy.model_validate({**ALLOWED, **more})


def toml(policy: dict[str, Any]) -> str:
    """A policy as its file has it."""
    import tomlkit

    return tomlkit.dumps(policy)
