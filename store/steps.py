"""Private views on the way from events to public views."""

from fewtune.store.view import Step

LAST_FITTED = Step(
    name="last_fitted",
    query="""
    SELECT * FROM private.fitted
    QUALIFY row_number() OVER (PARTITION BY fingerprint ORDER BY seq DESC) = 1
    """,
)

LAST_EVALUATED = Step(
    name="last_evaluated",
    query="""
    SELECT * FROM private.evaluated
    QUALIFY row_number() OVER (PARTITION BY fingerprint ORDER BY seq DESC) = 1
    """,
)

LAST_AUGMENTED = Step(
    name="last_augmented",
    query="""
    SELECT * FROM private.augmented
    QUALIFY row_number() OVER (PARTITION BY fingerprint ORDER BY seq DESC) = 1
    """,
)

AUGMENTED_OWNER = Step(
    name="augmented_owner",
    query="""
    SELECT r.experiment, r.run, r.seq AS run_seq, s.fingerprint
    FROM private.plan_stage s JOIN private.run_started r ON r.run = s.run
    WHERE s.kind = 'augment'
    QUALIFY row_number() OVER (PARTITION BY r.experiment, s.fingerprint ORDER BY r.seq DESC) = 1
    """,
)

RESULT = Step(
    name="result",
    query="""
    SELECT fingerprint, seq, attempt, seconds, artefact_bytes, peak_memory_bytes, diverged, note
    FROM private.last_fitted
    UNION ALL
    SELECT fingerprint, seq, attempt, seconds, artefact_bytes, NULL, NULL, NULL FROM private.last_evaluated
    """,
)

STAGE = Step(
    name="stage",
    query="""
    SELECT s.run, s.stage, s.kind, s.fingerprint, s.trial, coalesce(t.arm, s.arm) AS arm, s.fold, s.split
    FROM private.plan_stage s LEFT JOIN private.plan_trial t ON t.run = s.run AND t.trial = s.trial
    """,
)

LATEST_RUN = Step(
    name="latest_run",
    query="""
    SELECT run, experiment FROM private.run_started
    QUALIFY row_number() OVER (PARTITION BY experiment ORDER BY seq DESC) = 1
    """,
)

CHOICE = Step(
    name="choice",
    query="""
    SELECT s.run, x.arm FROM private.plan_stage s JOIN private.selected x ON x.fingerprint = s.fingerprint
    WHERE s.kind = 'select'
    QUALIFY row_number() OVER (PARTITION BY s.run ORDER BY coalesce(x.n, 0) DESC, x.seq DESC) = 1
    """,
)

TRIED = Step(
    name="tried",
    query="""
    WITH last_of_job AS (
        SELECT a.run, a.trial, e.attempt IS NULL AS open, e.state = 'failed' AS failed
        FROM private.attempt_started a LEFT JOIN private.attempt_ended e ON e.attempt = a.attempt
        WHERE a.trial IS NOT NULL
        QUALIFY row_number() OVER (PARTITION BY a.run, a.job ORDER BY a.seq DESC) = 1
    )
    SELECT run, trial, bool_or(open) AS open, bool_or(failed) AS failed FROM last_of_job GROUP BY run, trial
    """,
)

PROGRESS = Step(
    name="progress",
    query="""
    SELECT s.run, s.trial,
        count(*) FILTER (WHERE s.kind = 'evaluate') AS to_evaluate,
        count(r.seq) FILTER (WHERE s.kind = 'evaluate') AS evaluated,
        coalesce(bool_or(r.diverged), false) AS diverged,
        max(nullif(r.note, '')) AS note,
        max(r.seq) AS last_seq,
        sum(r.seconds) AS seconds
    FROM private.plan_stage s LEFT JOIN private.result r ON r.fingerprint = s.fingerprint
    WHERE s.trial IS NOT NULL
    GROUP BY s.run, s.trial
    """,
)

FAILED_BEFORE = Step(
    name="failed_before",
    query="""
    SELECT DISTINCT t.run, t.trial
    FROM private.plan_trial t
    JOIN private.run_started r ON r.run = t.run
    JOIN private.plan_trial earlier ON earlier.fingerprint = t.fingerprint
    JOIN private.attempt_started a ON a.run = earlier.run AND a.trial = earlier.trial AND a.seq < r.seq
    JOIN private.attempt_ended e ON e.attempt = a.attempt AND e.state = 'failed'
    """,
)

DROPPED = Step(
    name="dropped",
    query="""
    SELECT DISTINCT t.run, t.trial
    FROM private.plan_trial t
    JOIN private.plan_stage g ON g.run = t.run AND g.stage = t.gate
    JOIN private.selected x ON x.fingerprint = g.fingerprint
    WHERE NOT list_contains(x.kept, t.arm)
    """,
)

FITS = Step(
    name="fits",
    query="""
    SELECT s.run, s.trial, sum(f.seconds) AS seconds, max(f.peak_memory_bytes) AS peak_memory_bytes,
        max(f.trainable_parameters) AS trainable_parameters, max(f.artefact_bytes) AS artefact_bytes,
        avg(f.text_loss - f.text_loss_before) AS forgetting, avg(f.probe - f.probe_before) AS probe_change
    FROM private.plan_stage s JOIN private.last_fitted f ON f.fingerprint = s.fingerprint
    WHERE s.kind = 'train' AND NOT regexp_matches(s.stage, '/part[0-9]+$')
    GROUP BY s.run, s.trial
    """,
)

ANSWERS = Step(
    name="answers",
    query="""
    SELECT s.run, s.trial, 1000 * sum(e.seconds + coalesce(e.spared_seconds, 0)) / sum(e.items) AS latency_ms
    FROM private.plan_stage s JOIN private.last_evaluated e ON e.fingerprint = s.fingerprint
    WHERE s.kind = 'evaluate' AND s.split <> 'validation' AND s.trial IS NOT NULL
    GROUP BY s.run, s.trial
    """,
)

LOOK = Step(
    name="look",
    query="""
    SELECT r.run, l.split, l.number AS look, l.total AS looks
    FROM (
        SELECT plan_hash, split, number, max(number) OVER (PARTITION BY rows_alike) AS total
        FROM (
            SELECT *, dense_rank() OVER (PARTITION BY rows_alike ORDER BY first_seq) AS number
            FROM (
                SELECT *, min(seq) OVER (PARTITION BY rows_alike, coalesce(nullif(shown, ''), plan_hash)) AS first_seq
                FROM (
                    SELECT *, coalesce(max(nullif(alike, '')) OVER (PARTITION BY content), content) AS rows_alike
                    FROM private.looked
                )
            )
        )
    ) l
    JOIN private.run_started r ON r.plan_hash = l.plan_hash
    QUALIFY row_number() OVER (PARTITION BY r.run, l.split ORDER BY l.number) = 1
    """,
)

STEPS = (
    LAST_FITTED, LAST_EVALUATED, LAST_AUGMENTED, AUGMENTED_OWNER,
    RESULT, STAGE, LATEST_RUN, CHOICE, TRIED, PROGRESS, FAILED_BEFORE, DROPPED, FITS,
    ANSWERS, LOOK,
)  # fmt: skip
