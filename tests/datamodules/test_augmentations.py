"""Augmentations: what each does, that numbers follow from (seed, epoch, caption), and what a batch says of mixes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common.errors import DataError, ModelError
from datamodules.augmentations import (
    Augmentation,
    BackgroundMix,
    Equaliser,
    ExtraCaptions,
    Gain,
    Mixup,
    Source,
    Synonyms,
    WordDropout,
)
from datamodules.augmentations.equaliser import equalised
from datamodules.augmentations.mixing import background_gain, placed
from datamodules.batch import Batch, Example, collate
from datamodules.clotho import Clotho
from lightning_modules.training.embedding_cache import check_augmentation
from tests.support.clotho import Refused, clotho, ready
from tests.support.corpus import CLIPS, Corpus
from tests.support.tiny import TinyAudio, TinyText

NAMES = [name for name, *_ in CLIPS["development"]]


def example(size: int = 400, caption: str = "A dog barks.", audio_id: int = 3, caption_id: int = 7) -> Example:
    rng = np.random.default_rng(audio_id)
    waveform = (0.1 * rng.standard_normal(size)).astype(np.float32)
    return Example(waveform, audio_id, f"{audio_id}.wav", [caption], [caption_id])


SOURCE = Source(8000, lambda rng: example(250, "Rain falls.", 5, 11))


def changed(augmentation: Augmentation, given: Example | None = None, seed: int = 0) -> Example:
    return augmentation(example() if given is None else given, np.random.default_rng(seed), SOURCE)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    synonyms, extra = tmp_path / "synonyms.csv", tmp_path / "extra.csv"
    synonyms.write_text("word,synonym\nheard,perceived\nheard,audible\n")
    extra.write_text("file_name,caption\n" + "".join(f"{name},someone wrote {name.strip()} again\n" for name in NAMES))
    return {"synonyms": str(synonyms), "extra": str(extra)}


def all_of(files: dict[str, str]) -> dict[str, Augmentation]:
    return {
        "gain": Gain(),
        "equaliser": Equaliser(share=1),
        "background": BackgroundMix(share=1),
        "mixup": Mixup(share=0.7),
        "dropout": WordDropout(0.3),
        "synonyms": Synonyms(files["synonyms"], 0.8),
        "extra": ExtraCaptions(files["extra"], 0.5),
    }


def epoch_of(module: Clotho, epoch: int = 0) -> list[Batch]:
    loader: Any = module.train_dataloader()
    loader.batch_sampler.set_epoch(epoch)
    return list(loader)


def same(first: Batch, second: Batch) -> bool:
    equal = [first.captions == second.captions, torch.equal(first.caption_ids, second.caption_ids)]
    return all(equal) and torch.equal(first.waveforms, second.waveforms)


def of_captions(batches: list[Batch]) -> dict[int, tuple[str, float]]:
    """By caption id the words, and the energy of the recording."""
    return {
        caption_id: (caption, energy)
        for batch in batches
        for caption_id, caption, energy in zip(
            batch.caption_ids.tolist(), batch.captions, batch.waveforms.square().sum(1).tolist(), strict=True
        )
    }


@pytest.mark.parametrize("name", ["gain", "equaliser", "background", "mixup", "dropout", "synonyms", "extra"])
def test_on_another_epoch_and_after_a_resume(name: str, corpus: Corpus, files: dict[str, str]) -> None:
    options: dict[str, Any] = {"batch_size": 3, "seed": 4, "max_seconds": 0.5}
    plain = epoch_of(ready(corpus, **options))
    assert all(map(same, plain, epoch_of(ready(corpus, **options, augmentations=[]))))
    augmentation = all_of(files)[name]
    module = ready(corpus, **options, augmentations=[augmentation])
    first, second = epoch_of(module), epoch_of(module, 1)
    assert not all(map(same, plain, first))
    assert all(torch.equal(a.caption_ids, b.caption_ids) for a, b in zip(plain, first, strict=True))
    if "audio" not in augmentation.sides:
        assert all(torch.equal(a.waveforms, b.waveforms) for a, b in zip(plain, first, strict=True))
    if "text" not in augmentation.sides:
        assert all(a.captions == b.captions for a, b in zip(plain, first, strict=True))
    before, after = of_captions(first), of_captions(second)
    assert any(before[caption] != after[caption] for caption in before.keys() & after.keys())

    again: Any = ready(corpus, **options, augmentations=[all_of(files)[name]]).train_dataloader()
    again.batch_sampler.set_epoch(1)
    again.batch_sampler.resume(1, 2)
    assert all(map(same, again, second[2:]))
    assert len(second) > 3


def test_numbers_do_not_depend_on_other_augmentations(corpus: Corpus) -> None:
    alone = epoch_of(ready(corpus, batch_size=3, augmentations=[Gain()]))
    others = epoch_of(ready(corpus, batch_size=3, augmentations=[WordDropout(0.5), Gain()]))
    assert all(torch.equal(a.waveforms, b.waveforms) for a, b in zip(alone, others, strict=True))
    twice = epoch_of(ready(corpus, batch_size=3, augmentations=[Gain(), Gain()]))
    plain = epoch_of(ready(corpus, batch_size=3))
    once, both = (b[0].waveforms[0, 0] / plain[0].waveforms[0, 0] for b in (alone, twice))
    assert float(both) != pytest.approx(float(once**2), rel=1e-3)  # the second draws other numbers


def test_the_share_of_examples(corpus: Corpus) -> None:
    plain = epoch_of(ready(corpus, batch_size=3))
    some = epoch_of(ready(corpus, batch_size=3, augmentations=[Gain(share=0.5)]))
    before, after = of_captions(plain), of_captions(some)
    assert 0.2 < np.mean([before[caption] == after[caption] for caption in before]) < 0.8


def test_gain_and_background_have_their_levels() -> None:
    factors = [changed(Gain(6), seed=s).waveform / example().waveform for s in range(200)]
    decibels = [20 * np.log10(float(factor.mean())) for factor in factors]
    assert min(decibels) == pytest.approx(-6, abs=0.3)
    assert max(decibels) == pytest.approx(6, abs=0.3)
    added = changed(BackgroundMix(10, 10)).waveform - example().waveform
    ratio = 10 * np.log10(float(np.square(example().waveform).mean() / np.square(added).mean()))
    assert ratio == pytest.approx(10, abs=0.01)
    assert background_gain(example().waveform, np.zeros(400, np.float32), 10) == 0


def test_a_shorter_or_longer_background_finds_its_place() -> None:
    waveform = np.arange(1.0, 5.0, dtype=np.float32)
    assert placed(waveform, 6, 0.5).tolist() == [0, 1, 2, 3, 4, 0]
    assert placed(waveform, 2, 1.0).tolist() == [3, 4]
    assert placed(waveform, 4, 0.7).tolist() == waveform.tolist()


def test_the_equaliser_has_its_gains() -> None:
    gains = np.array([6.0, -6.0, 3.0])
    size = 4096
    time = np.arange(size) / 8000
    for frequency, expected in ((50.0, 6.0), (np.sqrt(50 * 4000), -6.0), (3999.0, 3.0)):
        bins = round(frequency * size / 8000)
        tone = np.sin(2 * np.pi * bins * 8000 / size * time).astype(np.float32)
        found = equalised(tone, 8000, gains)
        assert found.dtype == np.float32
        assert 20 * np.log10(float(found.std() / tone.std())) == pytest.approx(expected, abs=0.3)
    np.testing.assert_allclose(equalised(tone, 8000, np.zeros(3)), tone, atol=1e-6)


def test_words_are_left_out_and_exchanged(files: dict[str, str]) -> None:
    given = example(caption="Heard: one two three heard")
    dropped = [changed(WordDropout(0.5), given, seed).captions[0].split() for seed in range(50)]
    assert all(words and set(words) <= set(given.captions[0].split()) for words in dropped)
    assert {len(words) for words in dropped} >= {1, 2, 3, 4}
    assert len(changed(WordDropout(1.0), given).captions[0].split()) == 1
    synonyms = Synonyms(files["synonyms"], 1.0)
    synonyms.prepare([])
    found = {changed(synonyms, given, seed).captions[0] for seed in range(30)}
    assert found == {f"{a}: one two three {b}" for a in ("Perceived", "Audible") for b in ("perceived", "audible")}
    assert given.captions == ["Heard: one two three heard"]


def test_a_mix_says_of_what_it_is_mixed() -> None:
    mixed = changed(Mixup(targets="weighted"))
    assert mixed.mix is not None
    weight = mixed.mix.weight
    assert (mixed.mix.ids, mixed.mix.rule) == ((7, 11), "weighted")
    assert mixed.captions == ["A dog barks and rain falls."]
    other = SOURCE.other(np.random.default_rng())
    np.testing.assert_allclose(mixed.waveform[250:], weight * example().waveform[250:], rtol=1e-5)
    np.testing.assert_allclose(
        mixed.waveform[:250], weight * example().waveform[:250] + (1 - weight) * other.waveform, rtol=1e-4, atol=1e-6
    )
    own = changed(Mixup(), example(audio_id=5, caption_id=12))
    assert own.mix is not None
    assert (own.mix.ids, own.mix.weight) == ((12, 12), 1.0)  # another caption of the same recording
    batch = collate([mixed, Mixup(targets="weighted").unchanged(example())])
    assert batch.mixes is not None
    assert batch.mixes.ids.tolist() == [[7, 11], [7, 7]]
    assert batch.mixes.weights[1].tolist() == [1, 0]
    assert batch.mixes.rule == "weighted"
    assert collate([example()]).mixes is None


def test_extra_captions_are_of_the_same_recording(corpus: Corpus, files: dict[str, str]) -> None:
    module = ready(corpus, batch_size=3, augmentations=[ExtraCaptions(files["extra"], 1.0)])
    for batch in epoch_of(module):
        assert batch.captions == [f"someone wrote {name.strip()} again" for name in batch.names]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file_name,caption\nno.wav,a dog\n", "names no training recording (it has no.wav; the data has"),
        ("file_name,caption\ndog.wav,\n", "line 2: the caption of 'dog.wav' is empty; write one, or delete the row"),
        ("file_name,caption\ndog.wav,N/A\n", "line 2: the caption of 'dog.wav' is 'N/A', as programs write"),
        ("file_name,caption\n,a dog\n", "line 2: has no file_name; fill it in, or delete the row"),
        ("name,caption\ndog.wav,a dog\n", "column 'file_name' is missing"),
    ],
)
def test_extra_captions_that_cannot_be_used(
    text: str, message: str, corpus: Corpus, tmp_path: Path, refused: Refused
) -> None:
    file = tmp_path / "extra.csv"
    file.write_text(text)
    module = clotho(corpus, augmentations=[ExtraCaptions(str(file))])
    assert f"{file}" in (said := refused(lambda: module.setup("fit")))
    assert message in said


def test_synonyms_that_cannot_be_used(tmp_path: Path, refused: Refused) -> None:
    file = tmp_path / "synonyms.csv"
    assert "no such file; give a csv with the columns word and synonym" in refused(
        lambda: Synonyms(str(file)).prepare([])
    )
    file.write_text("word,synonym\ndog,\n")
    assert "line 2: a word or its synonym is empty" in refused(lambda: Synonyms(str(file)).prepare([]))
    file.write_text("word,synonym\n")
    assert "holds no synonyms" in refused(lambda: Synonyms(str(file)).prepare([]))


def test_numbers_and_combinations_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^data\.augmentations: Gain: share is 2; give a number from 0 to 1"):
        Gain(share=2)
    with pytest.raises(DataError, match=r"^data\.augmentations: BackgroundMix: lowest is 9, above highest, 3"):
        BackgroundMix(9, 3)
    with pytest.raises(DataError, match=r"^data\.augmentations: Mixup: targets is 'mean': give one of max, weighted"):
        Mixup(targets="mean")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"^data\.augmentations change waveforms, but data\.experts gives features"):
        Clotho(str(tmp_path), experts={"a": "b"}, augmentations=[Gain()])
    text = TinyText().requires_grad_(False)
    with pytest.raises(ModelError, match=r"^model\.cache_frozen is true, but data\.augmentations change text that the"):
        check_augmentation({"text"}, TinyAudio(), text)
    check_augmentation({"audio"}, TinyAudio(), text)
