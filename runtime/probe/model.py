"""Facts about a causal language model, from its files: config.json, tokenizer.json, safetensors headers."""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fewtune.compiler.facts import Linear, ModelFacts
from fewtune.compiler.wording import candidate_patterns, candidate_words, fixed_text
from fewtune.runtime.folders import is_below
from fewtune.runtime.lock import Lock
from fewtune.runtime.tensors import DAMAGE, Tensor, damaged, tensors_of, unreadable, weights_hash
from fewtune.runtime.tokens import counter, special_tokens, tokenizer_of, word_tokens
from fewtune.specs.diagnostic import Diagnostic, PlanError
from fewtune.specs.experiment import Experiment
from fewtune.specs.model import EMBEDDED, Model

EMBEDDED_FACTS = Path(__file__).resolve().parent.parent / "embedded" / "facts.json"
BLOCK = re.compile(r"\.(?:layers|h|blocks)\.\d+\.")
"""A tensor of a transformer block."""
CHATML = "<|im_start|>"
"""What every turn of a chat of that form begins with."""
NOT_LINEAR = frozenset({"gpt2", "gpt_bigcode", "imagegpt"})
"""Architectures whose projections are Conv1D modules."""


ENCODERS = frozenset({
    "bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra", "mpnet", "deberta-v2",
})  # fmt: skip
"""Architectures of encoders that are known to be read as `runtime/train/encoder.py` reads them."""
ROBERTA = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet"})
"""Those of them whose positions begin behind the padding's id."""
ENCODER_BLOCK = re.compile(r"\.layer\.\d+\.")
HEADS = re.compile(
    r"(^|\.)(pooler|cls|lm_head|lm_predictions|mask_predictions|discriminator_predictions|generator_\w+|classifier|pre_classifier|"
    r"vocab_\w+|qa_outputs)\."
)
"""Tensors of a checkpoint that are no part of its encoder."""
POSITION_IDS = "position_ids"


def model_folder(model: Model, base: Path, lock: Lock, roots: Sequence[Path] = ()) -> Path | None:
    """Where the model's files are; None for the embedded one, whose facts need no files.

    Args:
        model: what the spec names.
        base: the spec's folder.
        lock: where pulled models are.
        roots: folders that a named folder must lie below; none: anywhere.

    Raises:
        PlanError: E-facts-missing for a hub model that was not pulled, E-path or E-model for a bad folder.
    """
    if model.is_embedded:
        return None
    if model.path is not None:
        return _local_folder(model.path, base, "/model/path", roots)
    return _pulled_folder(f"the model {model.place}", model.place, lock, "/model/name")


def encoder_to_tune(model: Model, base: Path, lock: Lock, roots: Sequence[Path] = ()) -> Path | None:
    """The same of the encoder that arms tune; None for the embedded one.

    Raises:
        PlanError: as `model_folder`.
    """
    if model.embeds_encoder:
        return None
    if model.encoder_path is not None:
        return _local_folder(model.encoder_path, base, "/model/encoder_path", roots)
    return _pulled_folder(f"the encoder {model.encoder_place}", model.encoder_place, lock, "/model/encoder")


def _pulled_folder(what: str, place: str, lock: Lock, pointer: str) -> Path:
    locked = lock.models.get(place)
    if locked is None or not Path(locked.folder).is_dir():
        message = f"{what} is not on this machine"
        raise PlanError(
            Diagnostic(code="E-facts-missing", message=message, pointer=pointer, remedy="run `fewtune pull SPEC`")
        )
    return Path(locked.folder)


def _local_folder(text: str, base: Path, pointer: str, roots: Sequence[Path]) -> Path:
    folder = (base / text).resolve()
    if roots and not is_below(folder, roots):
        message = f"{text} leaves the folders that may be used here"
        remedy = "a model below the spec's folder, a pulled one, or a root of the operator's policy"
        raise PlanError(Diagnostic(code="E-path", message=message, pointer=pointer, remedy=remedy))
    if not folder.is_dir():
        message = f"there is no folder {text}"
        raise PlanError(Diagnostic(code="E-file-missing", message=message, pointer=pointer, remedy="check the path"))
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            remedy = "a model folder has config.json, tokenizer.json and *.safetensors"
            raise PlanError(Diagnostic(code="E-model", message=f"{text} has no {name}", pointer=pointer, remedy=remedy))
    return folder


NORM = re.compile(r"(norm|ln)[^.]*\.(weight|bias)$", re.IGNORECASE)
"""Tensors of norms."""


def model_facts(experiment: Experiment, labels: tuple[str, ...], folder: Path | None, lock: Lock) -> ModelFacts:
    """Everything that the compiler asks about the model.

    Args:
        experiment: names the model; its task says which words and patterns to measure.
        labels: the label names.
        folder: the model's files; None: the embedded model.
        lock: gives the revision of a hub model.
    """
    tokenizer, tokenizer_hash = tokenizer_of(folder)
    words = word_tokens(tokenizer, candidate_words(experiment, labels))
    patterns = candidate_patterns(experiment, labels)
    lengths = counter(tokenizer)([fixed_text(pattern, labels) for pattern in patterns])
    fixed = {pattern: n + special_tokens(tokenizer) for pattern, n in zip(patterns, lengths, strict=True)}
    shape = embedded_shape() if folder is None else shape_of(folder)
    locked = lock.models.get(experiment.model.place)
    return ModelFacts(
        place=EMBEDDED if folder is None else experiment.model.place,
        source="embedded" if folder is None else "path" if experiment.model.path else "hub",
        revision=locked.revision if locked else None,
        tokenizer_hash=tokenizer_hash,
        word_tokens=words,
        pattern_tokens=fixed,
        **shape,
    )


def embedded_shape() -> dict[str, Any]:
    """The embedded model's shape and hash, which need no files."""
    content: dict[str, Any] = json.loads(EMBEDDED_FACTS.read_text())
    return content


def shape_of(folder: Path) -> dict[str, Any]:
    """Shape, sizes and hash of a model folder.

    Raises:
        PlanError: E-model for an architecture without linear blocks, remote code, or damaged files.
    """
    try:
        return _shape(folder)
    except DAMAGE as error:
        raise damaged(folder, error) from error


def _shape(folder: Path) -> dict[str, Any]:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "auto_map" in config:
        raise unreadable(folder, "its code is not part of transformers (auto_map); fewtune runs no remote code")
    tensors, kind = tensors_of(folder), str(config.get("model_type", "unknown"))
    linears = linears_of(tensors)
    if kind in NOT_LINEAR or not linears:
        raise unreadable(folder, f"the architecture {kind} has no plain linear layers in its blocks")
    heads = int(config.get("num_attention_heads", 1))
    tied = bool(config.get("tie_word_embeddings", True)) and "lm_head.weight" not in tensors
    hidden = int(config["hidden_size"])
    return {
        "architecture": kind,
        "weights_hash": weights_hash(folder),
        "parameters": sum(_size(tensor) for tensor in tensors.values()),
        "embedding_parameters": sum(_size(tensor) for name, tensor in tensors.items() if "embed" in name),
        "hidden": hidden,
        "layers": int(config["num_hidden_layers"]),
        "heads": heads,
        "kv_heads": int(config.get("num_key_value_heads") or heads),
        "intermediate": int(config.get("intermediate_size") or config.get("ffn_dim") or 4 * hidden),
        "vocabulary": int(config["vocab_size"]),
        "max_positions": int(config.get("max_position_embeddings", 2048)),
        "biases": sum(_size(tensor) for name, tensor in tensors.items() if name.endswith(".bias")),
        "norms": sum(_size(tensor) for name, tensor in tensors.items() if NORM.search(name)),
        "tied": tied,
        "instruct": (folder / "chat_template.jinja").exists() or _has_template(folder),
        "chat": "chatml" if CHATML in _template(folder) else None,
        "end_tokens": _end_tokens(folder, config),
        "linears": [linear.model_dump() for linear in linears],
        "stored_bytes": sum(tensor.end - tensor.start for tensor in tensors.values()),
    }


def _size(tensor: Tensor) -> int:
    size = 1
    for length in tensor.shape:
        size *= length
    return size


def _template(folder: Path) -> str:
    """The text of the chat template, wherever it stands; empty where there is none."""
    names = ("chat_template.jinja", "tokenizer_config.json")
    return "".join((folder / name).read_text(encoding="utf-8") for name in names if (folder / name).exists())


def _end_tokens(folder: Path, config: dict[str, Any]) -> tuple[int, ...]:
    """Tokens that end a text: those of the generation settings, else of the configuration."""
    path = folder / "generation_config.json"
    settings = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    given = settings.get("eos_token_id", config.get("eos_token_id"))
    return tuple(given) if isinstance(given, list) else () if given is None else (int(given),)


def _has_template(folder: Path) -> bool:
    path = folder / "tokenizer_config.json"
    return path.exists() and "chat_template" in path.read_text(encoding="utf-8")


def encoder_facts(model: Model, folder: Path, lock: Lock) -> ModelFacts:
    """What the compiler asks about an encoder that is to be tuned.

    Raises:
        PlanError: E-model for what is no encoder of a known architecture, or has damaged files.
    """
    try:
        return _encoder_facts(model, folder, lock)
    except DAMAGE as error:
        raise damaged(folder, error) from error


def _encoder_facts(model: Model, folder: Path, lock: Lock) -> ModelFacts:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kind = str(config.get("model_type", "unknown"))
    pointer = "/model/encoder_path" if model.encoder_path else "/model/encoder"
    if kind not in ENCODERS or "auto_map" in config:
        known = ", ".join(sorted(ENCODERS))
        message = f"{model.encoder_place} is no encoder that fewtune tunes ({kind}); known are {known}"
        remedy = "a decoder goes into model.name or model.path"
        raise PlanError(Diagnostic(code="E-model", message=message, pointer=pointer, remedy=remedy))
    tensors = {name: one for name, one in tensors_of(folder).items() if not HEADS.search(name)}
    tensors = {name: one for name, one in tensors.items() if not name.endswith(POSITION_IDS)}
    linears = linears_of(tensors, ENCODER_BLOCK)
    if not linears:
        raise unreadable(folder, "its blocks have no linear layers that are known by name")
    hidden, layers, heads = (_size_of(config, *names) for names in (
        ("hidden_size", "dim"), ("num_hidden_layers", "n_layers"), ("num_attention_heads", "n_heads")))  # fmt: skip
    positions = _size_of(config, "max_position_embeddings")
    locked = lock.models.get(model.encoder_place)
    _, tokenizer_hash = tokenizer_of(folder)
    return ModelFacts(
        place=model.encoder_place,
        source="path" if model.encoder_path else "hub",
        revision=locked.revision if locked else None,
        architecture=kind,
        weights_hash=weights_hash(folder),
        tokenizer_hash=tokenizer_hash,
        parameters=sum(_size(tensor) for tensor in tensors.values()),
        embedding_parameters=sum(
            _size(one) for name, one in tensors.items() if "embeddings" in name and len(one.shape) == 2
        ),
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=heads,
        intermediate=_size_of(config, "intermediate_size", "hidden_dim"),
        vocabulary=_size_of(config, "vocab_size"),
        max_positions=positions - (int(config.get("pad_token_id") or 0) + 1 if kind in ROBERTA else 0),
        biases=sum(_size(one) for name, one in tensors.items() if name.endswith(".bias")),
        norms=sum(_size(one) for name, one in tensors.items() if NORM.search(name)),
        tied=True,
        instruct=False,
        linears=tuple(linears),
        stored_bytes=sum(tensor.end - tensor.start for tensor in tensors.values()),
        word_tokens={},
        pattern_tokens={},
    )  # fmt: skip


def _size_of(config: dict[str, Any], *names: str) -> int:
    """A size by the first of its names that a configuration has."""
    return int(config[next((name for name in names if name in config), names[0])])


def linears_of(tensors: dict[str, Tensor], block: re.Pattern[str] = BLOCK) -> list[Linear]:
    """The linear layers of the blocks, by their own names; (d_out, d_in) is their stored shape."""
    found: dict[tuple[str, int, int], int] = defaultdict(int)
    for name, tensor in tensors.items():
        if block.search(name) and name.endswith(".weight") and len(tensor.shape) == 2:
            found[name.split(".")[-2], tensor.shape[1], tensor.shape[0]] += 1
    return [
        Linear(name=name, d_in=d_in, d_out=d_out, count=count) for (name, d_in, d_out), count in sorted(found.items())
    ]
