"""Public views of the work: runs, trials, attempts, failures, costs and the plan's decisions."""

from fewtune.store.view import View

EXPERIMENT = "The experiment's name."
RUN = "The run: one apply of a plan."
TRIAL = "The trial: one arm with one data size, one data seed and one model seed. Unique within a run."
ARM = "The arm: one method configuration. Unique within a plan."
N = "Labels that the trial may see, validation included; 0: the arm sees none."
DATA_SEED = "Seed that drew the labelled examples (without a test split: the folds); null: the arm sees none."
MODEL_SEED = "Seed of initialisation and order; null: the arm has none."

RUNS = View(
    name="runs",
    comment="One row for each run: one apply of a plan.",
    columns={
        "run": RUN,
        "experiment": EXPERIMENT,
        "plan_hash": "The plan's name: equal plans have equal hashes.",
        "state": "running, succeeded, partial (some trials failed), failed or cancelled.",
        "started": "When it began, UTC.",
        "ended": "When it ended, UTC; null: it runs.",
        "seconds": "How long it took on the clock; null: it runs, or its process died.",
        "trials": "Trials of the plan.",
        "finished": "Trials with all their results, diverged ones included.",
        "reused": "Trials whose results were there before the run.",
        "failed": "Trials whose last attempt failed.",
        "chosen_arm": "The arm that was chosen by validation or by the rules' order; null: not yet.",
        "metric": "What arms are chosen by.",
        "engine": "What executed it: in-process or ray.",
        "devices": "The devices, as a JSON list.",
        "workers": "How many workers it had.",
        "version": "The version of fewtune.",
        "message": "Why it ended as it did; null or empty: nothing to say.",
        "title": "The experiment's longer name; null: none.",
        "notes": "The user's notes at the time; null: none.",
        "tags": "The user's tags, as a JSON list.",
        "model": "The base model; null: the run's plan was lost.",
        "model_parameters": "Parameters of the base model.",
    },
    query="""
    SELECT r.run, r.experiment, r.plan_hash, coalesce(e.state, 'running') AS state, r.ts AS started, e.ts AS ended,
        e.seconds, coalesce(t.trials, 0) AS trials, coalesce(t.finished, 0) AS finished,
        coalesce(t.reused, 0) AS reused, coalesce(t.failed, 0) AS failed, c.arm AS chosen_arm, p.metric,
        r.engine, r.devices, r.workers, r.version, e.message, r.title, r.notes, r.tags, p.model, p.model_parameters
    FROM private.run_started r
    LEFT JOIN private.run_ended e ON e.run = r.run
    LEFT JOIN private.plan p ON p.run = r.run
    LEFT JOIN private.choice c ON c.run = r.run
    LEFT JOIN (
        SELECT run, count(*) AS trials,
            count(*) FILTER (WHERE state IN ('finished', 'diverged')) AS finished,
            count(*) FILTER (WHERE action = 'reuse') AS reused,
            count(*) FILTER (WHERE state = 'failed') AS failed
        FROM trials GROUP BY run
    ) t ON t.run = r.run
    ORDER BY r.seq
    """,
)

TRIALS = View(
    name="trials",
    comment="One row for each trial of each run's plan, whether it was computed yet or not.",
    columns={
        "experiment": EXPERIMENT,
        "run": RUN,
        "trial": TRIAL,
        "arm": ARM,
        "n": N,
        "data_seed": DATA_SEED,
        "model_seed": MODEL_SEED,
        "state": "finished, diverged (the loss was not finite), running, failed (its last attempt), dropped "
        "(by a halving) or waiting.",
        "action": "create: computed by this run. reuse: known before it. retry: an earlier attempt had failed. "
        "drop: left out by a halving.",
        "fingerprint": "Names the trial by all that can change its result; equal in every run that shares it.",
        "seconds": "Fitting and scoring together, whichever run did it; null: nothing yet.",
        "method": "The arm's method.",
        "rank": "Rank r of the LoRA update; null: no LoRA.",
        "steps": "Optimizer steps; 0: nothing is trained.",
        "batch_size": "Examples for one optimizer step; 0: nothing is trained.",
        "learning_rate": "Peak learning rate; 0: nothing is trained.",
        "note": "What must be known of the result: a gate that stayed closed. Null: nothing.",
        "label_noise": "Share of the training labels that were turned into wrong ones, 0 to 1; 0: labels as they are.",
        "training_seconds": "Fitting alone, all folds, parts that only choose left out; null: nothing fitted yet, or "
        "nothing to fit.",
        "peak_memory_bytes": "Largest memory use while fitting, bytes, of the device (CPU: of the process, the model "
        "included); null: nothing fitted yet, or nothing to fit.",
        "trainable_parameters": "Parameters of the language model (or encoder) that moved, a new head included; "
        "0: none.",
        "adapter_bytes": "Size of what fitting left for use: adapter, moved weights, classifier or demonstrations; 0: "
        "nothing is fitted; null: not yet.",
        "latency_ms": "Milliseconds for one item while test, cv and out-of-domain splits were scored: in batches by "
        "length, 1024 tokens on a CPU and 32768 on a GPU, other workers at work; a single request takes longer. Null: "
        "nothing scored yet.",
        "forgetting": "Loss on neutral text after fitting minus before, nats for each token; above 0: the language "
        "model reads other text worse. Null: nothing of it moved (an encoder foretells no words), or by a version "
        "that did not measure.",
        "probe_change": "Share of 20 items whose next word is known, after fitting minus before, -1 to 1; below 0: "
        "general knowledge was lost. Null as forgetting.",
    },
    query="""
    WITH seen AS (
        SELECT r.experiment, r.seq AS run_seq, e.run IS NOT NULL AS ended, t.*,
            p.to_evaluate > 0 AND p.evaluated = p.to_evaluate AS complete,
            p.diverged, p.note, p.last_seq, p.seconds, tried.open, tried.failed, b.trial IS NOT NULL AS failed_before,
            d.trial IS NOT NULL AS dropped
        FROM private.plan_trial t
        JOIN private.run_started r ON r.run = t.run
        LEFT JOIN private.run_ended e ON e.run = t.run
        LEFT JOIN private.progress p ON p.run = t.run AND p.trial = t.trial
        LEFT JOIN private.tried tried ON tried.run = t.run AND tried.trial = t.trial
        LEFT JOIN private.failed_before b ON b.run = t.run AND b.trial = t.trial
        LEFT JOIN private.dropped d ON d.run = t.run AND d.trial = t.trial
    )
    SELECT s.experiment, s.run, s.trial, s.arm, s.n, s.data_seed, s.model_seed,
        CASE
            WHEN s.diverged THEN 'diverged'
            WHEN s.complete THEN 'finished'
            WHEN s.open AND NOT s.ended THEN 'running'
            WHEN s.open OR s.failed THEN 'failed'
            WHEN s.dropped THEN 'dropped'
            ELSE 'waiting'
        END AS state,
        CASE
            WHEN (s.complete OR s.diverged) AND s.last_seq < s.run_seq THEN 'reuse'
            WHEN s.dropped AND NOT s.complete THEN 'drop'
            WHEN s.failed_before THEN 'retry'
            ELSE 'create'
        END AS action,
        s.fingerprint, s.seconds, a.method, a.rank, x.steps, x.batch_size, x.learning_rate, s.note, a.label_noise,
        f.seconds AS training_seconds, f.peak_memory_bytes,
        CASE WHEN a.adaptation = 'none' THEN 0 ELSE f.trainable_parameters END AS trainable_parameters,
        CASE WHEN s.n = 0 THEN 0 ELSE f.artefact_bytes END AS adapter_bytes,
        w.latency_ms, f.forgetting, f.probe_change
    FROM seen s
    LEFT JOIN private.fits f ON f.run = s.run AND f.trial = s.trial
    LEFT JOIN private.answers w ON w.run = s.run AND w.trial = s.trial
    LEFT JOIN private.plan_arm a ON a.run = s.run AND a.arm = s.arm
    LEFT JOIN private.plan_recipe x ON x.run = s.run AND x.arm = s.arm AND x.n = s.n
    ORDER BY s.run_seq, s.place
    """,
)

ATTEMPTS = View(
    name="attempts",
    comment="One row for each execution of a job (a trial, or one fold of it) on a worker.",
    columns={
        "experiment": EXPERIMENT,
        "run": RUN,
        "attempt": "The attempt's name.",
        "job": "What was executed; attempts of one job are numbered by their start.",
        "trial": "The trial; null: the last fit on all labels.",
        "arm": ARM,
        "state": "running, succeeded or failed.",
        "failure": "worker_lost, out_of_memory, interrupted or error; null: none.",
        "message": "What was said about a failure, also of trainings that were to share their steps; null: it runs.",
        "started": "When it began, UTC.",
        "seconds": "How long it took; null: it runs, or it was cut off.",
        "worker": "Where it ran.",
        "micro_batch": "Examples in one forward pass.",
        "slots": "Trainings that shared its steps, itself among them; null: nothing was fitted.",
    },
    query="""
    SELECT r.experiment, a.run, a.attempt, a.job, a.trial, a.arm, coalesce(e.state, 'running') AS state, e.failure,
        e.message, a.ts AS started, e.seconds, a.worker, a.micro_batch, f.slots
    FROM private.attempt_started a
    JOIN private.run_started r ON r.run = a.run
    LEFT JOIN private.attempt_ended e ON e.attempt = a.attempt
    LEFT JOIN private.fitted f ON f.attempt = a.attempt
    ORDER BY a.seq
    """,
)

FAILURES = View(
    name="failures",
    comment="One row for each failed attempt, and for each run that failed as a whole (attempt is null there).",
    columns={
        "experiment": EXPERIMENT,
        "run": RUN,
        "attempt": "The attempt; null: the run as a whole.",
        "trial": "The trial; null: the run as a whole, or the last fit on all labels.",
        "arm": "The arm; null: the run as a whole.",
        "failure": "worker_lost, out_of_memory, interrupted or error; null: the run as a whole.",
        "message": "What was said about it.",
        "at": "When it failed, UTC.",
        "seconds": "How long it had taken; null: it was cut off.",
    },
    query="""
    SELECT r.experiment, a.run, a.attempt, a.trial, a.arm, e.failure, e.message, e.ts AS "at", e.seconds
    FROM private.attempt_ended e
    JOIN private.attempt_started a ON a.attempt = e.attempt
    JOIN private.run_started r ON r.run = a.run
    WHERE e.state = 'failed'
    UNION ALL
    SELECT r.experiment, r.run, NULL, NULL, NULL, NULL, e.message, e.ts, e.seconds
    FROM private.run_ended e JOIN private.run_started r ON r.run = e.run
    WHERE e.state = 'failed'
    ORDER BY "at", run, attempt
    """,
)

DECISIONS = View(
    name="decisions",
    comment="One row for each value that a run's plan resolved, with its reasons.",
    columns={
        "experiment": EXPERIMENT,
        "run": RUN,
        "field": "JSON pointer into the plan.",
        "value": "What was chosen, as JSON.",
        "rule": 'The evidence that decided, or "pin", "fact", "budget".',
        "decided_by": "The deciding function of the compiler.",
        "because": "The reason, in a sentence.",
        "strength": "strong, mixed, folklore, local or given (not a matter of evidence).",
        "source": "Where the evidence stands.",
        "evidence": "All evidence that was weighed, as a JSON list.",
        "alternatives": "What else could have been chosen and why not, as a JSON list.",
        "flips_when": "What would change the value; null: nothing is known.",
        "pinned": "Whether the user set it.",
    },
    query="""
    SELECT r.experiment, d.run, d.field, d.value, d.rule, d.decided_by, d.because, d.strength, d.source, d.evidence,
        d.alternatives, d.flips_when, d.pinned
    FROM private.plan_decision d JOIN private.run_started r ON r.run = d.run
    ORDER BY r.seq, d.place
    """,
)

COSTS = View(
    name="costs",
    comment="One row for each run and arm, and one for the whole run (arm is null): the estimate and what it took.",
    columns={
        "experiment": EXPERIMENT,
        "run": RUN,
        "arm": "The arm; null: the whole run.",
        "estimated_seconds_low": "Estimate: nearly no run takes less.",
        "estimated_seconds": "Estimate: half of all runs take less.",
        "estimated_seconds_high": "Estimate: nearly no run takes more.",
        "basis": "What the estimate rests on: heuristic, scaled, calibrated or measured.",
        "seconds": "Of an arm: fitting and scoring done by this run, 0 where all was known. Of the run: on the clock, "
        "null while it runs.",
        "lost_seconds": "Spent on attempts that failed.",
        "estimated_peak_memory_bytes": "Estimate of the largest memory use, bytes.",
        "peak_memory_bytes": "Largest memory use while fitting, bytes; null: nothing was fitted by this run.",
        "estimated_disk_bytes": "Estimate of what stays on the disk, bytes.",
        "disk_bytes": "Artefacts that this run left, bytes.",
    },
    query="""
    WITH work AS (
        SELECT s.run, s.arm, sum(x.seconds) AS seconds, max(x.peak_memory_bytes) AS peak, sum(x.artefact_bytes) AS disk
        FROM (SELECT DISTINCT run, arm, fingerprint FROM private.stage) s
        JOIN private.result x ON x.fingerprint = s.fingerprint
        JOIN private.attempt_started a ON a.attempt = x.attempt AND a.run = s.run
        GROUP BY s.run, s.arm
    ), lost AS (
        SELECT a.run, a.arm, sum(e.seconds) AS seconds
        FROM private.attempt_started a JOIN private.attempt_ended e ON e.attempt = a.attempt AND e.state = 'failed'
        GROUP BY a.run, a.arm
    ), actual AS (
        SELECT c.run, c.arm, coalesce(w.seconds, 0) AS seconds, coalesce(l.seconds, 0) AS lost, w.peak,
            coalesce(w.disk, 0) AS disk
        FROM private.plan_cost c
        LEFT JOIN work w ON w.run = c.run AND w.arm = c.arm
        LEFT JOIN lost l ON l.run = c.run AND l.arm = c.arm
        WHERE c.arm IS NOT NULL
        UNION ALL
        SELECT c.run, NULL, any_value(e.seconds), coalesce(any_value(l.seconds), 0), max(w.peak),
            coalesce(sum(w.disk), 0)
        FROM private.plan_cost c
        LEFT JOIN private.run_ended e ON e.run = c.run
        LEFT JOIN (SELECT run, sum(seconds) AS seconds FROM lost GROUP BY run) l ON l.run = c.run
        LEFT JOIN work w ON w.run = c.run
        WHERE c.arm IS NULL
        GROUP BY c.run
    )
    SELECT r.experiment, c.run, c.arm, c.seconds_low AS estimated_seconds_low, c.seconds_mid AS estimated_seconds,
        c.seconds_high AS estimated_seconds_high, c.basis, a.seconds, a.lost AS lost_seconds,
        c.peak_memory_mid AS estimated_peak_memory_bytes, a.peak AS peak_memory_bytes,
        c.disk_bytes AS estimated_disk_bytes, a.disk AS disk_bytes
    FROM private.plan_cost c
    JOIN private.run_started r ON r.run = c.run
    JOIN actual a ON a.run = c.run AND a.arm IS NOT DISTINCT FROM c.arm
    LEFT JOIN private.plan_arm p ON p.run = c.run AND p.arm = c.arm
    ORDER BY r.seq, p.place NULLS LAST
    """,
)
