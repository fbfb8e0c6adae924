"""What libraries print that a user has no use for."""

import logging
import warnings

from transformers.utils import logging as transformers_logging

NOISE = (
    ".*does not have many workers.*",
    ".*LeafSpec.*",
    ".*smaller than the logging interval.*",
    ".*in eval mode at the start of training.*",  # frozen encoders are meant to be
    ".*recommended to use .*sync_dist=True.*",  # metrics are computed on the gathered pool: the same on every rank
)


def quiet() -> None:
    """Leave out warnings that do not apply, Lightning's tips, and the bars and notes of transformers."""
    for noise in NOISE:
        warnings.filterwarnings("ignore", noise)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
        lambda record: "Tip:" not in record.getMessage()
    )
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # tensors missing from a checkpoint are refused by the encoders
