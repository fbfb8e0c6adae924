"""An exported model as a module of sentence-transformers (5.4 or newer): texts and recordings to embeddings."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from sentence_transformers.base.modality import infer_batch_modality
from sentence_transformers.base.modules.input_module import InputModule
from sentence_transformers.util import load_dir_path
from torch import Tensor

from datamodules.batch import padded
from retrieval.exported import load_exported
from retrieval.finished_model import FinishedModel


class AudioRelevance(InputModule):
    """What `SentenceTransformer(FOLDER, trust_remote_code=True)` runs for a folder made by `audio-relevance export`.

    Args:
        folder: an exported folder.

    Raises:
        ModelError: as `load_exported`.
    """

    save_in_root = True

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = Path(folder)
        dual_encoder, max_seconds = load_exported(self.folder)
        self.finished = FinishedModel(dual_encoder, max_seconds, "cpu")
        self.dual_encoder = dual_encoder  # so that it is moved with this module

    @property
    def modalities(self) -> list[Any]:
        """Texts and recordings."""
        return ["text", "audio"]

    def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """A batch of texts (also as `{"text"}`) or of recordings (arrays at the model's rate, or as `encode_audio`)."""
        if infer_batch_modality(list(inputs), supported_modalities=self.modalities) != "audio":
            texts = [each["text"] if isinstance(each, dict) else each for each in inputs]
            return {"captions": [(prompt or "") + text for text in texts]}
        waveforms, lengths = padded([self.finished.samples(each, self.finished.sample_rate) for each in inputs])
        return {"waveforms": waveforms, "lengths": lengths}

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Add `sentence_embedding`, (B, D) float32."""
        if "captions" in features:
            vectors: Tensor = self.dual_encoder.embed_text(features["captions"])
        else:
            vectors = self.dual_encoder.embed_audio(features["waveforms"], features["lengths"])
        return {**features, "sentence_embedding": vectors}

    def get_embedding_dimension(self) -> int:
        """Size of the embeddings."""
        return int(self.dual_encoder.embed_text(["a"]).shape[1])

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Copy the exported folder."""
        shutil.copytree(self.folder, output_path, dirs_exist_ok=True)

    @classmethod
    def load(  # type: ignore[override]  # releases differ in their arguments
        cls,
        model_name_or_path: str,
        subfolder: str = "",
        token: bool | str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Load the module out of an exported folder, or of a hub repository that holds one."""
        folder = load_dir_path(
            model_name_or_path,
            subfolder=subfolder,
            token=token,
            cache_folder=cache_folder,
            revision=revision,
            local_files_only=local_files_only,
        )
        return cls(str(folder))
