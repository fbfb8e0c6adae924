"""The Optuna storage that a sweep's trials are kept in."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna

from common.errors import RunError
from common.text import cause_of

SQLITE = "sqlite:///"


def open_study(name: str, storage: str, **options: Any) -> optuna.Study:
    """The study of a sweep, made where there is none.

    Args:
        name: of the sweep.
        storage: URL, such as sqlite:///study.db.
        **options: of `optuna.create_study`.

    Raises:
        RunError: the storage cannot be opened.
    """
    with _opening(storage):
        return optuna.create_study(study_name=name, storage=storage, load_if_exists=True, **options)


def has_begun(name: str, storage: str) -> bool:
    """Whether a worker has begun a trial of a sweep; nothing is made where there is none.

    Raises:
        RunError: the storage cannot be opened.
    """
    if storage.startswith(SQLITE) and not Path(storage.removeprefix(SQLITE).partition("?")[0]).is_file():
        return False
    with _opening(storage):
        if name not in optuna.get_all_study_names(storage):
            return False
        trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
    return any(trial.state.is_finished() or "worker" in trial.user_attrs for trial in trials)


@contextmanager
def _opening(storage: str) -> Iterator[None]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    except Exception as error:  # whatever the data base's driver raises
        shown = re.sub(r"(://[^:/@]*):[^/]*@", r"\1:***@", storage)  # without the password
        raise RunError(
            f"{shown}: no storage that can be opened ({type(error).__name__}: {cause_of(error, 300)}); give another as "
            "--storage, such as sqlite:///study.db"
        ) from error
