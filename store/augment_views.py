"""Public views of synthetic examples: each one with its origin, and what they were worth."""

from fewtune.store.view import View
from fewtune.store.work_views import ARM, EXPERIMENT, RUN, N

OWNER = "The experiment's latest run whose plan has the data set; earlier runs that share it have no row for it."
MADE_BY = "The run that made it, maybe of another experiment; null: its attempt was not recorded."
FINGERPRINT = "Names the data set by all that can change it; equal in every experiment that shares it."

AUGMENTED_EXAMPLES = View(
    name="augmented_examples",
    comment="One row for each synthetic example of an experiment, however many of its runs share it; those that were "
    "left out are among them. Every one trains its own data seed only.",
    columns={
        "experiment": EXPERIMENT,
        "run": OWNER,
        "source": "teacher: a model wrote it. eda: a changed copy of a labelled example.",
        "n": N,
        "data_seed": "The data seed whose examples it was made from, from 0.",
        "fold": "The fold of the cross-validation, from 0; null: there are none.",
        "label": "The label that it was written for.",
        "text": "The example; the fields of a pair stand below each other.",
        "origin": "teacher, or the operation on a labelled example: synonym, insert, swap, delete.",
        "model": "The teacher's model; null: there was none.",
        "call": "Hash of the teacher's call; null: there was none.",
        "number": "Its place in the answer; of a changed copy the place of the labelled example, from 0.",
        "attributes": "What was asked of it beside its label, as JSON.",
        "kept": "Whether it trains.",
        "reason": "Why it was left out: format, length, leak, near-seed, near-synthetic, label, not-selected. Null: it "
        "was not.",
        "detail": "What it is like, or what is wrong with it; null: it was kept.",
        "quality": "Probability that its label is right, by models that never saw it, were one label in a hundred "
        "wrong, 0 to 1. Null: it was left out, or nothing could tell, as the data set's note says.",
        "nearest_seed": "Cosine with the most alike labelled example; null: it was left out.",
        "made_by": MADE_BY,
        "fingerprint": FINGERPRINT,
    },
    query="""
    SELECT o.experiment, o.run, a.source, a.n, a.data_seed, a.fold, l.label, y.text, y.origin,
        nullif(a.model, '') AS model, y.call, y.number, y.attributes, y.reason IS NULL AS kept, y.reason, y.detail,
        y.quality, y.nearest_seed, m.run AS made_by, a.fingerprint
    FROM private.augmented_owner o
    JOIN private.last_augmented a ON a.fingerprint = o.fingerprint
    JOIN private.synthetic y ON y.seq = a.seq
    JOIN private.plan_label l ON l.run = o.run AND l.number = y.label
    LEFT JOIN private.attempt_started m ON m.attempt = a.attempt
    ORDER BY o.run_seq, a.seq, y.reason IS NOT NULL, y.place
    """,
)

AUGMENTATIONS = View(
    name="augmentations",
    comment="One row for each synthetic data set of an experiment, however many of its runs share it: how it came "
    "about, and what it cost. Experiments that share one have a row each, with the same fingerprint.",
    columns={
        "experiment": EXPERIMENT,
        "run": OWNER,
        "source": "teacher or eda.",
        "n": N,
        "data_seed": "The data seed whose examples it was made from, from 0.",
        "fold": "The fold of the cross-validation, from 0; null: there are none.",
        "model": "The teacher's model; null: there was none.",
        "seeds": "Labelled examples that it was made from.",
        "written": "Examples that were made.",
        "kept": "Examples that train.",
        "passed_share": "Share that passed the tests, 0 to 1; Vereonix's page says 0.6 to 0.7.",
        "stopped": "Why it ended: target, tokens, money, saturation, questions, refusals; null: there was no teacher.",
        "calls": "Answers of the teacher that were used, recorded ones among them.",
        "tokens": "Tokens of these answers and their questions.",
        "cost": "Money for them, at the given prices.",
        "teacher_accuracy": "Share of the labelled examples that the teacher labels rightly; null: it was not asked, "
        "or a ceiling left no room for it.",
        "student_accuracy": "The same of the student unasked, or of the most frequent label; null: nothing was asked.",
        "opened": "Whether the teacher beat the student; else the arms are dropped and nothing was written.",
        "wrong_rate": "Estimated share of wrong labels among what was checked, 0 to 1; null: it could not be checked.",
        "seconds": "How long it took.",
        "note": "What a reader must know; null: nothing.",
        "made_by": MADE_BY,
        "fingerprint": FINGERPRINT,
    },
    query="""
    SELECT o.experiment, o.run, a.source, a.n, a.data_seed, a.fold, nullif(a.model, '') AS model, a.seeds, a.written,
        a.kept, a.passed_share, nullif(a.stopped, '') AS stopped, a.calls, a.tokens, a.cost, a.teacher_accuracy,
        a.student_accuracy, a.opened, a.wrong_rate, a.seconds, nullif(a.note, '') AS note,
        m.run AS made_by, a.fingerprint
    FROM private.augmented_owner o
    JOIN private.last_augmented a ON a.fingerprint = o.fingerprint
    LEFT JOIN private.attempt_started m ON m.attempt = a.attempt
    ORDER BY o.run_seq, a.seq
    """,
)

EFFECTIVE_MULTIPLIER = View(
    name="effective_multiplier",
    comment="One row for each arm with synthetic examples, data size and split of an experiment's latest run: how many "
    "real examples would give its score, read off the learning curve of the arm without them.",
    columns={
        "experiment": EXPERIMENT,
        "run": RUN,
        "split": "test, a named out-of-domain split, or cv.",
        "metric": "What is compared; higher is better.",
        "arm": ARM,
        "twin": "The arm without synthetic examples.",
        "n": N,
        "multiplier": "Real examples that would give the score, over n; above 1 the synthetic ones help. With `bound` "
        "it is no value but the end of the curve, over n. Null: it cannot be told.",
        "ci_low": "Lower end of its interval over data seeds; with `ci_low_bound` no value but the end of the curve, "
        "over n. Null: as above.",
        "ci_high": "Upper end, likewise.",
        "bound": "at least: the score is above the whole curve, and the multiplier is larger. at most: below it, and "
        "smaller. Null: within it.",
        "seeds": "Data seeds that both arms have.",
        "says": "The same in words.",
        "ci_low_bound": "at least or at most, as `bound`, of the interval's lower end; null: it is a value.",
        "ci_high_bound": "The same of the upper end.",
    },
    query="""
    SELECT r.experiment, m.run, m.split, m.metric, m.arm, m.twin, m.n, m.multiplier, m.low AS ci_low, m.high AS ci_high,
        nullif(m.bound, '') AS bound, m.seeds, m.says, nullif(m.low_bound, '') AS ci_low_bound,
        nullif(m.high_bound, '') AS ci_high_bound
    FROM private.multiplier m JOIN private.run_started r ON r.run = m.run
    ORDER BY r.seq, m.split, m.arm, m.n
    """,
)

VIEWS = (AUGMENTED_EXAMPLES, AUGMENTATIONS, EFFECTIVE_MULTIPLIER)
