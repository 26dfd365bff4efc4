"""The training of the chosen arm on all labels."""

from fewtune.compiler.arm import Recipe
from fewtune.compiler.plan import REFIT, Sample
from fewtune.compiler.resolution import Resolution
from fewtune.compiler.sample import ordered, sample_content, stratified


def refit_recipe(recipe: Recipe) -> Recipe:
    """The recipe without validation: nothing is held out any more."""
    return recipe.model_copy(update={"evaluate_every": None, "patience": None})


def refit_sample(resolution: Resolution, first: list[Sample]) -> Sample:
    """All labels of the largest n: the first data seed's sample, its validation rows included."""
    s, data = resolution.situation, resolution.situation.facts.data
    if s.folds is not None:
        level = s.levels[-1]
        mixed = ordered(s.pool, data.train, REFIT)
        rows = tuple(stratified(mixed, data.train, level.n, data.strata, level.per_class))
    elif s.levels[-1].scheme == "held-out":
        rows = first[0].train + first[0].validation
    else:
        rows = first[0].train
    content = sample_content(data, "fixed-schedule", rows, (), None)
    return Sample(
        id=REFIT, n=s.levels[-1].n, data_seed=0, fold=None, train=rows, validation=(), scored=None, content=content
    )
