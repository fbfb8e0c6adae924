"""How long does a training step of two public systems take, beside the one of this project?

    python benchmarks/peers.py --dcase2025 FOLDER --authors FOLDER --batch 4 --seconds 10 --rounds 2

The systems are the DCASE 2025 baseline (github.com/CPJKU/dcase2025_task6_baseline) and the paper authors' program
(github.com/xieh97/text-audio-retrieval). Their code runs from folders that hold it and is no part of this project; they
need `pip install --no-deps hear21passt==0.0.26`, and their own settings are kept: AdamW, captions padded to 32 tokens,
and fp16 with a gradient scaler on a GPU (fp32 on a CPU). Replaced are what would download (PaSST's and roberta-large's
weights are random, its tokenizer is a made-up one), timm (which only downloads) and, where torchaudio cannot be
imported, its mel filters by those of this project. Each step runs in a process of its own, in turns.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.machinery
import io
import multiprocessing
import statistics
import sys
import types
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import transformers
from made_up import ROBERTA_LARGE, made_up, tokenizer
from step import VARIANTS, Figures, NoStages, adam_of, figures_of, model_of, one_step
from timing import command_line, machine
from torch import Tensor, nn

from lightning_modules.audio_encoders.spectrograms import fft_mels, mel_bank

Step = Callable[[], object]


def mel_filters(n_mels: int, n_fft: int, rate: int, fmin: float, fmax: float, **_: float) -> tuple[Tensor, None]:
    """What `torchaudio.compliance.kaldi.get_mel_banks` gives first: filters (M, n_fft // 2)."""
    return mel_bank(fft_mels(n_fft, rate)[:-1], n_mels, fmin, fmax), None


def without_downloads(config: dict[str, Any]) -> None:
    """Put in place of what the systems download what has random weights, before their code is imported."""

    def stand_in(name: str, **parts: Any) -> None:
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        module.__dict__.update(parts)
        sys.modules[name] = module

    try:
        importlib.import_module("torchaudio")
    except (ImportError, OSError):
        kaldi = types.SimpleNamespace(get_mel_banks=mel_filters)
        stand_in("torchaudio", compliance=types.SimpleNamespace(kaldi=kaldi))
    for name in ("timm", "timm.models"):
        stand_in(name)
    stand_in("timm.models._hub", download_cached_file=None)

    def roberta(name: str, **options: Any) -> nn.Module:
        flag = options.pop("add_pooling_layer")
        settings = transformers.RobertaConfig(**{key: config[key] for key in config if key != "model_type"}, **options)
        return transformers.RobertaModel(settings, add_pooling_layer=flag)

    setattr(transformers.RobertaModel, "from_pretrained", roberta)  # noqa: B010 - which mypy lets no one assign
    setattr(transformers.RobertaTokenizer, "from_pretrained", lambda name: tokenizer())  # noqa: B010
    base: Any = importlib.import_module("hear21passt.base")
    passt = base.get_model_passt
    base.get_model_passt = lambda *names, **options: passt(*names, pretrained=False, **options)


def scaled(model: nn.Module, loss_of: Callable[[], Tensor], device: torch.device) -> Step:
    """A step as both programs take it: AdamW, and on a GPU fp16 with a gradient scaler."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    on_gpu = device.type == "cuda"
    scaler = torch.amp.GradScaler(device.type, enabled=on_gpu)

    def step() -> None:
        optimizer.zero_grad()
        with (
            torch.autocast(device.type, dtype=torch.float16, enabled=on_gpu),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            loss = loss_of()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return step


def dcase2025(batch: int, seconds: float, device: torch.device, config: dict[str, Any]) -> Step:
    without_downloads(config)
    module = importlib.import_module("d25_t6.retrieval_module")
    options = {"s_patchout_t": 15, "s_patchout_f": 2, "roberta_base": False, "initial_tau": 0.05}
    model = module.AudioRetrievalModel(**options, tau_trainable=False, compile=False)
    model.text_projection = nn.Linear(config["hidden_size"], 1024)  # as it is, but in a rehearsal
    model = model.to(device).train()
    model.log = model.lr_scheduler_step = lambda *values, **options: None  # there is no trainer
    waveforms, _, captions = made_up(batch, seconds, device)
    inputs = {
        **{"audio": waveforms[:, None], "duration": [seconds] * batch, "captions": [[caption] for caption in captions]},
        **{"dataset": ["made up"] * batch, "subset": ["dev"] * batch, "fname": [f"{row}.wav" for row in range(batch)]},
    }
    return scaled(model, lambda: model.training_step(inputs, 0), device)


def authors(batch: int, seconds: float, device: torch.device, config: dict[str, Any]) -> Step:
    without_downloads(config)
    model = importlib.import_module("models").DualEncoderModel()
    model.text_proj[0] = nn.Linear(config["hidden_size"], 1024)  # as it is, but in a rehearsal
    model = model.to(device).train()
    options = {"tau": 0.05, "target": "soft", "target_func": "rating", "audio_modality": True, "text_modality": False}
    criterion = importlib.import_module("utils.criterion_utils").CELoss(**options, threshold=0.7, alpha=25.0, beta=20.0)
    waveforms, _, captions = made_up(batch, seconds, device)
    inputs = {"caption_embed": nn.functional.normalize(torch.randn(batch, 768))}
    return scaled(model, lambda: criterion(*model(waveforms, captions), inputs), device)


def ours(batch: int, seconds: float, device: torch.device, config: dict[str, Any]) -> Step:
    model = model_of("paper", config).to(device)
    optimizer = adam_of(model, **VARIANTS["paper"].get("optimizer", {}))

    def autocast() -> Any:
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")

    inputs = made_up(batch, seconds, device)
    return lambda: one_step(model, optimizer, inputs, autocast, NoStages(device))


SYSTEMS = {"ours": ours, "dcase2025": dcase2025, "authors": authors}


def figures_of_system(
    name: str, folder: Path | None, batch: int, seconds: float, steps: int, device: torch.device, config: dict[str, Any]
) -> Figures:
    """What a step takes. Call it once in a process: both programs are imported by names such as `models`."""
    if folder is not None:
        sys.path.insert(0, str(folder.resolve()))
    with contextlib.redirect_stdout(io.StringIO()):
        step = SYSTEMS[name](batch, seconds, device, config)
    half = torch.bfloat16 if name == "ours" else torch.float16
    return figures_of(step, batch, steps, device, half if device.type == "cuda" else torch.float32)


def send(connection: Connection, *arguments: Any) -> None:
    connection.send(figures_of_system(*arguments))


def main() -> None:
    parser = command_line(__doc__)
    for name in ("dcase2025", "authors"):
        parser.add_argument(f"--{name}", type=Path, metavar="FOLDER")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--steps", type=int, default=3, help="of each system in a round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    print(f"{machine()}, {options.device}, {options.batch} pairs of {options.seconds:g} s", flush=True)
    folders = {"ours": None, "dcase2025": options.dcase2025, "authors": options.authors}
    systems = {name: folder for name, folder in folders.items() if folder is not None or name == "ours"}
    taken: dict[str, list[Figures]] = {name: [] for name in systems}
    for _ in range(options.rounds):
        for name, folder in systems.items():
            taken[name].append(in_a_process(name, folder, options))
            print(f"{name:10} {taken[name][-1]}", flush=True)
    unit = statistics.median(figures.ms or 0 for figures in taken["ours"])
    unit_cpu = statistics.median(figures.cpu_ms for figures in taken["ours"])
    for name, of_rounds in taken.items():
        ms = statistics.median(figures.ms or 0 for figures in of_rounds)
        cpu = statistics.median(figures.cpu_ms for figures in of_rounds)
        print(
            f"{name:10} {ms:10.1f} ms a step, {ms / unit:.2f} times ours; {cpu:10.1f} ms of CPU time, "
            f"{cpu / unit_cpu:.2f} times ours; {of_rounds[0].gb:.1f} GB"
        )


def in_a_process(name: str, folder: Path | None, options: argparse.Namespace) -> Figures:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    arguments = (options.batch, options.seconds, options.steps, torch.device(options.device), ROBERTA_LARGE)
    process = multiprocessing.get_context("spawn").Process(target=send, args=(sender, name, folder, *arguments))
    process.start()
    sender.close()
    try:
        figures: Figures = receiver.recv()
    except EOFError:
        raise SystemExit(f"error: {name} could not be run: its message is above") from None
    process.join()
    return figures


if __name__ == "__main__":
    main()
