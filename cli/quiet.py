"""What libraries print that a user has no use for."""

import logging
import re
import warnings

from transformers.utils import logging as transformers_logging

NOISE = (
    ".*does not have many workers.*",
    ".*LeafSpec.*",
    ".*smaller than the logging interval.*",
    ".*in eval mode at the start of training.*",  # frozen encoders are meant to be
    ".*recommended to use .*sync_dist=True.*",  # metrics are computed on the gathered pool: the same on every rank
)

SPEAKERS = (
    "lightning.pytorch.utilities.rank_zero",
    "lightning.fabric.utilities.rank_zero",
    "lightning.fabric.utilities.seed",
    "lightning.fabric.utilities.distributed",
    "lightning_utilities.core.rank_zero",
)
NOTES = re.compile(
    r"Tip:|^Trainer already configured with model summary|^(\[rank: \d+\] )?Seed set to|^[GTH]PU available:"
    r"|^Restoring states|^Restored all states|^Loaded model weights|stopped: `max_epochs="
    r"|Detected KeyboardInterrupt|Using .* Automatic Mixed Precision"
    r"|^Initializing distributed|^-+\ndistributed_backend="
)
"""Lightning's notes on what is so in every run, and on Ctrl-C, which has a line of its own."""


def quiet() -> None:
    """Leave out warnings that do not apply, Lightning's tips and notes, and the bars and notes of transformers."""
    for noise in NOISE:
        warnings.filterwarnings("ignore", noise)
    for name in SPEAKERS:
        logging.getLogger(name).addFilter(lambda record: NOTES.search(record.getMessage()) is None)
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # tensors missing from a checkpoint are refused by the encoders
