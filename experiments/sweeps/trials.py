"""The trials of a sweep in an Optuna storage: each is run once, whatever is killed in between.

Workers are processes that share a storage and nothing else. A trial is claimed under a file lock (workers of one
machine) and by the storage's own row lock (workers of several). The worker holds another lock while it runs the trial:
when it dies the lock is free, and the next worker to look for work puts the trial back into the queue.
"""

import json
import socket
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, TrialState

from common.errors import RunError
from experiments.sweeps.parameters import Parameter
from experiments.sweeps.storage import open_study
from experiments.sweeps.sweep_file import Settings, SweepFile

SILENT_SECONDS = 900.0
"""After so long without a sign of life a trial of another machine is taken for dead."""


@dataclass
class Claim:
    """A trial that this worker runs.

    Attributes:
        number: of the trial in the storage, where one that is put back gets another.
        place: of the trial among all, from 0, which it keeps.
        settings: what varies, by key.
        again: whether a worker died with these settings, so that there may be a run to continue.
        trial, lock: Optuna's view of it, and what says that this worker lives.
        reported: values that the pruner has seen.
    """

    number: int
    place: int
    settings: Settings
    again: bool
    trial: optuna.Trial
    lock: FileLock
    reported: int = 0


class Trials:
    """What has been done of a sweep, is being done, and is left.

    Args:
        sweep: the plan.
        storage: URL of an Optuna storage, such as sqlite:///study.db.
        folder: where locks lie; workers of one machine must share it.
        extra: arguments that every trial gets besides, a part of what makes the sweep the same one.

    Raises:
        RunError: the storage cannot be opened, or holds another sweep under this name.
    """

    def __init__(self, sweep: SweepFile, storage: str, folder: Path, extra: list[str]) -> None:
        self.sweep, self.folder = sweep, folder
        folder.mkdir(parents=True, exist_ok=True)
        self._worker = f"{socket.gethostname()}:{folder.resolve()}"  # locks show only workers that share them
        self._queue = FileLock(folder / ".queue.lock")
        with self._queue:
            early = sweep.early_terminate
            self.study = open_study(
                sweep.name,
                storage,
                direction="maximize" if sweep.maximise else "minimize",
                pruner=optuna.pruners.SuccessiveHalvingPruner(early.min_iter, early.eta)
                if early
                else optuna.pruners.NopPruner(),
            )
            self._plan({"file": sweep.content, "arguments": extra})

    def _plan(self, plan: dict[str, Any]) -> None:
        plan = json.loads(json.dumps(plan, default=str))  # as the storage gives it back
        earlier = self.study.user_attrs.get("plan")
        if earlier is not None and earlier != plan:
            raise RunError(
                f"sweep '{self.sweep.name}' began with another file or other arguments; put them back, or give this "
                "one another --name"
            )
        if earlier is None:
            self.study.set_user_attr("plan", plan)
        settings = self.sweep.planned() or []
        queued = {trial.user_attrs["place"] for trial in self.all() if "place" in trial.user_attrs}
        for place in sorted(set(range(len(settings))) - queued):  # what a killed start left out
            self.study.enqueue_trial({}, user_attrs={"settings": settings[place], "place": place})

    def all(self) -> list[FrozenTrial]:
        """Every trial, by number, without those that another one stands for."""
        trials = self.study.get_trials(deepcopy=False)
        replaced = {trial.user_attrs.get("replaces") for trial in trials}
        return [trial for trial in trials if trial.number not in replaced and not trial.user_attrs.get("stray")]

    def claim(self) -> Claim | None:
        """The next trial to run; None when none is left for this worker."""
        with self._queue:
            self._put_back_orphans()
            waiting = any(trial.state == TrialState.WAITING for trial in self.all())
            if not waiting and (self.sweep.method != "bayes" or len(self.all()) >= (self.sweep.run_cap or 0)):
                return None
            trial = self.study.ask()
            place = trial.user_attrs.get("place", len(self.all()) - 1)
            trial.set_user_attr("place", place)
            self.study.sampler = sampler_of(self.sweep.name, place)
            lock = self._lock_of(trial.number)
            lock.acquire(timeout=0)
            claim = Claim(
                trial.number, place, trial.user_attrs.get("settings", {}), "replaces" in trial.user_attrs, trial, lock
            )
            self.beat(claim)
            if self.sweep.method == "bayes":
                claim.settings = {key: suggest(trial, key, wanted) for key, wanted in self.sweep.parameters.items()}
                if earlier := self._done_already(claim.settings):
                    # Its value again teaches the search as much as a run would, and costs nothing.
                    self._end(
                        claim,
                        TrialState.COMPLETE,
                        {"settings": claim.settings, "same_as": earlier.user_attrs["place"]},
                        earlier.value,
                    )
                    return self.claim()
                trial.set_user_attr("settings", claim.settings)
            elif not claim.settings:  # a worker elsewhere took the last one at the same moment
                self._end(claim, TrialState.FAIL, {"stray": True})
                return None
            return claim

    def _done_already(self, settings: Settings) -> FrozenTrial | None:
        done = [trial for trial in self.all() if trial.state == TrialState.COMPLETE]
        return next((trial for trial in done if trial.user_attrs.get("settings") == settings), None)

    def _put_back_orphans(self) -> None:
        for trial in self.all():
            if trial.state == TrialState.RUNNING and self._is_orphan(trial):
                try:
                    self.study.tell(trial.number, state=TrialState.FAIL)
                except ValueError:  # a worker elsewhere was quicker
                    continue
                self._put_back(trial)
            elif trial.state == TrialState.FAIL and "reason" not in trial.user_attrs:  # killed between those two
                self._put_back(trial)

    def _is_orphan(self, trial: FrozenTrial) -> bool:
        if trial.user_attrs.get("worker", self._worker) == self._worker:  # without one it was killed as it began
            try:
                with self._lock_of(trial.number).acquire(timeout=0):
                    return True
            except Timeout:
                return False
        began = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
        return bool(time.time() - trial.user_attrs.get("beat", began) > SILENT_SECONDS)

    def _put_back(self, trial: FrozenTrial) -> None:
        kept = {key: value for key, value in trial.user_attrs.items() if key in ("settings", "place")}
        self.study.enqueue_trial(trial.params, user_attrs={**kept, "replaces": trial.number})

    def retry_failed(self) -> int:
        """Put failed trials back into the queue; how many."""
        with self._queue:
            failed = [trial for trial in self.all() if trial.state == TrialState.FAIL]
            for trial in failed:
                self._put_back(trial)
        return len(failed)

    def beat(self, claim: Claim) -> None:
        """A sign of life, for workers on other machines."""
        claim.trial.set_user_attr("beat", time.time())
        claim.trial.set_user_attr("worker", self._worker)

    def is_hopeless(self, claim: Claim, values: list[float]) -> bool:
        """Whether to end a trial early, by its values after each validation so far."""
        for step in range(claim.reported, len(values)):
            claim.trial.report(values[step], step + 1)
        claim.reported = len(values)
        return bool(values) and claim.trial.should_prune()

    def succeed(self, claim: Claim, value: float, facts: dict[str, Any]) -> None:
        """A trial is done."""
        self._end(claim, TrialState.COMPLETE, facts, value)

    def fail(self, claim: Claim, reason: str, facts: dict[str, Any]) -> None:
        """A trial failed; it is kept with the reason."""
        self._end(claim, TrialState.FAIL, {**facts, "reason": reason})

    def prune(self, claim: Claim, facts: dict[str, Any]) -> None:
        """A trial was ended early."""
        self._end(claim, TrialState.PRUNED, facts)

    def _end(self, claim: Claim, state: TrialState, facts: dict[str, Any], value: float | None = None) -> None:
        try:
            for key, fact in facts.items():  # first: Optuna changes nothing of a trial that has ended
                claim.trial.set_user_attr(key, fact)
            self.study.tell(claim.trial, values=value, state=state)
        except (optuna.exceptions.UpdateFinishedTrialError, ValueError) as error:
            raise RunError(
                f"trial {claim.place} was given to another worker, since this one gave no sign of life for "
                f"{SILENT_SECONDS / 60:.0f} minutes; its result is not counted"
            ) from error
        finally:
            claim.lock.release()

    def _lock_of(self, number: int) -> FileLock:
        return FileLock(self.folder / f".trial_{number:04}.lock")


def sampler_of(name: str, place: int) -> optuna.samplers.BaseSampler:
    """What proposes the settings of a trial: the same ones for the same sweep, place and earlier results.

    It is seeded for each trial, since otherwise every worker, and every start, would begin with the same ones.
    """
    seed = zlib.crc32(f"{name}\n{place}".encode())
    return optuna.samplers.TPESampler(constant_liar=True, seed=seed)  # others' running trials count as poor ones


def suggest(trial: optuna.Trial, key: str, parameter: Parameter) -> Any:
    """A value that Optuna proposes."""
    if parameter.values:
        return trial.suggest_categorical(key, list(parameter.values))
    if parameter.steps:  # numbered, so that their order counts and a whole number stays one
        return parameter.steps[trial.suggest_int(key, 0, len(parameter.steps) - 1)]
    return trial.suggest_float(key, parameter.low, parameter.high, log=parameter.distribution == "log_uniform_values")
