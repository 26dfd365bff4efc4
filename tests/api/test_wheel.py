"""The built wheel: what is in it, and that it plans without the sources beside it."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("specs", "compiler", "store", "runtime", "api", "examples")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the sources, unpacked."""
    source = tmp_path_factory.mktemp("source")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", ".fewtune"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "dist", "."]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = (source / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(source / "site")
    return source / "site"


def test_what_a_wheel_holds(installed: Path) -> None:
    for name in ("specs", "compiler", "store", "runtime", "api"):
        assert (installed / "fewtune" / name / "py.typed").exists()
    assert not (installed / "fewtune" / "__init__.py").exists(), "fewtune is a namespace"
    assert (installed / "fewtune" / "runtime" / "embedded" / "facts.json").exists()
    (about,) = installed.glob("fewtune-*.dist-info")
    assert {path.name for path in installed.iterdir()} == {"fewtune", about.name}
    metadata = (about / "METADATA").read_text()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Dist: torch" not in [line.split(">")[0] for line in metadata.splitlines() if "extra" not in line]


def test_the_wheel_plans_its_example_without_torch(installed: Path, tmp_path: Path) -> None:
    program = """
import sys
from fewtune.api import cli
assert cli.__file__.startswith(sys.argv[1]), cli.__file__
sys.argv = ["fewtune", *sys.argv[2:]]
try:
    cli.main()
except SystemExit as end:
    assert not {"torch", "ray", "transformers"} & set(sys.modules)
    raise
"""
    environment = {**os.environ, "PYTHONPATH": str(installed)}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", program, str(installed), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    made = run("init", "--example", "--json")
    assert made.returncode == 0, made.stderr + made.stdout
    spec = next(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.toml"))
    planned = run("plan", spec, "--json")
    assert planned.returncode == 0, planned.stderr + planned.stdout
    assert json.loads(planned.stdout)["data"]["trials"]
