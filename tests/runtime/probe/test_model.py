"""A model folder whose files are damaged is named as such, whatever the damage."""

import shutil
from pathlib import Path

import pytest
from tiny import tiny_model

from fewtune.runtime.probe.model import shape_of
from fewtune.runtime.tokens import tokenizer_of
from fewtune.specs.diagnostic import PlanError

FILES = ("config.json", "tokenizer.json", "generation_config.json", "model.safetensors")
DAMAGES = {"empty": b"", "no text": b"\xff\xfe{", "null": b"null", "an empty table": b"{}", "deep": b"[" * 100_000}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "sound"
    tiny_model(folder)
    return folder


@pytest.mark.parametrize("damage", [*DAMAGES, "cut", "a folder"])
@pytest.mark.parametrize("name", FILES)
def test_damage_is_named(name: str, damage: str, model: Path, tmp_path: Path) -> None:
    if (name, damage) == ("generation_config.json", "an empty table"):
        return  # it says nothing, which is sound
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    whole = (folder / name).read_bytes()
    (folder / name).unlink()
    if damage == "a folder":
        (folder / name).mkdir()
    else:
        (folder / name).write_bytes(DAMAGES.get(damage, whole[: len(whole) // 2]))
    with pytest.raises(PlanError) as caught:
        tokenizer_of(folder) if name == "tokenizer.json" else shape_of(folder)
    assert caught.value.diagnostics[0].code == "E-model"


def test_a_changed_tokenizer_is_read_again(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    _, before = tokenizer_of(folder)
    path = folder / "tokenizer.json"
    path.write_text(path.read_text() + "\n")
    assert tokenizer_of(folder)[1] != before
