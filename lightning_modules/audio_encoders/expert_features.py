"""Features of pretrained experts in place of audio."""

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.errors import DataError, ModelError
from common.numbers import check_numbers
from datamodules.batch import Batch
from lightning_modules.audio_encoders.base import AudioEncoder
from lightning_modules.pooling.base import Pooling
from lightning_modules.pooling.mean import MeanPooling
from lightning_modules.states import ExpertSize, ExpertVectors, States


class ExpertFeatures(AudioEncoder):
    """One vector of each expert, from the frames that the data module's feature stores give.

    A matcher of experts takes them apart; any other takes them side by side, as one vector.

    Args:
        dims: size of a frame by name of the expert; a store of another size is refused.
        pooling: by name of the expert, what makes one vector of its frames; the mean where none is given.
        max_frames: by name, of longer recordings the first so many frames are taken; all where none is given.
            `NetVLAD` that counts padding pads to as many.

    Raises:
        ModelError: no expert, sizes out of range, or options of an expert that is not in `dims`.
        DataError: (in use) a batch without an expert's features, or of another size; a recording that no expert has.

    Where an expert has nothing of a recording, a single frame of zeros stands for it; matchers of experts leave it out.
    """

    reads_audio = False
    sample_rate = 16000  # nothing is decoded; what the data module is told

    def __init__(
        self,
        dims: dict[str, int],
        pooling: dict[str, Pooling] | None = None,
        max_frames: dict[str, int] | None = None,
    ) -> None:
        super().__init__()
        pooling, self.max_frames = pooling or {}, max_frames or {}
        if not dims or not all(re.fullmatch(r"\w+", name) for name in dims):
            raise ModelError(
                f"ExpertFeatures: dims is {dims}: give each expert's size by its name, as in {{vggish: 128}}"
            )
        check_numbers(ModelError, "ExpertFeatures: dims", 1, **dims)
        check_numbers(ModelError, "ExpertFeatures: max_frames", 1, **self.max_frames)
        for option, given in (("pooling", pooling), ("max_frames", self.max_frames)):
            if unknown := sorted(given.keys() - dims.keys()):
                known = ", ".join(sorted(dims))
                raise ModelError(f"ExpertFeatures: {option} is given for '{unknown[0]}', and the experts are {known}")
        self.dims = dict(sorted(dims.items()))
        parts = {name: pooling.get(name, MeanPooling()) for name in self.dims}
        self.experts: Mapping[str, ExpertSize] = {
            name: ExpertSize(dim, parts[name].connect(dim, self.max_frames.get(name)))
            for name, dim in self.dims.items()
        }
        self.pooling = nn.ModuleDict(parts)
        self.dim = sum(size.pooled for size in self.experts.values())

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """Frames (A, T, D) and lengths (A,) of the first expert, of the second, and so on."""
        inputs: list[Tensor] = []
        for name, dim in self.dims.items():
            if name not in batch.experts:
                held = ", ".join(batch.experts) or "none"
                raise DataError(f"the data give no features of the expert '{name}' (but {held}); add its feature store")
            values, lengths = batch.experts[name]
            if values.shape[2] != dim:
                raise DataError(
                    f"features of '{name}' are of size {values.shape[2]}, and model.audio_encoder.dims says {dim}"
                )
            inputs += (values, lengths)
        nothing = (torch.stack(inputs[1::2]) == 0).all(0)  # (A,)
        if nothing.any():
            without = batch.names[int(nothing.nonzero()[0])]
            raise DataError(f"no expert ({', '.join(self.dims)}) has features of '{without}'; leave that recording out")
        return tuple(inputs)

    def forward(self, *inputs: Tensor) -> ExpertVectors:  # type: ignore[override]
        """Vectors of each expert, from what `inputs` gives."""
        vectors = {}
        for name, values, lengths in zip(self.dims, inputs[::2], inputs[1::2], strict=True):
            values = values[:, : self.max_frames.get(name)]
            if not values.shape[1]:
                values = F.pad(values, (0, 0, 0, 1))
            states = States(values, lengths.clamp(1, values.shape[1]))
            vectors[name] = self.pooling[name](states)
        return ExpertVectors(vectors, torch.stack(inputs[1::2], dim=1) > 0)
