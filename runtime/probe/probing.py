"""Spec -> facts: the only measuring step, free of torch."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fewtune.compiler.facts import DataFacts, Facts, ModelFacts
from fewtune.runtime.folders import embedded_folder, encoder_folder
from fewtune.runtime.job import Corpus
from fewtune.runtime.lock import Lock, read_lock
from fewtune.runtime.memo import keep, recall, stamp
from fewtune.runtime.probe.data import corpus, data_facts, files, read
from fewtune.runtime.probe.device import device_facts, weather
from fewtune.runtime.probe.model import embedded_shape, encoder_facts, encoder_to_tune, model_facts, model_folder
from fewtune.runtime.probe.rows import data_path
from fewtune.runtime.probe.writers import refuse_without_writers
from fewtune.runtime.tokens import counter, tokenizer_of
from fewtune.specs.data import pointer_of
from fewtune.specs.diagnostic import Diagnostic, PlanError
from fewtune.specs.experiment import Experiment

MEASURES = 3
"""Rises when the same files are measured differently: it keeps facts of earlier versions from being recalled."""


@dataclass(frozen=True)
class Probed:
    """Facts, and what they were read from."""

    facts: Facts
    experiment: Experiment
    files: dict[str, Path]
    """Split -> its data file."""
    contents: dict[str, str]
    """Split -> hash of its data file."""
    model_folder: Path
    """Where the model's files are (or, for the embedded one, will be once it is pulled)."""
    tuned_encoder: Path
    """The same of the encoder that arms tune."""
    lock: Lock

    @cached_property
    def corpus(self) -> Corpus:
        """The rows, read when they are needed.

        Raises:
            PlanError: E-file-unreadable where a file is no longer what was measured.
        """
        found = corpus(read(self.experiment, self.files))
        for name, content in _contents(self.files).items():
            if content != self.contents[name]:
                message = f"{self.files[name].name} changed while it was read"
                raise PlanError(
                    Diagnostic(
                        code="E-file-unreadable", message=message, pointer=pointer_of(name), remedy="start again"
                    )
                )
        return found


def probe(experiment: Experiment, base: Path, workspace: Path, roots: Sequence[Path] = ()) -> Probed:
    """Measure data, model and device.

    Args:
        experiment: the checked spec.
        base: the spec's folder; its paths are relative to it.
        workspace: where the run would be kept.
        roots: folders that the folders of models must lie below; none: anywhere. Data files lie below the spec's folder
            or the current one.

    Raises:
        PlanError: with what is missing or unreadable.
    """
    refuse_without_writers(experiment.augmentation, base)
    lock = read_lock(base)
    paths = files(experiment, base, lock)
    folder = model_folder(experiment.model, base, lock, roots)
    contents = _contents(paths)
    data, model = _measured(experiment, paths, contents, folder, lock)
    own = encoder_to_tune(experiment.model, base, lock, roots)
    encoder = None if own is None else _encoder(experiment, own, lock)
    device = device_facts()
    device = device.model_copy(update={"pace": lock.evidence.pace(device.name)})
    facts = Facts(
        data=data, model=model, encoder=encoder, device=device, weather=weather(workspace), adopted=lock.evidence,
        recording=_recording(experiment, base),
    )  # fmt: skip
    return Probed(facts, experiment, paths, contents, folder or embedded_folder(), own or encoder_folder(), lock)


def _recording(experiment: Experiment, base: Path) -> str:
    """SHA-256 of the recorded calls that a teacher is replayed from; empty: none is."""
    asked = experiment.augmentation
    named = asked.teacher.recording if asked and asked.teacher else None
    return _contents({"recording": data_path(named, base)})["recording"] if named else ""


def _encoder(experiment: Experiment, folder: Path, lock: Lock) -> ModelFacts:
    """The facts of the encoder to be tuned: recalled where its files are as they were."""
    files = stamp(sorted(path for path in folder.iterdir() if path.is_file()))
    key = [MEASURES, experiment.model.model_dump(mode="json"), files, lock.model_dump(mode="json", include={"models"})]
    known = recall("encoder", key)
    if known is not None:
        try:
            return ModelFacts.model_validate_json(known)
        except ValidationError:
            pass  # of another version, or damaged: measured again
    found = encoder_facts(experiment.model, folder, lock)
    keep("encoder", key, found.model_dump_json())
    return found


def _contents(paths: dict[str, Path]) -> dict[str, str]:
    found = {}
    for name, path in paths.items():
        with path.open("rb") as handle:
            found[name] = hashlib.file_digest(handle, "sha256").hexdigest()
    return found


def _measured(
    experiment: Experiment, paths: dict[str, Path], contents: dict[str, str], folder: Path | None, lock: Lock
) -> tuple[DataFacts, ModelFacts]:
    """The facts of data and model: recalled where nothing that they depend on has changed."""
    tables: dict[str, Any] = {
        name: getattr(experiment, name).model_dump(mode="json") for name in ("task", "data", "model")
    }
    names = {name: path.suffix for name, path in paths.items()}
    weights = embedded_shape() if folder is None else stamp(sorted(path for path in folder.iterdir() if path.is_file()))
    key = [MEASURES, tables, names, contents, weights, lock.model_dump(mode="json", exclude={"evidence"})]
    known = recall("facts", key)
    if known is not None:
        try:
            content = json.loads(known)
            return DataFacts.model_validate(content["data"]), ModelFacts.model_validate(content["model"])
        except (ValueError, KeyError, ValidationError):
            pass  # of another version, or damaged: measured again
    found = read(experiment, paths)
    tokenizer, _ = tokenizer_of(folder)
    data = data_facts(found, counter(tokenizer))
    model = model_facts(experiment, found.labels, folder, lock)
    content = {"data": data.model_dump(mode="json"), "model": model.model_dump(mode="json")}
    keep("facts", key, json.dumps(content))
    return data, model
