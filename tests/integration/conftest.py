"""Recordings and a run to embed them with."""

from pathlib import Path
from typing import Any

import pytest

from lightning_modules.dual_encoder import DualEncoder
from tests.support.recordings import (
    tiny_run,
    write_recordings,
)


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """A folder of recordings that a test may damage."""
    return write_recordings(tmp_path / "audio")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of all recordings that a model was asked to embed."""
    names: list[str] = []
    step = DualEncoder.predict_step

    def counted(self: DualEncoder, batch: Any, batch_idx: int) -> dict[str, Any]:
        outputs = step(self, batch, batch_idx)
        names.extend(outputs["names"])
        return outputs

    monkeypatch.setattr(DualEncoder, "predict_step", counted)
    return names
