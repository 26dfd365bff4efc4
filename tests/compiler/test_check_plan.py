"""What validate sees of a plan is what planning says: the same warnings, the same refusals."""

import pytest
from situations import SHAPES, experiment, facts, found

from fewtune.compiler.compilation import check_plan, compile_plan
from fewtune.specs.diagnostic import PlanError

REFUSED = {
    "too little memory": {"constraints": {"gpu_memory": "4 MB"}},
    "too little time": {"constraints": {"wall_time": "1 s"}},
    "too many trials": {"methods": {"pin": {"steps": list(range(20, 70)), "batch_size": list(range(1, 51)),
                                            "learning_rate": [1e-5 * (n + 1) for n in range(50)]}}},
    "no such folds": {"data": {"test": None}, "evaluation": {"folds": 50, "data_seeds": 3}},
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_the_warnings_are_the_plan_s(shape: str) -> None:
    tables, parameters = SHAPES[shape]
    asked = experiment(**tables)
    given = facts(asked, **parameters)
    assert tuple(check_plan(asked, given)) == compile_plan(asked, given).plan.warnings


@pytest.mark.parametrize("title", REFUSED)
def test_the_refusals_are_the_same(title: str) -> None:
    asked = experiment(**REFUSED[title])
    given = facts(asked, n_rows=40, test_rows=0 if "folds" in title else 200)
    with pytest.raises(PlanError) as error:
        check_plan(asked, given)
    assert error.value.diagnostics == found(asked, given)
