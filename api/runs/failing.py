"""Why a run did not succeed, in a closed vocabulary, and changes of the spec that would let it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fewtune.api.session import Planned, plan_loaded
from fewtune.compiler.plan import Plan
from fewtune.specs.diagnostic import FewtuneError, Fix, Patch
from fewtune.specs.load import load
from fewtune.specs.patch import apply_patches
from fewtune.store.submission import FailureClass

CLASS_OF_CODE: dict[str, FailureClass] = {
    "E-interrupted": "interrupted", "E-ceiling": "budget", "E-approval": "budget", "E-policy": "budget",
    "E-busy": "busy", "E-plan-stale": "stale", "E-plan-edited": "stale", "E-facts-missing": "dependency",
    "E-training-missing": "dependency", "E-hash": "dependency", "E-download": "dependency", "E-store-full": "disk",
    "E-store-unwritable": "disk", "E-memory": "out_of_memory", "E-file-missing": "data", "E-file-unreadable": "data",
    "E-column": "data", "E-label-missing": "data", "E-label-unknown": "data", "E-text-missing": "data",
    "E-too-few-rows": "data", "E-one-class": "data", "E-path": "data", "E-model": "dependency",
}  # fmt: skip
RETRYABLE: dict[FailureClass, bool] = {
    "out_of_memory": False, "worker_lost": True, "data": False, "dependency": False, "budget": False,
    "stale": False, "busy": True, "disk": True, "interrupted": True, "error": False,
}  # fmt: skip
"""Whether the same plan may succeed when it is submitted once more."""


def failure_class(code: str) -> FailureClass:
    """The class of a diagnostic's code."""
    return CLASS_OF_CODE.get(code, "error")


def class_of_attempts(failures: Sequence[str | None]) -> FailureClass | None:
    """The commonest failure of attempts; None: there is none."""
    counted = Counter(failure for failure in failures if failure)
    if not counted:
        return None
    commonest: FailureClass = counted.most_common(1)[0][0]  # type: ignore[assignment]
    return commonest


def suggestions(failure: FailureClass, planned: Planned, arms: Sequence[str], workspace: Path) -> tuple[Fix, ...]:
    """Changes of the spec that plan cleanly and avoid what happened; the first is the smallest.

    Args:
        failure: what happened.
        planned: the plan that was run.
        arms: the arms whose jobs failed.
        workspace: where it was run.
    """
    spec = planned.plan.experiment.model_dump(mode="json", exclude_defaults=True)
    found = []
    for fix in _candidates(failure, spec, planned.plan, arms):
        try:
            loaded = load(_text(apply_patches(spec, fix.patches)), format="json", stem=planned.plan.experiment_name)
            plan_loaded(loaded, planned.source, planned.base, workspace)
        except (FewtuneError, KeyError):
            continue
        found.append(fix)
    return tuple(found)


def _candidates(failure: FailureClass, spec: dict[str, Any], plan: Plan, arms: Sequence[str]) -> Iterator[Fix]:
    if failure == "budget":
        limit = plan.experiment.constraints.wall_time
        for minutes in (30, 10, 5):
            if limit is None or minutes * 60 < limit.seconds:  # less than was asked for, never more
                yield _set(spec, "constraints", "wall_time", f"{minutes} min", f"plan for {minutes} minutes")
    if failure in ("out_of_memory", "worker_lost", "error") and arms:
        yield _without(spec, sorted({plan.arm(arm).method for arm in arms}))


def _without(spec: dict[str, Any], methods: Sequence[str]) -> Fix:
    """A fix that leaves methods out: excludes them, and names them no more."""
    named = spec.get("methods", {})
    kept = {
        "include": [name for name in named.get("include", ()) if name not in methods],
        "arms": [arm for arm in named.get("arms", ()) if arm["method"] not in methods],
    }
    patches = [] if "methods" in spec else [Patch(op="add", path="/methods", value={})]
    patches += [
        Patch(op="replace", path=f"/methods/{key}", value=values)
        for key, values in kept.items()
        if key in named and list(named[key]) != values
    ]
    excluded = [*named.get("exclude", ()), *(name for name in methods if name not in named.get("exclude", ()))]
    patches.append(Patch(op="add", path="/methods/exclude", value=excluded))
    title = f"leave out what failed: {', '.join(methods)}"
    return Fix(title=title, applicability="choose", patches=tuple(patches))


def _set(spec: dict[str, Any], table: str, key: str, value: Any, title: str) -> Fix:
    """A fix that sets one key of a table, which may be missing."""
    patches = [] if table in spec else [Patch(op="add", path=f"/{table}", value={})]
    there = key in spec.get(table, {})
    patches.append(Patch(op="replace" if there else "add", path=f"/{table}/{key}", value=value))
    return Fix(title=title, applicability="choose", patches=tuple(patches))


def _text(spec: dict[str, Any]) -> bytes:
    import json

    return json.dumps(spec).encode()
