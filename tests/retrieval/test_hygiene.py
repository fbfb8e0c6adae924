"""The checks of the hygiene report on tiny corpora, and its Markdown."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import RunError
from datamodules.audiocaps import AudioCaps
from datamodules.origins import ListedOrigins
from datamodules.wavcaps import WavCaps
from retrieval.hygiene.checks import Hygiene, Part, check_hygiene
from retrieval.hygiene.embedded import Embedded
from retrieval.hygiene.report import hygiene_report
from tests.support.annotated_layouts import write_csv
from tests.support.layouts import write_audiocaps, write_wavcaps

PUBLISHED = {
    "trained on its train": ("audiocaps train", "freesound"),
    "trained on all of it": ("audiocaps, its test too", "youtube"),
    "trained on who knows": ("audiocaps",),
    "trained on a list": ("listed",),
    "trained on others": ("clotho train", "freesound"),
}


@pytest.fixture
def parts(tmp_path: Path) -> list[Part]:
    """AudioCaps with a training video and a video of WavCaps among its test clips, and a caption of three clips."""
    write_audiocaps(tmp_path / "audiocaps")
    with (tmp_path / "audiocaps/dataset/test.csv").open("a") as file:
        file.write("999,aaa,90,A dog barks\n998,xxx,1,A dog barks\n997,fff,10,a dog barks\n")
    write_wavcaps(tmp_path / "wavcaps")
    write_csv(tmp_path / "listed.csv", ("youtube_id",), ("fff",), ("nobody",))
    data = [AudioCaps(str(tmp_path / "audiocaps")), WavCaps(str(tmp_path / "wavcaps"), ["FreeSound", "AudioSet"])]
    return [*(Part(each.label, each) for each in data), Part("listed", ListedOrigins(tmp_path / "listed.csv"))]


def unit(split: str | None, *rows: Any, model: str = "m", label: str = "") -> Embedded:
    vectors = np.array(rows, np.float32)
    names = [f"{split}{number}" for number in range(len(rows))]
    return Embedded(label or f"store {split}", split, model, names, vectors / np.linalg.norm(vectors, axis=1)[:, None])


def test_origins_are_joined_over_all_data_sets_and_lists(parts: list[Part]) -> None:
    found = check_hygiene(parts, [], {})
    assert [(leak.origin, leak.seen, leak.evaluated_names) for leak in found.leaks] == [
        ("youtube:aaa", "AudioCaps train", ["aaa_90"]),
        ("youtube:xxx", "WavCaps train", ["xxx_1"]),
        ("youtube:fff", "listed train", ["fff_10"]),
    ]
    assert [(size.split, size.recordings, size.captions, size.known) for size in found.sizes] == [
        ("AudioCaps train", 5, 5, 5),
        ("AudioCaps validation", 2, 10, 2),
        ("AudioCaps test", 4, 13, 4),
        ("WavCaps train", 3, 3, 3),
        ("listed train", 2, None, 2),
    ]


def test_pretrained_models_are_joined_by_what_is_published(parts: list[Part]) -> None:
    heard = {each.model: each for each in check_hygiene(parts, [], PUBLISHED).heard}
    assert {each.split for each in heard.values()} == {"AudioCaps test"}
    assert [(each.said, each.known, each.possible) for each in heard.values()] == [
        ("train", 1, {}),
        ("test too", 4, {"youtube": 4}),
        ("not said", 1, {}),
        (None, 1, {}),
        (None, 0, {}),
    ]


def test_equal_captions_of_a_pool(parts: list[Part]) -> None:
    validation, test = check_hygiene(parts, [], {}).captions
    assert (validation.split, validation.found.shared, validation.in_training) == ("AudioCaps validation", 0, 0)
    assert (test.found.queries, test.found.shared, test.found.texts, test.found.alike) == (13, 2, 1, 3)
    assert test.found.best_recall[1] == pytest.approx(12 / 13)
    assert test.in_training == 2  # "A dog barks" twice


def test_audio_is_compared_across_splits_and_within_evaluated_ones() -> None:
    sets = [unit("test", [1, 0], [0, 1]), unit("train", [1, 0.01], [-1, 0]), unit("validation", [0, 1])]
    found = check_hygiene([], sets, {}, threshold=0.99)
    assert [(each.sides, each.found.found) for each in found.compared] == [
        (("store train", "store test"), 1),
        (("store validation", "store test"), 1),
        (("store train", "store validation"), 0),
        (("store test", "itself"), 0),
    ]
    first = found.compared[0]
    assert (first.first.names[0], first.second.names[0]) == ("train0", "test0")


def test_files_that_name_no_split_are_compared_with_each_other_and_themselves() -> None:
    sets = [unit(None, [1, 0], [1, 0], label="a"), unit(None, [1, 0], label="b")]
    found = check_hygiene([], sets, {})
    assert [(each.sides, each.found.found) for each in found.compared] == [(("a", "b"), 2), (("a", "itself"), 1)]


def test_embeddings_of_two_models_are_refused() -> None:
    with pytest.raises(RunError, match="store test: was embedded by another model than store train"):
        check_hygiene([], [unit("train", [1, 0]), unit("test", [1, 0], model="other")], {})


def rows_of(report: str, beginning: str) -> list[list[str]]:
    """The cells of table rows that begin so."""
    lines = [line for line in report.splitlines() if line.startswith(f"| {beginning}")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_report_says_it_all(parts: list[Part]) -> None:
    sets = [unit("train", [1, 0], [-1, 0]), unit("test", [1, 0], [0, 1])]
    report = hygiene_report(check_hygiene(parts, sets, PUBLISHED, threshold=0.99))
    assert rows_of(report, "AudioCaps train | AudioCaps test")[0][2:] == ["1", "1"]
    assert "- `youtube:xxx`: `AudioSet/Yxxx` and `xxx_1`\n" in report
    assert rows_of(report, "`trained on all of it`") == [
        ["`trained on all of it`", "AudioCaps test", "4", "test too", "4", "4 from youtube"]
    ]
    assert rows_of(report, "AudioCaps test | 13 |")[0] == [
        *("AudioCaps test", "13", "2", "1", "3", "92.31 %", "100.00 %", "100.00 %", "2"),
    ]
    assert rows_of(report, "store train | store test")[0][2:] == ["1", "1", "2", "0.500", "0.950", "0.990"]
    assert "- 1.0000: `train0` and `test0`\n" in report
    assert all(line.count("|") == 7 for line in report.splitlines() if line.startswith("| `trained"))


def test_long_lists_are_cut_and_counted() -> None:
    sets = [unit("test", *[[1, 0]] * 5)]
    report = hygiene_report(check_hygiene([], sets, {}), most=3)
    assert "store test and itself (the first 3 of 10):" in report
    assert report.count("- 1.0000: ") == 3


def test_odd_names_break_no_table() -> None:
    found = check_hygiene([], [unit("test", [1, 0], [1, 0], label="a|b")], {})
    found.compared[0].first.names[:] = ["x`y", "z"]
    report = hygiene_report(found)
    assert r"| a\|b | itself | 1 | 2 | 2 |" in report
    assert "`` x`y `` and `z`" in report


def test_nothing_found_is_said() -> None:
    empty = Hygiene([], [], [], [], [], 0.95)
    assert hygiene_report(empty).startswith("# Hygiene report")
    alone = check_hygiene([Part("listed", Listed())], [], {})
    assert "No origin is in two splits, as far as origins are known." in hygiene_report(alone)


class Listed:
    """A list of ids."""

    splits = ("train",)

    def origins(self, split: str) -> dict[str, str]:
        return {"1": "freesound:1"}
