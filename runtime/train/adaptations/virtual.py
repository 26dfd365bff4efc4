"""Virtual tokens: what stands before every row is trained, the base is not.

A beginning does not depend on what follows it in a causal model, so it is computed once a reading, whatever the rows.
Both kinds begin with tokens of the vocabulary: of the first ones, which are the commonest (arXiv 2104.08691 section
3.2 samples the 5,000 commonest; arXiv 2101.00190 section 7.4: activations of real words beat random ones on few data).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fewtune.compiler.arm import Arm
from fewtune.runtime.train.adaptations import Placed
from fewtune.runtime.train.model import Base
from fewtune.runtime.train.reading import Prefix, Reader

NAME = "prompt_embeddings"
"""Peft's name for either kind."""
COMMON = 5000


class Virtual(ABC):
    """Trained vectors before every row; subclasses say what becomes of them."""

    own = False

    def initial(self, base: Base, arm: Arm, generator: torch.Generator) -> dict[str, Tensor]:
        """Drawn tokens, as this kind holds them."""
        common = min(COMMON, base.model.config.vocab_size)
        tokens = torch.randint(common, (arm.virtual_tokens,), generator=generator).tolist()
        with torch.no_grad():
            return {NAME: self.begun(base, tokens).detach().clone()}

    @abstractmethod
    def begun(self, base: Base, tokens: list[int]) -> Tensor:
        """What these tokens are to the base: (tokens, numbers)."""

    @abstractmethod
    def beginning(self, base: Base, reader: Reader, values: Tensor) -> Prefix:
        """What stands before every row, of (tokens, numbers)."""

    def placed(self, base: Base, arm: Arm, tensors: Mapping[str, Tensor]) -> Placed:
        """The base, read with a beginning."""
        model, values = base.view({}), tensors[NAME]
        return Placed(model, base.reader(model, lambda reader: self.beginning(base, reader, values)))

    def rates(self, base: Base, arm: Arm, names: tuple[str, ...]) -> dict[str, float]:
        """One rate for all."""
        return {}

    def merged(self, weights: Mapping[str, Tensor], moved: Mapping[str, Tensor], arm: Arm) -> dict[str, Tensor] | None:
        """They are no weights."""
        return None

    def config(self, arm: Arm, linears: Sequence[str]) -> dict[str, Any] | None:
        """What both kinds of peft's configs share."""
        return {"num_virtual_tokens": arm.virtual_tokens}
