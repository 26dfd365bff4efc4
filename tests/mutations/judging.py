"""What became of a faulty spec: what the first answer found, what its fixes mend, and whether they ask for more."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from json import JSONDecodeError, dumps, loads
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fewtune.api.checking import findings
from fewtune.compiler.compilation import compile_plan
from fewtune.runtime.probe.probing import probe
from fewtune.specs.diagnostic import Diagnostic, FewtuneError, Fix
from fewtune.specs.experiment import Experiment
from fewtune.specs.load import load
from fewtune.specs.patch import apply_patches
from fewtune.specs.rewrite import rewritten
from mutations.cases import Case
from mutations.fault import Fault, Tree

ROUNDS = 2


@dataclass(frozen=True)
class Judged:
    """One case."""

    case: Case
    found: tuple[bool, ...]
    """Of each fault, whether the first answer has a diagnostic at or one level above its place."""
    pydantic: tuple[bool, ...]
    """The same of the typed models alone."""
    diagnostics: int
    fixes: int
    unclean: int
    """Fixes whose patches do not apply, or mend nothing."""
    repaired: tuple[bool, ...]
    """Whether nothing is wrong after so many rounds of safe and likely fixes."""
    restored: bool
    """Whether the repaired spec's plan is the sound one's."""
    widened: tuple[str, ...]
    """Fixes that ask for more than the spec did."""
    seconds: float = 0.0
    answer: tuple[Diagnostic, ...] = ()


def judge(case: Case, base: Path) -> Judged:
    """Validate, repair and compare."""
    content = case.text.encode()
    answer = findings(content, case.form, base)  # type: ignore[arg-type]
    errors = [finding for finding in answer if finding.severity == "error"]
    offered = [fix for finding in answer for fix in finding.fixes]
    tree = _document(content, case, answer)
    unclean = sum(not _is_clean(fix, tree) for fix in offered if fix.patches)
    widened = tuple(fix.title for fix in offered if tree is not None and fix.patches and _widens(fix, tree))
    rounds, text, last = list[bool](), content, answer
    for _ in range(ROUNDS):
        new = rewritten(text, case.form, last)  # type: ignore[arg-type]
        if new is not None:
            text = new.encode()
            last = findings(text, case.form, base)  # type: ignore[arg-type]
        rounds.append(not any(finding.severity == "error" for finding in last))
    return Judged(
        case=case, found=tuple(_is_found(fault, errors) for fault in case.faults),
        pydantic=tuple(_by_pydantic(case)), diagnostics=len(errors), fixes=len(offered), unclean=unclean,
        repaired=tuple(rounds), restored=rounds[-1] and _hash(text, case.form, base) == sound_hash(case, base),
        widened=widened, answer=answer,
    )  # fmt: skip


def _is_found(fault: Fault, answer: list[Diagnostic]) -> bool:
    if fault.line:
        by_line = any(one.line is not None and abs(one.line - fault.line) <= 1 for one in answer)
        return by_line or _meets(fault, [one.pointer for one in answer])
    return _meets(fault, [one.pointer for one in answer])


def _meets(fault: Fault, places: list[str]) -> bool:
    return any(place == wanted or place == wanted.rpartition("/")[0] for place in places for wanted in fault.pointers)


def _by_pydantic(case: Case) -> Iterator[bool]:
    """What the typed models say of the text, read by the usual reader; names of branches in its places are skipped."""
    try:
        tree = tomllib.loads(case.text) if case.form == "toml" else loads(case.text)
    except (tomllib.TOMLDecodeError, JSONDecodeError) as error:
        line = getattr(error, "lineno", 0)
        for fault in case.faults:
            yield bool(fault.line) and (case.form == "toml" or abs(fault.line - line) <= 1)
        return
    places = list[str]()
    try:
        Experiment.model_validate(tree)
    except ValidationError as error:
        places = [_pointer(details["loc"], tree) for details in error.errors(include_url=False)]
    yield from (_meets(fault, places) for fault in case.faults)


def _pointer(location: tuple[Any, ...], tree: Any) -> str:
    place = ""
    for part in location:
        inside = (isinstance(tree, dict) and part in tree) or (isinstance(tree, list) and isinstance(part, int))
        if inside:
            tree = tree[part]
            place += f"/{part}"
    return place


def _document(content: bytes, case: Case, answer: tuple[Diagnostic, ...]) -> Tree | None:
    """What the patches are for: the text as its document, its syntax mended by the edits that are offered."""
    from fewtune.specs.recovery import recover

    edited = [finding for finding in answer if any(fix.edits for fix in finding.fixes)]
    text = rewritten(content, case.form, edited)  # type: ignore[arg-type]
    found = recover(content if text is None else text.encode(), case.form)  # type: ignore[arg-type]
    return found.document.tree if found.document else None


def _is_clean(fix: Fix, tree: Tree | None) -> bool:
    if tree is None:
        return False
    try:
        return dumps(apply_patches(tree, fix.patches), default=str) != dumps(tree, default=str)
    except KeyError:
        return False


HERE = ("smollm2-135m-instruct",)
"""The models on a machine that has pulled none: to name one of them asks for no more."""
LIMITS = ("gpu_memory", "gpu_hours", "wall_time", "disk", "latency", "trials", "forgetting")
SIZES = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
TIMES = {"ms": 1e-3, "s": 1, "min": 60, "h": 3600, "days": 86_400}


def _widens(fix: Fix, before: Tree) -> bool:
    """Whether a fix asks for more: told from the trees alone, without the product's own judgement."""
    try:
        after = apply_patches(before, fix.patches)
    except KeyError:
        return False
    old, new = _asked(before), _asked(after)
    raised = any(name in old and (name not in new or new[name] > old[name]) for name in LIMITS
                 if not (name not in new and fix.applicability == "choose"))  # fmt: skip
    written = set(_texts(before))
    named = {text for text in _identifiers(after) if text not in written and text not in HERE}
    outside = {text for text in _texts(after) if _leaves(text)} - {text for text in _texts(before) if _leaves(text)}
    seeds = any(_seeds(after, name) < _seeds(before, name) for name in ("data_seeds", "model_seeds"))
    return raised or bool(named) or any(text != after.get("notes") for text in outside) or seeds


def _asked(tree: Tree) -> dict[str, float]:
    found = {}
    limits = tree.get("constraints")
    for name, value in limits.items() if isinstance(limits, dict) else ():
        if name in LIMITS and isinstance(value, (int, float)) and value >= 0 and name in ("trials", "forgetting"):
            found[name] = float(value)
        elif name in LIMITS and isinstance(value, str):
            number, _, unit = value.partition(" ")
            scales = SIZES if name in ("gpu_memory", "disk") else TIMES  # another unit limits nothing
            if unit in scales and number.replace(".", "", 1).isdigit():
                found[name] = float(number) * scales[unit]
    return found


def _identifiers(tree: Tree) -> Iterator[str]:
    model, data = tree.get("model"), tree.get("data")
    for key in ("name", "encoder"):
        value = model.get(key) if isinstance(model, dict) else None
        yield from (value,) if isinstance(value, str) else ()
    for source in data.values() if isinstance(data, dict) else ():
        hub = source.get("hub") if isinstance(source, dict) else None
        yield from (hub,) if isinstance(hub, str) else ()


def _texts(tree: Any) -> Iterator[str]:
    items = tree.values() if isinstance(tree, Mapping) else tree if isinstance(tree, (list, tuple)) else ()
    for item in items:
        yield from (item,) if isinstance(item, str) else _texts(item)


def _leaves(text: str) -> bool:
    return text.startswith(("/", "~")) or text.startswith("../") or "/../" in text or "://" in text


def _seeds(tree: Tree, name: str) -> int:
    evaluation = tree.get("evaluation")
    value = evaluation.get(name) if isinstance(evaluation, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 50 else 0


def sound_hash(case: Case, base: Path) -> str:
    """The plan hash of the sound spec."""
    return _plan_hash(dumps(case.good, sort_keys=True), str(base))


@lru_cache(maxsize=4000)
def _plan_hash(tree: str, base: str) -> str:
    return _hash(tree.encode(), "json", Path(base))


def _hash(content: bytes, form: str, base: Path) -> str:
    try:
        experiment = load(content, format=form).experiment  # type: ignore[arg-type]
        return compile_plan(experiment, probe(experiment, base, base).facts, "case").plan.hash
    except FewtuneError:
        return "none"
