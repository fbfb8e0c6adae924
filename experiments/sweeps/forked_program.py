"""Runs of a program in processes that begin with its libraries loaded: they are forked from one that loaded them once.

Loading the libraries takes as long as a small training, and a sweep has many.
"""

import atexit
import multiprocessing
import os
import runpy
import sys
from collections.abc import Sequence
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

from common.processes import end_with_parent

_CONTEXT = multiprocessing.get_context("forkserver")


def preload(modules: Sequence[str]) -> None:
    """Load the modules that all programs begin with; what cannot be imported is left."""
    _CONTEXT.set_forkserver_preload(list(modules))
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # else it may find modules of another place
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH")
        if path is not None:
            os.environ["PYTHONPATH"] = path


def start(program: str, arguments: Sequence[str], log: Path) -> BaseProcess:
    """Begin `python PROGRAM ARGUMENTS`, whose output is added to `log`; it ends with the process that called this."""
    process = _CONTEXT.Process(target=_run, args=(program, list(arguments), log, os.getcwd(), dict(os.environ)))
    process.start()
    return process


def _run(program: str, arguments: list[str], log: Path, folder: str, environment: dict[str, str]) -> None:
    end_with_parent()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    with log.open("ab") as output:
        for standard in (1, 2):
            os.dup2(output.fileno(), standard)
    sys.argv = [program, *arguments]
    sys.path.insert(0, str(Path(program).resolve().parent))
    try:
        runpy.run_path(program, run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # a process of multiprocessing leaves without
