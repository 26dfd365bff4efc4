"""Public views of the results: scores, curves, predictions, intervals and comparisons."""

from fewtune.store.view import View
from fewtune.store.work_views import ARM, DATA_SEED, EXPERIMENT, MODEL_SEED, RUN, TRIAL, N

SPLIT = "test, a named out-of-domain split, or cv (rows of the training data, scored by models that never saw them)."
METRIC = (
    "Labels: accuracy, macro_f1 (both 0 to 1) or mcc (-1 to 1). Texts: rouge_l, exact_match or token_f1 (0 to 1). "
    "Preferences: preference_accuracy (0 to 1) or margin (nats a token, 0: as the base). "
    "Several labels: micro_f1, macro_f1 or subset_accuracy. Tags: span_f1 or tag_accuracy (all 0 to 1). "
    "Higher is better."
)
TEXTS = {
    "rouge_l": "F1 of the longest common subsequence of words with the target, 0 to 1; higher is better.",
    "exact_match": "Whether text and target are the same words but for case, punctuation and articles, 0 to 1; higher "
    "is better.",
    "token_f1": "F1 of the words shared with the target, 0 to 1; higher is better.",
}
"""Columns of the metrics of texts."""
PREFERENCES = {
    "preference_accuracy": "Share of pairs whose better text is the likelier one, by the mean over tokens (of single "
    "texts: that moved as they were judged), 0 to 1; higher is better.",
    "margin": "By how much more than the base the arm prefers the better text, in nats a token; higher is better.",
}
"""Columns of the metrics of preferences."""
SEVERAL = {
    "micro_f1": "F1 of all labels of all items together, 0 to 1; higher is better.",
    "subset_accuracy": "Share of items whose labels are all right, and no other, 0 to 1; higher is better.",
    "span_f1": "F1 of whole spans, as CoNLL counts them, 0 to 1; higher is better.",
    "tag_accuracy": "Share of words with the right tag, 0 to 1; higher is better.",
}
"""Columns of the metrics of several labels."""
CI = "end of the interval for the arm's expected score over data seeds, model seeds and items; null: too few items."
LOOK = (
    "The plan's place among the different plans whose scores on this split were shown, from 1. Null: no look was "
    "counted."
)
BASIS = "seeds_and_items: the interval covers both variances. items_only: nothing is known of the variance over seeds."

METRICS = View(
    name="metrics",
    comment="One row for each value that was measured while an arm was fitted.",
    columns={
        "experiment": EXPERIMENT,
        "run": RUN,
        "trial": "The trial; null: the last fit on all labels.",
        "arm": ARM,
        "fold": "The fold of the cross-validation, from 0; null: there are none.",
        "name": "train_loss (mean since the last value; lower is better) or validation_ and the metric (higher is "
        "better).",
        "step": "Optimizer steps done.",
        "value": "The value; null: it was not finite.",
    },
    query="""
    SELECT r.experiment, s.run, s.trial, s.arm, s.fold,
        CASE c.name WHEN 'validation' THEN 'validation_' || p.metric ELSE c.name END AS name, c.step, c.value
    FROM private.stage s
    JOIN private.run_started r ON r.run = s.run
    JOIN private.plan p ON p.run = s.run
    JOIN private.last_fitted f ON f.fingerprint = s.fingerprint
    JOIN private.curve c ON c.seq = f.seq
    ORDER BY r.seq, f.seq, s.stage, c.name, c.step
    """,
)

EVALUATIONS = View(
    name="evaluations",
    comment="One row for each trial and split with all its predictions; the folds of a cross-validation are one split.",
    columns={
        "experiment": EXPERIMENT,
        "run": RUN,
        "trial": TRIAL,
        "arm": ARM,
        "n": N,
        "data_seed": DATA_SEED,
        "model_seed": MODEL_SEED,
        "split": "validation, test, a named out-of-domain split, or cv (all folds together).",
        "accuracy": "Share of right answers, 0 to 1; higher is better. Null: fewer than two items.",
        "macro_f1": "Mean F1 over the labels, 0 to 1; higher is better. Null: fewer than two items.",
        "mcc": "Matthews correlation, -1 to 1; higher is better. Null: fewer than two items.",
        "items": "Rows that were scored.",
        "seconds": "How long scoring took.",
        "diverged": "Whether the loss was not finite; such trials are in no leaderboard.",
        **{name: f"Mean over the items. {said} Null: labels are predicted." for name, said in TEXTS.items()},
        **{name: f"Mean over the items. {said} Null: no texts are compared." for name, said in PREFERENCES.items()},
        **{name: f"{said} Null: a text has one label, or none." for name, said in SEVERAL.items()},
    },
    query="""
    SELECT r.experiment, v.run, v.trial, t.arm, t.n, t.data_seed, t.model_seed, v.split, v.accuracy, v.macro_f1, v.mcc,
        v.items, v.seconds, p.diverged, v.rouge_l, v.exact_match, v.token_f1, v.preference_accuracy, v.margin,
        v.micro_f1, v.subset_accuracy, v.span_f1, v.tag_accuracy
    FROM private.evaluation v
    JOIN private.run_started r ON r.run = v.run
    JOIN private.plan_trial t ON t.run = v.run AND t.trial = v.trial
    JOIN private.progress p ON p.run = v.run AND p.trial = v.trial
    ORDER BY r.seq, t.place, v.split
    """,
)

PREDICTIONS = View(
    name="predictions",
    comment="One row for each item that a trial scored.",
    columns={
        "experiment": EXPERIMENT,
        "run": RUN,
        "trial": TRIAL,
        "arm": ARM,
        "n": N,
        "data_seed": DATA_SEED,
        "model_seed": MODEL_SEED,
        "split": "validation, test, a named out-of-domain split, or cv.",
        "fold": "The fold whose model scored the item, from 0; null: no cross-validation.",
        "row_number": "The item's row, from 1: of the split, under cv and validation of the training data.",
        "label": "The right label; null: the row has none.",
        "predicted": "The predicted label; null: no valid answer.",
        "probability": "Probability of the predicted label, 0 to 1; null: none was given.",
        "correct": "Whether the predicted label is the right one; null where it was not one label.",
        "target": "The text that was to be written, was preferred or was judged; the right labels, where there may be "
        "several; null: a label was to be predicted.",
        "text": "The text that was written; the predicted labels, where there may be several; null: a label was to be "
        "predicted.",
        **{name: f"{said} Null: a label was to be predicted." for name, said in TEXTS.items()},
        **{name: f"Of this item: {said} Null: no texts are compared." for name, said in PREFERENCES.items()},
        "subset_accuracy": "1: all labels are right, and no other; else 0. Null: a text has no set of labels.",
    },
    query="""
    SELECT r.experiment, s.run, s.trial, t.arm, t.n, t.data_seed, t.model_seed, s.split, s.fold,
        p.row_index + 1 AS row_number, l.label, g.label AS predicted, p.probability, p.label = p.predicted AS correct,
        p.target, p.text, p.rouge_l, p.exact_match, p.token_f1, p.preference_accuracy, p.margin,
        p.subset_accuracy
    FROM private.plan_stage s
    JOIN private.run_started r ON r.run = s.run
    JOIN private.plan_trial t ON t.run = s.run AND t.trial = s.trial
    JOIN private.last_evaluated e ON e.fingerprint = s.fingerprint
    JOIN private.prediction p ON p.seq = e.seq
    LEFT JOIN private.plan_label l ON l.run = s.run AND l.number = p.label
    LEFT JOIN private.plan_label g ON g.run = s.run AND g.number = p.predicted
    """,
)

LEADERBOARD = View(
    name="leaderboard",
    comment="One row for each experiment, metric, split, n and arm, of the experiment's latest run. Arms without "
    "training stand at each n. Only trials with all predictions on the split count; diverged ones do not.",
    columns={
        "experiment": EXPERIMENT,
        "metric": METRIC,
        "split": SPLIT,
        "n": "Labels that the arms may see, validation included.",
        "arm": ARM,
        "rank": "Place by mean among the arms of the same experiment, metric, split and n; 1 is best.",
        "chosen": "Whether validation, or the rules' order, chose the arm; never the scores shown here.",
        "mean": "Mean score of the arm's trials; higher is better.",
        "ci_low": f"Lower {CI}",
        "ci_high": f"Upper {CI}",
        "seeds": "Different data seeds behind the mean; 0: the arm sees no labels.",
        "trials": "Trials behind the mean.",
        "diverged": "Trials left out because their loss was not finite.",
        "items": "Rows that each trial scored.",
        "basis": BASIS,
        "method": "The arm's method.",
        "role": "candidate (may be chosen) or baseline (the measure).",
        "run": RUN,
        "level": "Level of the interval, 0 to 1.",
        "look": LOOK,
        "looks": "How many plans have looked at this split so far: a score that is the best of many looks is too "
        "high. Null: no look was counted.",
    },
    query="""
    SELECT r.experiment, i.metric, i.split, i.n, i.arm,
        rank() OVER (PARTITION BY i.run, i.metric, i.split, i.n ORDER BY i.mean DESC) AS rank,
        coalesce(i.arm = c.arm, false) AS chosen, i.mean, i.low AS ci_low, i.high AS ci_high, i.seeds, i.trials,
        i.diverged, i.items, i.basis, a.method, a.role, i.run, i.level, k.look, k.looks
    FROM private.interval i
    JOIN private.run_started r ON r.run = i.run
    JOIN private.plan_arm a ON a.run = i.run AND a.arm = i.arm
    LEFT JOIN private.choice c ON c.run = i.run
    LEFT JOIN private.look k ON k.run = i.run AND k.split = i.split
    ORDER BY r.experiment, i.metric, i.split, i.n, rank, a.place
    """,
)

LEARNING_CURVE = View(
    name="learning_curve",
    comment="One row for each experiment, metric, split, arm and n, of the experiment's latest run: how the score "
    "grows with labels.",
    columns={
        "experiment": EXPERIMENT,
        "metric": METRIC,
        "split": SPLIT,
        "arm": ARM,
        "n": "Labels that the arm may see, validation included.",
        "mean": "Mean score of the arm's trials; higher is better.",
        "ci_low": f"Lower {CI}",
        "ci_high": f"Upper {CI}",
        "seeds": "Different data seeds behind the mean; 0: the arm sees no labels, so its line is flat.",
        "chosen": "Whether the arm was chosen.",
        "run": RUN,
    },
    query="""
    SELECT experiment, metric, split, arm, n, mean, ci_low, ci_high, seeds, chosen, run FROM leaderboard
    ORDER BY experiment, metric, split, arm, n
    """,
)

COMPARISONS = View(
    name="comparisons",
    comment="One row for each experiment, metric, split, n and arm, of the experiment's latest run: the chosen arm "
    "against this one, on the same items. The risk of any false verdict among the arms of one metric, split and n is "
    "one minus the experiment's confidence at the first look at the split, and the share 1 / (k (k - 1)) of it at look "
    "k: all later looks together risk no more than the first.",
    columns={
        "experiment": EXPERIMENT,
        "metric": METRIC,
        "split": SPLIT,
        "n": "Labels that the arms may see, validation included.",
        "chosen_arm": "The arm that validation, or the rules' order, chose.",
        "arm": "The arm that it is compared with.",
        "difference": "Mean score of the chosen arm minus that of the other; above 0: the chosen arm scored higher.",
        "ci_low": "Lower end of the interval for the difference, at the level of the column level.",
        "ci_high": "Upper end of the interval for the difference, at the level of the column level.",
        "verdict": "better, worse (the chosen arm than the other) or cannot tell.",
        "p_value": "Two-sided, adjusted for the number of arms (Holm) and for the look; at most one minus the "
        "confidence where the verdict is better or worse. Null: a single data seed allows none.",
        "basis": BASIS,
        "seeds": "Data seeds of the trained arm that has fewer; 0: neither is trained.",
        "items": "Rows that both scored.",
        "more_seeds": "So many further data seeds would decide with a chance of 80 %; null: decided, or none would.",
        "more_items": "So many further test items would decide with a chance of 80 %; null: decided, or none would.",
        "run": RUN,
        "level": "Level of the interval, 0 to 1: above the experiment's confidence where several comparisons or looks "
        "share the risk.",
        "p_raw": "Two-sided, as if this were the only comparison of the only look; null: a single data seed allows "
        "none.",
        "raw_low": "Lower end of the interval at the experiment's confidence, as if this were the only comparison.",
        "raw_high": "Upper end of the interval at the experiment's confidence, as if this were the only comparison.",
        "look": LOOK,
    },
    query="""
    SELECT r.experiment, x.metric, x.split, x.n, x.chosen AS chosen_arm, x.arm, x.difference, x.low AS ci_low,
        x.high AS ci_high, x.verdict, x.p_value, x.basis, x.seeds, x.items, x.more_seeds, x.more_items, x.run,
        x.level, x.p_raw, x.raw_low, x.raw_high, k.look
    FROM private.contrast x
    JOIN private.run_started r ON r.run = x.run
    LEFT JOIN private.plan_arm a ON a.run = x.run AND a.arm = x.arm
    LEFT JOIN private.look k ON k.run = x.run AND k.split = x.split
    ORDER BY r.experiment, x.metric, x.split, x.n, a.place
    """,
)
