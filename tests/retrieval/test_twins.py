"""Finished models on twin sets: the scores by a loop, references with known shares, and the command."""

import csv
from pathlib import Path

import numpy as np
import pytest

from cli.__main__ import main
from datamodules.twins.synthetic import PROPERTIES, draw_pairs, rendered
from datamodules.twins.twin_set import CaptionVariants, Twin, TwinSet
from evaluation.analyses.twins import compa, told_apart
from retrieval.finished_model import FinishedModel
from retrieval.twin_references import bag_of_words, oracle
from retrieval.twins import embed_recordings, score_twins, shares_of_twins, shares_of_variants, text_table
from tests.support.command_line import refused
from tests.support.tiny import tiny_model
from tests.support.twins import (
    COUNTERFACTUAL,
    dtu_with,
    reversed_dtu,
    write_compa,
    write_json,
    write_sounds,
)


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_model_told_the_truth_tells_all_twins_apart(name: str) -> None:
    scores = oracle(draw_pairs(name, 100))
    assert {share.value for share in told_apart(scores) + compa(scores)} == {1.0}


def test_a_bag_of_words_gets_chance_on_order_and_all_of_the_others() -> None:
    for name in PROPERTIES:
        scores = bag_of_words(draw_pairs(name, 100))
        shares = told_apart(scores)
        if name == "order":
            assert [(share.value, share.ties) for share in shares] == [(0.5, 1.0)] * 2
            assert {share.value for share in compa(scores)} == {0.0}
        else:
            assert {share.value for share in shares + compa(scores)} == {1.0}


def test_scores_are_those_of_each_pair_alone() -> None:
    model = FinishedModel(tiny_model(), device="cpu")
    twins = rendered("order", draw_pairs("order", 3))
    twins = TwinSet("order", twins.recordings, list(twins.twins) * 22)  # more than a block
    texts = text_table(model, [text for twin in twins.twins for text in (twin.caption, twin.twin_caption)])
    scores = score_twins(model, twins, embed_recordings(model, twins.recordings), texts)
    assert scores.audio is not None
    assert scores.both is not None
    for row in (0, 1, 2, 63, 64, 65):
        twin = twins.twins[row]
        assert twin.twin_audio is not None
        audio = model.encode_audio([twins.recordings[twin.audio], twins.recordings[twin.twin_audio]])
        text = model.encode_text([twin.caption, twin.twin_caption])
        alone = model.similarity(text, audio)
        found = [[scores.own[row], scores.audio[row]], [scores.text[row], scores.both[row]]]
        np.testing.assert_allclose(found, alone, atol=1e-6)


def test_a_model_of_words_alone_ties_where_the_words_are_the_same() -> None:
    model = FinishedModel(tiny_model(), device="cpu")  # its text encoder takes the mean of word vectors
    recordings = rendered("order", draw_pairs("order", 2)).recordings
    twins = TwinSet("order", recordings, [Twin(f"rain then {word}", f"{word} then rain", 0, 1) for word in "abcdef"])
    shares = shares_of_twins(model, twins)
    assert [(share.measure, share.value) for share in shares[:2]] == [("text", 0.5), ("audio", 0.5)]
    assert shares[0].ties == 1


def test_variants_have_recalls_in_one_pool_and_a_control() -> None:
    model = FinishedModel(tiny_model(), device="cpu")
    recordings = rendered("count", draw_pairs("count", 2)).recordings
    captions = ["rain", "a dog", "wind", "two bells"]
    variants = CaptionVariants(recordings, captions, [0, 1, 2, 3], {"same": captions, "other": [*captions[:3], "bird"]})
    shares = shares_of_variants(model, variants)
    named = {name: {share.measure: share for share in found} for name, found in shares.items()}
    similarity = model.similarity(model.encode_text(captions), model.encode_audio(recordings))
    right = (similarity.argmax(1) == np.arange(4)).mean()
    assert named["original"]["R@1"].value == named["same"]["R@1"].value == pytest.approx(right)
    assert "text" not in named["same"]
    assert named["other"]["text"].n == named["other"]["text, other recording"].n == 1
    other = model.similarity(model.encode_text(["two bells", "bird"]), model.encode_audio([recordings[1]]))[:, 0]
    assert named["other"]["text, other recording"].value == float(other[0] > other[1])
    assert named["other"]["R@1 change"].value == named["other"]["R@1"].value - named["original"]["R@1"].value


def test_one_recording_has_no_control_and_no_change_of_recall() -> None:
    variants = CaptionVariants(rendered("count", draw_pairs("count", 1)).recordings[:1], ["rain"], [0], {"x": ["wind"]})
    (_, shares) = shares_of_variants(FinishedModel(tiny_model(), device="cpu"), variants).values()
    assert [share.measure for share in shares] == ["text", "R@1", "R@5", "R@10"]


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "twins.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_command_scores_synthetic_twins(teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, kept = tmp_path / "out", tmp_path / "kept"
    arguments = ["--set", "synthetic", "--pairs", "2", "--output", str(out), "--keep", str(kept)]
    assert main(["twins", str(teacher), *arguments]) == 0
    said = capsys.readouterr().out
    assert "CompA group" in said
    assert "bag of words" in said
    rows = rows_of(out)
    assert {row["model"] for row in rows} == {"oracle", "bag of words", str(teacher)}
    assert len(rows) == 4 * 5 * 3
    assert rows[0] == {
        **{"twins": "order", "measure": "text", "model": "oracle", "share": "1.000000", "low": "0.342380"},
        **{"high": "1.000000", "chance": "0.500000", "ties": "0.000000", "n": "4"},
    }
    assert (out / "twins.png").stat().st_size > 1000
    assert (kept / "order.csv").is_file()
    again = [row for row in rows if row["model"] == str(teacher) and row["twins"] == "count"]
    files = ["--files", str(kept / "count.csv"), "--audio", str(kept)]
    assert main(["twins", str(teacher), "--set", "compa", *files, "--output", str(out)]) == 0
    assert [row["share"] for row in rows_of(out)] == [row["share"] for row in again]


def test_the_command_reads_published_sets(teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audio = write_sounds(tmp_path / "audio", "Yabcdefghijk.wav", "-bcdefghij__0.flac", "rain on a roof.wav", "dog.wav")
    original = write_json(tmp_path / "test.json", dtu_with(0))
    changed = write_json(tmp_path / "test_reverse.json", reversed_dtu())
    common = ["--audio", str(audio), "--output", str(tmp_path / "out")]
    assert main(["twins", str(teacher), "--set", "dtu", "--files", str(original), str(changed), *common]) == 0
    rows = rows_of(tmp_path / "out")
    assert [row["measure"] for row in rows if row["twins"] == "original"] == ["R@1", "R@5", "R@10"]
    assert {row["measure"] for row in rows if row["twins"] == "reverse"} >= {"text", "R@1", "R@1 change"}
    assert "reverse: 3 of 4 captions are changed" in capsys.readouterr().out
    path = write_json(tmp_path / "c.json", COUNTERFACTUAL)
    assert main(["twins", str(teacher), "--set", "counterfactual", "--files", str(path), *common]) == 0
    assert [row["n"] for row in rows_of(tmp_path / "out")] == ["2", "2"]
    assert "captions without a twin, which are left out: 1" in capsys.readouterr().out


def test_the_command_perturbs_the_test_of_a_run_or_captions_in_a_file(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["twins", str(teacher), "--set", "perturbed", "--output", str(tmp_path / "out")]) == 0
    rows = rows_of(tmp_path / "out")
    corpus = teacher.parents[2] / "clotho"
    files = ["--files", str(corpus / "clotho_csv_files" / "clotho_captions_evaluation.csv")]
    files += ["--audio", str(corpus / "clotho_audio_files" / "evaluation")]
    assert main(["twins", str(teacher), "--set", "perturbed", *files, "--output", str(tmp_path / "out")]) == 0
    other = rows_of(tmp_path / "out")
    key = ("shuffle words", "R@1")
    (first,), (second,) = ([r for r in rs if (r["twins"], r["measure"]) == key] for rs in (rows, other))
    assert first["n"] == second["n"] == "20"
    assert {row["twins"] for row in rows} >= {"original", "negate", "nouns only"}


def test_mistakes_are_one_line(teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, pairs = str(teacher), str(write_compa(tmp_path / "pairs.csv"))

    def said(*arguments: str) -> str:
        return refused(capsys, "twins", *arguments)

    assert "takes one file by --files, not 0" in said(run, "--set", "compa")
    assert "takes --files with 2 or more, not 1" in said(run, "--set", "dtu", "--files", pairs, "--audio", "x")
    assert "takes no --files, not 1" in said(run, "--set", "synthetic", "--files", pairs)
    assert "--files and --audio go together" in said(run, "--set", "compa", "--files", pairs)
    assert "--keep writes synthetic twins" in said(run, "--set", "perturbed", "--keep", "x")
    assert f"{run}/: given twice; name each run once" in said(run, f"{run}/", "--set", "synthetic", "--pairs", "1")
    assert "changed captions: seed is -1; give a number from 0" in said(run, "--set", "perturbed", "--seed", "-1")
    assert "pairs is 0" in said(run, "--set", "synthetic", "--pairs", "0")
    assert "no such folder" in said(run, "--set", "compa", "--files", pairs, "--audio", str(tmp_path / "gone"))
    assert "no run" in said(str(tmp_path), "--set", "perturbed")
    (tmp_path / "out" / "twins.png").mkdir(parents=True)
    assert "twins.png: cannot be written" in said(run, "--set", "synthetic", "--output", str(tmp_path / "out"))
    (tmp_path / "file").touch()
    assert "file: is a file; give a folder" in said(run, "--set", "synthetic", "--output", str(tmp_path / "file"))
