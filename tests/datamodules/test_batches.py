"""Options and batches of a data module on a tiny corpus: crops, order, ranks, trainers."""

import re
from types import SimpleNamespace
from typing import Any

import lightning as L
import numpy as np
import pytest
import soundfile
import soxr
import torch
from torch import Tensor

from common.errors import DataError
from common.text import one_line
from datamodules.batch import Batch
from datamodules.clotho import SPLITS, Clotho
from tests.support.clotho import RATE, Refused, clotho, ready
from tests.support.corpus import CLIPS, Corpus


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 0),
        ("max_seconds", 0.0),
        ("max_seconds", -1.0),
        ("max_seconds", float("nan")),
        ("max_seconds", float("inf")),
        ("sample_rate", 0),
        ("num_workers", -1),
        ("seed", -1),
    ],
)
def test_impossible_parameters(corpus: Corpus, refused: Refused, name: str, value: float) -> None:
    message = refused(lambda: clotho(corpus, **{name: value}))
    assert re.match(rf"data\.{name} is {value}( Hz)?; give a number ", message)


def test_sample_rate_is_the_models_unless_given(corpus: Corpus, refused: Refused) -> None:
    assert ready(corpus).sample_rate == RATE
    module = clotho(corpus, sample_rate=None)
    assert refused(lambda: module.sample_rate) == (
        "data.sample_rate is not set and there is no model to ask for it; set data.sample_rate"
    )
    module.trainer = SimpleNamespace(lightning_module=SimpleNamespace(sample_rate=8000))  # type: ignore[assignment]
    assert module.sample_rate == 8000


def test_the_runs_seed_is_taken_unless_another_was_given(corpus: Corpus) -> None:
    own, run = clotho(corpus, seed=7), clotho(corpus)
    for module in (own, run):
        module.use_seed(3)
    assert (own.seed, run.seed) == (7, 3)


def test_relevance_between_recordings_is_not_known(corpus: Corpus) -> None:
    assert all(ready(corpus).graded_relevance(split) is None for split in SPLITS)


def epoch(module: Clotho, number: int = 0) -> list[Batch]:
    loader = module.train_dataloader()
    loader.batch_sampler.set_epoch(number)  # type: ignore[union-attr]
    return list(loader)


def crops(batches: list[Batch]) -> dict[int, Tensor]:
    """Waveform without padding, by caption id."""
    return {
        int(i): waveform[:length]
        for batch in batches
        for i, waveform, length in zip(batch.caption_ids, batch.waveforms, batch.lengths, strict=True)
    }


def test_training_batches(corpus: Corpus) -> None:
    module = ready(corpus, batch_size=4)
    captions, audio_of_caption = module.read_captions()
    names = [name for clips in CLIPS.values() for name, *_ in clips]
    batches = epoch(module)
    assert len(batches) == len(module.train_dataloader()) == 7
    for batch in batches:
        assert batch.waveforms.shape == (4, RATE // 4)
        assert batch.waveforms.dtype == torch.float32
        assert batch.caption_audio.tolist() == [0, 1, 2, 3]
        assert batch.captions == [captions[i] for i in batch.caption_ids]
        assert batch.audio_ids.tolist() == audio_of_caption[batch.caption_ids].tolist()
        assert batch.names == [names[i] for i in batch.audio_ids]
        assert len(set(batch.audio_ids.tolist())) == 4
        for name, length in zip(batch.names, batch.lengths.tolist(), strict=True):
            assert length == (RATE // 5 if name == "bell (2).wav" else RATE // 4)
    used = torch.cat([batch.caption_ids for batch in batches]).tolist()
    assert len(set(used)) == 28
    assert set(used) <= set(range(30))


def test_a_training_crop_is_a_piece_of_its_recording(corpus: Corpus) -> None:
    module = ready(corpus)
    name = " street.wav"  # 16 kHz mono, so that nothing is resampled
    whole, _ = soundfile.read(corpus.audio("development", name), dtype="float32")
    starts = []
    for number in range(8):
        for caption_id, crop in crops(epoch(module, number)).items():
            if 10 <= caption_id < 15:
                pieces = np.lib.stride_tricks.sliding_window_view(whole, len(crop))  # (starts, samples)
                (start,) = np.flatnonzero((pieces == crop.numpy()).all(axis=1))
                starts.append(int(start))
    assert len(starts) == 40
    assert len(set(starts)) > 30
    room = len(whole) - RATE // 4
    assert min(starts) < 0.2 * room
    assert max(starts) > 0.8 * room


def test_crops_and_order_depend_on_seed_and_epoch_and_not_on_workers(corpus: Corpus) -> None:
    one = ready(corpus, seed=1)
    for number in (0, 3):
        first, second = epoch(one, number), epoch(ready(corpus, seed=1, num_workers=2), number)
        assert len(first) == len(second) == 15
        for a, b in zip(first, second, strict=True):
            assert torch.equal(a.caption_ids, b.caption_ids)
            assert torch.equal(a.waveforms, b.waveforms)
    reference = epoch(one, 0)
    for other in (epoch(one, 1), epoch(ready(corpus, seed=2), 0)):
        assert [batch.caption_ids.tolist() for batch in other] != [batch.caption_ids.tolist() for batch in reference]
        ours, theirs = crops(reference), crops(other)
        long = [i for i in ours if not 20 <= i < 25]  # "bell (2).wav" is shorter than a crop: nothing to draw
        assert not any(torch.equal(ours[i], theirs[i]) for i in long)
        assert all(torch.equal(ours[i], theirs[i]) for i in range(20, 25))


def test_evaluation_covers_every_recording_once_with_all_captions(corpus: Corpus) -> None:
    module = ready(corpus, batch_size=3)
    for split, loader in [
        ("validation", module.val_dataloader()),
        ("test", module.test_dataloader()),
        ("test", module.predict_dataloader()),
    ]:
        batches = list(loader)
        table, texts = module.tables[split], corpus.captions[SPLITS[split]]
        assert [len(batch.names) for batch in batches] == {"validation": [3], "test": [3, 1]}[split]
        assert [name for batch in batches for name in batch.names] == list(texts)
        assert torch.cat([batch.audio_ids for batch in batches]).tolist() == table.audio["audio_id"].to_pylist()
        assert torch.cat([batch.caption_ids for batch in batches]).tolist() == table.captions["caption_id"].to_pylist()
        for batch in batches:
            assert batch.caption_audio.tolist() == np.repeat(np.arange(len(batch.names)), 5).tolist()
            assert batch.captions == [text for name in batch.names for text in texts[name]]


def test_evaluation_reads_from_the_beginning(corpus: Corpus) -> None:
    (batch, *_) = ready(corpus, batch_size=4, num_workers=1).test_dataloader()
    for row, (name, rate, _, seconds) in enumerate(CLIPS["evaluation"]):
        samples, _ = soundfile.read(corpus.audio("evaluation", name), dtype="float32", always_2d=True)
        assert seconds > 0.25
        needed = rate // 4 + (rate != RATE)  # one frame more than the crop where the resampler has to round
        expected = soxr.resample(samples[:needed].mean(axis=1), rate, RATE)[: RATE // 4]
        assert batch.lengths[row] == len(expected) == RATE // 4
        np.testing.assert_allclose(batch.waveforms[row], expected, atol=1e-7)


def test_without_a_bound_recordings_keep_their_length(corpus: Corpus) -> None:
    (batch,) = ready(corpus, batch_size=4, max_seconds=None).test_dataloader()
    assert batch.lengths.tolist() == [round(RATE * seconds) for *_, seconds in CLIPS["evaluation"]]
    assert batch.waveforms.shape == (4, round(0.6 * RATE))


def on_rank(module: Clotho, rank: int, world_size: int) -> Clotho:
    device = SimpleNamespace(root_device=torch.device("cpu"))
    begin = SimpleNamespace(current=SimpleNamespace(processed=0, ready=0))
    loops = SimpleNamespace(epoch_progress=begin, epoch_loop=SimpleNamespace(batch_progress=begin))
    module.trainer = SimpleNamespace(  # type: ignore[assignment]
        global_rank=rank, world_size=world_size, strategy=device, fit_loop=loops
    )
    return module


def test_ranks_share_batches_and_recordings(corpus: Corpus) -> None:
    whole = epoch(ready(corpus, batch_size=4))
    ranks = [on_rank(ready(corpus, batch_size=2), rank, 2) for rank in range(2)]
    for expected, *parts in zip(whole, *map(epoch, ranks), strict=True):
        assert torch.equal(expected.caption_ids, torch.cat([part.caption_ids for part in parts]))
        assert torch.equal(expected.waveforms, torch.cat([part.waveforms for part in parts]))
    seen = [torch.cat([batch.audio_ids for batch in module.val_dataloader()]).tolist() for module in ranks]
    assert seen == [[6, 8], [7, 6]]


class Listener(L.LightningModule):
    """Notes what a trainer gives it."""

    sample_rate = RATE

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.batches: dict[int, list[Batch]] = {}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.batches.setdefault(self.current_epoch, []).append(batch)
        return self.layer(batch.waveforms.mean().view(1)).sum()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        pass

    def predict_step(self, batch: Batch, batch_idx: int) -> list[str]:
        return batch.names

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def trainer(**options: Any) -> L.Trainer:
    quiet: dict[str, Any] = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "barebones": False,
    }
    return L.Trainer(accelerator="cpu", enable_checkpointing=False, use_distributed_sampler=False, **quiet, **options)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_trainer_moves_on_to_other_crops_at_each_epoch(corpus: Corpus, num_workers: int) -> None:
    model = Listener()
    trainer(max_epochs=2).fit(model, datamodule=clotho(corpus, sample_rate=None, num_workers=num_workers, seed=4))
    reference = ready(corpus, seed=4)
    assert set(model.batches) == {0, 1}
    for number, batches in model.batches.items():
        for seen, expected in zip(batches, epoch(reference, number), strict=True):
            assert torch.equal(seen.caption_ids, expected.caption_ids)
            assert torch.equal(seen.waveforms, expected.waveforms)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_trainer_can_predict(corpus: Corpus, num_workers: int) -> None:
    predicted = trainer().predict(Listener(), datamodule=clotho(corpus, num_workers=num_workers))
    assert predicted == [["sea.wav", " train.wav"], ["crowd.wav", "dog.wav"]]


@pytest.mark.slow
def test_an_error_in_a_worker_is_one_line_too(corpus: Corpus) -> None:
    path = corpus.audio("development", "dog.wav")
    samples, rate = soundfile.read(path)
    soundfile.write(path, np.full_like(samples, np.nan), rate, subtype="FLOAT")
    module = ready(corpus, num_workers=1)
    with pytest.raises(DataError) as caught:
        list(module.train_dataloader())
    assert "Original Traceback" in str(caught.value)
    expected = f"{path}: holds NaN or infinite samples; get the file again, or delete it to continue without it "
    expected += "(`audio-relevance pack` decodes every file of a data set and lists those that are damaged)"
    assert one_line(caught.value) == expected
    with pytest.raises(DataError) as caught:
        list(ready(corpus, num_workers=0).train_dataloader())
    assert one_line(caught.value) == str(caught.value) == expected
