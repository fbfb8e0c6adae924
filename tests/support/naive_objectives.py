"""The objectives by definition, in NumPy: a query, an item and a pair at a time, in float64.

Each takes scores s (Q, N) and relevance g (Q, N) and gives the loss of one direction. A query's positives are its most
relevant items.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.special import expit, logsumexp, softmax

Array = np.ndarray
Naive = Callable[[Array, Array], float]


def over_queries(loss: Callable[[Array, Array], float]) -> Naive:
    """The mean over queries of what `loss` gives of a row of scores and of relevance."""
    return lambda s, g: float(np.mean([loss(*row) for row in zip(s, g, strict=True)]))


def positives(g: Array) -> list[int]:
    return [i for i in range(len(g)) if g[i] > max(g) - 1e-6]


def negatives(g: Array) -> list[int]:
    return [i for i in range(len(g)) if i not in positives(g)]


def sigmoid(scale: float, bias: float) -> Naive:
    def loss(s: Array, g: Array) -> float:
        chances = [expit(scale * s_j + bias) for s_j in s]
        return -sum(g_j * math.log(p) + (1 - g_j) * math.log(1 - p) for g_j, p in zip(g, chances, strict=True))

    return over_queries(loss)


def hybrid(tau: float, alpha: float, beta: float, relevant_from: float | None) -> Naive:
    def loss(s: Array, g: Array) -> float:
        weights = dict.fromkeys(positives(g), 1.0)
        if relevant_from is not None:
            weights |= {j: g[j] / max(g) for j in negatives(g) if g[j] >= relevant_from}
        rest = [j for j in range(len(s)) if j not in weights]
        if not rest:
            return 0.0
        p = sum(weight * math.exp(s[j] / tau) for j, weight in weights.items())
        hardness = [math.exp(beta * s[j] / tau) for j in rest]
        n = sum(len(rest) * h / sum(hardness) * math.exp(s[j] / tau) for h, j in zip(hardness, rest, strict=True))
        return -math.log(p / (alpha * p + n))

    return over_queries(loss)


def ranked_rince(thresholds: tuple[float, ...], low: float, high: float, variant: str) -> Naive:
    def loss(s: Array, g: Array) -> float:
        rank = [sum(g_j < threshold for threshold in thresholds) for g_j in g]
        losses = []
        for r in range(len(thresholds)):
            level = 1.0 if r == 0 else thresholds[r]
            e = np.exp(s / (low + (1 - level) * (high - low)))
            own = [e[j] for j in range(len(s)) if rank[j] == r]
            whole = sum(e[j] for j in range(len(s)) if rank[j] >= r)
            if own and (variant == "out" or (variant == "out_in" and r == 0)):
                losses.append(-sum(math.log(e_j / whole) for e_j in own) / len(own))
            elif own:
                losses.append(-math.log(sum(own) / whole))
        return sum(losses) / len(losses) if losses else 0.0

    return over_queries(loss)


def robust_rince(tau: float, q: float, weight: float) -> Naive:
    def loss(s: Array, g: Array) -> float:
        rest = sum(math.exp(s[k] / tau) for k in negatives(g))
        each = [-math.exp(q * s[p] / tau) / q + (weight * (math.exp(s[p] / tau) + rest)) ** q / q for p in positives(g)]
        return sum(each) / len(each)

    return over_queries(loss)


def listmle(tau: float, top: int | None = None) -> Naive:
    def loss(s: Array, g: Array) -> float:
        ordered = s[np.argsort(-g)] / tau
        return sum(logsumexp(ordered[i:]) - ordered[i] for i in range(len(s))[:top])

    return over_queries(loss)


def ranknet(tau: float, weighting: str) -> Naive:
    power = {"equal": 0, "difference": 1, "squares": 2}[weighting]

    def loss(s: Array, g: Array) -> float:
        pairs = [(i, j) for i in range(len(s)) for j in range(len(s)) if g[i] - g[j] > 1e-6]
        weights = [g[i] ** power - g[j] ** power if power else 1.0 for i, j in pairs]
        each = [w * math.log(1 + math.exp(-(s[i] - s[j]) / tau)) for w, (i, j) in zip(weights, pairs, strict=True)]
        return sum(each) / max(len(pairs), 1)

    return over_queries(loss)


def discount(rank: float) -> float:
    return 1 / math.log2(1 + rank)


def gains_of(g: Array, sharpness: float | None) -> Array:
    return g if sharpness is None else 2 ** (sharpness * g) - 1


def ideal(gains: Array, top: int | None = None) -> float:
    return sum(gain * discount(place) for place, gain in enumerate(sorted(gains, reverse=True)[:top], 1))


def lambda_loss(tau: float, mu: float | None, top: int | None, sharpness: float | None) -> Naive:
    def loss(s: Array, g: Array) -> float:
        rank = {j: place for place, j in enumerate(np.argsort(-s, kind="stable"), 1)}
        gain = gains_of(g, sharpness) / ideal(gains_of(g, sharpness), top)
        total = 0.0
        for i in range(len(s)):
            for j in range(len(s)):
                apart = abs(rank[i] - rank[j])
                if g[i] - g[j] > 1e-6 and max(rank[i], rank[j]) <= (top or len(s)):
                    weight = abs(discount(apart) - discount(apart + 1))
                    if mu is not None:
                        weight = mu * weight + abs(discount(rank[i]) - discount(rank[j]))
                    total += weight * abs(gain[i] - gain[j]) * math.log2(1 + math.exp(-(s[i] - s[j]) / tau))
        return total

    return over_queries(loss)


def approx_ndcg(tau: float, sharpness: float | None) -> Naive:
    def loss(s: Array, g: Array) -> float:
        gain, dcg = gains_of(g, sharpness), 0.0
        for i in range(len(s)):
            rank = 1 + sum(expit((s[j] - s[i]) / tau) for j in range(len(s)) if j != i)
            dcg += gain[i] * discount(rank)
        return 1 - dcg / ideal(gain)

    return over_queries(loss)


def neural_ndcg(tau: float, iterations: int, sharpness: float | None) -> Naive:
    def loss(s: Array, g: Array) -> float:
        n, logits, gain = len(s), s / tau, gains_of(g, sharpness)
        spread = [sum(abs(a - b) for b in logits) for a in logits]
        order = np.array(
            [softmax([(n + 1 - 2 * i) * logits[j] - spread[j] for j in range(n)]) for i in range(1, n + 1)]
        )
        for _ in range(iterations):
            order = order / order.sum(0)
            order = order / order.sum(1)[:, None]
        return 1 - sum(order[i] @ gain * discount(i + 1) for i in range(n)) / ideal(gain)

    return over_queries(loss)


def smooth_ap(tau: float, relevant_from: float | None) -> Naive:
    def loss(s: Array, g: Array) -> float:
        chosen = positives(g) if relevant_from is None else [j for j in range(len(g)) if g[j] >= relevant_from]

        def rank(i: int, among: list[int]) -> float:
            return 1 + sum(expit((s[j] - s[i]) / tau) for j in among if j != i)

        return 1 - sum(rank(i, chosen) / rank(i, list(range(len(s)))) for i in chosen) / len(chosen)

    return over_queries(loss)


def triplet(margin: float, negatives_of: str, graded: bool) -> Naive:
    def loss(s: Array, g: Array) -> float:
        total, rest = 0.0, negatives(g)
        for p in positives(g):
            wish = {
                "hard": s,
                "semi_hard": -abs(s - s[p]),
                "text_easy": -g,
                "text_hard": g,
            }.get(negatives_of)
            chosen = rest if wish is None else sorted(rest, key=wish.__getitem__)[-1:]
            for n in chosen:
                total += max(0.0, margin * (g[p] - g[n] if graded else 1) + s[n] - s[p])
        return total / len(positives(g))

    return over_queries(loss)


def max_margin(margin: float, graded: bool) -> Naive:
    def loss(s: Array, g: Array) -> float:
        return triplet(margin, "all", graded)(s[None], g[None]) / max(len(negatives(g)), 1)

    return over_queries(loss)


def weighted_triplet(margin: float) -> Naive:
    def loss(s: Array, g: Array) -> float:
        total, n = 0.0, max((s[j] for j in negatives(g)), default=-math.inf)
        for p in positives(g):
            if n + margin > s[p] and s[p] < 1 - 1e-5:
                total += max(0.0, 0.2 * s[p] ** 2 - 0.7 * s[p] + 0.5) + max(0.0, 0.9 * n**2 - 0.4 * n + 0.03)
        return total / len(positives(g))

    return over_queries(loss)


def target(g: Array, omega: float | None) -> Array:
    return g / g.sum() if omega is None else softmax(g / omega)


def listnet(tau: float, omega: float | None) -> Naive:
    def loss(s: Array, g: Array) -> float:
        return -float(sum(target(g, omega) * (s / tau - logsumexp(s / tau))))

    return over_queries(loss)


def transport(epsilon: float, iterations: int, omega: float | None) -> Naive:
    def loss(s: Array, g: Array) -> float:
        costs = np.sqrt(np.maximum(2 - 2 * s, 1e-6))
        kernel = np.exp(-costs / costs.max() / epsilon)
        u = np.ones(len(s))
        for _ in range(iterations):
            v = 1 / s.shape[1] / (kernel.T @ u)
            u = 1 / len(s) / (kernel @ v)
        plan = u[:, None] * kernel * v
        return -sum(target(g[i], omega) @ np.log(plan[i]) for i in range(len(s))) / len(s)

    return loss


def prior_revised(tau: float, scale: float, omega: float | None) -> Naive:
    def loss(s: Array, g: Array) -> float:
        prior = np.stack([softmax(scale * s[:, j]) for j in range(s.shape[1])], axis=1)
        return listnet(tau, omega)(len(s) * prior * s, g)

    return loss


def divergence(p: Array, q: Array) -> float:
    return sum(p_j * math.log(p_j / q_j) for p_j, q_j in zip(p, q, strict=True) if p_j > 0)


def soft_clip(tau: float, omega: float, smoothing: float, softness: float, weight: float) -> Naive:
    def loss(s: Array, g: Array) -> float:
        yes, no = positives(g), negatives(g)
        if not no:
            return divergence(softness * softmax(g / omega) + (1 - softness) / len(g), softmax(s / tau))
        hard = [(1 - smoothing) / len(yes) if j in yes else smoothing / len(no) for j in range(len(g))]
        mixed = softness * softmax(g / omega) + (1 - softness) * np.array(hard)
        return divergence(mixed, softmax(s / tau)) + weight * divergence(softmax(g[no] / omega), softmax(s[no] / tau))

    return over_queries(loss)


def cusa(tau: float, omega: float, soft: float, soft_tau: float) -> Naive:
    def loss(s: Array, g: Array) -> float:
        hard = -sum(s[p] / tau - logsumexp(s / tau) for p in positives(g)) / len(positives(g))
        return hard + soft * divergence(softmax(g / omega), softmax(s / soft_tau))

    return over_queries(loss)
