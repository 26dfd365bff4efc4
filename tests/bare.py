"""Import it before fewtune on a bare machine: makes a checkout importable that is not installed.

What trains needs torch, transformers, peft and pydantic there; no ray, no DuckDB, no network.
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

if find_spec("fewtune") is None:
    fewtune = ModuleType("fewtune")
    fewtune.__path__ = [str(Path(__file__).resolve().parents[1])]
    sys.modules["fewtune"] = fewtune
