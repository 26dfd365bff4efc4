"""Spec -> facts: the only measuring step, free of torch."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fewtune.compiler.facts import Facts
from fewtune.runtime.folders import embedded_folder
from fewtune.runtime.job import Corpus
from fewtune.runtime.lock import Lock, read_lock
from fewtune.runtime.probe.data import ReadData, corpus, data_facts, read
from fewtune.runtime.probe.device import device_facts, weather
from fewtune.runtime.probe.model import model_facts, model_folder
from fewtune.runtime.tokens import counter, tokenizer_of
from fewtune.specs.experiment import Experiment


@dataclass(frozen=True)
class Probed:
    """Facts, and what they were read from."""

    facts: Facts
    found: ReadData
    model_folder: Path
    """Where the model's files are (or, for the embedded one, will be once it is pulled)."""
    lock: Lock

    @cached_property
    def corpus(self) -> Corpus:
        """The rows."""
        return corpus(self.found)


def probe(experiment: Experiment, base: Path, workspace: Path) -> Probed:
    """Measure data, model and device.

    Args:
        experiment: the checked spec.
        base: the spec's folder; its paths are relative to it.
        workspace: where the run would be kept.

    Raises:
        PlanError: with what is missing or unreadable.
    """
    lock = read_lock(base)
    found = read(experiment, base, lock)
    folder = model_folder(experiment.model, base, lock)
    tokenizer, _ = tokenizer_of(folder)
    facts = Facts(
        data=data_facts(found, counter(tokenizer)),
        model=model_facts(experiment, found.labels, folder, lock),
        device=device_facts(),
        weather=weather(workspace),
    )
    return Probed(facts, found, folder or embedded_folder(), lock)
