"""A finished model in MTEB, the Massive Text Embedding Benchmark, whose audio tasks rank recordings and texts."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common.errors import RunError
from experiments.provenance import weights_sha256
from retrieval.open_model import load_run


class MtebEncoder:
    """What `mteb.evaluate` takes: embeds recordings at their own rate, as a test of the model does.

    MTEB's wrapper of a `SentenceTransformer` needs torchaudio, takes a model for one of text alone, and resamples to
    16 kHz by default; none of this holds here.

    Args:
        model_name: as of `load_run`: a run's folder, an exported folder, or a pretrained pair.
        revision: under which MTEB keeps results; default: a checksum of the weights.
        device: where it runs; default: a GPU where there is one.

    Raises:
        RunError, ModelError: as `load_run`.

    Source: Muennighoff et al. 2023, "MTEB: Massive text embedding benchmark".
    """

    def __init__(
        self, model_name: str, revision: str | None = None, *, device: str | None = None, **options: Any
    ) -> None:
        self.finished = load_run(model_name, device)
        self.name = "/".join(Path(model_name).parts[-2:])
        self.revision = revision or weights_sha256(self.finished.model.state_dict())[:16]

    @cached_property
    def mteb_model_meta(self) -> Any:
        """What MTEB wants to know of a model.

        Raises:
            RunError: MTEB is not installed.
        """
        try:
            from mteb.models import ModelMeta
        except ImportError as error:
            raise RunError("MTEB is not installed; pip install 'mteb>=2.26'") from error
        return ModelMeta.create_empty(
            {"name": self.name, "revision": self.revision, "modalities": ["text", "audio"], "framework": ["PyTorch"]}
        )

    def encode(self, inputs: Iterable[dict[str, Any]], **options: Any) -> Tensor:
        """Embeddings (N, D) float32 of batches of `audio` (see `unwrapped`) or of `text`, which may be empty."""
        with torch.inference_mode():
            parts = [self._embed(batch) for batch in inputs]
        return torch.cat(parts).clone()  # not of inference mode

    def _embed(self, batch: dict[str, Any]) -> Tensor:
        if "audio" in batch:
            return self.finished.encode_audio(list(batch["audio"]), progress=False, output="torch")
        return self.finished.model.embed_text(list(batch["text"])).float().cpu()

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Scores (N, M) of embeddings (N, D) and (M, D), as the model ranks."""
        return self.finished.similarity(*map(torch.as_tensor, (embeddings1, embeddings2)))

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Scores (N,) of embeddings (N, D), each with the one beside it."""
        left, right = map(torch.as_tensor, (embeddings1, embeddings2))
        return torch.cat([self.finished.similarity(left[[row]], right[[row]])[0] for row in range(len(left))])
