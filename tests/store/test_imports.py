"""What planning needs of the store starts fast: no database, no numbers, no training."""

import subprocess
import sys

HEAVY = ("torch", "ray", "transformers", "duckdb", "numpy", "scipy", "pandas")
LIGHT = ("reader", "writer", "known", "history", "journal", "lease", "artefacts", "saved_plan", "workspace")


def test_light_modules_stay_light() -> None:
    imports = ", ".join(f"fewtune.store.{module}" for module in LIGHT)
    code = f"import sys, {imports}; print([m for m in {HEAVY} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_a_question_of_planning_loads_no_database(tmp_path) -> None:
    code = (
        "import sys; from pathlib import Path; from fewtune.store.reader import Reader;"
        f"Reader(Path({str(tmp_path)!r})).known(); print('duckdb' in sys.modules, 'numpy' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False False\n"


def test_the_rest_needs_no_training_library() -> None:
    code = (
        "import sys, fewtune.store.publication, fewtune.store.query, fewtune.store.refresh, fewtune.store.predictions;"
        "print([m for m in ('torch', 'ray', 'transformers', 'pandas') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
