"""Norm tuning (arXiv 2312.11420): gains and biases of the norms, the last one included."""

import re

from fewtune.runtime.train.adaptations.own import Own

NORM = re.compile(r"(norm|ln)[^.]*\.(weight|bias)$", re.IGNORECASE)

KIND = Own(lambda name, parameter, arm, blocks: parameter.ndim == 1 and NORM.search(name) is not None)
