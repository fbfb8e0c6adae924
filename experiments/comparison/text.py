"""What the tests of a comparison say, in words."""

from collections.abc import Sequence

from evaluation.significance import TTest
from experiments.comparison.paired_tests import LEVEL, PairTest


def p_text(p: float) -> str:
    """A p-value as the paper prints it.

    >>> p_text(1e-30), p_text(0.0093), p_text(1.0)
    ('p < .001', 'p = .0093', 'p = 1')
    """
    if p < 0.001:
        return "p < .001"
    return "p = 1" if p > 0.99995 else f"p = {p:.4f}".replace("0.", ".")


def t_text(test: TTest) -> str:
    """A t-test as the paper prints it: t(5224) = 11.658, p < .001; degrees of freedom rounded where they are broken."""
    df = f"{test.df:.0f}" if test.df == round(test.df) else f"{test.df:.1f}"
    return f"t({df}) = {test.t:.3f}, {p_text(test.p)}"


def points(difference: float) -> str:
    """A difference of scores in percentage points.

    >>> points(0.0224)
    '+2.24'
    """
    return f"{100 * difference:+.2f}"


def lines_of(test: PairTest, together: int) -> list[str]:
    """A heading and a line each for queries, recordings and runs; `together` tests share Holm's correction."""
    queries, clips, doubt = test.over_queries, test.over_clips, test.uncertainty
    low, high = (points(bound) for bound in clips.interval)
    lines = [
        f"{test.method} against {test.baseline}, {test.metric}: {points(clips.difference)} points, 95 % interval "
        f"{low} to {high} over recordings"
    ]
    if queries.df > clips.df:
        lines.append(
            f"  over queries (the paper's test): {t_text(queries)}; sign flips {p_text(test.flips_over_queries)}; "
            f"d_z {queries.effect_size:.3f}"
        )
    lines.append(
        f"  over recordings: {t_text(clips)}; sign flips {p_text(test.flips_over_clips)}; d_z {clips.effect_size:.3f}; "
        f"Holm over {together} test{'s' if together > 1 else ''} {p_text(test.p_holm)}"
    )
    error = f"{100 * doubt.se_queries:.2f} points from the recordings"
    if doubt.welch:
        lines.append(
            f"  over runs: Welch's {t_text(doubt.welch)}; sd of runs {100 * doubt.sd_a:.2f} and {100 * doubt.sd_b:.2f} "
            f"points; standard error {100 * doubt.se_seeds:.2f} points from the runs, {error}"
        )
    else:
        lines.append(f"  over runs: nothing to say with one run of a method; standard error {error}")
    return lines


def conclusion(tests: Sequence[PairTest]) -> str:
    """One sentence on all tests of one pair: what is significant after Holm, and what the runs say about it."""
    parts = [
        f"{test.metric} {points(test.over_clips.difference)} points is {'' if test.significant else 'not '}significant "
        f"({p_text(test.p_holm)}), {_over_runs(test)}"
        for test in tests
    ]
    first = tests[0]
    level = f"{LEVEL:g}".replace("0.", ".")
    return f"{first.method} against {first.baseline}, at {level} over recordings after Holm: {'; '.join(parts)}."


def _over_runs(test: PairTest) -> str:
    """What the runs say: a difference that is significant for these weights may be one of the seeds."""
    welch = test.uncertainty.welch
    if welch is None:
        return "for these runs; with one run of a method nothing is known of other seeds"
    ahead, name = max((test.ahead, test.method), (test.behind, test.baseline))
    runs = f"Welch's {p_text(welch.p)}, {name} is ahead in {ahead} of {test.run_pairs} pairs of runs"
    if test.significant and welch.p < LEVEL:
        return f"and over runs too ({runs}): the methods differ"
    if test.significant:
        return f"but not over runs ({runs}): it may be the seeds"
    return f"though over runs it is ({runs})" if welch.p < LEVEL else f"nor over runs ({runs})"
