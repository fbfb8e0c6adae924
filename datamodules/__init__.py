"""What was recorded, and what was said of it? (Knows no Sentence-BERT, losses or models.)"""

from typing import Any


def __getattr__(name: str) -> Any:
    """The class that saved configs call `datamodules.Clotho`; imported when asked for, since that takes seconds."""
    if name != "Clotho":
        raise AttributeError(f"module 'datamodules' has no attribute '{name}'")
    from datamodules.clotho import Clotho

    return Clotho
