"""Work on many things at once: on processes of this machine, or over Ray on several."""

from __future__ import annotations

import itertools
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal, TypeVar

from archcast.encoders.errors import InvalidSettingError, MissingExtraError

Engine = Literal["local", "ray"]
T = TypeVar("T")
R = TypeVar("R")

#: Chunks a worker gets on average, so that none waits long for the last one.
_CHUNKS: Final = 4
#: Jobs handed out but not done, a worker: enough to keep it busy, few enough to stop soon.
_AHEAD: Final = 2


def run(
    function: Callable[..., R],
    jobs: Sequence[tuple[Any, ...]],
    *,
    workers: int = 1,
    engine: Engine = "local",
    label: str = "",
    unit: str = "",
    sizes: Sequence[int] | None = None,
) -> Iterator[R]:
    """Call a function for every job.

    Args:
        function: a module's function; it and what it takes and gives must be picklable.
        jobs: J arguments of it.
        workers: processes; with one, local work is done in this process.
        engine: ``local``: processes of this machine; ``ray``: a Ray cluster, the one that
            ``RAY_ADDRESS`` names or else one of this machine that is stopped afterwards. Files that
            are read or written must then be on a disk that all machines share.
        label: shown before a progress bar; none if empty.
        unit: what the bar counts.
        sizes: (J,) units of every job; one each if None.

    Yields:
        The J results in the order of the jobs, each as soon as it and those before are there. An
        error of the function is raised in its place, and stops what has not begun.

    Raises:
        InvalidSettingError: no such engine, or less than one worker.
        MissingExtraError: Ray is not installed.
    """
    if engine not in ("local", "ray"):
        raise InvalidSettingError(f"unknown engine {engine!r}; there are 'local' and 'ray'")
    if workers < 1:
        raise InvalidSettingError(f"{workers} workers do no work; give at least 1")
    if engine == "ray":
        results = _over_ray(function, jobs, workers)
    elif workers == 1 or len(jobs) < 2:
        results = itertools.starmap(function, jobs)
    else:
        results = _in_processes(function, jobs, workers)
    if not label:
        yield from results
        return
    from tqdm import tqdm

    counts = [1] * len(jobs) if sizes is None else sizes
    with tqdm(total=sum(counts), desc=label, unit=unit) as bar:
        for size, result in zip(counts, results, strict=True):
            bar.update(size)
            yield result


def chunks(items: Sequence[T], workers: int, largest: int = 256) -> list[Sequence[T]]:
    """Items in parts of a size that keeps all workers busy, in order."""
    size = min(largest, max(1, -(-len(items) // (max(workers, 1) * _CHUNKS))))
    return [items[i : i + size] for i in range(0, len(items), size)]


def _in_processes(
    function: Callable[..., R], jobs: Sequence[tuple[Any, ...]], workers: int
) -> Iterator[R]:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # Spawned, not forked: numerical libraries hold threads that do not survive a fork.
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as executor:
        try:
            yield from _ahead(
                jobs, workers, lambda job: executor.submit(function, *job), lambda f: f.result()
            )
        except BaseException:  # Ctrl-C and a caller that stops asking, too
            executor.shutdown(cancel_futures=True)
            raise


def _over_ray(
    function: Callable[..., R], jobs: Sequence[tuple[Any, ...]], workers: int
) -> Iterator[R]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told of what runs here
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("engine='ray' needs Ray: pip install 'archcast[ray]'") from error
    ours = not ray.is_initialized()
    if ours:
        elsewhere = "RAY_ADDRESS" in os.environ
        ray.init(
            num_cpus=None if elsewhere else workers,
            include_dashboard=None if elsewhere else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    try:
        # A job that raises is not tried again: it would raise again. A machine that dies is another
        # matter, and Ray gives its jobs to others.
        remote = ray.remote(function).options(num_cpus=1, max_retries=2, retry_exceptions=False)
        yield from _ahead(jobs, workers, lambda job: remote.remote(*job), _got)
    finally:
        if ours:
            ray.shutdown()


def _got(reference: Any) -> Any:
    """The result behind a reference; an error as the function raised it."""
    import ray
    from ray.exceptions import RayTaskError

    try:
        return ray.get(reference)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, Exception):
            raise cause from None  # with Ray's own, its message would be a page
        raise


def _ahead(
    jobs: Sequence[tuple[Any, ...]],
    workers: int,
    start: Callable[[tuple[Any, ...]], Any],
    wait: Callable[[Any], R],
) -> Iterator[R]:
    """Results in order, a few more jobs being started than there are workers."""
    running: deque[Any] = deque()
    left = iter(jobs)
    while True:
        for job in itertools.islice(left, workers * _AHEAD - len(running)):
            running.append(start(job))
        if not running:
            return
        yield wait(running.popleft())
