"""All stages over one set of seeds: analysis, generation, filter; and what came out, as one value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

from fewtune.compiler.fingerprint import fingerprint
from fewtune.compiler.sample import quotas
from fewtune.runtime.augment.agreement import Judge
from fewtune.runtime.augment.analysis import Analysis, analyse
from fewtune.runtime.augment.eda import eda, neighbours
from fewtune.runtime.augment.example import Candidate, Kept, Rejected, Seed, texts
from fewtune.runtime.augment.filter import Filter
from fewtune.runtime.augment.generation import Plan, generate
from fewtune.runtime.augment.leakage import leaks, likenesses
from fewtune.runtime.augment.ledger import Ledger
from fewtune.runtime.augment.prompting import Brief
from fewtune.runtime.augment.teacher import Teacher
from fewtune.runtime.augment.vectors import Encode
from fewtune.specs.diagnostic import Diagnostic, RunError
from fewtune.specs.frozen import Frozen

CHECKED: dict[Judge, str] = {
    "cross-fitted": "",
    "seeds": "labels were checked by the seeds alone: too few examples, or too alike, to say anything of each other",
    "": "labels could not be checked, their quality is unknown: too few examples, or seeds that do not tell the labels",
}
"""Who checked the labels -> what a reader must know of it."""


class Synthetic(Frozen):
    """A synthetic data set, its provenance, and what it was chosen from."""

    kept: tuple[Kept, ...]
    rejected: tuple[Rejected, ...]
    analysis: Analysis
    stopped: str
    """Why generation ended; empty: there was no teacher."""
    calls: int = 0
    tokens: int = 0
    cost: float = 0.0
    share: float
    """Of the candidates that passed the tests."""
    judge: Judge = ""
    """Who checked the labels; empty: nobody could."""
    wrong_rate: float | None = None
    """Estimated share of wrong labels among what was checked."""
    note: str = ""

    @property
    def fingerprint(self) -> str:
        """Names the examples and their order."""
        return fingerprint("synthetic", [[one.candidate.fields, one.candidate.label] for one in self.kept])

    @property
    def reasons(self) -> dict[str, int]:
        """Reason -> how many were left out for it."""
        found: dict[str, int] = {}
        for one in self.rejected:
            found[one.reason] = found.get(one.reason, 0) + 1
        return found


@dataclass
class Synthesis:
    """Settings of all stages."""

    brief: Brief
    target: int
    """Readable examples that the teacher is to write, and the most that stay; 0: there is no target."""
    label_plan: str | Mapping[str, float] = "balanced"
    """balanced (with the seeds), proportional (to the seeds), or label -> weight."""
    quality_threshold: float = 0.85
    diversity_weight: float = 0.3
    want: int | None = None
    """Examples that are to stay at most; None: all that pass."""
    encode: Encode | None = None
    evaluation: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Evaluation split -> its texts."""
    say: Callable[[str], None] = lambda text: None

    def run(self, seeds: Sequence[Seed], teacher: Teacher, ledger: Ledger) -> Synthetic:
        """Ask the teacher and filter what it wrote.

        Raises:
            RunError: E-teacher, E-not-recorded.
        """
        analysis = analyse(seeds, self.brief.labels, self.encode)
        self.say("; ".join(analysis.lines()))
        written = generate(self.brief, self.plan(seeds), seeds, analysis, teacher, ledger, self.say)
        return self.filtered(seeds, analysis, written.candidates, teacher.note, written.stopped, written.ledger)

    def plan(self, seeds: Sequence[Seed]) -> Plan:
        """Label -> how many examples are asked for.

        Raises:
            RunError: E-usage for a plan that names no label of the seeds, or another one.
        """
        names = self.brief.labels
        self._check(names)
        have = [sum(seed.label == label for seed in seeds) for label in range(len(names))]
        if self.label_plan == "balanced":
            return {label: count for label, count in enumerate(levelled(have, self.target)) if count}
        weights = [float(count) for count in have]
        if isinstance(self.label_plan, Mapping):
            weights = [float(self.label_plan.get(name, 0.0)) for name in names]
        shares = quotas([ceil(1e6 * weight / sum(weights)) for weight in weights], self.target)
        return {label: count for label, count in enumerate(shares) if count}

    def _check(self, names: Sequence[str]) -> None:
        plan, message = self.label_plan, ""
        if isinstance(plan, str):
            message = "" if plan in ("balanced", "proportional") else f"{plan!r} is no label plan"
        elif strange := [name for name in plan if name not in names]:
            message = f"{strange[0]!r} is not a label of the seeds"
        elif not any(plan.values()) or min(plan.values()) < 0:
            message = "weights of labels are 0 or more, one of them above"
        if message:
            remedy = f"balanced, proportional, or weights of the labels {', '.join(names)}"
            raise RunError(Diagnostic(code="E-usage", message=message, remedy=remedy), exit_status=2)

    def filtered(
        self, seeds: Sequence[Seed], analysis: Analysis, candidates: Sequence[Candidate], note: str,
        stopped: str = "", ledger: Ledger | None = None,
    ) -> Synthetic:  # fmt: skip
        """What stays of texts.

        Args:
            seeds: labelled by people.
            analysis: of them.
            candidates: a teacher's, or anybody's.
            note: on who wrote them.
            stopped: why no more were written; empty: nobody knows.
            ledger: what they have cost.
        """
        found, spent = self.filter(seeds).run(candidates), ledger or Ledger()
        ended = f"the ceiling of {stopped} ended it" if stopped in ("tokens", "money") else ""
        checked = CHECKED[found.agreement.judge] if candidates else "nothing was written"
        note = "; ".join(part for part in (note, ended, spent.note, checked) if part)
        self.say(note or "labels were checked by cross-fitting")
        return Synthetic(
            kept=found.kept, rejected=found.rejected, analysis=analysis, share=found.share, stopped=stopped, note=note,
            judge=found.agreement.judge, wrong_rate=found.agreement.rate, calls=spent.calls, tokens=spent.tokens,
            cost=spent.cost,
        )  # fmt: skip

    def to_target(
        self, seeds: Sequence[Seed], written: Sequence[Candidate]
    ) -> tuple[tuple[Candidate, ...], tuple[Rejected, ...]]:
        """(what a teacher wrote, of readable texts as many as were asked for; those beyond, which say less)."""
        readable = [one for one in written if not one.fault]
        rejected = self.filter(seeds).selected(readable).rejected if len(readable) > self.target else ()
        gone = {id(one.candidate) for one in rejected}
        return tuple(one for one in written if id(one) not in gone), rejected

    def filter(self, seeds: Sequence[Seed]) -> Filter:
        """The tests."""
        return Filter(seeds, len(self.brief.labels), self.evaluation, self.quality_threshold, self.diversity_weight,
                      self.want, self.encode, self.plan(seeds) if self.target else None)  # fmt: skip

    def changed(self, seeds: Sequence[Seed], copies: int, alpha: float, more: Sequence[str] = ()) -> Synthetic:
        """Changed copies of the seeds instead; only what an evaluation split has is left out.

        Args:
            seeds: the texts and labels.
            copies: of each seed.
            alpha: share of the words that change.
            more: texts without labels whose words may stand in, too.
        """
        near = neighbours([*texts(seeds), *more], self.encode) if self.encode is not None else {}
        made = eda(seeds, copies, alpha, near, self.brief.seed)
        found = likenesses(self.evaluation, texts(made), held=self.evaluation)
        bad = leaks(self.evaluation, texts(made), found)
        kept = [Kept(candidate=one, quality=None, nearest_seed=1.0) for at, one in enumerate(made) if at not in bad]
        rejected = [
            Rejected(candidate=made[at], reason="leak", value=match.likeness,
                     detail=f"{match.source}, row {match.other + 1} ({match.form})")
            for at, match in bad.items()
        ]  # fmt: skip
        note = "" if near else "no encoder: words are swapped and left out only"
        return Synthetic(
            kept=tuple(kept), rejected=tuple(rejected), analysis=analyse(seeds, self.brief.labels, self.encode),
            stopped="", share=len(kept) / max(1, len(made)), note=note,
        )  # fmt: skip

    def seeded(self, seed: int) -> "Synthesis":
        """The same with another seed."""
        return replace(self, brief=replace(self.brief, seed=seed))


def levelled(have: Sequence[int], more: int) -> list[int]:
    """How many are added to each so that there are as many of each as can be, one after the other.

    >>> levelled([3, 1, 1], 10)
    [2, 4, 4]
    """
    found = list(have)
    for _ in range(more):
        found[min(range(len(found)), key=lambda at: (found[at], at))] += 1
    return [now - before for now, before in zip(found, have, strict=True)]
