"""The losses of a training batch, by direction: scores of its pairs against their relevance."""

from typing import Protocol

import torch
from torch import Tensor

from common.directions import TEXT_TO_AUDIO
from datamodules.batch import Batch
from lightning_modules.batch_relevance import batch_relevance
from lightning_modules.distributed import gather_ids, gather_with_gradient
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
    audio = recordings[batch.caption_audio]  # (b, D)
    relevance = batch_relevance(parts.relevance, batch, objective.directions, all_queries=objective.whole_batch)
    item_ids = gather_ids(batch.caption_ids)  # (W b,)
    query_ids = item_ids if objective.whole_batch else batch.caption_ids
    losses: dict[str, list[Tensor]] = {}
    entropies, off_pair = [], []
    for direction, wanted in relevance.items():  # (b, W b), or (W b, W b)
        if check:
            objective.check(wanted)
            if objective.is_listwise:
                check_targets(wanted, objective.omega)
        queries, items = (text, audio) if direction == TEXT_TO_AUDIO else (audio, text)
        if objective.whole_batch:
            queries = gather_with_gradient(queries)
        within = None
        if objective.within_modalities:
            within = objective.within(parts.matcher.within(queries, gather_with_gradient(queries)), wanted)
        for name, scores in parts.matcher.all_ranked(queries, gather_with_gradient(items), direction).items():
            loss = objective(scores, wanted)
            losses.setdefault(name, []).append(loss if within is None else loss + within)
        if objective.is_listwise:
            target = target_distribution(wanted, objective.omega)
            entropies.append(target_entropy(target))
            if batch.mixes is None:
                off_pair.append(mass_off_pair(target, query_ids, item_ids))
    facts = {"target_entropy": entropies, "target_off_pair": off_pair}
    return (
        {name: torch.stack(values).mean() for name, values in losses.items()},
        {name: torch.stack(values).mean() for name, values in facts.items() if values},
    )
