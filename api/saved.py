"""Plans that were saved: planned again from the spec inside, and refused where the result differs."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fewtune.api.session import Planned, plan_spec
from fewtune.compiler.plan import Compiled
from fewtune.runtime.folders import is_below
from fewtune.specs.diagnostic import Diagnostic, PlanError
from fewtune.specs.experiment import Experiment


def plan_any(path: Path, workspace: Path, *, within: str | None = None) -> Planned:
    """Plan a spec, or the spec inside a saved plan."""
    if is_saved(path):
        if within is not None:
            message = f"--within {within}: a saved plan is applied as it is"
            remedy = "plan the spec again with --within, or leave it out"
            raise PlanError(Diagnostic(code="E-usage", message=message, remedy=remedy), exit_status=2)
        return plan_file(path, workspace)
    return plan_spec(path, workspace, within=within)


def is_saved(path: Path) -> bool:
    """Whether this is a file of `plan --save`; a spec has no plan_hash."""
    if path.suffix != ".json" or not path.is_file():
        return False
    with path.open("rb") as handle:
        return b'"plan_hash"' in handle.read(20_000_000)


def plan_file(path: Path, workspace: Path, where: Path = Path(), roots: Sequence[Path] = ()) -> Planned:
    """Plan the spec that a saved plan holds, and refuse the file if the result is not the same.

    Args:
        path: the file.
        workspace: where results are kept.
        where: the folder from which the file names the spec's.
        roots: folders that the spec's folder and those of models must lie below; none: anywhere.

    Raises:
        PlanError: E-plan-edited where the file contradicts itself, E-plan-stale where facts or rules have changed,
            E-path where it names a folder outside.
    """
    saved = _read_saved(path)
    spec = saved["plan"]["experiment"]
    base = (where / saved.get("base", ".")).resolve()
    if roots and not is_below(base, roots):
        raise PlanError(Diagnostic(code="E-path", message="the plan's spec lies outside the folders that may be used"))
    planned = _plan_experiment(spec, saved["plan"]["experiment_name"], base, workspace, roots)
    if saved["plan"] != planned.plan.model_dump(mode="json"):
        raise PlanError(_stale(saved, planned.compiled), exit_status=4)
    return planned


def _read_saved(path: Path) -> dict[str, Any]:
    try:
        saved: dict[str, Any] = json.loads(path.read_bytes())
        plan = saved["plan"]
        Experiment.model_validate(plan["experiment"])
        plan["facts"]["identity"], plan["rule_set"], plan["experiment_name"], saved["plan_hash"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        message = f"{path.name} is not a whole plan"
        remedy = "save it again: fewtune plan SPEC --save FILE"
        raise PlanError(Diagnostic(code="E-plan-edited", message=message, remedy=remedy), exit_status=4) from error
    return saved


def _plan_experiment(spec: dict[str, Any], name: str, base: Path, workspace: Path, roots: Sequence[Path]) -> Planned:
    """Plan a spec that is given as values."""
    with tempfile.TemporaryDirectory() as scratch:
        written = Path(scratch) / f"{name}.json"
        written.write_text(json.dumps(spec))
        return plan_spec(written, workspace, base=base, roots=roots)


def _stale(saved: dict[str, Any], compiled: Compiled) -> Diagnostic:
    """Say which part differs: facts, rules, or the file itself."""
    was, now = saved["plan"], compiled.plan
    if was["facts"].get("identity") != now.facts.identity:
        reason, code = "the data, the model or the device are not those of the plan", "E-plan-stale"
    elif was.get("rule_set") != now.rule_set:
        reason, code = f"the plan was made with other rules ({was.get('rule_set')}, now {now.rule_set})", "E-plan-stale"
    else:
        reason, code = "the file says something else than its spec and facts give", "E-plan-edited"
    return Diagnostic(code=code, message=reason, got=str(saved["plan_hash"]), expected=now.hash,
                      remedy="plan again: fewtune plan SPEC --save FILE")  # fmt: skip
