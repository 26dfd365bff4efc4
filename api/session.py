"""From a file on the command line to a plan: the steps that plan, explain, apply and init share."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewtune.compiler.compilation import compile_plan
from fewtune.compiler.detectable import detectable
from fewtune.compiler.diff import Changes, KnownWork, diff
from fewtune.compiler.plan import CV, Compiled, Plan
from fewtune.compiler.price import Detectable
from fewtune.runtime.probe.probing import Probed, probe
from fewtune.specs.diagnostic import Diagnostic, FewtuneError, PlanError
from fewtune.specs.load import Loaded, load_file
from fewtune.specs.units import TIMES, Duration
from fewtune.store.looks import MANY_LOOKS, Look, looked_at, many_looks, place, shown_by
from fewtune.store.reader import Reader

if TYPE_CHECKING:
    from fewtune.api.earlier import Earlier


@dataclass(frozen=True)
class Planned:
    """A plan with everything it came from."""

    loaded: Loaded
    source: str
    """The spec's file name."""
    base: Path
    probed: Probed
    compiled: Compiled
    changes: Changes
    looks: dict[str, Look]
    """Split of the report -> the plan's place among those whose scores there were shown, or would be."""
    detectable: Detectable | None
    """What the plan can tell at its look."""
    workspace: Path

    @property
    def plan(self) -> Plan:
        """The plan itself."""
        return self.compiled.plan

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """The plan's warnings, and that of many looks, with their places in the spec."""
        look = self.look
        mind = () if look is None or look.number < MANY_LOOKS else (many_looks(look, self.split),)
        return self.loaded.located((*self.plan.warnings, *mind))

    @cached_property
    def earlier(self) -> "tuple[Earlier, ...]":
        """The experiments of this workspace that are most like it."""
        from fewtune.api.earlier import earlier

        splits = looked_at(self.probed.facts.data).values()
        return earlier(Reader(self.workspace), self.plan, splits)

    @property
    def split(self) -> str:
        """The split that the report is about."""
        return "test" if "test" in self.plan.facts.rows else CV

    @property
    def look(self) -> Look | None:
        """The plan's place among those that looked at it."""
        return self.looks.get(self.split)


def plan_spec(
    path: Path, workspace: Path, *, within: str | None = None, base: Path | None = None, roots: Sequence[Path] = ()
) -> Planned:
    """Load, probe, compile and compare with what is known.

    Args:
        path: the spec.
        workspace: the workspace's folder.
        within: a limit on the clock that replaces the spec's.
        base: the folder that the spec's paths are relative to; omitted: the file's own.
        roots: folders that the folders of models must lie below; none: anywhere.

    Raises:
        FewtuneError: with every fault, located in the spec's text.
    """
    loaded, folder = load_file(path), base or path.resolve().parent
    return plan_loaded(loaded, path.name, folder, workspace, within=within, roots=roots)


def plan_loaded(
    loaded: Loaded, source: str, base: Path, workspace: Path, *, within: str | None = None, roots: Sequence[Path] = ()
) -> Planned:
    """The same for a spec that was read.

    Raises:
        FewtuneError: with every fault, located in the spec's text.
    """
    if within is not None:
        loaded = _limited(loaded, within)
    try:
        probed = probe(loaded.experiment, base, workspace, roots)
        compiled = compile_plan(loaded.experiment, probed.facts, loaded.stem)
    except FewtuneError as error:
        raise type(error)(loaded.located(error.diagnostics), exit_status=error.exit_status) from error
    plan, reader = compiled.plan, Reader(workspace)
    changes = diff(plan, known_work(plan, reader))
    seen = reader.history().looks
    looks = {
        name: place(seen(split.digest, split.alike), plan.hash, len(plan.arms), shown_by(plan, name))
        for name, split in looked_at(probed.facts.data).items()
    }
    planned = Planned(loaded, source, base, probed, compiled, changes, looks, compiled.estimate.detectable, workspace)
    look = planned.look
    if planned.detectable is not None and look is not None and look.share < 1:
        planned = replace(planned, detectable=detectable(plan, share=look.share))
    return planned


def _limited(loaded: Loaded, within: str) -> Loaded:
    from pydantic import ValidationError
    from pydantic_core import PydanticCustomError

    unit = within.lstrip("0123456789. ")
    try:
        limit = Duration(within.removesuffix(unit) + TIMES.get(unit, unit))
    except (PydanticCustomError, ValidationError) as error:
        raise PlanError(Diagnostic(code="E-usage", message=f"within {within}: {error}"), exit_status=2) from error
    experiment = loaded.experiment
    constraints = experiment.constraints.model_copy(update={"wall_time": limit})
    return Loaded(experiment.model_copy(update={"constraints": constraints}), loaded.document, loaded.stem)


def known_work(plan: Plan, reader: Reader) -> KnownWork:
    """What earlier runs in this workspace left that the plan can use."""
    return reader.known({stage.fingerprint for stage in plan.stages}, deep=False).work(plan)


def saved_bytes(planned: Planned, base: str | None = None) -> bytes:
    """The file that `plan --save` writes: the same bytes for the same spec, facts and rules.

    Args:
        planned: the plan.
        base: the spec's folder, where apply finds the data again; omitted: as seen from the current one.
    """
    content: dict[str, Any] = {**planned.compiled.saved(), "base": base or os.path.relpath(planned.base)}
    return (json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True, allow_nan=False) + "\n").encode()
