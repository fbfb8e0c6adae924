"""Pickles that others made, read without running anything of theirs.

A pickle names functions to call. Here only those are found that rebuild NumPy arrays, scalars and types, and a few
harmless containers; any other name is refused before it is even imported.
"""

import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import DataError
from common.text import cause_of


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Bytes that old protocols keep as text."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in encoding {encoding!r}")
    return text.encode("latin1")


_REBUILD = {
    "multiarray._reconstruct": np.empty(0).__reduce__()[0],
    "multiarray.scalar": np.float64(0).__reduce__()[0],
    "numeric._frombuffer": np.empty(0).__reduce_ex__(5)[0],
}
"""NumPy's own functions that rebuild arrays and scalars, by their names in numpy.core, now numpy._core."""
ADMITTED: dict[str, Any] = {
    **{f"numpy.{core}.{name}": function for core in ("core", "_core") for name, function in _REBUILD.items()},
    "numpy.ndarray": np.ndarray,
    "numpy.dtype": np.dtype,
    "collections.OrderedDict": OrderedDict,
    "collections.defaultdict": defaultdict,
    "_codecs.encode": _encode,
    **{
        f"{home}.{kind.__name__}": kind
        for home in ("builtins", "__builtin__")
        for kind in (dict, list, tuple, set, frozenset, int, float, complex, bool, str, bytes)
    },
}
"""What a pickle may name, by its full name."""


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full not in ADMITTED:
            raise pickle.UnpicklingError(f"it wants to call {full}")
        return ADMITTED[full]

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to something outside itself")


def read_pickle(path: Path) -> Any:
    """What a pickle of arrays, numbers, text and plain containers holds; of Python 2 too.

    Raises:
        DataError: no such file, a damaged one, or one that names anything else (nothing of it is executed).
    """
    try:
        with path.open("rb") as file:
            return _ArraysOnly(file, encoding="latin1").load()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except Exception as error:  # what a broken pickle raises has no common base
        raise DataError(
            f"{path}: is no pickle of arrays and plain values, or damaged ({cause_of(error)}); nothing of it "
            "was executed; get the file again, from its authors"
        ) from error
