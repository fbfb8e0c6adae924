"""Where does a training step's time go, and what do the options for speed change?

    python benchmarks/step.py --batch 4 --seconds 10 --variants paper compiled LoRA

One step of the paper's model at full size (PaSST and roberta-large, random weights; dropout and patchout as in
training) on made-up recordings and captions, over `--steps` steps: the mean of each stage, the median of whole steps.
The share of the peak is the step's matrix work over its time, relative to a large matrix product in the same number
format on the same machine. On a GPU in bf16, on a CPU in fp32, by default; memory is a GPU's, or the
process's largest.
"""

import argparse
import contextlib
import functools
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from made_up import ROBERTA_LARGE, Inputs, made_up, tokenizer_folder
from timing import command_line
from torch.utils.flop_counter import FlopCounterMode

from lightning_modules.audio_encoders.passt import PaSST
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers.cosine import cosine_scores
from lightning_modules.text_encoders.huggingface import HuggingFaceText
from lightning_modules.training.gradient_cache import encode_in_chunks
from lightning_modules.training.lora import LoRA
from relevance.objectives.listnet import ListNet
from relevance.targets.binary import SameAudio

STAGES = ("audio forward", "(front end)", "text forward", "loss", "audio backward", "text backward", "optimiser")
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {},
    "no patchout": {"audio": {"patchout_time": 0, "patchout_frequency": 0}},
    "Adam not fused": {"optimizer": {"fused": False}},
    "compiled": {"model": {"compile": True}},
    "in chunks of 2": {"model": {"chunk": 2}},
    "checkpoint_blocks": {"audio": {"checkpoint_blocks": True}},
    "last 4 layers": {"audio": {"trained_layers": 4}, "text": {"trained_layers": 4}},
    "LoRA": {"audio": {"lora": LoRA()}, "text": {"lora": LoRA()}},
    "frozen text": {"text": {"trained_layers": 0}},
}


def model_of(variant: str, config: dict[str, Any] = ROBERTA_LARGE, **audio: Any) -> DualEncoder:
    """The paper's model in training, but for what the variant changes, the text model's config and PaSST's options."""
    torch.manual_seed(0)
    options = VARIANTS[variant]
    with tempfile.TemporaryDirectory() as folder:
        text = HuggingFaceText(tokenizer_folder(folder), config=config, **options.get("text", {}))
    passt = PaSST(**{**options.get("audio", {}), **audio})
    model = DualEncoder(passt, text, SameAudio(), ListNet("text_to_audio"), **options.get("model", {}))
    return model.train()


def adam_of(model: DualEncoder, **options: Any) -> torch.optim.Optimizer:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.Adam(trained, lr=2e-5, **{"fused": True, **options})


def now(device: torch.device) -> float:
    """The time in seconds, on a GPU when its work has ended."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


class Stages:
    """Notes the seconds of each stage."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, list[float]] = {}

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = now(self.device)
        yield
        self.seconds.setdefault(name, []).append(now(self.device) - began)


class NoStages(Stages):
    """Waits for nothing between the stages."""

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        yield


def one_step(
    model: DualEncoder,
    optimizer: torch.optim.Optimizer,
    inputs: Inputs,
    autocast: Callable[[], Any],
    stages: Stages,
) -> None:
    """A step cut into stages: the loss's gradient by the embeddings, then each tower's backward pass from there."""
    waveforms, lengths, captions = inputs
    optimizer.zero_grad()
    with autocast():
        with stages.stage("audio forward"):
            audio = encode_in_chunks(model.embed_audio, model.chunk, waveforms, lengths)
        with stages.stage("text forward"):
            text = encode_in_chunks(model.embed_text, model.chunk, captions)
        with stages.stage("loss"):
            relevance = torch.rand(len(text), len(audio), device=audio.device)
            loss = model.objective(cosine_scores(text, audio), relevance)
            of_audio, of_text = torch.autograd.grad(loss, [audio, text])
    with stages.stage("audio backward"):
        audio.backward(of_audio)
    with stages.stage("text backward"):
        text.backward(of_text)
    with stages.stage("optimiser"):
        optimizer.step()


@dataclass(frozen=True)
class Figures:
    """What was measured of one piece of work; None is unknown."""

    ms: float | None = None
    per_second: float | None = None  # pairs, queries or rows
    share: float | None = None  # of the peak that a large matrix product reaches
    gb: float | None = None
    cpu_ms: float = 0.0  # of all threads: it says more than `ms` where other work shares a CPU
    note: str = ""


def figures_of(
    step: Callable[[], object],
    batch: int,
    steps: int,
    device: torch.device,
    dtype: torch.dtype,
    after_warm_up: Callable[[], object] = lambda: None,
) -> Figures:
    """Of a training step: the median of so many, after one or two that are not timed (the first compiles)."""
    with FlopCounterMode(display=False) as counter:
        step()
    if device.type == "cuda":
        step()
        torch.cuda.reset_peak_memory_stats()
    after_warm_up()
    times, cpu_times = [], []
    for _ in range(steps):
        began, cpu_began = now(device), time.process_time()
        step()
        times.append(now(device) - began)
        cpu_times.append(time.process_time() - cpu_began)
    seconds = statistics.median(times)
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated()
    else:
        memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    share = counter.get_total_flops() / seconds / matrix_peak(device, dtype)
    return Figures(1000 * seconds, batch / seconds, share, memory / 1e9, 1000 * statistics.median(cpu_times))


@functools.cache
def matrix_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a large matrix product (on a CPU small in bf16, which most do slowly)."""
    size = 8192 if device.type == "cuda" else 2048 if dtype == torch.float32 else 256
    matrix, stages = torch.randn(size, size, device=device, dtype=dtype), Stages(device)
    with torch.no_grad():
        for _ in range(6):
            with stages.stage("product"):
                matrix @ matrix
    return 2 * size**3 / statistics.median(stages.seconds["product"][1:])


def measure(variant: str, options: argparse.Namespace, device: torch.device) -> None:
    inputs = made_up(options.batch, options.seconds, device)
    model = model_of(variant).to(device)
    optimizer = adam_of(model, **VARIANTS[variant].get("optimizer", {}))
    stages = Stages(device)
    front_end = model.audio_encoder.get_submodule("spectrogram")
    spectrograms_of = front_end.forward

    def timed(waveforms: torch.Tensor) -> torch.Tensor:
        with stages.stage("(front end)"):
            spectrograms: torch.Tensor = spectrograms_of(waveforms)
        return spectrograms

    front_end.forward = timed  # type: ignore[method-assign, assignment]
    dtype = torch.bfloat16 if options.bf16 else torch.float32

    def autocast() -> Any:
        return torch.autocast(device.type, dtype=dtype, enabled=options.bf16)

    def step() -> None:
        one_step(model, optimizer, inputs, autocast, stages)

    figures = figures_of(step, options.batch, options.steps, device, dtype, stages.seconds.clear)
    columns = [f"{1000 * sum(stages.seconds[name]) / options.steps:8.1f}" for name in STAGES]
    columns += [f"{figures.ms:8.1f}", f"{figures.per_second:8.2f}", f"{100 * (figures.share or 0):6.1f} %"]
    print(f"{variant:18}" + "  ".join([*columns, f"{figures.gb:8.1f}"]), flush=True)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=["paper"])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=torch.cuda.is_available())
    options = parser.parse_args()
    device = torch.device(options.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}, torch {torch.__version__}, {options.batch} pairs of {options.seconds:g} s, bf16: {options.bf16}")
    titles = "  ".join(f"{title:>8}" for title in (*STAGES, "step, ms", "pairs/s", "of peak", "GB"))
    print(f"{'':18}{titles}", flush=True)
    for variant in options.variants:  # in a process of its own, whose peak of memory is its own
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(variant, options, device))
        process.start()
        process.join()


if __name__ == "__main__":
    main()
