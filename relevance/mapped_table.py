"""Tables in `.npy` files as tensors that stay in their files."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def mapped_table(path: Path | str) -> Tensor:
    """The array of a `.npy` file, mapped into memory: rows are read when they are looked up.

    Raises:
        OSError: there is no such file.
        ValueError: it holds no array of numbers.
    """
    # Copy-on-write keeps torch from warning of a read-only array; nobody writes.
    return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))
