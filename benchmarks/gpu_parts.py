"""What `gpu.py` measures: parts, each a process of its own, and the settings of a part, measured one after another.

`parts_of` names all of them without doing any work; models and embeddings are made when the first setting needs them.
"""

from __future__ import annotations

import contextlib
import functools
import gc
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from gpu_ranks import gathered, ranked, ranked_by
from made_up import ROBERTA_LARGE, made_up
from peers import figures_of_system
from step import Figures, NoStages, adam_of, figures_of, model_of, one_step
from torch import Tensor

from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers.cosine import cosine_scores
from relevance.objectives.infonce import InfoNCE
from relevance.objectives.listnet import ListNet

Measurement = Callable[[], Figures]
TINY = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}


@dataclass(frozen=True)
class Sizes:
    """Of what is measured; a rehearsal has small ones."""

    audio: dict[str, Any] = field(default_factory=dict)  # options of PaSST
    text: dict[str, Any] = field(default_factory=lambda: ROBERTA_LARGE)
    batch: int = 32
    chunk: int = 8
    most: int = 4096  # pairs that are tried at most
    steps: int = 10
    queries: int = 100_000
    items: int = 400_000
    gathered: int = 2048  # rows of each process


FULL = Sizes()
REHEARSAL = Sizes({"dim": 48, "depth": 2, "heads": 2}, {**ROBERTA_LARGE, **TINY}, 2, 1, 4, 1, 64, 512, 8)


def parts_of(
    sizes: Sizes, device: torch.device, dcase2025: Path | None, authors: Path | None
) -> dict[str, dict[str, Measurement]]:
    """Parts by name, the most wanted first; of each the settings by name."""
    cards = torch.cuda.device_count() if device.type == "cuda" else 2  # a CPU rehearses two processes
    each = {f"{seconds:g} s, batch {sizes.batch}": (seconds, sizes.batch) for seconds in (10.0, 30.0)}
    largest = {f"{seconds:g} s, largest batch": seconds for seconds in (10.0, 30.0)}

    def steps(variant: str, search: bool = False, bf16: bool = True) -> dict[str, Measurement]:
        of = StepsOf(variant, sizes, device, bf16)
        found: dict[str, Measurement] = {name: functools.partial(of.step, *values) for name, values in each.items()}
        searched = {name: functools.partial(of.largest, seconds) for name, seconds in largest.items()}
        return {**found, **(searched if search else {})}

    def peer(name: str, folder: Path) -> dict[str, dict[str, Measurement]]:
        return {  # a process for each length, since a system is imported once
            f"{name} {length:g} s": {
                setting: functools.partial(
                    figures_of_system, name, folder, batch, length, sizes.steps, device, sizes.text
                )
            }
            for setting, (length, batch) in each.items()
        }

    chunked = StepsOf("in chunks", sizes, device, True)
    many = min(16 * sizes.batch, sizes.most)
    losses = Losses(sizes, device)
    pool = (sizes.queries, sizes.items)
    parts: dict[str, dict[str, Measurement]] = {
        "step, eager": steps("paper", search=True),
        f"ranking {sizes.queries:,} x {sizes.items:,}": {"one device": functools.partial(ranked, *pool, device)},
        **(peer("dcase2025", dcase2025) if dcase2025 else {}),
        **(peer("authors", authors) if authors else {}),
        "step, compiled": steps("compiled"),
        "step, LoRA": steps("LoRA", search=True),
        f"step, in chunks of {sizes.chunk}": {
            **{name: functools.partial(chunked.step, *values) for name, values in each.items()},
            f"10 s, batch {many}": functools.partial(chunked.step, 10.0, many),
        },
        "bf16 beside fp32": {
            "ListNet": functools.partial(losses.compare, ListNet("text_to_audio")),
            "InfoNCE": functools.partial(losses.compare, InfoNCE("both")),
            f"{2 * sizes.steps} training steps": losses.train,
        },
        "step, fp32": steps("paper", bf16=False),
    }
    for world in (1, 2) if cards > 1 else (1,):
        parts[f"processes: {world}"] = {
            "sharded ranking": functools.partial(ranked_by, world, *pool, device),
            f"gathering {sizes.gathered} rows": functools.partial(gathered, world, sizes.gathered, device),
        }
    return parts


class StepsOf:
    """Training steps of one variant; the model is made at the first."""

    def __init__(self, variant: str, sizes: Sizes, device: torch.device, bf16: bool) -> None:
        self.variant, self.sizes, self.device, self.bf16 = variant, sizes, device, bf16

    @functools.cached_property
    def model(self) -> DualEncoder:
        known = "paper" if self.variant == "in chunks" else self.variant
        model = model_of(known, self.sizes.text, **self.sizes.audio).to(self.device)
        model.chunk = self.sizes.chunk if self.variant == "in chunks" else None
        return model

    @functools.cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        return adam_of(self.model)

    def step(self, seconds: float, batch: int, steps: int | None = None) -> Figures:
        inputs = made_up(batch, seconds, self.device)
        dtype = torch.bfloat16 if self.bf16 else torch.float32

        def autocast() -> Any:
            return torch.autocast(self.device.type, dtype=dtype, enabled=self.bf16)

        def step() -> None:
            one_step(self.model, self.optimizer, inputs, autocast, NoStages(self.device))

        return figures_of(step, batch, steps or self.sizes.steps, self.device, dtype)

    def largest(self, seconds: float) -> Figures:
        """Of the largest batch that fits: doubled until it does not, then half as much again."""
        batch = self.sizes.batch
        best = self.step(seconds, batch, 1)
        while found := self.fits(seconds, 2 * batch):
            best, batch = found, 2 * batch
        if found := self.fits(seconds, batch * 3 // 2):
            best, batch = found, batch * 3 // 2
        return replace(best, note=f"{batch} pairs fit")

    def fits(self, seconds: float, batch: int) -> Figures | None:
        if batch > self.sizes.most:
            return None
        with contextlib.suppress(torch.OutOfMemoryError):
            return self.step(seconds, batch, 1)
        free_memory()  # after the exception is gone, whose frames hold the activations
        return None


class Losses:
    """Losses, gradients and training in bf16 beside fp32, from the same weights."""

    def __init__(self, sizes: Sizes, device: torch.device) -> None:
        self.sizes, self.device = sizes, device

    @functools.cached_property
    def model(self) -> DualEncoder:
        return model_of("paper", self.sizes.text, **self.sizes.audio).to(self.device)

    def compare(self, objective: ListNet | InfoNCE) -> Figures:
        """One batch without dropout: the losses, and the cosine of all gradients as one vector."""
        self.model.eval()
        inputs, (exact, by_exact) = made_up(self.sizes.batch, 10.0, self.device), (0.0, torch.empty(0))
        for bf16 in (False, True):
            self.model.zero_grad()
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=bf16):
                text, audio = self.model.embed_text(inputs[2]), self.model.embed_audio(*inputs[:2])
                loss = objective(cosine_scores(text, audio), relevance_of(len(text), objective, self.device))
            loss.backward()
            gradients = [value.grad.flatten() for value in self.model.parameters() if value.grad is not None]
            if not bf16:
                exact, by_exact = float(loss.detach()), torch.cat(gradients)
        cosine = torch.nn.functional.cosine_similarity(torch.cat(gradients), by_exact, dim=0)
        return Figures(
            note=f"loss {exact:.5f} in fp32, {float(loss):.5f} in bf16; cosine of gradients {float(cosine):.5f}"
        )

    def train(self) -> Figures:
        """Steps on one batch, dropout and patchout drawn alike: the loss at the beginning and the end."""
        inputs, notes = made_up(self.sizes.batch, 10.0, self.device), []
        relevance, objective = relevance_of(self.sizes.batch, ListNet("text_to_audio"), self.device), ListNet()
        for bf16 in (False, True):
            torch.manual_seed(0)
            model, losses = model_of("paper", self.sizes.text, **self.sizes.audio).to(self.device), []
            optimizer = adam_of(model)
            for _ in range(2 * self.sizes.steps):
                optimizer.zero_grad()
                with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=bf16):
                    text, audio = model.embed_text(inputs[2]), model.embed_audio(*inputs[:2])
                    loss = objective(cosine_scores(text, audio), relevance)
                loss.backward()
                optimizer.step()
                losses.append(float(loss))
            notes.append(f"{losses[0]:.4f} to {losses[-1]:.4f} in {'bf16' if bf16 else 'fp32'}")
        return Figures(note="loss " + ", ".join(notes))


def relevance_of(batch: int, objective: ListNet | InfoNCE, device: torch.device) -> Tensor:
    """Made-up relevance (B, B) in [0, 1]: graded with ones on the diagonal, or for InfoNCE the diagonal alone."""
    own = torch.eye(batch, device=device)
    if isinstance(objective, InfoNCE):
        return own
    graded = torch.rand(batch, batch, generator=torch.Generator().manual_seed(1)).to(device)
    return torch.maximum(own, graded)


def free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
