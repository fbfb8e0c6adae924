"""A folder of recordings of many kinds, a tiny run whose model embeds them, and the same by the libraries alone."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
import torch
import yaml

from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.weights import load_weights
from tests.support.corpus import write_corpus
from tests.support.tiny import TinyAudio, tiny_model
from train import main

# Name, sample rate in Hz, channels, seconds, and what to call libsndfile's format where the ending does not tell.
RECORDINGS: list[tuple[str, int, int, float, dict[str, str]]] = [
    ("a.wav", 44100, 2, 0.5, {}),
    ("b.FLAC", 22050, 1, 0.8, {}),
    ("deep/c.ogg", 48000, 2, 0.7, {}),
    ("deep/er/a.wav", 8000, 1, 0.6, {}),
    ("deep/é 100%.mp3", 44100, 1, 0.9, {}),
    ("f.opus", 48000, 1, 0.4, {"format": "OGG", "subtype": "OPUS"}),
    ("long.wav", 16000, 1, 3.0, {}),
]
NAMES = [name for name, *_ in RECORDINGS]


def write_recordings(root: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, rate, channels, seconds, kind in RECORDINGS:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / name, 0.1 * rng.standard_normal((round(rate * seconds), channels)), rate, **kind)
    return root


def damage(audio: Path) -> None:
    """Add three files that cannot be used."""
    (audio / "empty.wav").touch()
    (audio / "text.mp3").write_text("no audio")
    soundfile.write(audio / "nan.wav", np.full(8000, np.nan), 8000, subtype="FLOAT")  # only decoding it tells


def tiny_run(folder: Path) -> Path:
    """The folder of a run of stand-ins on a tiny corpus in Clotho's layout."""
    corpus = write_corpus(folder / "clotho")
    config = folder / "tiny.yaml"
    model = {
        "audio_encoder": "tests.support.tiny.TinyAudio",
        "text_encoder": "tests.support.tiny.TinyText",
        "relevance": "tests.support.tiny.KindRelevance",
    }
    matcher = {"class_path": "Cosine", "init_args": {"embedding_dim": 12}}
    data = {"root": str(corpus.root), "batch_size": 6, "num_workers": 0, "max_seconds": 2.0}
    quiet = {"accelerator": "cpu", "max_epochs": 1, "enable_progress_bar": False, "enable_model_summary": False}
    config.write_text(
        yaml.safe_dump(
            {
                "model": {**{part: {"class_path": path} for part, path in model.items()}, "matcher": matcher},
                "data": {"class_path": "Clotho", "init_args": data},
                "trainer": quiet,
                "run": {"root": str(folder / "runs")},
            }
        )
    )
    assert main(["fit", "--config", str(config)]) == 0
    return folder / "runs" / "tiny" / "0"


def model_of(run: Path) -> DualEncoder:
    model = tiny_model()
    load_weights(model, run / "checkpoints" / "best.ckpt")
    return model.eval()


def other_weights(run: Path, folder: Path) -> Path:
    """A checkpoint like the run's, of a model that was not trained."""
    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    torch.save({**checkpoint, "state_dict": tiny_model(seed=5).state_dict()}, folder / "other.ckpt")
    return folder / "other.ckpt"


def embedded(
    model: DualEncoder, path: Path, max_seconds: float = 2.0, *, from_end: bool = False
) -> npt.NDArray[np.float32]:
    """The embedding of one file's beginning, or end, (D,), read by the libraries alone."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    needed = round(max_seconds * rate) + (rate != TinyAudio.sample_rate)
    samples = samples[-needed:] if from_end else samples[:needed]
    mono = soxr.resample(samples.mean(axis=1), rate, TinyAudio.sample_rate)
    mono = mono[: round(max_seconds * TinyAudio.sample_rate)]
    with torch.inference_mode():
        vector: npt.NDArray[np.float32] = model.embed_audio(torch.tensor(mono)[None], torch.tensor([len(mono)]))[
            0
        ].numpy()
    return vector
