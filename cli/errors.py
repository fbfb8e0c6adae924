"""The one place where an error becomes a line on the screen and an exit code.

0    done                         2    the command line is wrong
1    the user can correct it      130  Ctrl-C      141  the output is closed     143  SIGTERM
"""

from __future__ import annotations

import logging
import os
import select
import sys
import time
from collections.abc import Callable, Mapping
from typing import TextIO

from cli.killed_workers import explain_killed_worker, explain_lost_process
from common.errors import UserError
from common.text import one_line, refused_by_system

LIBRARIES = {
    "lightning.fabric.utilities.exceptions": "MisconfigurationException",
    "lightning.fabric.utilities.spike": "TrainingSpikeException",
    "optuna.exceptions": "StorageInternalError",
}
"""Errors of other packages that speak of the user's settings."""
REMEDIES = {"TrainingSpikeException": " Lower model.optimizer.lr, or continue with --run.resume true"}
"""What the message of such an error does not say."""
PATIENCE = 15.0
"""Seconds in which the first of several processes ends the others."""
SIGTERM = {"lightning.pytorch.utilities.exceptions": "SIGTERMException"}


def exit_code_of(work: Callable[[], int | None], interrupted: str = "interrupted") -> int:
    """Run a command; what the user can correct ends in one line on stderr, with TRACEBACK=1 in a traceback.

    Args:
        work: the command.
        interrupted: the line after Ctrl-C.
    """
    open_closed_streams()
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    try:
        code = work() or 0
        sys.stdout.flush()
        return code
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _is_closed(sys.stdout):  # by `head`, which has read enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141  # as a shell counts a process that SIGPIPE ended
        print(f"error: {refused_by_system(error)}", file=sys.stderr)
        return 1
    except BaseException as error:
        if isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError):  # rich met it
            return 141
        if isinstance(error, _loaded(SIGTERM)):
            return 143  # as a shell counts a process that SIGTERM ended
        if _is_ctrl_c(error):
            if not _is_other_rank():
                print(interrupted, file=sys.stderr)
            return 130
        expected: tuple[type[BaseException], ...] = (UserError, *_loaded(LIBRARIES))
        known = explain_killed_worker(error) or explain_lost_process(error)
        message = one_line(error) if isinstance(error, expected) else known
        if message is None or os.environ.get("TRACEBACK"):
            raise
        if _is_other_rank():  # the first meets the same mistake, says so and ends this one
            time.sleep(PATIENCE)
        print(f"error: {message}{REMEDIES.get(type(error).__name__, '')}", file=sys.stderr)
        return 1


def open_closed_streams() -> None:
    """Give a process that was started with its output closed (`>&-`) one that goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (until the process ends)


def _is_ctrl_c(error: BaseException) -> bool:
    """Whether the user ended the command; Lightning then closes its trainer and exits."""
    exits = isinstance(error, SystemExit)
    return isinstance(error.__context__ if exits else error, KeyboardInterrupt)


def _is_other_rank() -> bool:
    """Whether this is one of several training processes, and not the first of them."""
    return any(int(os.environ.get(name) or 0) > 0 for name in ("RANK", "LOCAL_RANK"))


def _is_closed(stream: TextIO) -> bool:
    """Whether a pipe has no reader any more."""
    poll = select.poll()
    poll.register(stream, select.POLLOUT)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def _loaded(names: Mapping[str, str]) -> tuple[type[BaseException], ...]:
    """The classes of these names whose modules were imported: importing them here would take seconds."""
    return tuple(getattr(sys.modules[module], name) for module, name in names.items() if module in sys.modules)
