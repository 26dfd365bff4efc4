"""The public views, in the order in which they can be made; each reads only tables and what stands before it."""

from fewtune.store import augment_views, result_views, work_views
from fewtune.store.steps import STEPS
from fewtune.store.view import Step, View

PUBLIC: tuple[View, ...] = (
    work_views.TRIALS,
    work_views.RUNS,
    work_views.ATTEMPTS,
    work_views.FAILURES,
    work_views.DECISIONS,
    work_views.COSTS,
    result_views.METRICS,
    result_views.EVALUATIONS,
    result_views.PREDICTIONS,
    result_views.LEADERBOARD,
    result_views.LEARNING_CURVE,
    result_views.COMPARISONS,
    *augment_views.VIEWS,
)
"""What a user may ask for."""

VIEWS: tuple[Step | View, ...] = (*STEPS, *PUBLIC)
