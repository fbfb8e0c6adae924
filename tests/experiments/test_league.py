"""Many methods against one: the league that `compare --league` prints and writes."""

import csv
from pathlib import Path

import pytest
from statsmodels.stats.multitest import multipletests

from cli.__main__ import main
from experiments.comparison.league import league_markdown
from experiments.comparison.paired_tests import LEVEL, compare_experiments
from experiments.comparison.summaries import PRIMARY, Metric, summarise
from experiments.results.experiment import read_experiments
from tests.support.compared import NAMES, said, write_run

RECALL = Metric("audio_to_text", "R@1")


@pytest.fixture
def folders(runs: Path) -> list[Path]:
    """Three methods of three seeds; the first one is neither the best nor the worst."""
    for seed in range(3):
        write_run(runs / "worse" / str(seed), NAMES, 20 + seed, 0.5)
    return [runs / "base_line", runs / "worse", runs / "better"]


def test_methods_stand_best_first_with_their_differences_from_the_first_one(folders: list[Path]) -> None:
    experiments = read_experiments(folders)
    tests = compare_experiments(experiments, [PRIMARY, RECALL], 100, with_first=True)
    pairs = [("base_line", "worse"), ("base_line", "better")]
    assert [(test.baseline, test.method) for test in tests] == [pair for pair in pairs for _ in range(2)]
    reference = multipletests([test.over_clips.p for test in tests], method="holm")[1]
    assert [test.p_holm for test in tests] == pytest.approx(list(reference))

    lines = league_markdown(experiments, tests).splitlines()
    assert lines[0] == "| method | runs | text to audio mAP@10 | difference | audio to text R@1 | difference |"
    rows = [line[2:-2].split(" | ") for line in lines[2:5]]
    means = {each.name: 100 * (summarise(each, PRIMARY) or (0, 0))[0] for each in experiments}
    assert [row[0] for row in rows] == sorted(means, key=means.__getitem__, reverse=True)
    for name, runs, reached, difference, _, _ in rows:
        assert (runs, reached.split(" ± ")[0]) == ("3", f"{means[name]:.1f}")
        if name != "base_line":
            (test,) = (test for test in tests if (test.method, test.metric) == (name, PRIMARY))
            assert difference.rstrip("*") == f"{means[name] - means['base_line']:+.2f}"
            assert difference.endswith("*") == (test.p_holm < LEVEL)
    assert lines[-1].startswith(
        "Mean over runs in % ± sample standard deviation. Differences from base_line in points; *"
    )
    assert lines[-1].endswith("all 4 tests.")


def test_the_command_prints_and_writes_it(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = tmp_path / "out" / "comparison.png"
    figure.parent.mkdir()
    figure.write_bytes(b"of an earlier comparison, of pairs")
    out = said(capsys, *folders, "--league", "--metrics", "audio_to_text/R@1", "--output", tmp_path / "out")
    assert not figure.exists()
    assert "Differences from base_line in points" in out
    assert "over queries" not in out
    written = (tmp_path / "out" / "league.md").read_text(encoding="utf-8")
    assert written.splitlines()[2].split(" | ")[0].strip("| ") in out
    rows = list(csv.DictReader((tmp_path / "out" / "tests.csv").open(encoding="utf-8")))
    assert {(row["baseline"], row["method"]) for row in rows} == {("base_line", "worse"), ("base_line", "better")}
    assert main(["compare", *map(str, folders), "--output", str(tmp_path / "out")]) == 0
    assert figure.exists()
    assert not (tmp_path / "out" / "league.md").exists()
