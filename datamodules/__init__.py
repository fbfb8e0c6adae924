"""What was recorded, and what was said of it? (Knows nothing of Sentence-BERT, losses or models.)"""

from datamodules.batch import Batch
from datamodules.clotho import Clotho
from datamodules.errors import DataError

__all__ = ["Batch", "Clotho", "DataError"]
