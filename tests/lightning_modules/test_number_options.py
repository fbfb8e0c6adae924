"""Numbers that make no model, no targets and no training are refused by name, NaN and infinity among them."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.errors import UserError
from datamodules.synthetic import Synthetic
from lightning_modules.audio_encoders import PaSST, SmallCNN
from lightning_modules.audio_encoders.spectrograms import LogMel
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers import Cosine
from lightning_modules.text_encoders import HuggingFaceText
from lightning_modules.training.lora import LoRA, add_lora
from lightning_modules.training.schedules import WarmupCosine
from relevance.objectives.infonce import InfoNCE
from relevance.objectives.listnet import ListNet
from relevance.scoring import Logistic, MinMax, SteepLogistic, Threshold
from relevance.targets.caption_similarity import CaptionSimilarity
from relevance.targets.mixture import MixedTargets
from tests.support.runs import arguments
from tests.support.tiny import KindRelevance, TinyAudio, TinyText
from train import main

NAN, INF = math.nan, math.inf


def passt(**options: Any) -> PaSST:
    return PaSST(**{"dim": 8, "depth": 1, "heads": 1, **options})


def model(**options: Any) -> DualEncoder:
    return DualEncoder(TinyAudio(), TinyText(), KindRelevance(), ListNet(), **options)


def mixed(omega: float = 0.1, weight: float = 1.0) -> MixedTargets:
    return MixedTargets([KindRelevance()], [omega], [weight])


def lora(**options: Any) -> None:
    add_lora(TinyAudio(), LoRA(**options, layers=("frames",)), "TinyAudio")


CASES: list[tuple[Callable[..., object], dict[str, tuple[float, ...]]]] = [
    (ListNet, {"tau": (NAN, INF, 0, -1, 1e-300, 1e300), "omega": (NAN, INF, 0, -1, 1e-300, -INF)}),
    (InfoNCE, {"tau": (NAN, INF, 1e-300)}),
    (mixed, {"omega": (NAN, INF, 0, 1e-300), "weight": (NAN, INF, -1, 0)}),
    (Logistic, {"intercept": (NAN, INF, -INF, 1e300), "slope": (NAN, INF)}),
    (SteepLogistic, {"intercept": (NAN,), "slope": (INF,)}),
    (MinMax, {"low": (NAN, -INF, -2), "high": (NAN, INF, 2)}),
    (Threshold, {"threshold": (NAN, INF, 2, -2)}),
    (CaptionSimilarity, {"batch_size": (0, -1)}),
    (WarmupCosine, {"warmup": (NAN, INF, -1), "floor": (NAN, -0.1, 1.1), "until": (NAN, INF, 0.5, -1)}),
    (lora, {"rank": (0, -1), "alpha": (NAN, INF, 0, -1), "dropout": (NAN, -0.1, 1)}),
    (
        SmallCNN,
        {
            **dict.fromkeys(("dim", "width", "n_mels", "sample_rate", "hop", "n_fft"), (0, -8)),
            **dict.fromkeys(("time_masks", "time_mask_frames", "frequency_masks", "frequency_mask_bands"), (-3,)),
            "dropout": (NAN, INF, -0.1, 1.1),
        },
    ),
    (LogMel, {"fmin": (NAN, INF, -1), "fmax": (NAN, INF, 0), "hop": (0,), "n_fft": (0,), "n_mels": (0,)}),
    (
        passt,
        {
            **dict.fromkeys(("dim", "depth", "heads"), (0, -1)),
            **dict.fromkeys(("patchout_time", "patchout_frequency"), (-1,)),
            **dict.fromkeys(("fmin_jitter", "fmax_jitter"), (-1,)),
        },
    ),
    (Cosine, {"embedding_dim": (0, -1)}),
    (model, {"loss_batch": (1, 0, -1), "chunk": (0, -1)}),
    (HuggingFaceText, {"dropout": (NAN, -0.1, 2), "attention_dropout": (NAN, INF, -1)}),
    (Synthetic, {"train_clips": (0, -1), "test_clips": (0,), "corpus_seed": (-1,), "max_seconds": (NAN, INF, 0)}),
]


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [(make, name, value) for make, options in CASES for name, values in options.items() for value in values],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_numbers_out_of_range_are_refused_by_name(make: Callable[..., object], name: str, value: float) -> None:
    with pytest.raises(UserError) as caught:
        make(**{name: value})
    message = str(caught.value)
    assert name.rstrip("s") in message
    assert "\n" not in message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("trainer.accumulate_grad_batches", "-2"),
        ("trainer.accumulate_grad_batches", "0"),
        ("trainer.check_val_every_n_epoch", "0"),
        ("trainer.log_every_n_steps", "-1"),
        ("trainer.gradient_clip_val", ".nan"),
        ("trainer.gradient_clip_val", "-1"),
        ("trainer.num_sanity_val_steps", "-2"),
        ("trainer.max_epochs", "-2"),
        ("model.objective.tau", ".nan"),
        ("model.objective.omega", ".inf"),
        ("model.audio_encoder.frequency_masks", "-3"),
    ],
)
def test_numbers_are_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    assert main(["fit", *arguments(tmp_path), f"--{option}={value}"]) == 1
    assert option.rpartition(".")[2] in capsys.readouterr().err.splitlines()[-1]
    assert not [path for path in (tmp_path / "runs").rglob("*.*") if ".locks" not in path.parts]
