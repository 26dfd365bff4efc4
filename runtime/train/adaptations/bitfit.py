"""BitFit (arXiv 2106.10199): the biases that the base has, and nothing else of it."""

from fewtune.runtime.train.adaptations.own import Own

KIND = Own(lambda name, parameter, arm, blocks: name.endswith(".bias"))
