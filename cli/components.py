"""The parts that a config can name by their class alone: importing them here is all the registration there is."""

import datamodules.activitynet
import datamodules.annotated_folder
import datamodules.audio_folder
import datamodules.audiocaps
import datamodules.augmentations
import datamodules.clotho
import datamodules.macs
import datamodules.mixture
import datamodules.queryd
import datamodules.sounddescs
import datamodules.streamed_shards
import datamodules.synthetic
import datamodules.wavcaps
import evaluation.normalised_metrics
import lightning_modules.audio_encoders
import lightning_modules.matchers
import lightning_modules.pairs
import lightning_modules.pooling
import lightning_modules.regularisers
import lightning_modules.text_encoders
import relevance.objectives
import relevance.targets
