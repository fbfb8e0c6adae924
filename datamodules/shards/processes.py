"""Processes that work for another one."""

import multiprocessing
import os
import threading
from multiprocessing.process import BaseProcess


def end_with_parent() -> None:
    """Let this process end as soon as the one that started it has, also where that one was killed.

    For the initializer of a pool: without it, processes of a pool whose main process was killed wait for work for ever.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait(process: BaseProcess = parent) -> None:
        process.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
