"""Human judgements: metrics against loops, scipy, scikit-learn and ranx; reading their files; the command."""

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import ndcg_score

from common.errors import RelevanceError
from datamodules.judgements.dcase_relevance import read_relevant_clips
from datamodules.judgements.tau_ratings import read_rated_clips
from evaluation.human_judgements import agreement_with_lists, agreement_with_ratings, match, rank_correlations
from evaluation.scores import EmbeddingScores, MatrixScores
from tests.support.corpus import Corpus, write_corpus
from train import main

Refused = Callable[[Callable[[], object]], str]


def embeddings(queries: int, items: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    return torch.randn(queries, 6), torch.randn(items, 6)


def drawn_pairs(queries: int, items: int, most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Each query with 2 to `most` items, in no order."""
    rng = np.random.default_rng(seed)
    pairs = [(q, i) for q in range(queries) for i in rng.choice(items, rng.integers(2, most + 1), replace=False)]
    return tuple(np.array(pairs, dtype=np.int64)[rng.permutation(len(pairs))].T)  # type: ignore[return-value]


# ---- lists


def test_lists_agree_with_ranx_and_with_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # read when ranx is imported: compiling it would take long
    from ranx import Qrels, Run, evaluate

    queries, items = embeddings(30, 50, seed=1)
    query, item = drawn_pairs(30, 50, most=20, seed=2)
    agreement = agreement_with_lists(EmbeddingScores(queries, items), query, item)

    scores = (queries.double() @ items.double().T).numpy()
    relevant = [set(item[query == q].tolist()) for q in range(30)]
    qrels = Qrels({f"q{q}": {f"i{i}": 1 for i in relevant[q]} for q in range(30)})
    run = Run({f"q{q}": {f"i{i}": float(s) for i, s in enumerate(row)} for q, row in enumerate(scores)})
    theirs = evaluate(qrels, run, ["map@16", "recall@10"])
    assert agreement.means["mAP@16_all"] == pytest.approx(theirs["map@16"])
    assert agreement.means["R@10"] == pytest.approx(theirs["recall@10"])

    for q, row in enumerate(scores):
        found, precisions = 0, []
        for place, i in enumerate(np.argsort(-row)[:16], start=1):
            if i in relevant[q]:
                found += 1
                precisions.append((place, found / place))
        first_ten = [precision for place, precision in precisions if place <= 10]
        assert agreement.per_query["AP@16_all"][q] == pytest.approx(sum(p for _, p in precisions) / len(relevant[q]))
        assert agreement.per_query["AP@10"][q] == pytest.approx(sum(first_ten) / max(len(first_ten), 1))


def test_a_constant_scorer_gets_the_chance_of_lists_which_is_that_of_random_orders() -> None:
    query, item = drawn_pairs(4, 40, most=8, seed=3)
    agreement = agreement_with_lists(MatrixScores(torch.ones(4, 40)), query, item)
    assert agreement.means == pytest.approx(agreement.chance)

    rng = np.random.default_rng(4)
    sums = np.zeros(4)
    for _ in range(3000):
        places = rng.permutation(40)
        for q in range(4):
            ranks = np.sort(places[item[query == q]]) + 1
            sums[q] += sum((n + 1) / rank for n, rank in enumerate(ranks) if rank <= 16) / len(ranks)
    assert agreement.per_query_chance["AP@16_all"] == pytest.approx(sums / 3000, abs=0.01)
    assert agreement.chance["R@10"] == pytest.approx(10 / 40)


# ---- ratings


def rated(queries: int, items: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    query, item = drawn_pairs(queries, items, most=17, seed=seed)
    rating = np.random.default_rng(seed).integers(0, 5, len(query)) / 4  # many ties
    for q in range(queries):
        rating[np.flatnonzero(query == q)[:2]] = 0.25, 0.75
    return query, item, rating


def test_ratings_agree_with_scipy_and_scikit_learn() -> None:
    queries, items = embeddings(25, 40, seed=5)
    items[1::2] = items[::2]  # every item has a twin that scores the same
    query, item, rating = rated(25, 40, seed=6)
    agreement = agreement_with_ratings(EmbeddingScores(queries, items), query, item, rating)
    for q in range(25):
        mine = query == q
        scores, given = (queries[q] @ items[item[mine] // 2 * 2].T).double().numpy(), rating[mine]
        scores = scores.round(4)  # twins scored apart differ in their last bits
        if len(set(scores)) > 1:
            assert agreement.per_query["spearman"][q] == pytest.approx(stats.spearmanr(scores, given).statistic)
            assert agreement.per_query["kendall_tau_b"][q] == pytest.approx(stats.kendalltau(scores, given).statistic)
        assert agreement.per_query["nDCG@10"][q] == pytest.approx(ndcg_score([given], [scores], k=10))
        blind = ndcg_score([given], [np.zeros(len(given))], k=10)
        assert agreement.per_query_chance["nDCG@10"][q] == pytest.approx(blind)
    assert agreement.chance["spearman"] == agreement.chance["kendall_tau_b"] == 0


def test_the_ratings_themselves_agree_best_and_a_constant_scorer_is_at_chance() -> None:
    query, item, rating = rated(6, 20, seed=7)
    truth = torch.zeros(6, 20)
    truth[query, item] = torch.from_numpy(rating).float()
    best = agreement_with_ratings(MatrixScores(truth), query, item, rating)
    assert list(best.means.values()) == pytest.approx([1, 1, 1])
    worst = agreement_with_ratings(MatrixScores(-truth), query, item, rating)
    assert [worst.means["spearman"], worst.means["kendall_tau_b"]] == pytest.approx([-1, -1])
    constant = agreement_with_ratings(MatrixScores(torch.ones(6, 20)), query, item, rating)
    assert constant.means == pytest.approx(constant.chance)


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 4)), min_size=2, max_size=17))
def test_rank_correlations_agree_with_scipy(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs, dtype=float).T
    rho, tau = rank_correlations(x, y)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert (rho, tau) == (0, 0)
    else:
        assert rho == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
        assert tau == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize(
    ("item", "rating", "message"),
    [
        ([0, 1, 2, 0], [0.1, 0.2, 0.5, 0.5], "query 1: its ratings are all equal"),
        ([0, 1, 2, 0], [0.1, np.nan, 0.5, 0.7], "finite and >= 0"),
        ([0, 1, 2, 0], [0.1, -0.2, 0.5, 0.7], "finite and >= 0"),
        ([0, 1, 2, 0], [0.1, 0.2], r"ratings \(2,\) for 4 pairs"),
        ([0, 1, 3, 0], [0.1, 0.2, 0.5, 0.7], "relevant_item holds 3"),
        ([0, 0, 2, 0], [0.1, 0.2, 0.5, 0.7], "paired twice"),
    ],
)
def test_bad_ratings_are_refused(item: list[int], rating: list[float], message: str) -> None:
    query = np.array([0, 0, 1, 1])
    with pytest.raises(RelevanceError, match=message) as caught:
        agreement_with_ratings(EmbeddingScores(*embeddings(2, 3, seed=8)), query, np.array(item), np.array(rating))
    assert "\n" not in str(caught.value)


# ---- matching


def test_what_is_not_in_the_pool_is_counted() -> None:
    grades = {
        "rain": {"a.wav": 0.5, "b.wav": 0.1, "gone.wav": 1.0},
        "a dog": {"b.wav": 0.2, "lost.wav": 0.9},
        "wind": {"gone.wav": 0.3},
        "nobody said this": {"a.wav": 1.0},
    }
    captions, names = ["a dog", "rain ", "rain", "wind"], [" a.wav", "b.wav", "a.wav"]
    found = match(grades, captions, names)
    assert found.caption.tolist() == [1, 0]
    assert [*zip(found.query, found.item, found.grade, strict=True)] == [(0, 2, 0.5), (0, 1, 0.1), (1, 1, 0.2)]
    assert found.counts == {
        "queries_listed": 4,
        "queries_not_in_split": 1,
        "queries_left_out": 1,
        "queries": 2,
        "items_listed": 4,
        "items_not_in_split": 2,
        "items": 3,
        "pairs_listed": 7,
        "pairs": 3,
    }
    assert match(grades, captions, names, ordered=True).caption.tolist() == [1]
    assert match({}, captions, names).query.tolist() == []


# ---- files


def write_rows(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_lists_are_read_as_written(tmp_path: Path) -> None:
    rows = [(" a dog, far ", "[' train.wav', \"bird's.wav\"]"), ("rain", "['a.wav']"), ("rain", "[ 'a.wav' ]")]
    path = write_rows(tmp_path / "lists.csv", ("query", "audio_filenames"), *rows)
    assert read_relevant_clips(path) == {"a dog, far": (" train.wav", "bird's.wav"), "rain": ("a.wav",)}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("wind", "a.wav"), "audio_filenames is 'a.wav'; give a list"),
        (("wind", "__import__('os').getcwd()"), "give a list"),
        (("wind", "['a.wav'"), "give a list"),
        (("wind", "[" * 5000), "give a list"),
        (("wind", "('a.wav',)"), "give a list"),
        (("wind", "[1, 2]"), "give a list"),
        (("wind", ""), "audio_filenames is ''; give a list"),
        (("wind", "['a.wav' 'b.wav']"), "audio_filenames has no comma between two names; put one there"),
        (("wind", "[]"), "an empty list"),
        (("wind", "['a.wav', 'b.wav', 'a.wav']"), "names 'a.wav' twice"),
        ((" ", "['a.wav']"), "the query is empty"),
        (("rain", "['b.wav']"), "query 'rain' was listed before with other recordings"),
    ],
)
def test_bad_lists_are_refused(tmp_path: Path, refused: Refused, row: tuple[str, str], message: str) -> None:
    path = write_rows(tmp_path / "lists.csv", ("query", "audio_filenames"), ("rain", "['a.wav']"), row)
    said = refused(lambda: read_relevant_clips(path))
    assert said.startswith(f"{path}, line 3: ")
    assert message in said
    assert len(said) < 300 + len(str(path))


def test_files_without_lists_are_refused(tmp_path: Path, refused: Refused) -> None:
    assert "no such file" in refused(lambda: read_relevant_clips(tmp_path / "lists.csv"))
    path = write_rows(tmp_path / "lists.csv", ("query", "names"), ("rain", "['a.wav']"))
    assert "column 'audio_filenames' is missing (found: query, names)" in refused(lambda: read_relevant_clips(path))
    write_rows(path, ("query", "audio_filenames"))
    assert "holds no queries" in refused(lambda: read_relevant_clips(path))


def write_ratings(root: Path, captions: dict[str, list[str]]) -> Path:
    """The first caption of each recording, rated for all recordings: 90 for its own, 0, 10, ... for the others."""
    names = list(captions)
    texts = [(f"t{i}{j}", f"f{i}", text) for i, name in enumerate(names) for j, text in enumerate(captions[name])]
    ratings = [
        (f"t{i}0", f"f{j}", "TP" if i == j else "C15", 90 if i == j else 10 * j)
        for i in range(len(names))
        for j in range(len(names))
    ]
    clips = [(f"f{i}", name) for i, name in enumerate(names)]
    write_rows(root / "text_data/validation_text.csv", ("tid", "fid", "text"), *texts)
    write_rows(root / "relevance_data/validation_relevances.csv", ("tid", "fid", "fid_group", "rating"), *ratings)
    write_rows(root / "audio_metadata/validation_audio_metadata.csv", ("fid", "file_name"), *clips)
    return root


CAPTIONS = {" street.wav": ["cars pass", "traffic"], "dog.wav": ["a dog barks", "barking"]}


def test_rated_clips_have_clothos_names(tmp_path: Path) -> None:
    rated_clips = read_rated_clips(write_ratings(tmp_path, CAPTIONS), "validation")
    assert rated_clips == {
        "cars pass": {" street.wav": pytest.approx(0.9), "dog.wav": pytest.approx(0.1)},
        "a dog barks": {" street.wav": 0, "dog.wav": pytest.approx(0.9)},
    }


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("audio_metadata/validation_audio_metadata.csv", "file_name", "name", "column 'file_name' is missing"),
        ("audio_metadata/validation_audio_metadata.csv", "dog.wav", " ", "line 3: fid 'f1' has no file_name"),
        ("audio_metadata/validation_audio_metadata.csv", "f1,", "f0,", "line 3: fid 'f0' comes twice"),
        ("audio_metadata/validation_audio_metadata.csv", "f1,", "f7,", "fid 'f1', which is rated, is not in it"),
        (
            "relevance_data/validation_relevances.csv",
            "t00,f1",
            "t00,f0",
            "' street.wav' is rated twice for query 'cars",
        ),
    ],
)
def test_bad_clip_names_are_refused(
    tmp_path: Path, refused: Refused, file: str, old: str, new: str, message: str
) -> None:
    path = write_ratings(tmp_path, CAPTIONS) / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    said = refused(lambda: read_rated_clips(tmp_path, "validation"))
    assert said.startswith(str(path))
    assert message in said


def test_ratings_without_clip_names_are_refused(tmp_path: Path, refused: Refused) -> None:
    (write_ratings(tmp_path, CAPTIONS) / "audio_metadata/validation_audio_metadata.csv").unlink()
    said = refused(lambda: read_rated_clips(tmp_path, "validation"))
    assert "validation_audio_metadata.csv: no such file; get TAU Graded Relevances 2023" in said


# ---- the command


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Corpus, Path]:
    """Options of a run that was trained on a tiny corpus, the corpus, and the run's folder."""
    folder = tmp_path_factory.mktemp("judgements")
    corpus = write_corpus(folder / "clotho")
    options = {
        "config": "clotho_listnet.yaml",
        "data.root": corpus.root,
        "data.batch_size": 6,
        "data.num_workers": 0,
        "run.root": folder / "runs",
        "run.experiment": "tiny",
        "run.test_after_fit": "false",
        "trainer.max_epochs": 1,
        "trainer.accelerator": "cpu",
        "trainer.enable_progress_bar": "false",
        "trainer.enable_model_summary": "false",
        "trainer.log_every_n_steps": 1,
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    arguments[2:2] = ["--config", "small.yaml"]
    assert main(["fit", *arguments]) == 0
    return arguments, corpus, folder / "runs" / "tiny" / "0"


def test_a_test_is_compared_with_lists(
    trained: tuple[list[str], Corpus, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, corpus, run = trained
    said = corpus.captions["evaluation"]
    rows = [(said["sea.wav"][0], ["sea.wav", " train.wav"]), (said["dog.wav"][2] + " ", ["dog.wav", "gone.wav"])]
    path = write_rows(tmp_path / "lists.csv", ("query", "audio_filenames"), *rows, ("unheard of", ["dog.wav"]))
    capsys.readouterr()
    assert main(["test", *arguments, "--run.relevant_clips", str(path)]) == 0

    written = json.loads((run / "human_judgements_test.json").read_text())
    assert written["judged_by"] == "relevant_clips"
    assert Path(written["checkpoint"]) == run / "checkpoints" / "best.ckpt"
    assert written["sha256"] == {str(path): hashlib.sha256(path.read_bytes()).hexdigest()}
    assert list(written["metrics"]) == ["mAP@16_all", "mAP@10", "R@10"]
    assert written["metrics"]["R@10"] == {"value": 1, "chance": 1}  # the pool holds four
    assert 0 < written["metrics"]["mAP@16_all"]["value"] <= 1
    counts = written["counts"]
    assert (counts["queries"], counts["queries_not_in_split"], counts["items_not_in_split"]) == (2, 1, 1)
    assert (counts["pairs"], counts["pairs_listed"], counts["items"]) == (3, 5, 4)
    printed = " ".join(capsys.readouterr().out.split())
    assert "mAP@16_all" in printed
    assert "3 relevant pairs of 5; not in the split: 1 of 3 queries, 1 of 4 recordings." in printed
    assert (run / "queries_test.parquet").is_file()
    assert not list(run.glob(".*"))


def test_a_validation_is_compared_with_ratings(
    trained: tuple[list[str], Corpus, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, corpus, run = trained
    root = write_ratings(tmp_path / "tau", corpus.captions["validation"])
    assert main(["validate", *arguments, "--run.ratings", str(root)]) == 0
    written = json.loads((run / "human_judgements_validation.json").read_text())
    assert (written["judged_by"], written["split"]) == ("ratings", "validation")
    assert sorted(Path(name).parent.name for name in written["sha256"]) == [
        "audio_metadata",
        "relevance_data",
        "text_data",
    ]
    assert list(written["metrics"]) == ["nDCG@10", "spearman", "kendall_tau_b"]
    assert 0 < written["metrics"]["nDCG@10"]["chance"] < 1
    assert (written["counts"]["queries"], written["counts"]["pairs"]) == (3, 9)
    assert "9 ratings of 9; not in the split: 0 of 3 queries, 0 of 3 rec" in " ".join(capsys.readouterr().out.split())


def test_mistakes_end_in_one_line(
    trained: tuple[list[str], Corpus, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, _, run = trained
    foreign = write_rows(tmp_path / "lists.csv", ("query", "audio_filenames"), ("a siren", "['sea.wav']"))
    before = {path: path.read_bytes() for path in run.glob("*.*") if not path.name.startswith("config_")}
    for command, option, value, message in (
        ("validate", "relevant_clips", foreign, "run.relevant_clips goes with `test`, not with `validate`"),
        ("fit", "relevant_clips", foreign, "run.relevant_clips goes with `test`, not with `fit`"),
        ("test", "ratings", tmp_path, "run.ratings goes with `validate`, not with `test`"),
        ("test", "relevant_clips", tmp_path / "nowhere.csv", "nowhere.csv: no such file"),
        ("validate", "ratings", tmp_path, "validation_relevances.csv: no such file"),
        (
            "test",
            "relevant_clips",
            foreign,
            "lists.csv: no query of 1 can be evaluated on the test split, 1 are",
        ),
    ):
        capsys.readouterr()
        assert main([command, *arguments, f"--run.{option}", str(value)]) == 1
        errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert message in errors[0]
    assert {path: path.read_bytes() for path in before} == before
