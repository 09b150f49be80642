"""Where tasks run: on the cores of this machine, or on a Ray cluster. Both use the same crash-proof
workers.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from calotype.bench.errors import BenchError
from calotype.bench.task import Outcome, Task
from calotype.bench.worker import Worker


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalEngine:
    """A pool of worker processes on this machine."""

    def __init__(self, workers: int, timeout: float, one_thread: bool = True, one_core: bool = False) -> None:
        """`timeout` is in seconds per task."""
        self.workers, self.timeout = workers, timeout
        self._pool = [Worker(one_thread, one_core) for _ in range(workers)]

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Outcome]]:
        """Yield (task, outcome) as they are done, in no particular order. Every task gets exactly one
        outcome.
        """
        waiting = deque(tasks)
        idle = list(self._pool)
        busy: dict[Any, tuple[Worker, Task, float]] = {}
        while waiting or busy:
            while waiting and idle:
                worker, task = idle.pop(), waiting.popleft()
                worker.submit(task)
                busy[worker.pipe] = (worker, task, time.monotonic() + self.timeout)
            nearest = min(deadline for _, _, deadline in busy.values())
            ready = wait(list(busy), max(0.0, nearest - time.monotonic()))
            for pipe in ready:
                worker, task, _ = busy.pop(pipe)
                outcome = worker.result()
                idle.append(worker)
                yield task, outcome
            for pipe in [p for p, (_, _, deadline) in busy.items() if deadline <= time.monotonic()]:
                worker, task, _ = busy.pop(pipe)
                outcome = worker.timed_out(self.timeout)
                idle.append(worker)
                yield task, outcome

    def describe(self) -> dict[str, Any]:
        return {"engine": "local", "workers": self.workers}

    def close(self) -> None:
        for worker in self._pool:
            worker.close()


class RayEngine:
    """Workers on a Ray cluster: one actor per core, each with a crash-proof worker of its own.

    Pictures are sent through Ray's object store, so the nodes need no common file system; they need this
    package and the codecs.
    """

    ATTEMPTS = 3  # a task whose node was lost is given to another this many times in all

    def __init__(self, workers: int, timeout: float, address: str | None = None) -> None:
        """`address`: of a running cluster ("auto" finds it); None starts a local one with `workers` cores."""
        try:
            import ray
        except ImportError:
            raise BenchError("--engine ray needs Ray: pip install ray") from None
        self.ray, self.timeout, self.address = ray, timeout, address
        self._mine = not ray.is_initialized()
        if self._mine:
            local: dict[str, Any] = (
                {"num_cpus": workers, "include_dashboard": False} if address is None else {}
            )
            try:
                ray.init(address=address, logging_level="error", log_to_driver=False, **local)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise BenchError(f"no Ray cluster at {address}: {str(error).splitlines()[0]}") from error
        self.workers = workers if address is None else int(ray.cluster_resources().get("CPU", 1))
        actor = ray.remote(num_cpus=1, max_restarts=-1)(_RayWorker)
        self._pool = [actor.remote(timeout) for _ in range(self.workers)]
        self._pictures: dict[str, Any] = {}

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Outcome]]:
        waiting = deque((task, 1) for task in tasks)
        idle = list(self._pool)
        busy: dict[Any, tuple[Any, Task, int]] = {}
        while waiting or busy:
            while waiting and idle:
                (task, attempt), actor = waiting.popleft(), idle.pop()
                try:
                    picture = self._picture(task.image)
                except OSError as error:
                    idle.append(actor)
                    yield task, Outcome(failure="corrupt-image", message=f"{type(error).__name__}: {error}")
                    continue
                busy[actor.perform.remote(task, picture)] = (actor, task, attempt)
            if not busy:
                continue
            for done in self.ray.wait(list(busy), num_returns=1)[0]:
                actor, task, attempt = busy.pop(done)
                idle.append(actor)
                try:
                    yield task, self.ray.get(done)
                except self.ray.exceptions.RayError as error:  # the node went away, or was out of memory
                    if attempt < self.ATTEMPTS:
                        waiting.append((task, attempt + 1))
                    else:
                        yield (
                            task,
                            Outcome(
                                failure="lost-node", message=f"{type(error).__name__}, {attempt} attempts"
                            ),
                        )

    def _picture(self, path: str) -> Any:
        if path not in self._pictures:
            self._pictures[path] = self.ray.put(Path(path).read_bytes())
        return self._pictures[path]

    def describe(self) -> dict[str, Any]:
        nodes = [{"cpus": n["Resources"].get("CPU", 0)} for n in self.ray.nodes() if n["Alive"]]
        return {"engine": "ray", "version": self.ray.__version__, "workers": self.workers, "nodes": nodes}

    def close(self) -> None:
        for actor in self._pool:
            with contextlib.suppress(Exception):
                self.ray.get(actor.close.remote(), timeout=10)
            self.ray.kill(actor)
        if self._mine:
            self.ray.shutdown()


class _RayWorker:
    """Actor on a node of the cluster: passes tasks to a crash-proof worker process there."""

    def __init__(self, timeout: float) -> None:
        self.timeout, self.worker = timeout, Worker()

    def perform(self, task: Task, data: bytes) -> Outcome:
        self.worker.submit(task, data)
        return self.worker.wait(self.timeout)

    def close(self) -> None:
        self.worker.close()
