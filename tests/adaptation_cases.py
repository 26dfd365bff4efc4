"""One fixture for each adaptation: the arm, what moves, how many numbers, and what it is compared with."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from fewtune.compiler.arm import Arm
from fewtune.specs.methods import Adaptation

FOLDER = Path(__file__).parent / "fixtures" / "adaptations"
NAMES = [name for name in get_args(Adaptation) if name != "none"]


@dataclass(frozen=True)
class Case:
    """What a fixture says."""

    name: str
    architecture: str
    moves: str
    """Pattern that the names of all moved tensors match, and no other parameter's of the base."""
    count: int
    """Numbers that move in the tiny model, without a head; 0: all of it."""
    oracle: str
    """peft: a plain peft loop; plain: a plain loop over a transformers model; written: a forward pass written out;
    elsewhere: another test."""
    learning_rate: float = 0.01
    arm: dict[str, Any] = field(default_factory=dict)

    def of(self, arm: Arm) -> Arm:
        """The arm with this adaptation and its geometry."""
        return Arm.model_validate(arm.model_dump() | {"adaptation": self.name, "lora": None, **self.arm})


CASES = {path.stem: Case(path.stem, **tomllib.loads(path.read_text())) for path in sorted(FOLDER.glob("*.toml"))}
