"""PaSST: parity with the published program where it is at hand, and the properties that hold without it."""

import importlib
import importlib.util
import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from common.errors import ModelError
from lightning_modules.audio_encoders.passt import PaSST, audible_columns
from lightning_modules.audio_encoders.passt_checkpoint import load_passt
from lightning_modules.audio_encoders.passt_transformer import Attention, PasstTransformer
from lightning_modules.audio_encoders.windows import average_windows, count_windows, cut_windows

TINY: dict[str, Any] = {"dim": 32, "depth": 2, "heads": 2}
SECOND = 32_000


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


# ---- the published program -------------------------------------------------------------------------------------------


def original_folder() -> Path:
    """The unpacked package hear21passt: $HEAR21PASST_DIR, or where it is installed."""
    if folder := os.environ.get("HEAR21PASST_DIR"):
        return Path(folder)
    spec = importlib.util.find_spec("hear21passt")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("hear21passt is not installed and HEAR21PASST_DIR is not set")
    return Path(spec.submodule_search_locations[0])


@pytest.fixture
def original(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Its models/passt.py, imported alone: the one thing it takes from timm is a download function."""
    folder = original_folder()
    hub = types.ModuleType("timm.models._hub")
    monkeypatch.setattr(hub, "download_cached_file", None, raising=False)
    for name, module in {"timm": types.ModuleType("timm"), "timm.models": types.ModuleType("timm.models")}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "timm.models._hub", hub)
    for name, path in {
        "original_passt": folder / "models",
        "original_passt.helpers": folder / "models/helpers",
    }.items():
        package = types.ModuleType(name)
        package.__path__ = [str(path)]
        monkeypatch.setitem(sys.modules, name, package)
    for name in ("original_passt.passt", "original_passt.helpers.vit_helpers"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module("original_passt.passt")
    vars(module)["first_RUN"] = False  # it prints every shape once
    return module


def original_network(original: types.ModuleType, **sizes: int) -> nn.Module:
    network: nn.Module = original.PaSST(
        s_patchout_t=15,
        s_patchout_f=2,
        img_size=(128, 998),
        stride=16,
        embed_dim=sizes["dim"],
        depth=sizes["depth"],
        num_heads=sizes["heads"],
        distilled=True,
    )
    for parameter in network.parameters():  # biases and norms start at 0 and 1: make every one of them count
        nn.init.normal_(parameter, std=0.05)
    return network


def loaded_from(network: nn.Module, path: Path, **sizes: Any) -> PasstTransformer:
    torch.save(network.state_dict(), path)
    ours = PasstTransformer(**sizes)
    load_passt(ours, str(path))
    return ours


@pytest.mark.parametrize("frames", [998, 1000, 400, 17])
def test_eval_equals_the_original(original: types.ModuleType, tmp_path: Path, frames: int) -> None:
    theirs = original_network(original, **TINY).eval()
    ours = loaded_from(theirs, tmp_path / "passt.pt", **TINY).eval()
    spectrograms = torch.randn(2, 128, frames)
    expected = theirs(spectrograms[:, None])[1]
    torch.testing.assert_close(ours(spectrograms), expected, atol=1e-5, rtol=1e-5)


def test_training_step_equals_the_original(original: types.ModuleType, tmp_path: Path) -> None:
    """Same seed, same patches left out, same number of tokens, same gradients."""
    theirs = original_network(original, **TINY).train()
    ours = loaded_from(theirs, tmp_path / "passt.pt", **TINY).train()
    spectrograms = torch.randn(2, 128, 998)
    lengths: dict[str, int] = {}
    theirs.get_submodule("blocks.0").register_forward_pre_hook(lambda _, args: lengths.update(theirs=args[0].shape[1]))
    ours.get_submodule("blocks.0").register_forward_pre_hook(lambda _, args: lengths.update(ours=args[0].shape[1]))
    torch.manual_seed(3)
    expected = theirs(spectrograms[:, None])[1]
    torch.manual_seed(3)
    embeddings = ours(spectrograms)
    torch.testing.assert_close(embeddings, expected, atol=1e-5, rtol=1e-5)
    assert lengths["ours"] == lengths["theirs"] == 2 + (8 - 2) * (62 - 15)
    expected.square().sum().backward()
    embeddings.square().sum().backward()
    their_gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, their_gradients[name], atol=1e-4, rtol=1e-4)


# ---- the network -----------------------------------------------------------------------------------------------------


def test_attention_equals_the_written_out_formula() -> None:
    attention = Attention(dim=12, heads=3)
    tokens = torch.randn(2, 5, 12)
    visible = torch.tensor([[True] * 5, [True, True, True, False, False]])
    query, key, value = attention.qkv(tokens).split(12, dim=2)
    expected = torch.zeros(2, 5, 12)
    for n in range(2):
        for head in range(3):
            part = slice(4 * head, 4 * head + 4)
            scores = query[n, :, part] @ key[n, :, part].T / 4**0.5
            scores[:, ~visible[n]] = -torch.inf
            expected[n, :, part] = scores.softmax(1) @ value[n, :, part]
    expected = attention.proj(expected)
    torch.testing.assert_close(attention(tokens, visible[:, None, None]), expected)


@pytest.mark.parametrize(("columns", "kept"), [(62, 47), (31, 16), (12, 6), (1, 1)])
def test_patchout_drops_tokens_in_training_only(columns: int, kept: int) -> None:
    network = PasstTransformer(**TINY)
    seen: list[int] = []
    network.blocks[0].register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[1]))
    spectrograms = torch.randn(1, 128, 16 * columns)
    network.train()(spectrograms)
    network.eval()(spectrograms)
    assert seen == [2 + 6 * kept, 2 + 8 * columns]


def test_patchout_follows_the_seed() -> None:
    network = PasstTransformer(**TINY).train()
    spectrograms = torch.randn(1, 128, 998)
    torch.manual_seed(5)
    first, second = network(spectrograms), network(spectrograms)
    torch.manual_seed(5)
    torch.testing.assert_close(network(spectrograms), first)
    assert (first - second).abs().max() > 1e-4


def test_short_inputs_start_at_a_random_time_position_in_training() -> None:
    network = PasstTransformer(patchout_time=0, patchout_frequency=0, **TINY)
    spectrograms = torch.randn(1, 128, 160)
    start_0 = network.eval()(spectrograms)
    drawn = torch.stack([network.train()(spectrograms) for _ in range(4)])
    assert (drawn - start_0).abs().max() > 1e-4
    with torch.no_grad():  # positions that are all alike make the draw invisible
        network.time_new_pos_embed.fill_(0.1)
    torch.testing.assert_close(network.train()(spectrograms), network.eval()(spectrograms))


def test_checkpointed_blocks_give_the_same_gradients() -> None:
    plain, saving = PasstTransformer(**TINY), PasstTransformer(**TINY, checkpoint_blocks=True)
    saving.load_state_dict(plain.state_dict())
    spectrograms = torch.randn(2, 128, 320)
    for network in (plain, saving):
        torch.manual_seed(2)
        network.train()(spectrograms, torch.tensor([20, 9])).square().sum().backward()
    for one, other in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_every_parameter_gets_a_gradient() -> None:
    encoder = PaSST(**TINY).train()
    encoder(0.1 * torch.randn(2, SECOND), torch.tensor([SECOND, SECOND])).square().sum().backward()
    assert [name for name, parameter in encoder.named_parameters() if parameter.grad is None] == []


def test_heads_must_divide_dim() -> None:
    with pytest.raises(ModelError, match="dim 32 is not a multiple of heads 3"):
        PaSST(dim=32, depth=1, heads=3)


# ---- windows ---------------------------------------------------------------------------------------------------------


def test_windows_equal_a_loop_over_clips() -> None:
    lengths = torch.tensor([0, 7, 100, 101, 250, 300])
    waveforms = torch.randn(6, 310)
    windows, samples, present = cut_windows(waveforms, lengths, window=100)
    expected_windows, expected_samples, owners = [], [], []
    for clip, (waveform, length) in enumerate(zip(waveforms, lengths.tolist(), strict=True)):
        starts = [start for start in range(0, 400, 100) if start == 0 or length - start > 2]  # 1.6 samples, rounded
        for start in starts:
            piece = waveform[start : min(start + 100, length)] if start < length else waveform[:0]
            expected_windows.append(torch.cat([piece, torch.zeros(100 - len(piece))]))
            expected_samples.append(len(piece))
            owners.append(clip)
    torch.testing.assert_close(windows, torch.stack(expected_windows))
    assert samples.tolist() == expected_samples
    assert present.sum(1).tolist() == [owners.count(clip) for clip in range(6)] == [1, 1, 1, 1, 3, 3]
    embeddings = torch.randn(len(windows), 4)
    means = [embeddings[[i for i, owner in enumerate(owners) if owner == clip]].mean(0) for clip in range(6)]
    torch.testing.assert_close(average_windows(embeddings, present), torch.stack(means))


def test_padding_windows_are_kept_on_request() -> None:
    windows, samples, present = cut_windows(torch.ones(2, 300), torch.tensor([30, 120]), 100, keep_padding=True)
    assert present.tolist() == [[True] * 3] * 2
    assert samples.tolist() == [30, 0, 0, 100, 20, 0]
    assert windows.sum(1).tolist() == [30, 0, 0, 100, 20, 0]


def test_a_hair_over_ten_seconds_is_one_window() -> None:
    assert count_windows(torch.tensor([10 * SECOND + 4000, 11 * SECOND]), 10 * SECOND).tolist() == [1, 2]


# ---- the encoder -----------------------------------------------------------------------------------------------------


class CountingPaSST(PaSST):
    """Notes the shape that reaches the network."""

    shapes: list[torch.Size]

    def __init__(self, **options: object):
        super().__init__(**TINY, **options)  # type: ignore[arg-type]
        self.shapes = []
        self.network.register_forward_pre_hook(lambda _, args: self.shapes.append(args[0].shape))


def clips(*seconds: float) -> tuple[Tensor, Tensor]:
    """Noise of these lengths, followed by rubbish that must be ignored."""
    lengths = torch.tensor([round(s * SECOND) for s in seconds])
    return 0.1 * torch.randn(len(seconds), int(lengths.max())), lengths


def test_only_windows_with_audio_are_computed_and_averaged() -> None:
    encoder = CountingPaSST().eval()
    waveforms, lengths = clips(25, 3)
    embeddings = encoder(waveforms, lengths)
    assert encoder.shapes == [(4, 128, 1000)]
    waveforms[1, 3 * SECOND :] = 0
    parts = [waveforms[0, : 10 * SECOND], waveforms[0, 10 * SECOND : 20 * SECOND], waveforms[0, 20 * SECOND :]]
    parts[2] = torch.cat([parts[2], torch.zeros(5 * SECOND)])
    alone = encoder.network(encoder.spectrogram(torch.stack([*parts, waveforms[1, : 10 * SECOND]])))
    torch.testing.assert_close(embeddings, torch.stack([alone[:3].mean(0), alone[3]]), atol=1e-5, rtol=1e-4)


def test_averaging_padding_windows_is_an_option() -> None:
    encoder = CountingPaSST(average_padding_windows=True).eval()
    waveforms, lengths = clips(30, 3)
    embeddings = encoder(waveforms, lengths)
    assert encoder.shapes == [(6, 128, 1000)]
    speech, silence = torch.zeros(1, 10 * SECOND), torch.zeros(1, 10 * SECOND)
    speech[0, : 3 * SECOND] = waveforms[1, : 3 * SECOND]
    alone = encoder.network(encoder.spectrogram(torch.cat([speech, silence, silence]))).mean(0)
    torch.testing.assert_close(embeddings[1], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("mask_padding", [False, True])
def test_embedding_does_not_depend_on_the_rest_of_the_batch(mask_padding: bool) -> None:
    encoder = PaSST(**TINY, mask_padding=mask_padding).eval()
    waveforms, lengths = clips(2, 12.3, 0.01, 7, 10)
    together = encoder(waveforms, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = encoder(waveforms[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-4)


def test_masking_computes_only_as_many_columns_as_the_batch_needs() -> None:
    encoder = CountingPaSST(mask_padding=True).eval()
    encoder(*clips(2, 1))
    assert encoder.shapes == [(2, 128, 16 * 13)]  # 2 s are 12.5 columns
    encoder.train()(*clips(2, 0.1))  # most columns of the second clip are left out or masked: still finite
    assert torch.isfinite(encoder(*clips(2, 0.1))).all()


def test_mask_hides_columns_of_padding() -> None:
    """A clip whose audio ends at a column's border is the same as its spectrogram cut there."""
    encoder = PaSST(**TINY, mask_padding=True).eval()
    waveforms, lengths = clips(3.2, 10)
    spectrogram = encoder.spectrogram(torch.cat([waveforms[:1, : lengths[0]], torch.zeros(1, 217_600)], 1))
    cut = encoder.network(spectrogram[..., : 16 * 20])
    torch.testing.assert_close(encoder(waveforms, lengths)[:1], cut, atol=1e-5, rtol=1e-4)


def test_columns_are_rounded_up() -> None:
    assert audible_columns(torch.tensor([1, 5120, 5121, 10 * SECOND])).tolist() == [1, 1, 2, 62]


# ---- checkpoints -----------------------------------------------------------------------------------------------------


def state_of(network: nn.Module) -> dict[str, Tensor]:
    """As published: with the classifiers that an encoder has no use for."""
    heads = {"head.0.weight": torch.ones(32), "head.1.bias": torch.ones(9), "head_dist.weight": torch.ones(9, 32)}
    return {**{key: value.clone() for key, value in network.state_dict().items()}, **heads}


@pytest.mark.parametrize("prefix", ["", "net.", "model.", "model.net."])
@pytest.mark.parametrize("kind", ["plain.pt", "lightning.ckpt", "plain.safetensors"])
def test_checkpoints_load_with_any_prefix(tmp_path: Path, prefix: str, kind: str) -> None:
    source = PasstTransformer(**TINY)
    state = {prefix + key: value for key, value in state_of(source).items()}
    path = tmp_path / kind
    if kind == "plain.safetensors":
        save_file(state, path)
    elif kind == "lightning.ckpt":
        if prefix == "net.":  # PaSST's training program also keeps averaged weights, under a longer prefix
            state = {**{f"net_swa.{key}": torch.zeros_like(value) for key, value in state_of(source).items()}, **state}
        torch.save({"epoch": 3, "state_dict": state}, path)
    else:
        torch.save(state, path)
    encoder = PaSST(checkpoint=str(path), **TINY)
    for name, value in source.state_dict().items():
        torch.testing.assert_close(encoder.network.state_dict()[name], value, atol=0, rtol=0)


def test_missing_and_unknown_keys_are_named(tmp_path: Path) -> None:
    path = tmp_path / "half.pt"
    state = state_of(PasstTransformer(**TINY))
    del state["blocks.1.mlp.fc2.bias"]
    torch.save({**state, "blocks.9.norm1.bias": torch.ones(32)}, path)
    message = (
        r"half\.pt: .*1 missing keys \(blocks\.1\.mlp\.fc2\.bias\), 1 unknown keys \(blocks\.9\.norm1\.bias\); set"
    )
    with pytest.raises(ModelError, match=message) as caught:
        PaSST(checkpoint=str(path), **TINY)
    assert "\n" not in str(caught.value)


def test_other_sizes_are_named(tmp_path: Path) -> None:
    path = tmp_path / "long.pt"
    torch.save({**state_of(PasstTransformer(**TINY)), "time_new_pos_embed": torch.ones(1, 32, 1, 187)}, path)
    with pytest.raises(
        ModelError, match=r"long\.pt: time_new_pos_embed has shape \(1, 32, 1, 187\), .* \(1, 32, 1, 62\)"
    ):
        PaSST(checkpoint=str(path), **TINY)


def test_files_that_are_no_checkpoint_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere\.pt: no such checkpoint; give github:kkoutini/PaSST/"):
        PaSST(checkpoint=str(tmp_path / "nowhere.pt"), **TINY)
    for name in ("broken.pt", "broken.safetensors"):
        (tmp_path / name).write_bytes(b"<html>not found</html>")
        with pytest.raises(ModelError, match=rf"{name}: damaged, or not a weights file that can be read") as caught:
            PaSST(checkpoint=str(tmp_path / name), **TINY)
        assert "\n" not in str(caught.value)
    torch.save({"weight": torch.ones(2)}, tmp_path / "other.pt")
    with pytest.raises(ModelError, match=r"other\.pt: not a PaSST checkpoint"):
        PaSST(checkpoint=str(tmp_path / "other.pt"), **TINY)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ModelError, match=r"list\.pt: holds no table of tensors"):
        PaSST(checkpoint=str(tmp_path / "list.pt"), **TINY)
