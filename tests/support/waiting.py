"""Wait for something that other processes do, for as long as a busy machine may need."""

import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from subprocess import Popen
from typing import Any

PATIENCE = 600.0  # seconds; only a deadlock waits for so long


def until(condition: Callable[[], object], *processes: "BaseProcess | Popen[Any]") -> None:
    """Return as soon as the condition holds; fail where all processes that could bring it about have ended."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        alive = [_is_alive(process) for process in processes]
        assert not alive or any(alive) or condition(), "the processes ended without it"
        assert time.monotonic() < deadline, f"nothing for {PATIENCE:.0f} s"
        time.sleep(0.01)


def _is_alive(process: "BaseProcess | Popen[Any]") -> bool:
    return process.is_alive() if isinstance(process, BaseProcess) else process.poll() is None
