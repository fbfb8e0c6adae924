"""One trial: a run of train.py in a process of its own, watched while it trains."""

import math
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from common.errors import RunError
from common.text import nearest_name
from experiments.loggers.csv_logger import read_rows
from experiments.run_folder import RunFolder
from experiments.sweeps.forked_program import start
from experiments.sweeps.sweep_file import SweepFile
from experiments.sweeps.trials import Claim, Trials

NOT_LOGGED = "was not logged"
"""What the reason of a failure says where no trial can do better."""
LOOK_SECONDS = 2.0
BEAT_SECONDS = 60.0
GRACE_SECONDS = 30.0


def run_trial(
    sweep: SweepFile, trials: Trials, claim: Claim, arguments: Sequence[str], run: RunFolder, log: Path
) -> str:
    """Run a claimed trial to its end, and write down how it ended; says so in a few words.

    Args:
        arguments: of train.py.
        run: the folder that these arguments lead to.
        log: file for what the process prints.
    """
    began = time.monotonic()
    again = ["--run.resume", "true"] if claim.again else []
    process = start(sweep.program, [*arguments, *again], log)
    try:
        hopeless = _watch(sweep, trials, claim, process, run)
    finally:
        _end(process)
    facts = {"folder": str(run.path), "log": str(log), "minutes": (time.monotonic() - began) / 60}
    if hopeless:
        trials.prune(claim, facts)
        return "ended early"
    values = logged(run, sweep.metric)
    status = process.exitcode or 0
    if status < 0:
        reason = f"killed by signal {-status}" + (" (out of memory?)" if status == -9 else "")
    elif status != 0:
        reason = _last_words(log) or f"exit status {status}"
    elif not values:
        names = {name for row in read_rows(run.metrics) for name in row} if run.metrics.is_file() else set()
        reason = (
            f"{sweep.metric} was never finite; see {run.metrics}"
            if sweep.metric in names
            else f"{sweep.metric} {NOT_LOGGED}{nearest_name(sweep.metric, names)}; see {run.metrics} for what was"
        )
    else:
        best = max(values) if sweep.maximise else min(values)
        tested = {f"tested {name}": value for name, value in _tested(run).items()}
        trials.succeed(claim, best, {**facts, **tested})
        return f"{sweep.metric} {best:.4f}"
    trials.fail(claim, reason, facts)
    return f"failed: {reason}"


def _watch(sweep: SweepFile, trials: Trials, claim: Claim, process: BaseProcess, run: RunFolder) -> bool:
    """Wait for a process; True when the trial turned out to be hopeless before its end."""
    beat, seen = time.monotonic(), 0
    while process.is_alive():
        process.join(LOOK_SECONDS)
        if time.monotonic() - beat > BEAT_SECONDS:
            trials.beat(claim)
            beat = time.monotonic()
        if sweep.early_terminate is None:
            continue
        values = logged(run, sweep.metric)
        if len(values) > seen:
            seen = len(values)
            if trials.is_hopeless(claim, values):
                return True
    return False


def logged(run: RunFolder, metric: str) -> list[float]:
    """Finite values of a metric in the order they were logged by a run; empty where there are none yet."""
    try:
        return [row[metric] for row in read_rows(run.metrics) if math.isfinite(row.get(metric, math.nan))]
    except (RunError, OSError):
        return []


def _tested(run: RunFolder) -> dict[str, float]:
    """The last value of everything that the test logged, without the `test/` before its name."""
    rows = read_rows(run.metrics) if run.metrics.is_file() else []
    return {name[5:]: value for row in rows for name, value in row.items() if name.startswith("test/")}


def _last_words(log: Path) -> str:
    """The last line that reports an error, else the last one at all."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or [""])[-1][:500]


def _end(process: BaseProcess) -> None:
    """Ask a process to end, and make it end."""
    if process.is_alive():
        process.terminate()
        process.join(GRACE_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
