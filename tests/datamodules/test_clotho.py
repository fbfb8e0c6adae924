"""Clotho on a tiny corpus in its layout: counts, ids, refusals, loaders, trainers; the real captions where given."""

import csv
import logging
import os
from collections.abc import Callable
from pathlib import Path
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
from datamodules.clotho import SPLITS, Clotho, read_caption_csv, read_metadata_csv
from tests.conftest import CLIPS, Corpus, write_corpus

Refused = Callable[[Callable[[], object]], str]
RATE = 16000


def clotho(corpus: Corpus, **arguments: Any) -> Clotho:
    options = {"batch_size": 2, "max_seconds": 0.25, "sample_rate": RATE, "num_workers": 0} | arguments
    return Clotho(str(corpus.root), **options)


def ready(corpus: Corpus, **arguments: Any) -> Clotho:
    module = clotho(corpus, **arguments)
    module.setup("fit")
    module.setup("test")
    return module


def rewrite(path: Path, change: Callable[[list[list[str]]], None]) -> None:
    """Change a csv file's rows, the header among them."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    change(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


# --- tables


def test_tables_hold_what_was_written(corpus: Corpus, caplog: pytest.LogCaptureFixture) -> None:
    module = ready(corpus)
    assert not caplog.records
    for split, folder in SPLITS.items():
        table = module.tables[split]
        assert len(table.audio) == len(CLIPS[folder])
        assert len(table.captions) == 5 * len(CLIPS[folder])
        assert table.missing == ()
        for row, (name, rate, _, seconds) in enumerate(CLIPS[folder]):
            audio = table.audio.slice(row, 1).to_pylist()[0]
            assert audio["name"] == name
            assert Path(audio["path"]) == corpus.audio(folder, name)
            assert tuple(table.info(row)) == (round(rate * seconds), rate)
            captions = [table.captions["caption"][i].as_py() for i in table.caption_rows(row)]
            assert captions == corpus.captions[folder][name]
            assert captions[-1] == "A façade, rain — and 雨"
    assert " street.wav" in module.tables["train"].audio["name"].to_pylist()


def test_stages_read_only_the_splits_they_need(corpus: Corpus) -> None:
    for stage, splits in [
        ("fit", {"train", "validation"}),
        ("validate", {"validation"}),
        ("test", {"test"}),
        ("predict", {"test"}),
    ]:
        module = clotho(corpus)
        module.setup(stage)
        assert set(module.tables) == splits


def test_ids_run_over_all_splits_and_agree_with_read_captions(corpus: Corpus) -> None:
    module = ready(corpus)
    captions, audio_of_caption = module.read_captions()
    assert captions == [text for texts in corpus.captions.values() for five in texts.values() for text in five]
    assert audio_of_caption.tolist() == np.repeat(np.arange(13), 5).tolist()
    seen_audio, seen_captions = [], []
    for split in SPLITS:
        table = module.tables[split]
        seen_audio += table.audio["audio_id"].to_pylist()
        for row in table.captions.to_pylist():
            assert row["caption"] == captions[row["caption_id"]]
            assert table.audio["audio_id"][row["audio_row"]].as_py() == audio_of_caption[row["caption_id"]]
            seen_captions.append(row["caption_id"])
    assert seen_audio == list(range(13))
    assert seen_captions == list(range(65))


def test_read_captions_needs_no_audio(corpus: Corpus) -> None:
    for split, clips in CLIPS.items():
        for name, *_ in clips:
            corpus.audio(split, name).unlink()
    captions, audio_of_caption = clotho(corpus).read_captions()
    assert len(captions) == len(audio_of_caption) == 65


def test_recordings_with_fewer_captions_keep_theirs(corpus: Corpus) -> None:
    def blank(rows: list[list[str]]) -> None:
        rows[2][2:4] = ["", "  "]
        del rows[3][2:]

    rewrite(corpus.caption_file("development"), blank)
    module = ready(corpus)
    assert [len(module.tables["train"].caption_rows(row)) for row in range(6)] == [5, 3, 1, 5, 5, 5]
    assert module.tables["validation"].captions["caption_id"][0].as_py() == 24
    assert len(module.read_captions()[0]) == 59


def test_metadata_is_read_in_its_own_encoding(corpus: Corpus) -> None:
    metadata = read_metadata_csv(corpus.metadata_file("development"))
    assert list(metadata) == [name for name, *_ in CLIPS["development"]]
    assert metadata["dog.wav"]["keywords"].split(";") == ["café", "noise"]


# --- missing recordings


def test_missing_recordings_are_named_and_change_no_id(corpus: Corpus, caplog: pytest.LogCaptureFixture) -> None:
    whole = ready(corpus).tables["train"]
    before = whole.manifest()
    assert before["missing"] == []
    assert (before["clips"], before["captions"], before["official_clips"], before["share_present"]) == (6, 30, 6, 1.0)
    corpus.audio("development", " street.wav").unlink()
    corpus.audio("development", "wind.wav").unlink()
    corpus.audio("development", "wind.wav").mkdir()  # a folder is no recording
    with caplog.at_level(logging.WARNING):
        module = ready(corpus)
    (record,) = caplog.records
    folder = corpus.audio("development", "dog.wav").parent
    assert record.getMessage() == (
        f"{folder}: 2 of 6 annotated recordings are missing: ' street.wav', 'wind.wav'; "
        "going on without them (the full list is in the manifest)"
    )
    table = module.tables["train"]
    assert table.missing == (" street.wav", "wind.wav")
    assert table.audio["audio_id"].to_pylist() == [0, 1, 3, 4]
    assert table.captions["caption_id"].to_pylist() == [*range(10), *range(15, 25)]
    assert table.captions["audio_row"].to_pylist() == np.repeat(np.arange(4), 5).tolist()
    assert module.tables["test"].audio["audio_id"].to_pylist() == [9, 10, 11, 12]
    after = table.manifest()
    assert after["sha256"] != before["sha256"]
    assert (after["clips"], after["captions"], after["official_clips"]) == (4, 20, 6)
    assert after["share_present"] == pytest.approx(4 / 6)
    assert after["missing"] == [" street.wav", "wind.wav"]


def test_manifest_hash_is_the_same_elsewhere(corpus: Corpus, tmp_path: Path) -> None:
    other = write_corpus(tmp_path / "elsewhere")
    hashes = [
        {split: table.manifest()["sha256"] for split, table in ready(place).tables.items()} for place in (corpus, other)
    ]
    assert hashes[0] == hashes[1]
    assert len(set(hashes[0].values())) == 3


def test_a_long_list_of_missing_recordings_is_cut(corpus: Corpus, caplog: pytest.LogCaptureFixture) -> None:
    rewrite(
        corpus.caption_file("evaluation"),
        lambda rows: rows.extend([f"{i:02d}.wav", *["A sound"] * 5] for i in range(12)),
    )
    module = clotho(corpus)
    module.setup("test")
    message = caplog.records[0].getMessage()
    assert "12 of 16 annotated recordings are missing: '00.wav'," in message
    assert "'09.wav', ...; going on" in message
    assert "'10.wav'" not in message
    assert len(module.tables["test"].manifest()["missing"]) == 12


def test_refuse_missing_audio(corpus: Corpus, refused: Refused) -> None:
    ready(corpus, missing_audio="refuse")
    path = corpus.audio("development", "dog.wav")
    path.unlink()
    message = refused(lambda: clotho(corpus, missing_audio="refuse").setup("fit"))
    assert message.startswith(
        f"{path.parent}: 1 of 6 annotated recordings are missing: 'dog.wav'; run `python get_data.py clotho"
    )


def test_all_recordings_missing(corpus: Corpus, refused: Refused) -> None:
    for name, *_ in CLIPS["development"]:
        corpus.audio("development", name).unlink()
    message = refused(lambda: clotho(corpus).setup("fit"))
    assert "6 of 6 annotated recordings are missing: 'rain on a roof.wav', " in message
    assert "; run `python get_data.py clotho --root ROOT`, or get Clotho v2.1 from Zenodo record" in message
    assert "--data.root" in message


def test_no_folder_of_recordings(corpus: Corpus, refused: Refused) -> None:
    folder = corpus.root / "clotho_audio_files"
    folder.rename(corpus.root / "audio")
    message = refused(lambda: clotho(corpus).setup("fit"))
    assert message.startswith(f"{folder / 'development'}: no such folder of recordings; run `python get_data.py clotho")


def test_no_data(tmp_path: Path, refused: Refused) -> None:
    for call in (lambda module: module.setup("fit"), lambda module: module.read_captions()):
        message = refused(lambda call=call: call(Clotho(str(tmp_path / "nowhere"))))
        path = tmp_path / "nowhere" / "clotho_csv_files" / "clotho_captions_development.csv"
        assert message.startswith(f"{path}: no such file; run `python get_data.py clotho")


def test_damaged_recordings_are_refused_not_skipped(corpus: Corpus, refused: Refused) -> None:
    path = corpus.audio("validation", "river.wav")
    path.write_bytes(path.read_bytes()[:-100])
    assert refused(lambda: clotho(corpus).setup("fit")).startswith(f"{path}: is truncated")


# --- caption files


def bad_row(number: int, *cells: str) -> Callable[[list[list[str]]], None]:
    """Overwrites the beginning of a row."""

    def change(rows: list[list[str]]) -> None:
        rows[number][: len(cells)] = cells

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: [row.pop(3) for row in rows],
            ": column 'caption_3' is missing (found: file_name, caption_1, caption_2, caption_4, caption_5); get the "
            "file anew",
        ),
        (bad_row(2, ""), ", line 3: no file_name, so the captions have no audio; mend or delete the row"),
        (bad_row(2, "  "), ", line 3: no file_name, so the captions have no audio; mend or delete the row"),
        (bad_row(3, "dog.wav"), ", line 4: file_name 'dog.wav' comes twice; delete one of the rows"),
        (bad_row(1, "../x.wav"), ", line 2: file_name '../x.wav' is not a plain file name; mend the row"),
        (bad_row(1, "/etc/x.wav"), ", line 2: file_name '/etc/x.wav' is not a plain file name; mend the row"),
        (bad_row(1, "x.wav/"), ", line 2: file_name 'x.wav/' is not a plain file name; mend the row"),
        (bad_row(1, ".."), ", line 2: file_name '..' is not a plain file name; mend the row"),
        (bad_row(1, "."), ", line 2: file_name '.' is not a plain file name; mend the row"),
        # The line is that on which the row ends.
        (bad_row(1, "a\nb.wav"), ", line 3: file_name 'a\\nb.wav' is not a plain file name; mend the row"),
        (bad_row(1, "x.wav", *["", " "] * 2, ""), ", line 2: 'x.wav' has no caption; mend or delete the row"),
        (
            lambda rows: rows[2].append("and a cat"),
            ", line 3: has more cells than the header; put text that holds commas in double quotes",
        ),
    ],
)
def test_bad_rows(corpus: Corpus, refused: Refused, change: Callable[[list[list[str]]], None], message: str) -> None:
    path = corpus.caption_file("development")
    rewrite(path, change)
    assert refused(lambda: clotho(corpus).setup("fit")) == f"{path}{message}"
    assert refused(lambda: clotho(corpus).read_captions()) == f"{path}{message}"


def test_empty_caption_files(corpus: Corpus, refused: Refused) -> None:
    path = corpus.caption_file("validation")
    rewrite(path, lambda rows: rows.__delitem__(slice(1, None)))
    assert refused(lambda: clotho(corpus).setup("fit")).startswith(
        f"{path}: holds no rows; run `python get_data.py clotho"
    )
    path.write_bytes(b"")
    message = refused(lambda: clotho(corpus).setup("fit"))
    assert message == f"{path}: column 'file_name' is missing (found: none); get the file anew"


def test_caption_file_in_another_encoding(corpus: Corpus, refused: Refused) -> None:
    path = corpus.caption_file("development")
    text = path.read_text("utf-8").replace("—", "-").replace("雨", "rain")
    path.write_text(text, "iso-8859-1")
    message = refused(lambda: clotho(corpus).setup("fit"))
    assert message.startswith(f"{path}: is not in utf-8-sig (")
    assert message.endswith("); save it in that encoding")


def test_caption_file_with_a_byte_order_mark(corpus: Corpus) -> None:
    path = corpus.caption_file("development")
    before = read_caption_csv(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_caption_csv(path) == before


def test_a_quote_that_is_never_closed_loses_no_rows_in_silence(corpus: Corpus, refused: Refused) -> None:
    path = corpus.caption_file("development")
    path.write_text(path.read_text("utf-8") + 'last.wav,"a dog barks,b,c,d,e\nlost.wav,a,b,c,d,e\n', "utf-8")
    message = refused(lambda: read_caption_csv(path))
    assert message == (
        f"{path}, line 8: is not a csv file (unexpected end of data); mend its quotes, or get the file anew"
    )


def test_a_folder_in_place_of_a_caption_file(corpus: Corpus, refused: Refused) -> None:
    path = corpus.caption_file("development")
    path.unlink()
    path.mkdir()
    assert refused(lambda: read_caption_csv(path)) == f"{path}: cannot be read (Is a directory); get the file anew"


def test_metadata_without_a_column(corpus: Corpus, refused: Refused) -> None:
    path = corpus.metadata_file("evaluation")
    path.write_text("file_name,sound_id\nsea.wav,1\n")
    message = refused(lambda: read_metadata_csv(path))
    assert message == f"{path}: column 'keywords' is missing (found: file_name, sound_id); get the file anew"


# --- parameters


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
    assert message.startswith(f"data.{name} must be ")
    assert message.endswith(f", got {value}")


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


# --- batches


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
        a, b = crops(reference), crops(other)
        long = [i for i in a if not 20 <= i < 25]  # "bell (2).wav" is shorter than a crop: nothing to draw
        assert not any(torch.equal(a[i], b[i]) for i in long)
        assert all(torch.equal(a[i], b[i]) for i in range(20, 25))


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
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "barebones": False}
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


def test_an_error_in_a_worker_is_one_line_too(corpus: Corpus) -> None:
    path = corpus.audio("development", "dog.wav")
    samples, rate = soundfile.read(path)
    soundfile.write(path, np.full_like(samples, np.nan), rate, subtype="FLOAT")
    module = ready(corpus, num_workers=1)
    with pytest.raises(DataError) as caught:
        list(module.train_dataloader())
    assert "Original Traceback" in str(caught.value)
    expected = f"{path}: holds NaN or infinite samples; get the file anew, or delete it to go on without it "
    expected += "(`python pack.py` decodes every file of a data set and lists those that are damaged)"
    assert one_line(caught.value) == expected
    with pytest.raises(DataError) as caught:
        list(ready(corpus, num_workers=0).train_dataloader())
    assert one_line(caught.value) == str(caught.value) == expected


# --- the real captions


@pytest.mark.skipif(not os.environ.get("CLOTHO_ROOT"), reason="CLOTHO_ROOT names no folder of Clotho v2.1")
def test_the_captions_of_clotho_itself() -> None:
    folder = Path(os.environ["CLOTHO_ROOT"]) / "clotho_csv_files"
    rows = {split: read_caption_csv(folder / f"clotho_captions_{split}.csv") for split in SPLITS.values()}
    assert {split: len(names) for split, names in rows.items()} == {
        "development": 3839,
        "validation": 1045,
        "evaluation": 1045,
    }
    counts = [sum(len(texts) for _, texts in rows[split]) for split in SPLITS.values()]
    assert counts == [19195, 5225, 5225]
    assert sum(name.startswith(" ") for names in rows.values() for name, _ in names) == 3
    for split, names in rows.items():
        assert list(read_metadata_csv(folder / f"clotho_metadata_{split}.csv")) == [name for name, _ in names]
    captions, audio_of_caption = Clotho(os.environ["CLOTHO_ROOT"]).read_captions()
    assert len(captions) == 29645
    assert np.bincount(audio_of_caption).tolist() == [5] * 5929
