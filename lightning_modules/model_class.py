"""A model of one's own, by the path of its class."""

import importlib

from common.errors import ModelError
from common.text import one_line
from lightning_modules.dual_encoder import DualEncoder


def model_class(path: str | None) -> type[DualEncoder]:
    """The class at a path such as my_model.Mine; of None `DualEncoder`.

    Raises:
        ModelError: it cannot be imported, or is no DualEncoder.
    """
    if path is None:
        return DualEncoder
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever the user's module does
        raise ModelError(
            f"model: '{path}' cannot be imported ({type(error).__name__}: {one_line(error)}); give MODULE.CLASS, with "
            "the module in the working directory or installed"
        ) from error
    if not (isinstance(found, type) and issubclass(found, DualEncoder)):
        raise ModelError(f"model: {path} is no DualEncoder; derive it from lightning_modules.dual_encoder.DualEncoder")
    return found
