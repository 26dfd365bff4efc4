"""From a run with several data sizes to what more labels would bring."""

from fewtune.compiler.plan import Plan
from fewtune.specs.diagnostic import StoreError
from fewtune.store.learning import Forecast, anchor, forecast
from fewtune.store.reader import LeaderboardRow, Reader
from fewtune.store.statistics import compare
from fewtune.store.trial_predictions import arm_runs


def more_labels(reader: Reader, plan: Plan, chosen: LeaderboardRow | None) -> Forecast | None:
    """The chosen arm's learning curve, a step further.

    Args:
        reader: of the workspace.
        plan: of the run.
        chosen: the chosen arm's row at the largest size.

    Returns:
        None where there is one data size only, nothing was chosen, or the arm sees no labels.
    """
    smaller = anchor([level.n for level in plan.levels])
    if chosen is None or smaller is None or not plan.arm(chosen.arm).seeded:
        return None
    sizes = (smaller, chosen.n)
    try:
        few, many = (arm_runs(reader, plan, chosen.arm, n, chosen.split, plan.metric) for n in sizes)
    except StoreError:
        return None  # the smaller size has no result yet
    if few.rows.tolist() != many.rows.tolist():
        return None
    step = compare(plan.metric, many.labels, many.runs, few.runs, plan.experiment.evaluation.confidence)
    return forecast(chosen.arm, plan.metric, sizes, chosen.mean, step)
