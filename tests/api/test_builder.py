"""Specs built in steps."""

import json
from pathlib import Path
from typing import Any

import pytest
from project import write_csv
from tiny import tiny_rows

from fewtune.api.builder import Builder, examples
from fewtune.api.client import Client
from fewtune.specs.diagnostic import SpecError


def test_each_example_is_a_start() -> None:
    assert "quickstart" in examples()
    for name in examples():
        assert Builder.example(name).values["spec_version"] == 1


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([("/a/b", 1)], {"a": {"b": 1}}),
        ([("/a", [1]), ("/a/-", 2), ("/a/0", 3)], {"a": [3, 2]}),
        ([("/a/b/-", 1), ("/a/b/-", 2)], {"a": {"b": [1, 2]}}),
        ([("/a~1b", 1)], {"a/b": 1}),
    ],
)
def test_values_are_set_by_pointer(steps: list[tuple[str, Any]], expected: dict[str, Any]) -> None:
    built = Builder({})
    for pointer, value in steps:
        built = built.set(pointer, value)
    assert built.values == expected


@pytest.mark.parametrize("pointer", ["", "a", "/a/0", "/x/5", "/x/y", "/x/0/z"])
def test_a_pointer_that_leads_nowhere_is_refused(pointer: str) -> None:
    built = Builder({"x": [1], "a": 3})
    with pytest.raises(SpecError, match="E-not-found"):
        built.set(pointer, 1) if pointer in ("", "a", "/a/0", "/x/5", "/x/0/z") else built.remove(pointer)


def test_a_report_after_each_step_and_a_file_at_the_end(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", tiny_rows(24, seed=1))
    client = Client(root=tmp_path)
    first = Builder.of({"spec_version": 1, "task": {"type": "clasification"}}, client)
    assert {fault.pointer for fault in first.report().found} >= {"/task/type"}
    built = first.set("/task/type", "classification").set("/data/train", "train.csv").set("/data/label_budget", 12)
    assert built.report().valid, built.report().found
    assert not first.report().valid, "an earlier step is as it was"
    path = built.write("spec.toml")
    assert client.plan(path).plan.hash == client.plan(json.dumps(built.values)).plan.hash
    with pytest.raises(SpecError, match="exists"):
        built.write("spec.toml")
    for outside in ("../spec.toml", "/etc/spec.toml"):
        with pytest.raises(SpecError, match="E-path"):
            built.write(outside)
