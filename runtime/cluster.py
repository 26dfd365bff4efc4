"""The Ray executor: one long-lived actor for each device, which holds the base model.

Only JSON and the bytes of artefacts cross. Ray's own retries are off, the dashboard is off, a local cluster listens on
loopback only; the store's attempts are the only record of what was tried. Ray would set OMP_NUM_THREADS from num_cpus,
take a third of the memory as object store, kill workers by memory and run them at the lowest priority, where one busy
neighbour on the same core leaves them next to nothing: all four are set here.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Queue
from typing import Any

from fewtune.runtime.executor import Finished, Lost, Notify, Setting
from fewtune.runtime.guard import Guard
from fewtune.runtime.job import Answer, Batch, Corpus, Job, ModelRef, Progress
from fewtune.runtime.signals import handlers_kept
from fewtune.runtime.train.engine import Engine

OBJECT_STORE = 512 * 2**20
"""Bytes for results on their way: a few adapters, or one set of weights."""
POLL = 0.5
"""Seconds between two questions for progress."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_worker_niceness": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}
"""A local Ray asks for a token and listens on 127.0.0.1 only, as it does by default on other systems
(ray-project/ray#18730). A cluster of the operator's has its own settings; a driver that differs is not served."""


class Worker:
    """What runs inside an actor: an engine, and the last sign of life."""

    def __init__(self, model: str, corpus: str, device: str, threads: int, steady: bool) -> None:
        """Build the engine; the model is loaded by the first job that needs it."""
        os.environ["OMP_NUM_THREADS"] = str(threads)
        self._engine = Engine(
            ModelRef.model_validate_json(model), Corpus.model_validate_json(corpus),
            device=device, threads=threads, steady=steady,
        )  # fmt: skip
        self._progress: Progress | None = None
        # Each thread that calls into OpenMP gets threads of its own, and with more of them than cores none spins at a
        # barrier: half the rate. So all jobs run in one thread, whichever of the actor's threads takes the call.
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._answers: Queue[Answer | BaseException] = Queue()

    def run(self, jobs: list[str], states: list[bytes | None], slots: int) -> Answer:
        """Begin a batch; returns the answer of the job that ends first."""
        asked = tuple(Job.model_validate_json(job) for job in jobs)
        self._thread.submit(self._work, Batch(asked, tuple(states), slots))
        return self.more()

    def more(self) -> Answer:
        """Wait for the batch's next answer; work goes on meanwhile and afterwards."""
        found = self._answers.get()
        if isinstance(found, BaseException):
            raise found
        return found

    def _work(self, batch: Batch) -> None:
        try:
            for answer in self._engine.run_batch(batch, notify=self._note):
                self._answers.put(answer)
        except BaseException as error:
            self._answers.put(error)

    def _note(self, progress: Progress) -> None:
        self._progress = progress

    def progress(self) -> Progress | None:
        """How far the present job is; answered while it runs."""
        return self._progress


class RayCluster:
    """Actors on a local Ray, or on the cluster whose address the operator names."""

    name = "ray"

    def __init__(self, setting: Setting, *, address: str | None = None) -> None:
        """Start Ray (or connect) and one actor for each worker.

        Args:
            setting: what each worker needs.
            address: of a running cluster; None: a local one that ends with this process.
        """
        os.environ.update(QUIET)
        if address is None:
            os.environ.update(LOCAL)
        self._guard = Guard() if address is None else None
        import ray

        self._ray = ray
        self._setting = setting
        with handlers_kept():
            self._connect(address)
        self._texts = (setting.model.model_dump_json(), setting.corpus.model_dump_json())
        self._actors: dict[str, Any] = {}
        self._running: dict[Any, str] = {}
        self._held: dict[str, list[str]] = {}
        self._asked: dict[str, Any] = {}
        self._started = 0
        for _ in range(setting.workers):
            self._start()

    def _connect(self, address: str | None) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if address is not None:
            self._ray.init(address=address, ignore_reinit_error=True, **quiet)
            return
        gpus = self._setting.workers if self._setting.device == "cuda" else 0
        self._ray.init(
            address="local",
            num_cpus=max(1, self._setting.workers),
            num_gpus=gpus,
            object_store_memory=OBJECT_STORE,
            include_dashboard=False,
            **quiet,
        )

    def _start(self) -> None:
        """Start one more actor."""
        self._started += 1
        name = f"worker-{self._started}"
        kind = self._ray.remote(Worker).options(
            num_cpus=1, num_gpus=1 if self._setting.device == "cuda" else 0,
            max_restarts=0, max_task_retries=0, max_concurrency=2, scheduling_strategy="SPREAD",
        )  # fmt: skip
        self._actors[name] = kind.remote(
            *self._texts, self._setting.device, self._setting.threads, self._setting.steady
        )

    def idle(self) -> list[str]:
        """Workers that hold no job."""
        busy = set(self._running.values())
        return [name for name in self._actors if name not in busy]

    def submit(self, worker: str, batch: Batch) -> None:
        """Send jobs to an actor."""
        texts = [job.model_dump_json() for job in batch.jobs]
        self._held[worker] = [job.id for job in batch.jobs]
        self._running[self._actors[worker].run.remote(texts, list(batch.states), batch.slots)] = worker

    def wait(self, seconds: float, notify: Notify) -> list[Finished | Lost]:
        """Wait for answers; ask the busy actors how far they are meanwhile."""
        if not self._running:
            return []
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=min(seconds, POLL))
        self._listen(notify)
        return [found for reference in ready for found in self._collect(reference)]

    def _collect(self, reference: Any) -> list[Finished | Lost]:
        """One answer, and a question for the next; or everything that the worker held."""
        worker = self._running.pop(reference)
        held = self._held[worker]
        try:
            answer: Answer = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._replace(worker)
            said = str(error).strip().split("\n")[0][:300]
            return [Lost(worker, said)]
        held.remove(answer.job)
        if held:
            self._running[self._actors[worker].more.remote()] = worker
        return [Finished(worker, answer.job, answer)]

    def _replace(self, worker: str) -> None:
        """End an actor that failed and start another in its place."""
        actor = self._actors.pop(worker)
        self._asked.pop(worker, None)
        self._held.pop(worker, None)
        with suppress(self._ray.exceptions.RayError):  # it is dead already
            self._ray.kill(actor, no_restart=True)
        self._start()

    def _listen(self, notify: Notify) -> None:
        """Hand on what busy actors said since the last time; never wait for them."""
        for worker in set(self._running.values()):
            asked = self._asked.get(worker)
            if asked is None:
                self._asked[worker] = self._actors[worker].progress.remote()
                continue
            done, _ = self._ray.wait([asked], timeout=0)
            if done:
                del self._asked[worker]
                try:
                    progress = self._ray.get(asked)
                except self._ray.exceptions.RayError:
                    continue  # the job's own reference reports the loss
                if progress is not None:
                    notify(progress)

    def close(self) -> None:
        """Kill the actors; end the cluster if it is ours."""
        for actor in self._actors.values():
            with suppress(Exception):  # Ray may be gone already
                self._ray.kill(actor, no_restart=True)
        self._actors.clear()
        self._running.clear()
        self._ray.shutdown()
        if self._guard is not None:
            self._guard.close()
