"""Loaders whose processes are killed end in one line."""

import os
import signal

import pytest
from torch.utils.data import DataLoader, Dataset

from cli.errors import exit_code_of
from cli.killed_workers import explain_killed_worker


class Killed(Dataset[int]):
    """Ends the process that reads it."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, row: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return row


@pytest.mark.slow
def test_a_killed_worker_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError) as caught:
        list(DataLoader(Killed(), num_workers=1))
    message = explain_killed_worker(caught.value)
    assert message is not None
    assert message.startswith("a process that reads audio was ended from outside (")

    def fail() -> None:
        raise caught.value

    assert exit_code_of(fail) == 1
    assert capsys.readouterr().err == f"error: {message}\n"


def test_other_errors_of_a_loader_are_not_explained_away() -> None:
    def fail() -> None:
        raise RuntimeError("a mistake of ours")

    with pytest.raises(RuntimeError, match="a mistake of ours"):
        exit_code_of(fail)


def test_a_full_shared_memory_has_its_own_remedy() -> None:
    error = RuntimeError(
        "DataLoader worker (pid 71) is killed by signal: Bus error. It is possible that dataloader's workers are out "
        "of shared memory. Please try to raise your shared memory limit."
    )
    assert "make /dev/shm larger" in str(explain_killed_worker(error))
    exited = RuntimeError("DataLoader worker (pid(s) 71, 72) exited unexpectedly")
    assert "lower data.num_workers" in str(explain_killed_worker(exited))
