"""Schedules against the formula written out, and their bounds."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ModelError
from lightning_modules.training.schedules import Constant, Schedule, WarmupCosine

EPOCHS = st.floats(0, 100, allow_nan=False)


def written_out(epoch: float, epochs: float, warmup: float, floor: float, until: float | None) -> float:
    end = epochs if until is None else until
    if epoch < warmup:
        return epoch / warmup
    if epoch >= end:
        return floor
    return floor + (1 - floor) * math.cos(0.5 * math.pi * (epoch - warmup) / (end - warmup)) ** 2


@pytest.mark.parametrize("warmup", [0, 0.5, 1, 3])
@pytest.mark.parametrize("floor", [0, 0.005, 1])
@pytest.mark.parametrize("until", [None, 20])
def test_warmup_cosine_is_the_formula(warmup: float, floor: float, until: float | None) -> None:
    schedule = WarmupCosine(warmup, floor, until)
    for step in range(1, 26 * 4):
        epoch = step / 4
        expected = written_out(epoch, 25, warmup, floor, until)
        assert schedule(epoch, 25) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_the_defaults_are_the_paper_s() -> None:
    highest = 2e-5
    schedule = WarmupCosine()
    assert highest * schedule(0.5, 25) == pytest.approx(1e-5)
    assert highest * schedule(1, 25) == highest
    assert highest * schedule(13, 25) == pytest.approx((2e-5 + 1e-7) / 2)
    assert highest * schedule(25, 25) == pytest.approx(1e-7)


def test_until_is_where_the_floor_begins() -> None:
    schedule = WarmupCosine(until=20)
    assert schedule(19.9, 25) > 0.005
    assert [schedule(epoch, 25) for epoch in (20, 22.5, 25)] == [0.005] * 3
    assert schedule(20, math.inf) == 0.005


@given(EPOCHS, EPOCHS, st.floats(0, 30), st.floats(0, 1), st.none() | st.floats(0, 70))
def test_the_factor_is_between_0_and_1(
    epoch: float, epochs: float, warmup: float, floor: float, more: float | None
) -> None:
    schedule = WarmupCosine(warmup, floor, None if more is None else warmup + more)
    assert 0 <= schedule(epoch, epochs) <= 1


@given(st.floats(0, 50), st.floats(0, 50), st.floats(0, 10), st.floats(0, 1), st.floats(10, 50))
def test_it_rises_until_the_end_of_the_warmup_and_falls_thereafter(
    a: float, b: float, warmup: float, floor: float, epochs: float
) -> None:
    schedule = WarmupCosine(warmup, floor)
    early, late = sorted((a, b))
    if late < warmup:
        assert schedule(early, epochs) <= schedule(late, epochs)
    elif early >= warmup:
        assert schedule(early, epochs) >= schedule(late, epochs)


def test_a_training_within_the_warmup_only_rises() -> None:
    assert [WarmupCosine()(epoch, 1) for epoch in (0.25, 0.5, 1)] == [0.25, 0.5, 1]


def test_constant_is_1() -> None:
    assert [Constant()(epoch, epochs) for epoch, epochs in ((0, 1), (0.5, 3), (7, math.inf))] == [1, 1, 1]


@pytest.mark.parametrize(
    "wrong", [{"warmup": -1}, {"floor": -0.1}, {"floor": 1.1}, {"floor": math.nan}, {"until": 0.5}]
)
def test_values_that_make_no_schedule_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=r"^WarmupCosine\(.*\): give warmup >= 0, floor in \[0, 1\] and until >= warm"):
        WarmupCosine(**wrong)


def test_a_training_without_an_end_needs_until() -> None:
    assert WarmupCosine()(0.5, math.inf) == 0.5
    with pytest.raises(ModelError, match=r"last epoch: set trainer\.max_epochs, or the schedule's until"):
        WarmupCosine()(2, math.inf)


def test_the_base_has_no_formula() -> None:
    with pytest.raises(NotImplementedError):
        Schedule()(0, 1)
