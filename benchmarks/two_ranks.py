"""Are the gradients of two ranks those of one process with the whole batch, and what does a step take?

    python benchmarks/two_ranks.py --pairs 32 --steps 5

Two processes over gloo, each with half of the pairs and one thread, wrapped in DDP as in training; beside them one
process with the whole batch and two threads. The model is PaSST of a tenth of its size and MiniLM, both trained, with a
trained temperature, in fp32; dropout, patchout and jitter are off, since ranks draw their own. Some recordings are
there twice, once on each rank. Every objective in every direction; the distance is that of the farthest parameter,
relative to its gradient's 2-norm, and of all gradients as one vector.
"""

import statistics
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
from timing import MINILM, command_line, timed
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from common.directions import Direction
from datamodules.batch import Batch
from lightning_modules.audio_encoders.passt import PaSST
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers import Cosine
from lightning_modules.text_encoders.huggingface import HuggingFaceText
from relevance.base import Relevance
from relevance.objectives.base import Directions
from relevance.objectives.infonce import InfoNCE
from relevance.objectives.listnet import ListNet
from relevance.targets.binary import SameAudio

OBJECTIVES: dict[str, tuple[type[ListNet] | type[InfoNCE], Directions]] = {
    "ListNet, text to audio": (ListNet, "text_to_audio"),
    "ListNet, audio to text": (ListNet, "audio_to_text"),
    "ListNet, both": (ListNet, "both"),
    "InfoNCE, both": (InfoNCE, "both"),
}
Gradients = dict[str, Tensor]


class Graded(Relevance):
    """A made-up relevance in [0, 1], by caption id."""

    def __init__(self, captions: int) -> None:
        super().__init__()
        vectors = torch.randn(captions, 16, generator=torch.Generator().manual_seed(1))
        self.table = (vectors @ vectors.T).sigmoid()

    def forward(self, query_ids: Tensor, item_ids: Tensor, direction: Direction) -> Tensor:
        return self.table[query_ids][:, item_ids]


def whole_batch(pairs: int) -> Batch:
    """Tones of 10 s in noise; the first recording of each half is the same one."""
    generator = torch.Generator().manual_seed(2)
    seconds = torch.arange(PaSST.window) / PaSST.sample_rate
    hertz = 100 * 1.3 ** torch.arange(pairs)[:, None] % 10_000
    waveforms = (2 * torch.pi * hertz * seconds).sin() / 2 + torch.randn(pairs, PaSST.window, generator=generator) / 50
    audio = torch.arange(pairs)
    waveforms[pairs // 2], audio[pairs // 2] = waveforms[0], 0
    captions = [f"a dog barks {i} times while rain falls on {'the old ' * (i % 4)}roof" for i in range(pairs)]
    lengths, rows = torch.full((pairs,), PaSST.window), torch.arange(pairs)
    return Batch(waveforms, lengths, audio, [""] * pairs, captions, rows, rows)


def some(batch: Batch, rows: range) -> Batch:
    chosen = list(rows)
    captions = [batch.captions[row] for row in chosen]
    return Batch(
        *(batch.waveforms[chosen], batch.lengths[chosen], batch.audio_ids[chosen], captions),
        *(captions, batch.caption_ids[chosen], torch.arange(len(chosen))),
    )


def model_of(name: str, pairs: int) -> DualEncoder:
    torch.manual_seed(0)
    objective, direction = OBJECTIVES[name]
    relevance: Relevance = Graded(pairs)
    if objective is InfoNCE:
        relevance = SameAudio()
        relevance.prepare(["a"] * pairs, whole_batch(pairs).audio_ids.numpy())
    audio = PaSST(dim=240, depth=4, heads=4, patchout_time=0, patchout_frequency=0, fmin_jitter=0, fmax_jitter=0)
    text = HuggingFaceText(MINILM, pooling="mean", dropout=0.0, attention_dropout=0.0)
    model = DualEncoder(audio, text, relevance, objective(direction, learn_tau=True), matcher=Cosine(256))
    model.log = lambda *arguments, **options: None  # type: ignore[method-assign] # there is no trainer

    def step(batch: Batch) -> Tensor:
        return model.training_step(batch, 0)

    model.forward = step  # type: ignore[method-assign, assignment] # what DDP wraps
    return model


def gradients_and_seconds(model: DualEncoder, step: nn.Module, batch: Batch, steps: int) -> tuple[Gradients, float]:
    times: list[float] = []
    for _ in range(steps + 1):
        step.zero_grad()
        times.append(timed(lambda: step(batch).backward())[0])
    gradients = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    return gradients, statistics.median(times[1:] or times)


def of_rank(rank: int, folder: str, pairs: int, steps: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    mine = some(whole_batch(pairs), range(rank * pairs // 2, (rank + 1) * pairs // 2))
    for name in OBJECTIVES:
        model = model_of(name, pairs)
        result = gradients_and_seconds(model, DistributedDataParallel(model), mine, steps)
        if rank == 0:
            torch.save(result, Path(folder) / f"{name}.pt")
    dist.barrier()
    dist.destroy_process_group()


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--pairs", type=int, default=16, help="in the global batch, an even number")
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(2)
    print(f"{options.pairs} pairs of 10 s, fp32, seconds a forward and backward pass")
    with tempfile.TemporaryDirectory() as folder:
        spawn(of_rank, (folder, options.pairs, options.steps), nprocs=2)
        for name in OBJECTIVES:
            model = model_of(name, options.pairs)
            whole = whole_batch(options.pairs)
            alone, seconds = gradients_and_seconds(model, model, whole, options.steps)
            two, seconds_of_two = torch.load(Path(folder) / f"{name}.pt", weights_only=True)
            model = model_of(name, options.pairs)
            turned = some(whole, range(options.pairs - 1, -1, -1))
            otherwise, _ = gradients_and_seconds(model, model, turned, 0)
            print(
                f"{name:24} gradients {apart(two, alone)}; one process, pairs in another order: "
                f"{apart(otherwise, alone)}; one process {seconds:.2f} s, two ranks {seconds_of_two:.2f} s "
                f"({seconds_of_two / seconds:.2f} x)"
            )


def apart(these: Gradients, those: Gradients) -> str:
    """How far two sets of gradients are apart: as one vector, and of the parameter where it is most.

    Key biases shift all scores of a query alike: their gradient is 0 but for rounding, so they are not looked at alone.
    """
    total = torch.cat([gradient.flatten() for gradient in those.values()]).norm()
    difference = torch.cat([(these[key] - those[key]).flatten() for key in those]).norm()
    each = [(these[k] - g).norm() / g.norm() for k, g in those.items() if g.norm() > 1e-6 * total]
    return f"{float(difference / total):.1e} apart (at most {float(max(each)):.1e})"


if __name__ == "__main__":
    main()
