"""A folder that a command fills by several processes, and that the same command completes after a kill."""

import csv
import itertools
import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from common.atomic_files import UNFINISHED, replacing
from common.errors import DataError
from common.processes import end_with_parent

LOCK, PLAN = ".lock", "plan.json"
"""What the folder holds from its beginning on."""
Failures = list[tuple[str, str]]
"""Name and error of what could not be used."""


@contextmanager
def filling(folder: Path, *patterns: str) -> Iterator[None]:
    """Make a folder and fill it alone; what a killed process left half-written is deleted first.

    Raises:
        DataError: it holds files of these patterns and nothing from the beginning of such a command, so they are a
            user's own; or another process fills it.
    """
    if not any((folder / name).exists() for name in (LOCK, PLAN)):
        for found in (path for pattern in patterns for path in sorted(folder.glob(pattern))):
            raise DataError(
                f"{found}: is of something else, and would be written over; move it, or give another folder"
            )
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK, timeout=0):
            for unfinished in [*folder.glob(UNFINISHED), *folder.glob(f"*/{UNFINISHED}")]:
                unfinished.unlink()
            yield
    except Timeout as error:
        raise DataError(f"{folder}: another process writes it; wait for it, or give another folder") from error


def check_plan(folder: Path, plan: Mapping[str, Any]) -> None:
    """Whether a folder is filled by the plan that it was begun with; at the beginning it is written there.

    Raises:
        DataError: it was begun with another one, or its plan is damaged.
    """
    path = folder / PLAN
    if not path.is_file():
        with replacing(path) as beside:
            beside.write_text(json.dumps(plan, indent=2) + "\n")
        return
    former = json_in(path)
    if not isinstance(former, dict):
        raise DataError(
            f"{path}: is damaged, so what is beside it is not known; delete {folder}, or give another folder"
        )
    if differing := [key for key in plan if former.get(key) != plan[key]]:
        key = differing[0]
        raise DataError(
            f"{folder}: was made otherwise ({key}: {former.get(key)} before, {plan[key]} now); give another folder, or "
            "delete it"
        )


def json_in(path: Path) -> Any:
    """What a file holds; None where it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None


def each_done(
    work: Callable[..., None],
    jobs: Sequence[tuple[Any, ...]],
    workers: int,
    begin: Callable[..., None] | None = None,
    *arguments: Any,
) -> Iterator[None]:
    """Do `work` with the arguments of each job, as many at a time as there are workers; yields as each is done.

    Args:
        work: for one worker in this process.
        jobs: arguments of each call.
        workers: processes.
        begin: is called with `arguments` in each process before the first job.
        *arguments: of `begin`.

    Raises:
        DataError: a process was killed.
    """
    if workers == 1:
        if begin is not None:
            begin(*arguments)
        yield from itertools.starmap(work, jobs)
        return
    # spawn: the caller may have brought threads along, of which a fork would copy the locks
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _begin_worker, (begin, arguments)) as pool:
        try:
            for job in as_completed([pool.submit(work, *job) for job in jobs]):
                yield job.result()
        except BrokenProcessPool as error:
            raise DataError(
                "a process was killed, perhaps because memory ran out; run the same command again, it continues, with "
                "fewer --workers"
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _begin_worker(begin: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    end_with_parent()
    if begin is not None:
        begin(*arguments)


def write_failures(path: Path, failures: Failures) -> None:
    """Write a csv file of them."""
    with replacing(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("name", "error"), *failures])
