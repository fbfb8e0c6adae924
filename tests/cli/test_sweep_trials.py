"""Who runs which trial of a sweep, whatever is killed in between."""

import multiprocessing as mp
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from common.errors import RunError
from experiments.sweeps.results import rows_of_trials
from experiments.sweeps.storage import has_begun
from experiments.sweeps.sweep_file import Settings, sweep_of
from experiments.sweeps.trials import Trials
from tests.support.sweeps import CONTENT, open_trials, with_
from tests.support.waiting import until


def _claim_all(folder: Path, start: Any, taken: Any) -> None:
    trials = open_trials(folder, sweep_of(CONTENT_OF_30, "many"))
    start.wait()
    while (claim := trials.claim()) is not None:
        taken.put((os.getpid(), claim.settings["seed_everything"]))
        trials.succeed(claim, 1.0, {})


CONTENT_OF_30 = with_({"parameters": {"seed_everything": {"values": list(range(30))}}})


@pytest.mark.slow
def test_two_workers_never_run_the_same_trial(tmp_path: Path) -> None:
    context = mp.get_context("spawn")
    start, taken = context.Barrier(2), context.Queue()
    workers = [context.Process(target=_claim_all, args=(tmp_path, start, taken)) for _ in range(2)]
    for worker in workers:
        worker.start()
    claims = []
    for _ in range(30):
        until(lambda: not taken.empty(), *workers)
        claims.append(taken.get())
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert sorted(seed for _, seed in claims) == list(range(30))
    assert taken.empty()


def _claim_and_wait(folder: Path, claimed: Any) -> None:
    claim = open_trials(folder, sweep_of(CONTENT, "x")).claim()
    assert claim is not None
    claimed.put(claim.settings)
    time.sleep(600)


@pytest.mark.slow
def test_a_trial_whose_worker_was_killed_is_run_again_and_no_other(tmp_path: Path) -> None:
    context = mp.get_context("spawn")
    claimed = context.Queue()
    worker = context.Process(target=_claim_and_wait, args=(tmp_path, claimed))
    worker.start()
    until(lambda: not claimed.empty(), worker)
    lost = claimed.get()
    trials = open_trials(tmp_path, sweep_of(CONTENT, "x"))
    others = [trials.claim() for _ in range(5)]
    assert trials.claim() is None  # the first one is still being run
    os.kill(worker.pid or 0, signal.SIGKILL)
    worker.join()
    again = trials.claim()
    assert again is not None
    assert (again.settings, again.again, again.place) == (lost, True, 0)
    assert not any(claim is None or claim.again or claim.settings == lost for claim in others)
    assert len(trials.all()) == 6


def test_what_is_done_stays_done_and_failures_can_be_tried_again(tmp_path: Path) -> None:
    sweep = sweep_of(CONTENT, "x")
    trials = open_trials(tmp_path, sweep)
    first, second, third = (trials.claim() for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    trials.succeed(first, 0.5, {"minutes": 1.0})
    trials.fail(second, "no memory", {})
    trials.prune(third, {})
    once_more = open_trials(tmp_path, sweep)  # started again
    rows = {row["trial"]: row for row in rows_of_trials(sweep, once_more.all())}
    states = [rows[number]["state"] for number in sorted(rows)]
    assert states == ["done", "failed", "ended early", "waiting", "waiting", "waiting"]
    assert (rows[0]["val/loss"], rows[1]["reason"]) == (0.5, "no memory")
    assert len(list(iter(once_more.claim, None))) == 3
    assert once_more.retry_failed() == 1
    retried = once_more.claim()
    assert retried is not None
    assert (retried.settings, retried.again) == (second.settings, True)


def test_a_sweep_does_not_go_on_with_another_file(tmp_path: Path) -> None:
    open_trials(tmp_path, sweep_of(CONTENT, "x"))
    changed = with_({"parameters": {"seed_everything": {"values": [7]}}})
    for content, extra in ((changed, []), (CONTENT, ["--trainer.max_epochs", "2"])):
        with pytest.raises(RunError, match="sweep 'x' began with another file or other arguments; put them back"):
            open_trials(tmp_path, sweep_of(content, "x"), extra)


def test_a_storage_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("no data base, but text " * 50)
    with pytest.raises(
        RunError, match=r"study.db: no storage that can be opened \(DatabaseError: .*not a database.*\); g"
    ):
        open_trials(tmp_path, sweep_of(CONTENT, "x"))
    with pytest.raises(RunError, match=r"nonsense://x: no .*; give another as --storage, such as sqlite:///study.db$"):
        Trials(sweep_of(CONTENT, "x"), "nonsense://x", tmp_path, [])
    with pytest.raises(RunError, match=r"^nonsense://me:\*\*\*@host/x: no storage"):
        has_begun("x", "nonsense://me:secret@host/x")


def test_a_sweep_has_begun_with_its_first_trial(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    assert not has_begun("x", storage)
    assert not (tmp_path / "study.db").exists()
    trials = open_trials(tmp_path, sweep_of(CONTENT, "x"))
    assert not has_begun("x", storage)
    trials.claim()
    assert has_begun("x", storage)
    assert not has_begun("y", storage)


@pytest.mark.slow
def test_a_bayesian_search_ends_at_its_cap_and_learns(tmp_path: Path) -> None:
    parameters = {"x": {"min": 0.0, "max": 1.0}, "kind": {"values": ["a", "b"]}, "n": {"min": 1, "max": 3}}
    content = with_({"method": "bayes", "run_cap": 40, "parameters": parameters})
    trials = open_trials(tmp_path, sweep_of(content, "x"))
    values = []
    while (claim := trials.claim()) is not None:
        assert claim.settings["kind"] in ("a", "b")
        assert claim.settings["n"] in (1, 2, 3)
        values.append((claim.settings["x"] - 0.7) ** 2)
        trials.succeed(claim, values[-1], {})
    assert len(values) == 40
    assert sum(values[20:]) < sum(values[:20])


def searched(folder: Path, name: str, killed: int | None = None) -> list[Settings]:
    """The settings of a Bayesian search by their place; the worker dies while it runs the trial `killed`."""
    folder.mkdir()
    parameters = {"x": {"min": 0.0, "max": 1.0}, "kind": {"values": ["a", "b"]}}
    sweep = sweep_of(with_({"method": "bayes", "run_cap": 13, "parameters": parameters}), name)
    trials = open_trials(folder, sweep)
    found: dict[int, Settings] = {}
    while (claim := trials.claim()) is not None:
        assert claim.again == (claim.place in found)
        assert found.setdefault(claim.place, claim.settings) == claim.settings
        if claim.place == killed and not claim.again:
            claim.lock.release()  # as the system does
            trials = open_trials(folder, sweep)
        else:
            trials.succeed(claim, (claim.settings["x"] - 0.7) ** 2, {})
    assert sorted(row["trial"] for row in rows_of_trials(sweep, trials.all())) == list(range(13))
    return [found[place] for place in range(13)]


@pytest.mark.slow
def test_a_bayesian_search_is_the_same_each_time_also_when_a_worker_was_killed(tmp_path: Path) -> None:
    first = searched(tmp_path / "first", "x")
    assert searched(tmp_path / "second", "x") == first
    for killed in (3, 11):  # before and after Optuna's first ten, which are random
        assert searched(tmp_path / f"killed {killed}", "x", killed) == first
    assert searched(tmp_path / "another", "y") != first
    assert len({settings["x"] for settings in first}) == 13


def test_hopeless_trials_are_noticed(tmp_path: Path) -> None:
    content = with_({"early_terminate": {"type": "hyperband", "min_iter": 2, "eta": 3}})
    trials = open_trials(tmp_path, sweep_of(content, "x"))
    claims = [trials.claim() for _ in range(4)]
    hopeless = [
        claim is not None and trials.is_hopeless(claim, [2.0, value])
        for claim, value in zip(claims, [1, 2, 3, 0.5], strict=True)
    ]
    assert hopeless == [False, True, True, False]
    assert sweep_of(with_({"early_terminate": {"type": "hyperband", "max_iter": 27, "s": 2}}), "x").early_terminate == (
        sweep_of(with_({"early_terminate": {"type": "hyperband", "min_iter": 3, "eta": 3}}), "x").early_terminate
    )
