"""Worker processes that end with the process that started them."""

import multiprocessing
import os
import threading
from multiprocessing.process import BaseProcess


def end_with_parent() -> None:
    """End this process as soon as the one that started it has ended, even if that one was killed.

    For the initializer of a pool: without it, workers whose main process was killed wait for work forever.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait(process: BaseProcess = parent) -> None:
        process.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
