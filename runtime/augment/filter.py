"""The third stage: which synthetic examples stay, and why each of the others does not.

The tests come in the order of their cost, and each sees only what passed those before: form, length, leakage, copies of
seeds, copies of each other, label, selection.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fewtune.runtime.augment.agreement import Agreement, agreement
from fewtune.runtime.augment.example import Candidate, Kept, Reason, Rejected, Seed, texts
from fewtune.runtime.augment.format import Form, forms
from fewtune.runtime.augment.leakage import Match, leaks, likenesses, pieces
from fewtune.runtime.augment.selection import nearest_of, select
from fewtune.runtime.augment.vectors import Encode, hashed_words
from fewtune.runtime.train.linear import Floats

VENDOR_SHARE = (0.6, 0.7)
"""What Vereonix's page says of the share that stays; to be compared with the measured one."""


@dataclass(frozen=True)
class Filtered:
    """What became of the candidates."""

    kept: tuple[Kept, ...]
    rejected: tuple[Rejected, ...]
    agreement: Agreement

    @property
    def share(self) -> float:
        """Of the candidates that stayed or were only not selected: what the tests let pass."""
        passed = len(self.kept) + sum(one.reason == "not-selected" for one in self.rejected)
        return passed / max(1, len(self.kept) + len(self.rejected))

    @property
    def reasons(self) -> dict[Reason, int]:
        """Reason -> how many."""
        return dict(Counter(one.reason for one in self.rejected))


@dataclass
class Filter:
    """The tests, over one set of seeds."""

    seeds: Sequence[Seed]
    kinds: int
    evaluation: Mapping[str, Sequence[str]]
    """Evaluation split -> its texts, the fields of a row joined."""
    quality_threshold: float = 0.85
    diversity_weight: float = 0.3
    want: int | None = None
    """How many are to stay at most; None: all that pass."""
    encode: Encode | None = None
    target: Mapping[int, int] | None = None
    """Label -> how many were asked for: as many of all stay at most; None: nobody asked."""
    _rejected: list[Rejected] = field(default_factory=list)

    def run(self, candidates: Sequence[Candidate]) -> Filtered:
        """Test them all."""
        self._rejected = []
        passed = self._original(self.by_rules(candidates))
        judged = agreement(self.seeds, passed, self.kinds, self.encode)
        detail = "the label may be wrong" + (", by the seeds alone" if judged.judge == "seeds" else "")
        wrong = {
            place: Rejected(candidate=passed[place], reason="label", detail=detail, value=value)
            for place, value in enumerate(judged.quality.tolist())
            if value < self.quality_threshold  # false where it is not a number
        }
        quality = np.delete(judged.quality, sorted(wrong))
        return Filtered(self._select(self._drop(passed, wrong), quality), tuple(self._rejected), judged)

    def selected(self, candidates: Sequence[Candidate]) -> Filtered:
        """The selection alone: nothing is tested."""
        self._rejected, unknown = [], Agreement(np.full(len(candidates), np.nan))
        return Filtered(self._select(candidates, unknown.quality), tuple(self._rejected), unknown)

    def by_rules(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Those whose form and length are like the seeds'."""
        like = forms([seed.fields for seed in self.seeds])
        return self._drop(
            candidates, {place: bad for place, one in enumerate(candidates) if (bad := _fault(one, like))}
        )

    def _drop(self, candidates: Sequence[Candidate], bad: Mapping[int, Rejected]) -> list[Candidate]:
        """Those without a fault; the others are noted."""
        self._rejected.extend(bad[place] for place in sorted(bad))
        return [candidate for place, candidate in enumerate(candidates) if place not in bad]

    def _original(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Those that are like no row of an evaluation split, like no seed, and like no other that stays."""
        known = {f"split {split}": held for split, held in self.evaluation.items()}
        like = likenesses({**known, "seed": texts(self.seeds)}, texts(candidates), held=known)
        leaked = leaks(known, texts(candidates), like)
        bad = {place: _like(candidates[place], "leak", match) for place, match in leaked.items()}
        parts = pieces("seed", texts(self.seeds), texts(candidates))
        for place, match in {**parts, **like.known(["seed"])}.items():
            bad.setdefault(place, _like(candidates[place], "near-seed", match))
        for place, match in like.copies(list(bad)).items():
            bad[place] = _like(candidates[place], "near-synthetic", match)
        return self._drop(candidates, bad)

    def _select(self, candidates: Sequence[Candidate], quality: Floats) -> tuple[Kept, ...]:
        encode = self.encode or hashed_words
        vectors, seeds = encode(texts(candidates)), encode(texts(self.seeds))
        labels = [candidate.label for candidate in candidates]
        alike = np.nan_to_num(quality, nan=1.0)  # what is unknown is so of all
        chosen = select(vectors, seeds, alike, labels, self.kinds, self.want, self.diversity_weight, self.target)
        left = set(range(len(candidates))) - set(chosen)
        chance = {
            place: Rejected(candidate=candidates[place], reason="not-selected", detail="others say more",
                            value=_known(quality[place]))
            for place in left
        }  # fmt: skip
        self._drop(candidates, chance)
        nearest = nearest_of(vectors, seeds)
        return tuple(
            Kept(candidate=candidates[at], quality=_known(quality[at]), nearest_seed=float(nearest[at]))
            for at in chosen
        )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _like(candidate: Candidate, reason: Reason, match: Match) -> Rejected:
    place = f"{match.source}, row {match.other + 1}" if match.source else f"synthetic text {match.other + 1}"
    return Rejected(candidate=candidate, reason=reason, detail=f"{place} ({match.form})", value=match.likeness)


def _fault(candidate: Candidate, like: Mapping[str, Form]) -> Rejected | None:
    if candidate.fault:
        return Rejected(candidate=candidate, reason="format", detail=candidate.fault)
    if candidate.fields.keys() != like.keys():
        return Rejected(candidate=candidate, reason="format", detail="other fields than the seeds'")
    checks: Iterable[tuple[Reason, str]] = (
        check
        for name, form in like.items()
        for check in (("format", form.fault(candidate.fields[name])), ("length", form.misfit(candidate.fields[name])))
    )
    return next((Rejected(candidate=candidate, reason=reason, detail=bad) for reason, bad in checks if bad), None)
