"""torch.compile where it pays: on the layers that an encoder repeats."""

import os
import shutil

from torch import nn

from common.errors import ModelError

COMPILERS = ("g++", "clang++", "c++", "gcc", "clang", "cl")


def repeated_layers(module: nn.Module) -> list[nn.Module]:
    """The layers that a module holds in lists, such as a transformer's blocks; of lists within lists the outer ones.

    >>> encoder = nn.Sequential(nn.Linear(2, 2), nn.ModuleList(nn.TransformerEncoderLayer(4, 2) for _ in range(3)))
    >>> [type(layer).__name__ for layer in repeated_layers(encoder)]
    ['TransformerEncoderLayer', 'TransformerEncoderLayer', 'TransformerEncoderLayer']
    """
    if isinstance(module, nn.ModuleList) and len(module) > 1:
        return list(module)
    return [layer for child in module.children() for layer in repeated_layers(child)]


def compile_layers(*encoders: nn.Module) -> None:
    """Compile each encoder's repeated layers in place, at their first call; an encoder without any as a whole.

    Layer by layer, because layers of one shape share their compiled code, so that compiling takes seconds where a whole
    encoder takes minutes, and what draws random numbers in Python (patchout, jittered filters) stays outside. Names of
    parameters stay what they are. Dropout then draws its numbers otherwise, from the same seed.

    Raises:
        ModelError: there is no compiler of C++, which torch.compile needs on a CPU and, of C, on a GPU.
    """
    if not any(shutil.which(name) for name in (os.environ.get("CXX") or "", *COMPILERS) if name):
        raise ModelError("model.compile is true, but this machine has no C++ compiler; install g++, or leave it out")
    for encoder in encoders:
        for layer in repeated_layers(encoder) or [encoder]:
            layer.compile()
