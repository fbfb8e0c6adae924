"""`AnnotatedFolder`: the layouts of its page, parts of longer files, groups, and each mistake by its message."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from datamodules.annotated_folder import AnnotatedFolder
from datamodules.annotated_rows import Columns
from datamodules.audio import read_audio
from datamodules.id_lists import IdFile
from datamodules.shards.packing import all_recordings
from tests.support.annotated_layouts import LAYOUTS, write_csv, write_json
from tests.support.layouts import RATE, write_audio

Refused = Callable[[Callable[[], object]], str]
PAGE = Path(__file__).parents[2] / "docs" / "annotated_folder.md"
BLOCKS = [yaml.safe_load(text)["data"] for text in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)]
SETTINGS = {block["init_args"]["root"]: block["init_args"] for block in BLOCKS}


def annotated(folder: Path, **settings: Any) -> AnnotatedFolder:
    columns = Columns(**settings.pop("columns", {}))
    exclude = [IdFile(str(folder / each.pop("file")), **each) for each in map(dict, settings.pop("exclude", []))]
    given = {"annotations": "captions.csv", **settings, "root": str(folder)}
    return AnnotatedFolder(**given, columns=columns, exclude=exclude)


def captions_of(module: AnnotatedFolder, split: str) -> dict[str, list[str]]:
    table = module.read_split(split)
    texts = table.captions["caption"].to_pylist()
    return {
        name: [texts[i] for i in table.caption_rows(row)] for row, name in enumerate(table.audio["name"].to_pylist())
    }


@pytest.mark.parametrize("place", LAYOUTS)
def test_the_layouts_of_the_page_are_read(tmp_path: Path, place: str) -> None:
    expected = LAYOUTS[place](tmp_path)
    module = annotated(tmp_path, **SETTINGS[place])
    if 0 < module.validation_share < 0.1:  # too few recordings to share
        expected.setdefault("validation", {})
    assert set(module.splits) == set(expected)
    for split, captions in expected.items():
        if captions:
            assert captions_of(module, split) == captions
    all_captions, audio_ids = module.read_captions()
    names = module.read_names()
    assert [names[i] for i in audio_ids] == [
        n for s in module.splits for n, texts in expected[s].items() for _ in texts
    ]
    assert len(all_captions) == len(audio_ids)


def test_every_layout_of_the_page_has_a_test() -> None:
    assert set(SETTINGS) == {*LAYOUTS, "data/my_corpus"}


def test_jsonl_with_a_column_of_splits(tmp_path: Path) -> None:
    rows = [
        {"file_name": "a.wav", "caption": ["A dog.", "Barking."], "fold": "dev"},
        {"file_name": "deep/b.wav", "caption": "Rain.\u2028Softly.", "fold": "eval"},
        {"file_name": "gone.wav", "caption": "Left.", "fold": "unused"},
    ]
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (tmp_path / "rows.jsonl").write_text(text + "\n\n", encoding="utf-8")
    write_audio(tmp_path / "audio" / "a.wav")
    write_audio(tmp_path / "audio" / "deep" / "b.wav")
    splits = {"train": "dev", "test": "eval"}
    module = annotated(tmp_path, annotations="rows.jsonl", columns={"split": "fold"}, splits=splits)
    assert captions_of(module, "train") == {"a.wav": ["A dog.", "Barking."]}
    assert captions_of(module, "test") == {"deep/b.wav": ["Rain.\u2028Softly."]}


def test_the_path_comes_before_the_name_at_any_depth(tmp_path: Path) -> None:
    for folder in ("train", "test"):
        write_csv(tmp_path / f"{folder}.csv", ("id", "caption"), ("a", f"{folder} caption"))
        write_audio(tmp_path / "audio" / folder / "a.flac")
    files = {"train": "train.csv", "test": "test.csv"}
    module = annotated(tmp_path, annotations=files, name="{split}/{id}")
    for folder in files:
        assert module.read_split(folder).audio["path"].to_pylist() == [str(tmp_path / "audio" / folder / "a.flac")]


def test_parts_of_a_longer_file(tmp_path: Path, refused: Refused) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 4 * RATE)
    (tmp_path / "audio").mkdir()
    soundfile.write(tmp_path / "audio" / "long.wav", samples, RATE, subtype="FLOAT")
    rows = [("long", "0.5", "1.25", "A dog."), ("long", "3", "9", "Rain."), ("long", "0.5", "1.25", "Barking.")]
    write_csv(tmp_path / "captions.csv", ("file_name", "from", "to", "caption"), *rows)
    module = annotated(tmp_path, columns={"start": "from", "end": "to"}, sample_rate=RATE, batch_size=2, num_workers=0)
    assert captions_of(module, "train") == {"long#0.5-1.25": ["A dog.", "Barking."], "long#3-9": ["Rain."]}
    module.tables["train"] = module.read_split("train")
    audio = module.tables["train"].audio.to_pylist()
    for row, (begin, end) in zip(audio, ((0.5, 1.25), (3, 4)), strict=True):
        found = read_audio(Path(row["path"]), module.tables["train"].info(row["audio_id"]), RATE, begin=row["begin"])
        np.testing.assert_array_equal(found, samples[round(begin * RATE) : round(end * RATE)].astype(np.float32))
    assert "which cannot be packed" in refused(lambda: all_recordings(module))
    write_csv(
        tmp_path / "captions.csv", ("file_name", "from", "caption"), *[("long", f"1234.56{i}", "Rain.") for i in (1, 2)]
    )
    close = annotated(tmp_path, columns={"start": "from"})
    assert [row.name for row in close.annotations("train")] == ["long#1234.561", "long#1234.562"]
    write_csv(tmp_path / "captions.csv", ("file_name", "from", "to", "caption"), ("long", "5", "6", "A dog."))
    late = annotated(tmp_path, columns={"start": "from", "end": "to"})
    assert "ends after 4.00 s, and the annotations name a part of it from 5 s on" in refused(
        lambda: late.read_split("train")
    )


def test_one_file_under_two_names_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a", "b"):
        write_audio(tmp_path / "audio" / f"{name}.wav")
    rows = [("a.wav", "A dog."), ("b.wav", "Rain."), ("a", "Barking.")]
    write_csv(tmp_path / "captions.csv", ("file_name", "caption"), *rows)
    annotated(tmp_path).read_split("train")
    assert "1 recordings of the train split are there under two names" in caplog.text
    assert "'a.wav' and 'a'; give both the same name" in caplog.text


def test_groups_stay_together_and_shared_ones_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [(f"{i}", f"place {i // 4}", "A caption") for i in range(200)]
    write_csv(tmp_path / "captions.csv", ("id", "place", "caption"), *rows)
    write_csv(tmp_path / "test.csv", ("id", "place", "caption"), ("x", "place 3", "A caption"))
    files = {"train": "captions.csv", "test": "test.csv"}
    module = annotated(tmp_path, annotations=files, name="{id}", columns={"group": "place"}, validation_share=0.2)
    groups = {split: set(module.origins(split).values()) for split in module.splits}
    assert not groups["train"] & groups["validation"]
    assert 2 <= len(groups["validation"]) <= 20
    assert "place:place 3" in groups["train"]
    assert "1 of the test split are in the training split too" in caplog.text


CSV = "file_name,caption,split,start,end,place\n"


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        (CSV + "a.wav,,,,,\n", {}, "captions.csv, line 2: 'a.wav' has no caption; fix or delete the row"),
        (CSV + ",A dog,,,,\n", {}, "captions.csv, line 2: column 'file_name' is empty; fix or delete the row"),
        (CSV + "a.wav,nan,,,,\n", {}, "a caption of 'a.wav' is 'nan', as programs write for an empty cell"),
        (CSV + "../a.wav,A dog,,,,\n", {}, "'../a.wav' is not the name of a file below audio"),
        (CSV + "/a.wav,A dog,,,,\n", {}, "'/a.wav' is not the name of a file below audio"),
        (CSV, {}, "captions.csv: holds no rows"),
        (CSV + "a.wav,A dog,,,,\n", {"columns": {"captions": "text"}}, "column 'text' is missing (found: file_name, "),
        (",".join(map(str, range(99))), {}, "16, 17, 18, 19, ...); "),
        (CSV + "a.wav,A dog,dev,,,\n", {"columns": {"split": "split"}}, "no row has 'train' in column 'split'"),
        (CSV + "a.wav,A dog,,x,,\n", {"columns": {"start": "start"}}, "line 2: start is 'x', no number of seconds"),
        (CSV + "a.wav,A dog,,-1,,\n", {"columns": {"start": "start"}}, "line 2: start is '-1', no number of seconds"),
        (CSV + "a.wav,A dog,,2,1,\n", {"columns": {"start": "start", "end": "end"}}, "ends at 1 s and begins at 2 s"),
        (
            CSV + "a.wav,A dog,,,,x\na.wav,A cat,,,,y\n",
            {"columns": {"group": "place"}},
            "line 3: 'a.wav' is of group 'y' here, and of 'x' in",
        ),
    ],
)  # fmt: skip
def test_a_mistake_in_a_csv_file_is_named(
    tmp_path: Path, refused: Refused, text: str, settings: dict[str, Any], message: str
) -> None:
    (tmp_path / "captions.csv").write_text(text)
    assert message in refused(lambda: annotated(tmp_path, **settings).read_captions())


@pytest.mark.parametrize(
    ("name", "text", "settings", "message"),
    [
        ("a.json", "{", {}, "a.json: is not JSON ("),
        ("a.json", '{"data": [{}], "n": 1}', {}, "a.json: holds no list of rows; set data.rows, perhaps to 'data'"),
        ("a.json", '{"data": []}', {"rows": "rows"}, "has no key 'rows' (found: data); change data.rows, now 'rows'"),
        ("a.json", "[1]", {}, "a.json, entry 1: is no object with columns"),
        ("a.json", "[]", {}, "a.json: holds no rows"),
        ("a.json", '[{"file_name": {"x": 1}, "caption": "A"}]', {}, "column 'file_name' holds dict, no text"),
        (
            "a.json",
            '[{"file_nam": "a"}]',
            {},
            "column 'file_name' is missing (found: file_nam); did you mean 'file_nam'?",
        ),
        ("a.jsonl", '{"file_name": "a.wav", "caption": "A"}\n{', {}, "a.jsonl, line 2: is not JSON ("),
        ("a.jsonl", "1", {}, "a.jsonl, line 1: is no object {...}"),
        ("a.yaml", "a: [", {}, "a.yaml: is not YAML ("),
        ("a.xlsx", "", {}, "a.xlsx: is not called .csv, .json, .jsonl or .yaml"),
        ("a.json", None, {}, "a.json: no such file; give the corpus' folder as data.root"),
    ],
)
def test_a_mistake_in_another_file_is_named(
    tmp_path: Path, refused: Refused, name: str, text: str | None, settings: dict[str, Any], message: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    assert message in refused(lambda: annotated(tmp_path, annotations=name, **settings).read_captions())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "audio"}, "data.name is 'audio'; write columns in braces"),
        ({"name": "{a"}, "data.name is '{a'; write columns in braces"),
        ({"annotations": {"val": "a.csv"}}, "data.annotations: there is no split 'val'"),
        ({"splits": {"train": "dev"}}, "data.splits names values of a column; name it in data.columns.split"),
        ({"columns": {"end": "end"}}, "data.columns.end is given without data.columns.start"),
        ({"columns": {"captions": []}}, "data.columns.captions is empty"),
        ({"columns": {"start": "start"}, "packed": "x"}, "data.packed: recordings that are parts of longer files"),
        ({"validation_share": 1.5}, "validation_share is 1.5; give a number from 0 to 0.99"),
        ({"annotations": {"validation": "a.csv"}, "validation_share": 0.1}, "data.validation_share is for corpora"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    tmp_path: Path, refused: Refused, settings: dict[str, Any], message: str
) -> None:
    assert message in refused(lambda: annotated(tmp_path, **settings))


def test_a_table_by_key_and_missing_audio(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_json(tmp_path / "a.json", {"one": {"text": "A dog."}, "two": {"text": "Rain."}})
    write_audio(tmp_path / "audio" / "one.wav")
    module = annotated(tmp_path, annotations={"test": "a.json"}, name="{key}", columns={"captions": "text"})
    assert captions_of(module, "test") == {"one": ["A dog."]}
    assert "1 of 2 annotated recordings are missing: 'two'" in caplog.text
