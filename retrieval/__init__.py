"""What a finished model is good for: `load_run`, search, export."""

from retrieval.finished_model import FinishedModel
from retrieval.open_model import load_run

__all__ = ["FinishedModel", "load_run"]
