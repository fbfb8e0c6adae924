"""What PyTorch says when a process that reads audio is gone, in one line with the remedy."""

import re

_GONE = re.compile(r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\) (?:is killed by signal: ([\w ]+)|exited unexpectedly)")

_LOST = re.compile(r"Connection (?:closed|reset) by (?:remote )?peer|Broken pipe|recvValue failed|Socket Timeout")


def explain_lost_process(error: BaseException) -> str | None:
    """One line on another training process that has ended; None for any other error.

    >>> explain_lost_process(RuntimeError("[gloo/pair.cc:553] Connection closed by peer [127.0.0.1]:30"))[:44]
    'another process of the training has ended (C'
    >>> explain_lost_process(RuntimeError("CUDA out of memory"))
    """
    found = _LOST.search(str(error)) if isinstance(error, RuntimeError) else None
    return found and f"another process of the training has ended ({found[0]}); its own message says why"


def explain_killed_worker(error: BaseException) -> str | None:
    """One line on a loader whose worker was killed; None for any other error.

    >>> explain_killed_worker(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "))[:60]
    'a process that reads audio was ended from outside (Killed), '
    >>> explain_killed_worker(RuntimeError("CUDA out of memory"))
    """
    text = str(error)
    found = _GONE.search(text)
    if found is None:
        return None
    signal = found[1] or "signal not known"
    if "shared memory" in text or signal == "Bus error":
        return (
            f"a process that reads audio was ended from outside ({signal}): shared memory is full; make /dev/shm "
            "larger (docker run --shm-size 8g), or lower data.num_workers or data.batch_size; a training continues "
            "with --run.resume true"
        )
    return (
        f"a process that reads audio was ended from outside ({signal}), as where memory runs out; lower "
        "data.num_workers, data.batch_size or data.max_seconds; a training continues with --run.resume true"
    )
