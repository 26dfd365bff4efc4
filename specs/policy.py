"""What the operator allows: a file that no spec can name, read or widen.

Authority never comes from a spec. A policy is the operator's, lies outside the folders that an agent edits, and binds
every apply on this machine; what is above a ceiling needs the operator's word at the terminal (``fewtune approve``).
"""

import tomllib
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, StrictBool, StringConstraints, ValidationError

from fewtune.specs.diagnostic import Diagnostic, PlanError
from fewtune.specs.frozen import Frozen
from fewtune.specs.patch import pointer_to
from fewtune.specs.units import DeviceTime, Duration, Size

Channel = Literal["terminal", "agent"]
"""How a request came: the command line, or a client that works through MCP."""
Count = Annotated[int, Field(ge=0, le=1_000_000_000, strict=True)]
MAX_BYTES = 64 * 1024
PORTS = {"http": 80, "https": 443}


class Ceilings(Frozen):
    """For one plan; what is above any of them needs the operator's word. Omitted: no ceiling."""

    trials: Count | None = None
    """Trials of one plan."""
    device_hours: DeviceTime | None = None
    """Device time of one plan at the upper end of its estimate: GPU-hours, or without a GPU the machine's hours."""
    wall_time: Duration | None = None
    """Time of one plan on the clock, at the upper end of its estimate."""
    disk: Size | None = None
    """What one plan may leave on the disk."""
    looks: Count | None = None
    """Different plans whose scores on one test split may be shown; the next one is above."""
    teacher_tokens: Count | None = None
    """Tokens that a teacher may be asked for."""


class Totals(Frozen):
    """For all plans that were submitted to a workspace within a window of time, but for those that wait for a word."""

    window: Duration = Duration("1 days")
    """How far back submissions count."""
    device_hours: DeviceTime | None = None
    """Device time: reserved at the upper end of the estimate, settled at what a run really took."""
    submissions: Count | None = None
    """Submitted plans."""


class Policy(Frozen):
    """The operator's word on what may be done without asking again."""

    policy_version: Literal[1]
    roots: tuple[Annotated[str, StringConstraints(min_length=1, max_length=1000)], ...] | None = None
    """Folders that specs may lie and read in. Omitted: the folder in which fewtune was started."""
    models: tuple[Annotated[str, StringConstraints(min_length=1, max_length=200)], ...] | None = None
    """Patterns of base models ("HuggingFaceTB/*", "smollm2-135m-instruct"). Omitted: any that is on this machine."""
    network: StrictBool = True
    """Whether `pull` may fetch models and data."""
    teachers: tuple[Annotated[str, StringConstraints(max_length=300)], ...] = ()
    """Patterns of addresses ("http://localhost:*", "https://api.example.com:443") to which examples may be sent, and
    keys that a spec names."""
    clusters: tuple[Annotated[str, StringConstraints(max_length=200)], ...] = ()
    """Addresses of Ray clusters that `apply --cluster` may use."""
    agents_submit: StrictBool = False
    """Whether clients that work through MCP may submit and cancel; without it they read and plan only."""
    each: Ceilings = Ceilings()
    totals: Totals = Totals()

    def allows_teacher(self, address: str) -> bool:
        """Whether a teacher at this address may be asked: its scheme, host and port are matched, and nothing else."""
        try:
            parts = urlsplit(address)
            place = f"{parts.scheme}://{parts.hostname}:{parts.port or PORTS[parts.scheme]}"
        except (ValueError, KeyError):  # no port number, or no address of the web
            return False
        plain = parts.hostname is not None and "@" not in parts.netloc  # what stands before an @ is no host
        return plain and any(fnmatchcase(place, pattern.rstrip("/")) for pattern in self.teachers)

    def allows_model(self, name: str) -> bool:
        """Whether a base model of this name may be used."""
        return self.models is None or any(fnmatchcase(name, pattern) for pattern in self.models)


NO_POLICY = Policy(policy_version=1, clusters=("*",), teachers=("*",))
"""Without a file: at a terminal no ceilings but the spec's; over MCP, read and plan only."""


def read_policy(content: bytes, place: str) -> Policy:
    """Read a policy file.

    Args:
        content: TOML.
        place: the file's path, for messages.

    Raises:
        PlanError: E-policy, each fault with its pointer. A policy that cannot be read allows nothing.
    """
    if len(content) > MAX_BYTES:
        raise PlanError(_fault(f"{place} is longer than 64 KiB"), exit_status=13)
    try:
        tree: dict[str, Any] = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise PlanError(_fault(f"{place} is not valid TOML: {error}"), exit_status=13) from error
    try:
        return Policy.model_validate(tree)
    except ValidationError as error:
        found = [_of_field(place, one["loc"], one["type"], one["msg"]) for one in error.errors(include_input=False)]
        raise PlanError(found, exit_status=13) from error


def _of_field(place: str, path: tuple[int | str, ...], kind: str, message: str) -> Diagnostic:
    """One fault of a field, with the nearest name of a key that is none."""
    name = ".".join(map(str, path))
    if kind != "extra_forbidden":
        return _fault(f"{place}: {name}: {message[:1].lower()}{message[1:]}", pointer_to(*path))
    tables: dict[str, type[Frozen]] = {"each": Ceilings, "totals": Totals}
    owner = tables.get(str(path[0]), Policy) if len(path) > 1 else Policy
    near = next(iter(get_close_matches(str(path[-1]), [*owner.model_fields], n=1)), None)
    fault = _fault(f"{place}: there is no key {name}", pointer_to(*path))
    return fault.model_copy(update={"nearest": near, "expected": ", ".join(owner.model_fields)})


def _fault(message: str, pointer: str = "") -> Diagnostic:
    remedy = "mend the policy file: `fewtune describe policy` has one; until then nothing is run"
    return Diagnostic(code="E-policy", message=message[:400], pointer=pointer, remedy=remedy)
