"""Runs by the value of a setting, and the curve through them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from cli.__main__ import main
from common.errors import RunError
from experiments.comparison.by_setting import number_of_run, other_differences, read_by_setting
from experiments.comparison.summaries import metrics_named
from experiments.figures.by_setting import draw_by_setting
from experiments.results.experiment import Experiment, read_run
from tests.support.compared import NAMES, write_run

KEY = "data.train_fraction"


def write_config(run: Path, fraction: object, **model: object) -> None:
    config = {"model": {"lr": 0.1, **model}, "data": {"class_path": "a.B", "init_args": {"train_fraction": fraction}}}
    (run / "config_fit.yaml").write_text(yaml.safe_dump(config))


@pytest.fixture
def swept(tmp_path: Path) -> list[Path]:
    """Two runs with a tenth, two with half, and one with all recordings, in folders whose names say nothing."""
    folders = []
    for name, fraction, seeds in (("b", 0.5, (0, 1)), ("c", 0.1, (0, 1)), ("a", 1, (4,))):
        folders.append(tmp_path / name)
        for seed in seeds:
            write_run(folders[-1] / str(seed), NAMES, 3 * seed + round(10 * fraction), 2.0 * fraction)
            write_config(folders[-1] / str(seed), fraction)
    return folders


def plain_means(folder: Path, direction: str, metric: str) -> list[float]:
    """The metric in % of each run in a folder, one by one."""
    runs = [read_run(run, "test") for run in sorted(folder.iterdir())]
    return [100 * float(run.directions[direction].scores[metric].mean()) for run in runs]


def test_runs_of_one_value_are_one_experiment(swept: list[Path]) -> None:
    by_number = read_by_setting(swept, KEY)
    assert {number: len(experiment.runs) for number, experiment in by_number.items()} == {0.1: 2, 0.5: 2, 1.0: 1}
    assert list(by_number) == [0.1, 0.5, 1.0]
    alone = read_by_setting([run for folder in swept for run in folder.iterdir()], KEY)
    assert list(alone) == list(by_number)
    assert other_differences(list(by_number.values()), KEY) == ""


def test_the_figure_has_means_and_standard_deviations(swept: list[Path]) -> None:
    by_number = read_by_setting(swept, KEY)
    metrics = metrics_named(list(by_number.values()), ["R@1", "R@10"])
    figure = draw_by_setting(by_number, metrics, KEY)
    assert [axes.get_title() for axes in figure.axes] == ["text to audio", "audio to text"]
    for axes, direction in zip(figure.axes, ("text_to_audio", "audio_to_text"), strict=True):
        assert (axes.get_xlabel(), axes.get_xscale()) == (KEY, "linear")
        assert [label.get_text() for label in axes.get_xticklabels()] == ["0.1", "0.5", "1"]
        containers: Any = axes.containers
        for drawn, metric in zip(containers, ("R@1", "R@10"), strict=True):
            assert drawn.get_label() == metric
            line, _, (bars,) = drawn.lines
            expected = [plain_means(swept[i], direction, metric) for i in (1, 0, 2)]
            np.testing.assert_allclose(np.asarray(line.get_xdata(), float), [0.1, 0.5, 1.0])
            np.testing.assert_allclose(np.asarray(line.get_ydata(), float), [np.mean(values) for values in expected])
            heights = [np.ptp(np.asarray(segment, float)[:, 1]) / 2 for segment in bars.get_segments()]
            sds = [float(np.std(values, ddof=1)) if len(values) > 1 else 0.0 for values in expected]
            np.testing.assert_allclose(heights, sds, atol=1e-9)


def test_numbers_far_apart_have_a_logarithmic_axis(swept: list[Path]) -> None:
    by_number: dict[float, Experiment] = dict(
        zip((1e-5, 1e-3, 1e-2), read_by_setting(swept, KEY).values(), strict=True)
    )
    metrics = metrics_named(list(by_number.values()), ["text_to_audio/R@1"])
    (axes,) = draw_by_setting(by_number, metrics, "model.optimizer.lr").axes
    assert axes.get_xscale() == "log"


def test_the_command_prints_and_draws(swept: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = tmp_path / "share.png"
    assert main(["curve", *map(str, swept), "--by", KEY, "--output", str(figure)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert figure.read_bytes().startswith(b"\x89PNG")
    rows = [line.split() for line in said.out.splitlines()]
    first, second = plain_means(swept[1], "text_to_audio", "R@1")
    cell = f"{(first + second) / 2:.1f}"
    assert any(row[:3] == ["0.1", "2", cell] for row in rows)
    write_config(swept[0] / "1", 0.5, lr=0.2)
    assert main(["curve", *map(str, swept), "--by", KEY, "--output", str(figure)]) == 0
    runs = f"{swept[1] / '0'} and {swept[0] / '1'}"
    assert capsys.readouterr().err == f"warning: {runs} differ in more than {KEY}: model.lr: 0.1 before, 0.2 now\n"


@pytest.mark.parametrize(
    ("value", "key", "message"),
    [
        (0.5, "data.fraction", "has no setting data.fraction; write it as on train.py's command line"),
        (None, KEY, "data.train_fraction is None, no number; give a setting that is one"),
        (True, KEY, "data.train_fraction is True, no number; give a setting that is one"),
        ({"a": 1}, KEY, "data.train_fraction is a dict, no number; give a setting that is one"),
        ("half", KEY, "data.train_fraction is half, no number; give a setting that is one"),
    ],
)
def test_a_setting_that_is_no_number_is_refused(tmp_path: Path, value: Any, key: str, message: str) -> None:
    write_config(tmp_path, value)
    with pytest.raises(RunError) as refused:
        number_of_run(tmp_path, key)
    assert str(refused.value) == f"{tmp_path / 'config_fit.yaml'}: {message}"


def test_a_run_without_a_config_is_refused(swept: list[Path]) -> None:
    (swept[0] / "0" / "config_fit.yaml").unlink()
    with pytest.raises(RunError, match=rf"no such file, so the run's {KEY} is not known; give runs of"):
        read_by_setting(swept, KEY)


def test_another_kind_of_file_is_refused(swept: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["curve", str(swept[0]), "--by", KEY, "--output", "share.doc"])
    assert left.value.code == 2
    assert "--output share.doc: give a file that ends in .png, .pdf or .svg" in capsys.readouterr().err


def test_a_figure_that_cannot_be_written_is_noticed_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "share.png").mkdir()
    assert main(["curve", str(tmp_path / "no_runs"), "--by", KEY, "--output", str(tmp_path / "share.png")]) == 1
    assert "share.png: cannot be written (Is a directory); give another place" in capsys.readouterr().err
