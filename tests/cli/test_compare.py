"""`audio-relevance compare`: what it prints, writes and refuses."""

import csv
import re
import runpy
from pathlib import Path

import pytest
import yaml

from cli.__main__ import main
from experiments.comparison.paired_tests import compare_experiments
from experiments.comparison.summaries import Metric
from experiments.results.experiment import read_experiments
from tests.support.compared import (
    BACK,
    MAP,
    NAMES,
    rewrite,
    said,
    two_methods,
    write_run,
)

ROOT = Path(__file__).parents[2]

FILES = ["comparison.png", "table.csv", "table.md", "table.tex", "tests.csv"]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return two_methods(tmp_path)


def test_the_command_says_all_and_writes_nothing(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(runs.rglob("*"))
    out = said(capsys, runs / "base_line", runs / "better", "--permutations", 99)
    assert sorted(runs.rglob("*")) == before
    (test,) = compare_experiments(read_experiments([runs / "base_line", runs / "better"]), permutations=99)
    queries, clips = test.over_queries, test.over_clips
    assert f"t(77) = {queries.t:.3f}, p < .001; sign flips p = .0100" in out
    assert f"t(25) = {clips.t:.3f}, p < .001; sign flips p = .0100; d_z {clips.effect_size:.3f}; Holm over 1" in out
    assert f"better against base_line, text to audio mAP@10: {100 * clips.difference:+.2f} points" in out
    assert "Welch's t(" in out
    assert out.rstrip().endswith(
        "is significant (p < .001), and over runs too (Welch's p = .0018, better is ahead in 9 of 9 pairs of runs): "
        "the methods differ."
    )
    assert re.search(r"better +3 +\d\d\.\d ± \d\.\d", out)

    back = said(capsys, runs / "better", runs / "base_line", "--metrics", "audio_to_text/mAP@10")
    assert "base_line against better, audio to text mAP@10: -" in back
    assert back.count("over queries (the paper's test)") == 1  # a recording that asks is one query


def test_files_are_written_together(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = runs / "new" / "comparison"
    command = [runs / "base_line", runs / "better", "--metrics", "R@10", "hit@5", "--output", output]
    said(capsys, *command)
    assert sorted(file.name for file in output.iterdir()) == FILES
    assert (output / "comparison.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((output / "tests.csv").read_text().splitlines()))
    names = [(row["direction"], row["metric"]) for row in rows]
    assert names == [
        MAP[:2],
        *((side, name) for name in ("R@10", "hit@5") for side in (MAP.direction, BACK.direction)),
    ]
    experiments = read_experiments([runs / "base_line", runs / "better"])
    test = compare_experiments(experiments, [Metric(*name) for name in names])[1]
    assert float(rows[1]["t_over_queries"]) == test.over_queries.t
    assert float(rows[1]["p_holm_over_clips"]) == test.p_holm
    assert float(rows[1]["se_runs"]) == test.uncertainty.se_seeds
    assert "hit@5" in (output / "table.md").read_text()
    before = {file.name: file.read_bytes() for file in output.iterdir()}

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("experiments.result_files.save_figure", fail)
    assert main(["compare", str(runs / "base_line"), "--output", str(runs / "alone")]) == 0
    capsys.readouterr()
    assert sorted(file.name for file in (runs / "alone").iterdir()) == [name for name in FILES if name[0] == "t"]
    assert main(["compare", *(str(argument) for argument in [runs / "better", *command[:1], *command[-2:]])]) == 1
    assert capsys.readouterr().err == (
        f"error: {output / 'comparison.png'}: No space left on device; make room there, or choose another folder "
        "(TRACEBACK=1 shows where)\n"
    )
    assert {file.name: file.read_bytes() for file in output.iterdir()} == before


def test_one_run_has_no_standard_deviation(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, runs / "base_line" / "0", runs / "better" / "2")
    assert "±" not in out
    assert "one run only, so no standard deviation: base_line/0, better/2." in out
    assert "over runs: nothing to say with one run of a method" in out
    assert out.rstrip().endswith("for these runs; with one run of a method nothing is known of other seeds.")
    mixed = said(capsys, runs / "base_line" / "0", runs / "better")
    assert "no standard deviation: base_line/0." in mixed
    assert "± sample standard deviation" in mixed
    assert "nothing is known of other seeds" in mixed


def test_one_method_has_nothing_to_test(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "better" / "4").mkdir()
    assert main(["compare", str(runs / "better")]) == 0
    printed = capsys.readouterr()
    assert printed.out.endswith("One method: nothing to test.\n")
    assert "bold" not in printed.out
    assert printed.err == "warning: better: left out, queries_test.parquet is missing: 4\n"


def test_runs_of_different_settings_are_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, tau in ((0, 0.05), (2, 0.05), (10, 0.1)):
        settings = {"model": {"objective": {"tau": tau}}, "data": {"init_args": {"seed": seed, "root": f"/{seed}"}}}
        (runs / "better" / str(seed) / "config_fit.yaml").write_text(yaml.safe_dump(settings))
    assert main(["compare", str(runs / "better")]) == 0
    error = capsys.readouterr().err
    assert (
        "warning: better: runs 0 and 10 have different settings (model.objective.tau: 0.05 before, 0.1 now), yet "
        "count as one experiment" in error
    )


def test_teachers_of_the_runs_own_seeds_are_no_other_settings(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, fixed in ((0, 2), (2, 2), (10, 2), (10, 0)):
        teachers = {"teachers": [f"runs/teacher/{seed}/checkpoints/best.ckpt", f"runs/other/{fixed}"]}
        settings = {"model": {"relevance": {"parts": [{"init_args": teachers}]}}, "seed_everything": seed}
        (runs / "better" / str(seed) / "config_fit.yaml").write_text(yaml.safe_dump(settings))
        main(["compare", str(runs / "better")])
        assert ("different settings" in capsys.readouterr().err) == (fixed != 2)


def test_an_option_that_came_between_two_runs_counts_as_its_default(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, later in ((2, {}), (10, {"train_fraction": 1.0}), (0, {"train_fraction": 0.5})):
        data = {"class_path": "datamodules.Clotho", "init_args": {"batch_size": 32, **later}}
        (runs / "better" / str(seed) / "config_fit.yaml").write_text(yaml.safe_dump({"model": {}, "data": data}))
        main(["compare", str(runs / "better")])
        error = capsys.readouterr().err
        assert ("different settings" in error) == (seed == 0)
    assert "train_fraction: 0.5 before, 1.0 now" in error


def spoil(runs: Path) -> dict[str, list[Path | str]]:
    """Arguments that must be refused."""
    write_run(runs / "validated" / "0", NAMES, 3, 1.0, split="validation")
    (runs / "empty").mkdir()
    (runs / "trained" / "0" / "checkpoints").mkdir(parents=True)
    for name in ("corrupt", "renamed", "headless", "onesided"):
        write_run(runs / name / "0", NAMES, 3, 1.0)
    results = {
        name: runs / name / "0" / "queries_test.parquet" for name in ("corrupt", "renamed", "headless", "onesided")
    }
    results["corrupt"].write_bytes(b"PAR1 and then rubbish PAR1")
    results["renamed"].write_bytes((runs / "validated" / "0" / "queries_validation.parquet").read_bytes())
    rewrite(results["headless"], lambda table: table.drop_columns(["clip_id"]))
    rewrite(results["onesided"], lambda table: table.slice(0, 78))
    better = runs / "better"
    for name in ("two", "one"):
        write_run(runs / name / "0", NAMES[:1], 3, 1.0)
        write_run(runs / name / "1", NAMES[:1], 4, 1.0)
    return {
        "gone": [better, runs / "gone"],
        "empty": [better, runs / "empty"],
        "trained": [better, runs / "trained" / "0"],
        "validated": [better, runs / "validated"],
        "not validated": [runs / "validated", better, "--split", "validation"],
        "corrupt": [runs / "corrupt"],
        "renamed": [runs / "renamed"],
        "headless": [runs / "headless"],
        "onesided": [runs / "onesided" / "0"],
        "twice": [better, better],
        "inside": [better, better / "2"],
        "around": [better, runs / "empty" / ".." / "better"],
        "metric": [better, "--metrics", "mAP@20"],
        "direction": [better, "--metrics", "audio/mAP@10"],
        "file": [better, "--output", runs / "better" / "2" / "queries_test.parquet"],
        "below a file": [better, "--output", runs / "better" / "2" / "queries_test.parquet" / "deeper"],
        "no flips": [runs / "base_line", better, "--permutations", "0"],
        "one recording": [runs / "one", runs / "two"],
    }


NO_RESULTS = r"no per-query results of the test split \(queries_test.parquet\); run `python train.py test` for it first"

NO_TABLE = r"queries_test.parquet: is not what a test writes"

REFUSED = {
    "gone": r"gone: no such folder; give an experiment's, such as runs/clotho_listnet, or a run's, such as runs/clotho",
    "empty": rf"empty: {NO_RESULTS}$",
    "trained": rf"trained/0: {NO_RESULTS}$",
    "validated": rf"validated: {NO_RESULTS}, or compare what is there with --split validation$",
    "not validated": r"better: no per-query results of the validation .*`python train.py validate` .* --split test$",
    "corrupt": r"corrupt/0/queries_test.parquet: cannot be read \(.*\); run `python train.py test` again$",
    "renamed": r"queries_test.parquet: holds results of the validation split, not of test; run `python train.py test`",
    "headless": rf"{NO_TABLE} \(.*clip_id.*\); run `python train.py test` again$",
    "onesided": rf"{NO_TABLE} \(direction .* is missing\); run `python train.py test` again$",
    "twice": r"better/0: given twice; name each run once$",
    "inside": r"better/2: given twice; name each run once$",
    "around": r"better/0: given twice; name each run once$",
    "metric": r"better has no metric 'text_to_audio/mAP@20'; it has mAP@10, mAP@10_all, R@1, .*, each in both",
    "direction": r"better has no metric 'audio/mAP@10'; .* or in one, as in text_to_audio/mAP@10$",
    "file": r"queries_test.parquet: is a file; give a folder$",
    "below a file": r"deeper/table.md: cannot be written \(Not a directory\); give another place$",
    "no flips": r"0 permutations: give at least 1$",
    "one recording": r"mAP@10 of 1 recordings, and tests need 2; compare runs on a larger pool$",
}


def test_bad_input_ends_in_one_line(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mistakes = spoil(runs)
    assert mistakes.keys() == REFUSED.keys()
    for name, arguments in mistakes.items():
        assert main(["compare", *(str(argument) for argument in arguments)]) == 1, name
        error = capsys.readouterr().err
        assert error.count("\n") == 1, error
        assert re.search(f"^error: .*{REFUSED[name]}", error), error


def test_a_known_effect_goes_through_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    program = runpy.run_path(str(ROOT / "benchmarks" / "paired_tests.py"))
    target = program["mean_for"](0.3, 60)
    assert program["expected_map"](target, 60) == pytest.approx(0.3)
    assert program["expected_map"](1e3, 60) == pytest.approx(1)
    assert program["main"](["--clips", "60", "--runs", "2", "--effect", "25"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"t\(299\): ours (\d+\.\d+), SciPy's \1, apart", out)
    planted, found, error = map(float, re.findall(r"planted \+(\S+) points, found \+(\S+) ± (\S+)", out)[0])
    assert planted == 25
    assert abs(found - planted) < 3 * error
    assert "is significant (p < .001)" in out
