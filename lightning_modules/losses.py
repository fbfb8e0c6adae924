"""The losses of a model, by direction: scores of pairs against their relevance, of a training batch or of a pool."""

from collections.abc import Iterable
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

from common.directions import TEXT_TO_AUDIO
from datamodules.batch import Batch
from evaluation.embedding_pool import EmbeddingPool
from lightning_modules.batch_relevance import batch_relevance
from lightning_modules.distributed import gather_with_gradient
from lightning_modules.matchers.base import Matcher
from relevance.base import Relevance
from relevance.objectives.base import Objective, mass_off_pair, target_distribution, target_entropy
from relevance.objectives.target_checks import check_targets


class Parts(Protocol):
    """What a loss is made of."""

    matcher: Matcher
    relevance: Relevance
    objective: Objective


def batch_losses(
    parts: Parts, batch: Batch, recordings: Tensor, text: Tensor, *, check: bool = False
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The mean loss over the directions, and what is known of the targets.

    Args:
        parts: matcher, relevance and objective.
        batch: this rank's b pairs.
        recordings: embedded recordings (a, ...).
        text: embedded captions (b, ...).
        check: whether to check the relevance, which waits for a GPU.

    Returns:
        Losses by the name of the matcher's scores, "" where it has one kind; and of listwise objectives
        "target_entropy" in nats and, unless pairs were mixed, "target_off_pair".

    Raises:
        RelevanceError: the relevance is none that the objective can be trained with.
    """
    objective = parts.objective
    own = {"text": text, "audio": recordings[batch.caption_audio]}  # (b, ...)
    gathered = cache(lambda side: gather_with_gradient(own[side]))  # (W b, ...); what two directions need comes once
    relevance = batch_relevance(parts.relevance, batch, objective.directions, all_queries=objective.whole_batch)
    losses: dict[str, list[Tensor]] = {}
    entropies, off_pair = [], []
    for direction, wanted in relevance.values.items():  # (b, W b), or (W b, W b)
        if check:
            objective.check(wanted)
            if objective.is_listwise:
                check_targets(wanted, objective.omega)
        side, other = ("text", "audio") if direction == TEXT_TO_AUDIO else ("audio", "text")
        queries = gathered(side) if objective.whole_batch else own[side]
        within = None
        if objective.within_modalities:
            within = objective.within(parts.matcher.within(queries, gathered(side)), wanted)
        for name, scores in parts.matcher.all_ranked(queries, gathered(other), direction).items():
            loss = objective(scores, wanted)
            losses.setdefault(name, []).append(loss if within is None else loss + within)
        if objective.is_listwise:
            target = target_distribution(wanted, objective.omega)
            entropies.append(target_entropy(target))
            if batch.mixes is None:
                off_pair.append(mass_off_pair(target, relevance.query_ids, relevance.item_ids))
    facts = {"target_entropy": entropies, "target_off_pair": off_pair}
    return (
        {name: torch.stack(values).mean() for name, values in losses.items()},
        {name: torch.stack(values).mean() for name, values in facts.items() if values},
    )


def pool_loss(parts: Parts, pool: EmbeddingPool, batches: Iterable[Tensor]) -> Tensor:
    """The objective on batches of a pool, a scalar: their mean, weighted by their sizes.

    With the same random numbers each time, so that it does not depend on what an objective has drawn before.

    Args:
        parts: matcher, relevance and objective.
        pool: embedded recordings and captions.
        batches: rows of the captions (B,) of each.
    """
    objective = parts.objective
    total, count = torch.zeros((), device=pool.audio.device), 0
    with torch.random.fork_rng([pool.audio.device] if pool.audio.is_cuda else []):
        torch.manual_seed(0)
        for captions in batches:
            text, audio = pool.text[captions], pool.audio[pool.caption_audio[captions]]
            ids = pool.caption_ids[captions]
            scores = parts.matcher.scores(text, audio)
            losses = []
            for direction, wanted in parts.relevance.by_direction(ids, ids, objective.directions).items():
                queries = text if direction == TEXT_TO_AUDIO else audio
                loss = objective(scores if direction == TEXT_TO_AUDIO else scores.T, wanted)
                if objective.within_modalities:
                    loss = loss + objective.within(parts.matcher.within(queries, queries), wanted)
                losses.append(loss)
            total += torch.stack(losses).mean() * len(captions)
            count += len(captions)
    return total / max(count, 1)
