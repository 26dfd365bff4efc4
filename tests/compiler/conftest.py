"""Plans of every shape, for what must hold of all of them."""

import pytest
from situations import SHAPES, compiled

from fewtune.compiler.plan import Compiled


@pytest.fixture(params=SHAPES, scope="session")
def shaped(request: pytest.FixtureRequest) -> Compiled:
    """A plan of each shape."""
    tables, parameters = SHAPES[request.param]
    return compiled(tables, **parameters)
