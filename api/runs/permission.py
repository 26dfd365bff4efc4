"""The operator's policy on this machine, and its answer to a plan."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from fewtune.api.absent import absent, unready
from fewtune.api.session import Planned
from fewtune.compiler.admission import Admission, admit
from fewtune.runtime.folders import is_below
from fewtune.specs.diagnostic import Diagnostic, PlanError, RunError
from fewtune.specs.policy import NO_POLICY, Channel, Policy, read_policy
from fewtune.store.submissions import Submissions
from fewtune.store.workspace import Workspace

CHECK_SECONDS = 2.0
"""Between two looks at the clock and the disk while a run goes on."""


def policy_path() -> Path:
    """Where the operator's policy is: $FEWTUNE_POLICY, or policy.toml in the user's configuration folder."""
    given = os.environ.get("FEWTUNE_POLICY")
    if given:
        return Path(given)
    from platformdirs import user_config_path

    return user_config_path("fewtune") / "policy.toml"


def operators_policy() -> Policy:
    """The policy in force; `NO_POLICY` where there is no file.

    Raises:
        PlanError: E-policy where a file is there and cannot be read: it then allows nothing.
    """
    path = policy_path()
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if os.environ.get("FEWTUNE_POLICY"):
            message = f"there is no policy file {path}, which $FEWTUNE_POLICY names"
            raise PlanError(Diagnostic(code="E-policy", message=message), exit_status=13) from None
        return NO_POLICY
    except OSError as error:
        message = f"the policy file {path} cannot be read: {error.strerror or error}"
        raise PlanError(Diagnostic(code="E-policy", message=message), exit_status=13) from error
    return read_policy(content, str(path))


def check_place(folder: Path, policy: Policy) -> None:
    """Refuse a folder that is not below one of the policy's roots.

    Raises:
        PlanError: E-policy.
    """
    if policy.roots is None or is_below(folder, map(Path, policy.roots)):
        return
    message = "this folder is below none of the roots of the operator's policy"
    remedy = "work in one of the folders that the policy names"
    raise PlanError(Diagnostic(code="E-policy", message=message, remedy=remedy), exit_status=13)


def admission(planned: Planned, workspace: Path, policy: Policy, channel: Channel) -> Admission:
    """The policy's answer to a plan, with what was spent and looked at so far.

    Raises:
        PlanError: E-policy for a folder outside the roots.
    """
    check_place(planned.base, policy)
    for named in (planned.plan.experiment.model.path, planned.plan.experiment.model.encoder_path):
        if named is not None:
            check_place(planned.base / named, policy)
    spent = Submissions(Workspace(workspace.absolute())).spent(policy.totals.window.seconds)
    looks = {split: look.number for split, look in planned.looks.items()}
    return admit(planned.compiled, policy, channel, spent, looks)


def permit(planned: Planned, workspace: Path, policy: Policy, channel: Channel = "terminal") -> "Ceiling":
    """Let a plan run, or say whose word it needs.

    Raises:
        RunError: E-approval, E-policy.
    """
    found = admission(planned, workspace, policy, channel)
    if found.refused:
        raise RunError(found.refused, exit_status=13)
    approved = Submissions(Workspace(workspace.absolute())).approval(planned.plan.hash)
    if found.over and approved is None:
        raise RunError(needs_word(found, planned.plan.hash), exit_status=5)
    return Ceiling.of(policy, workspace, approved=approved is not None)


def needs_word(found: Admission, plan_hash: str) -> tuple[Diagnostic, ...]:
    """What is above the policy's ceilings, and what would get below them."""
    return tuple(
        Diagnostic(
            code="E-approval", message=f"above the operator's ceiling: {excess}", expected=f"{excess.allowed:.4g}",
            got=f"{excess.asked:.4g}",
            remedy=f"less: {excess.lower}; or the operator's word: fewtune approve SPEC (plan {plan_hash[:6]})",
        )
        for excess in found.over
    )  # fmt: skip


def operators_notes(planned: Planned, workspace: Path) -> tuple[Diagnostic, ...]:
    """What would keep this plan from running at the terminal, as warnings: the policy, what is not on this machine."""
    found = admission(planned, workspace, operators_policy(), "terminal")
    missing = absent(planned)
    said = (
        *found.refused, *needs_word(found, planned.plan.hash), *((missing,) if missing else ()), *unready(planned),
    )  # fmt: skip
    return tuple(one.model_copy(update={"severity": "warning"}) for one in said)


@dataclass
class Ceiling:
    """What a run may take on the clock and on the disk; looked at while it goes on."""

    seconds: float | None = None
    """On the clock; None: no ceiling."""
    growth_bytes: int | None = None
    """Of the workspace; None: no ceiling."""
    workspace: Path = Path()
    began: float = field(default_factory=time.monotonic)
    size_before: int = 0
    checked: float = 0.0

    @classmethod
    def of(cls, policy: Policy, workspace: Path, *, approved: bool) -> "Ceiling":
        """The policy's own ceilings; none where the operator let this plan pass them."""
        if approved:
            return cls()
        wall = policy.each.wall_time
        return cls.for_run(
            wall.seconds if wall else None, policy.each.disk.bytes if policy.each.disk else None, workspace
        )

    @classmethod
    def for_run(cls, seconds: float | None, growth_bytes: int | None, workspace: Path) -> "Ceiling":
        """Start to count now."""
        return cls(seconds, growth_bytes, workspace, size_before=_size(workspace) if growth_bytes is not None else 0)

    def check(self) -> None:
        """Raise RunError E-ceiling once the run has taken more than it may."""
        now = time.monotonic()
        if now - self.checked < CHECK_SECONDS:
            return
        self.checked = now
        if self.seconds is not None and now - self.began > self.seconds:
            raise _over(f"the run took {now - self.began:.0f} s; it was admitted with {self.seconds:.0f} s")
        if self.growth_bytes is not None:
            grown = _size(self.workspace) - self.size_before
            if grown > self.growth_bytes:
                raise _over(f"the run left {grown:,} bytes; it was admitted with {self.growth_bytes:,}")


def _over(message: str) -> RunError:
    remedy = "what is finished is kept; plan for less, or the operator raises the ceiling and the next apply goes on"
    return RunError(Diagnostic(code="E-ceiling", message=message, remedy=remedy), exit_status=6)


def _size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue  # gone meanwhile
    return total
