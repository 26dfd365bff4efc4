"""Label noise as a condition of the experiment: which training labels are turned into wrong ones.

Noise is uniform over the other labels (symmetric noise; Northcutt et al. 2021, arXiv 1911.00068, section 2). What is
flipped at a smaller share is flipped at a larger one, to the same wrong label, so that shares differ by dose only.
"""

from collections.abc import Sequence

from fewtune.compiler.arm import Arm
from fewtune.compiler.facts import DataFacts
from fewtune.compiler.fingerprint import fingerprint, seed
from fewtune.compiler.plan import Flip, Sample
from fewtune.compiler.sample import ordered


def flips(share: float, rows: int) -> int:
    """Labels that are turned at this share.

    >>> flips(0.1, 32), flips(0.3, 8), flips(1.0, 5)
    (3, 2, 5)
    """
    return round(share * rows)


def with_noise(arm: Arm, share: float) -> Arm:
    """The same arm fitted to noisy labels; it is there to be compared with, and never chosen."""
    return arm.model_copy(
        update={"name": f"{arm.name}, {100 * share:g} % noise", "label_noise": share, "role": "baseline"}
    )


def noisy(data: DataFacts, sample: Sample, share: float) -> Sample:
    """The sample with some training labels turned; validation rows and scored rows keep theirs."""
    turned = turned_labels(data, sample.train, share, sample.data_seed)
    told = [[data.train.row_key(flip.row, data.labels), data.labels[flip.label]] for flip in turned]
    content = fingerprint("noisy", {"sample": sample.content, "turned": told}) if turned else sample.content
    return sample.model_copy(
        update={"id": f"{sample.id}/noise{share:g}", "flipped": turned, "content": content},
    )


def turned_labels(data: DataFacts, rows: Sequence[int], share: float, data_seed: int) -> tuple[Flip, ...]:
    """The rows whose labels are turned, with their wrong labels; a row's place depends on its text and the seed."""
    chosen = ordered(rows, data.train, "noise", data_seed)[: flips(share, len(rows))]
    return tuple(Flip(row=row, label=_wrong(data, row, data_seed)) for row in sorted(chosen))


def _wrong(data: DataFacts, row: int, data_seed: int) -> int:
    """One of the other labels."""
    right, labels = data.train.labels[row], len(data.labels)
    return (right + 1 + seed("wrong", data_seed, data.train.groups[row]) % (labels - 1)) % labels
