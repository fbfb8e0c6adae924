"""Features that experts (pretrained models) gave of recordings: kept in stores, read in place of audio."""
