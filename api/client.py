"""The verbs as methods, for programs: typed frozen results, nothing printed, no state but where it works.

A client can be made anew at any time from a folder alone; handles of runs are on the disk. Faults are raised as one
exception type, `FewtuneError`, which carries the same diagnostics as the command line; `validate` raises none for what
a spec says, only where there is none to read.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewtune.api.answers import Results, results
from fewtune.api.checking import Checked, check
from fewtune.api.comparing import Compared, compare_arms
from fewtune.api.given import Given, SpecInput, given, inside
from fewtune.api.planning import explained
from fewtune.api.querying import ask
from fewtune.api.running import Applied, How, apply
from fewtune.api.runs import following, submitting
from fewtune.api.runs.ending import ending
from fewtune.api.runs.following import Page, Status
from fewtune.api.runs.permission import admission, check_place, operators_policy, permit
from fewtune.api.runs.submitting import Cancelled, Launch, Launched, supervisor_command
from fewtune.api.session import Planned, plan_loaded
from fewtune.api.starting import Made, draft, start
from fewtune.api.what_if import with_changes
from fewtune.compiler.admission import Admission
from fewtune.compiler.decision import Decision
from fewtune.runtime.applying import Reporter
from fewtune.runtime.folders import workspace_folder
from fewtune.runtime.job import Progress
from fewtune.specs.diagnostic import Diagnostic, PlanError, RunError
from fewtune.specs.evaluation import Metric
from fewtune.specs.policy import Channel, Policy
from fewtune.store.query import BYTES, Answer
from fewtune.store.submission import Asked
from fewtune.store.submissions import Submitted

if TYPE_CHECKING:
    from fewtune.api.erring import Errors
    from fewtune.api.using import Predicted
    from fewtune.compiler.evidence import Evidence

LONGEST_WAIT = 25.0
"""Seconds that a call waits at most for an agent: many clients give up after a minute."""
POLL_SECONDS = 0.2


class Quiet:
    """A reporter that says nothing."""

    def began(self, run: str, jobs: int, seconds: float) -> None:
        """A run began."""

    def progress(self, progress: Progress) -> None:
        """A sign of life."""

    def ended(self, job: str, outcome: str, done: int, jobs: int, left: float) -> None:
        """A job ended."""

    def said(self, text: str) -> None:
        """Something worth a line."""


@dataclass(frozen=True)
class Client:
    """A folder with specs and data, and a workspace with results.

    Attributes:
        root: the folder that paths are relative to. An agent's paths may not leave it or the policy's roots.
        workspace: where results are kept; omitted: $FEWTUNE_WORKSPACE, else .fewtune below the root.
        channel: terminal, or agent: what the operator's policy grants to whom.
        policy: the operator's; omitted: the one in force on this machine, read at each call.
        name: who calls, for the record.
        launch: the command that supervises a submitted plan.
    """

    root: Path = field(default_factory=Path.cwd)
    workspace: Path | None = None
    channel: Channel = "terminal"
    policy: Policy | None = None
    name: str = "python"
    launch: Launch = supervisor_command

    @property
    def folder(self) -> Path:
        """The workspace that is meant."""
        return (self.root / workspace_folder(self.workspace)).absolute()

    @property
    def in_force(self) -> Policy:
        """The operator's policy in force; PlanError E-policy where its file cannot be read."""
        return self.policy or operators_policy()

    def read(self, spec: SpecInput) -> Given:
        """A spec as given.

        Raises:
            FewtuneError: E-file-missing, E-path, or E-policy for a folder outside the policy's roots.
        """
        agents, policy = self.channel == "agent", self.in_force
        roots = self._roots(policy)
        found = given(spec, self.root, roots if agents else ())
        check_place(found.base, policy)
        return replace(found, roots=roots) if agents or policy.roots is not None else found

    def _file(self, path: str | Path) -> Path:
        """A file that may be used here; E-path, E-policy."""
        policy = self.in_force
        found = inside(self.root / path, self._roots(policy)) if self.channel == "agent" else self.root / path
        check_place(found.parent, policy)
        return found

    def _may(self, what: str) -> None:
        """Refuse an agent what changes anything, unless the operator lets it; RunError E-policy."""
        if self.channel == "agent" and not self.in_force.agents_submit:
            message = f"the operator's policy lets agents read and plan, not {what}"
            raise RunError(Diagnostic(code="E-policy", message=message), exit_status=13)

    def _roots(self, policy: Policy) -> tuple[Path, ...]:
        return self.root, *map(Path, policy.roots or ())

    # The spec and its plan.

    def init(
        self, data: str | Path, output: str | Path | None = None, *, label: str | None = None, text: str | None = None
    ) -> Made:
        """Write a spec for a data file; see `fewtune.api.starting.start`."""
        self._may("write specs")
        target = None if output is None else self._file(output)
        return start(self._file(data), target, label=label, text=text)

    def draft(self, data: str | Path, *, label: str | None = None, text: str | None = None) -> Made:
        """The same without writing anything: a spec for the client's root, whose text may be planned at once."""
        path = self._file(data)
        return draft(path, self.root / f"{path.stem}.toml", label=label, text=text)

    def validate(self, spec: SpecInput, *, fix: bool = False) -> Checked:
        """Every fault at once; never raises for what a spec says."""
        return check(self.read(spec), fix=fix)

    def plan(
        self, spec: SpecInput, *, within: str | None = None, what_if: Sequence[str | dict[str, Any]] = ()
    ) -> Planned:
        """What apply would do, and why.

        Args:
            spec: a path, a text or values.
            within: a limit on the clock that replaces the spec's.
            what_if: changes: KEY=VALUE, or RFC 6902 patches.

        Raises:
            FewtuneError: with every fault.
        """
        found = self.read(spec)
        if not what_if:
            return found.planned(self.folder, within=within)
        asked = [change if isinstance(change, str) else _json(change) for change in what_if]
        changed = with_changes(found.loaded(), asked)
        return plan_loaded(changed, found.name, found.base, self.folder, within=within, roots=found.roots)

    def admission(self, planned: Planned) -> Admission:
        """What the operator's policy says to a plan."""
        return admission(planned, self.folder, self.in_force, self.channel)

    def explained(self, spec: SpecInput, pointer: str | None = None) -> tuple[Planned, list[Decision]]:
        """The plan, and what `explain` answers."""
        planned = self.plan(spec)
        return planned, explained(planned.plan, pointer)

    def explain(self, spec: SpecInput, pointer: str | None = None) -> list[Decision]:
        """The decisions at a pointer, of a name, or all; FewtuneError E-not-found where there is none."""
        return self.explained(spec, pointer)[1]

    # Runs.

    def apply(self, spec: SpecInput, *, how: How | None = None, reporter: Reporter | None = None) -> Applied:
        """Run what is missing, and wait for it. Only from a file: what is applied must be found again.

        Raises:
            FewtuneError: the plan is refused, above a ceiling, stale or edited; the workspace is busy.
        """
        path = self.read(spec).path
        if path is None:
            message = "apply takes a spec's file"
            raise RunError(Diagnostic(code="E-usage", message=message, remedy="or submit the values"), exit_status=2)
        return apply(
            path, self.folder, how or How(), reporter or Quiet(),
            permit=lambda planned: permit(planned, self.folder, self.in_force, self.channel).check,
        )  # fmt: skip

    def submit(
        self,
        spec: SpecInput,
        plan_hash: str | None = None,
        *,
        within: str | None = None,
        what_if: Sequence[str | dict[str, Any]] = (),
        again: bool = False,
        asked: Asked | None = None,
    ) -> Launched:
        """Hand in a plan that runs by itself; the same plan is begun once.

        Args:
            spec: a path, a text or values.
            plan_hash: of the plan that was looked at; another one is refused.
            within: as it was planned.
            what_if: as it was planned.
            again: whether a plan that ended without success is begun once more.
            asked: how it is to be executed.

        Raises:
            FewtuneError: E-plan-stale, E-policy, or the spec's faults.
        """
        planned = self.plan(spec, within=within, what_if=what_if)
        if plan_hash is not None and plan_hash != planned.plan.hash:
            message = "this spec, with its data and the rules as they are now, gives another plan"
            remedy = "give within and what_if as they were planned, or plan it again and look at what has changed"
            found = Diagnostic(
                code="E-plan-stale", message=message, expected=planned.plan.hash, got=plan_hash[:64], remedy=remedy
            )
            raise PlanError(found, exit_status=4)
        return submitting.submit(
            planned, self.folder, self.in_force, self.channel, asked=asked, again=again, client=self.name,
            launch=self.launch,
        )  # fmt: skip

    def status(self, handle: str) -> Status:
        """Where a run stands. StoreError E-not-found for an unknown handle."""
        return following.status(self.folder, handle)

    def recent(self, limit: int = 10) -> list[Status]:
        """Runs that are not over, and the latest that are."""
        return following.recent(self.folder, limit)

    def events(self, handle: str, cursor: str | None = None, *, content: bool = False) -> Page:
        """What happened after a cursor."""
        return following.events(self.folder, handle, cursor, content=content)

    def wait(self, handle: str, seconds: float = LONGEST_WAIT) -> Status:
        """The run's status, once it is over, it waits for the operator, or so many seconds have passed."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.status(handle)
            if found.next_poll_s == 0 or found.state == "awaiting_approval" or time.monotonic() >= deadline:
                return found
            time.sleep(POLL_SECONDS)

    def ending(self, handle: str) -> dict[str, Any] | None:
        """How a submitted run ended: verdict, cost, failure with changes that would avoid it; None: it has not.

        Raises:
            StoreError: E-not-found.
        """
        return ending(self.folder, handle)

    def cancel(self, handle: str, *, at_once: bool = False, dry_run: bool = False) -> Cancelled:
        """End a run: at its next step, or at once. What is finished is kept.

        Raises:
            FewtuneError: E-not-found; E-policy where agents may not; E-usage for a run that was not submitted.
        """
        self._may("cancel")
        found = following.find(self.folder, handle)
        if not isinstance(found, Submitted):
            message, remedy = f"run {handle} is applied in the foreground", "end it there: Ctrl-C"
            raise RunError(Diagnostic(code="E-usage", message=message, remedy=remedy), exit_status=2)
        return submitting.cancel(found, at_once=at_once, dry_run=dry_run)

    # Results.

    def results(self, experiment: str | None = None) -> Results:
        """Verdict and leaderboard."""
        return results(self.folder, experiment)

    def compare(
        self, a: str, b: str, *, metric: Metric | None = None, split: str | None = None, n: int | None = None
    ) -> Compared:
        """Two arms, each an arm of the latest run or RUN/ARM, on the same items."""
        return compare_arms(self.folder, a, b, metric=metric, split=split, n=n)

    def sql(self, query: str, limit: int = 200, *, max_bytes: int = BYTES) -> Answer:
        """One SELECT on the published results; so many rows, and bytes of rows as JSON, at most."""
        return ask(self.folder, query, limit, max_bytes=max_bytes)[0]

    def report(self, output: str | Path = "report.html", run: str | None = None) -> Path:
        """Write the page of a run, or of the latest; returns its file.

        Raises:
            FewtuneError: E-nothing-to-show, E-not-found; E-usage where another file is there; E-policy.
        """
        from fewtune.api.report.findings import find
        from fewtune.api.report.page import write_report

        self._may("write reports")
        target = self._file(output)
        write_report(find(self.folder, run), target)
        return target

    def errors(self, spec: str | Path, arm: str | None = None) -> "Errors":
        """Confusions of an arm, or of the chosen one, and rows whose labels look wrong."""
        from fewtune.api.erring import errors

        return errors(self._file(spec), self.folder, arm, lambda said: None)

    # The model.

    def predict(
        self, source: str | Path, *, arm: str | None = None, run: str | None = None, precision: str | None = None,
        probabilities: bool = False,
    ) -> "Predicted":  # fmt: skip
        """Labels or texts for the rows of a data file by the chosen arm, or by another that was fitted on all labels.

        Args:
            source: a file with the spec's columns.
            arm: omitted: the chosen one.
            run: omitted: the latest.
            precision: bf16 or fp32; omitted: as trained.
            probabilities: whether they are asked for.

        Raises:
            FewtuneError: nothing is fitted, the file cannot be read, or a column is missing.
        """
        from fewtune.api.using import predict_source

        return predict_source(
            self.folder, str(self._file(source)), run=run, arm=arm, precision=precision, probabilities=probabilities
        )

    def export(
        self, folder: str | Path, *, merged: bool = False, precision: str = "fp32", arm: str | None = None,
        run: str | None = None,
    ) -> Path:  # fmt: skip
        """Write the chosen model as an adapter, or merged as a whole model; returns the new folder.

        Raises:
            FewtuneError: the folder is not empty, nothing is fitted, or the arm moved no weights; E-policy.
        """
        from fewtune.api.using import export_folder

        self._may("export models")
        target = self._file(folder)
        export_folder(self.folder, target, merged=merged, precision=precision, run=run, arm=arm)
        return target

    # fewtune itself.

    def brief(self) -> str:
        """The page that an agent reads first."""
        from fewtune.api.concise import budget
        from fewtune.api.pages.brief import brief

        return brief(budget(self))

    def describe(self, topic: str | None = None, name: str | None = None) -> str:
        """A page; without a topic the list of topics. StoreError E-not-found where there is none."""
        from fewtune.api.pages.describing import described

        found = described(topic, name)
        return str(found["text"]) if "text" in found else "\n".join(found["topics"])

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the spec language."""
        from fewtune.specs.schema import json_schema

        return json_schema()

    def rules(self, about: str | None = None, *, strength: str | None = None) -> "list[Evidence]":
        """The rows of evidence: of a decision, a method or a word; of a strength."""
        from fewtune.api.ruling import rule_rows

        return rule_rows(about, strength, None)


def _json(value: dict[str, Any]) -> str:
    import json

    return json.dumps([value])
