"""What was recorded, and what was said of it? (Knows no Sentence-BERT, losses or models.)"""

from common.errors import DataError
from datamodules.batch import Batch
from datamodules.clotho import Clotho

__all__ = ["Batch", "Clotho", "DataError"]
