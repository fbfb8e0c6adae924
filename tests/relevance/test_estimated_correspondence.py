"""Distillation against the formulas of Primus et al. 2024 in NumPy; what is refused."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common.directions import AUDIO_TO_TEXT, TEXT_TO_AUDIO
from common.errors import RelevanceError
from relevance.objectives.base import mass_off_pair, target_distribution
from relevance.objectives.listnet import ListNet
from relevance.targets.binary import SameAudio
from relevance.targets.estimated_correspondence import EstimatedCorrespondence
from relevance.targets.mixture import MixedTargets
from tests.support.teachers import AUDIO_OF, CAPTIONS, DATA, DIMS, TAU, correspondences, distilling, table_of, taught

IDS = [0, 2, 5, 9, 14]
WEIGHTS = {"a": 1.0, "b": 3.0, "c": 0.5}


def softmax(values: np.ndarray, axis: int) -> np.ndarray:
    raised = np.exp(values - values.max(axis, keepdims=True))
    return raised / raised.sum(axis, keepdims=True)


def distillation(scores: np.ndarray, estimates: np.ndarray) -> tuple[float, np.ndarray]:
    """L_dist of (captions, recordings), half the sum of both directions, and its gradient for the scores."""
    loss, gradient, count = 0.0, np.zeros_like(scores), len(scores)
    for axis in (1, 0):  # over the recordings of each caption, over the captions of each recording
        p, q = softmax(estimates / TAU, axis), softmax(scores / TAU, axis)
        loss += -(p * np.log(q)).sum() / count / 2
        gradient += (q - p) / TAU / count / 2
    return loss, gradient


def loss_and_gradient(
    relevance: EstimatedCorrespondence | MixedTargets, objective: ListNet, scores: np.ndarray
) -> tuple[float, np.ndarray]:
    ids, given_scores = torch.tensor(IDS), torch.tensor(scores, dtype=torch.float32, requires_grad=True)
    targets = relevance.by_direction(ids, ids, objective.directions)
    losses = [
        objective(given_scores if direction == TEXT_TO_AUDIO else given_scores.T, target)
        for direction, target in targets.items()
    ]
    loss = torch.stack(losses).mean()
    loss.backward()
    assert given_scores.grad is not None
    return loss.item(), given_scores.grad.numpy()


@pytest.fixture
def scores() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (len(IDS), len(IDS)))


def test_relevance_is_the_weighted_mean_of_cosines_in_each_direction() -> None:
    relevance, ids = taught(weights=[*WEIGHTS.values()]), torch.tensor(IDS)
    expected = (1 + correspondences(IDS, WEIGHTS)) / 2  # captions by recordings
    np.testing.assert_allclose(relevance(ids, ids, TEXT_TO_AUDIO), expected, atol=1e-6)
    np.testing.assert_allclose(relevance(ids, ids, AUDIO_TO_TEXT), expected.T, atol=1e-6)
    assert np.abs(expected - expected.T).max() > 0.1  # so that the direction matters
    few = relevance(ids[:2], ids[1:], AUDIO_TO_TEXT)
    np.testing.assert_allclose(few, expected.T[:2, 1:], atol=1e-6)


def test_the_loss_is_that_of_the_paper_with_its_gradient(scores: np.ndarray) -> None:
    estimates = correspondences(IDS, dict.fromkeys(DIMS, 1.0))
    expected, gradient = distillation(scores, estimates)
    loss, ours = loss_and_gradient(taught(), distilling(), scores)  # type: ignore[arg-type]
    assert loss == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(ours, gradient, atol=1e-5)
    assert np.abs(gradient).max() > 0.1


def test_a_student_that_equals_its_teachers_gets_no_gradient() -> None:
    estimates = correspondences(IDS, dict.fromkeys(DIMS, 1.0))
    _, gradient = loss_and_gradient(taught(), distilling(), estimates)  # type: ignore[arg-type]
    np.testing.assert_allclose(gradient, 0, atol=1e-5)


def test_mixed_with_binary_targets_it_is_the_supervised_loss_plus_lambda_times_the_distillation(
    scores: np.ndarray,
) -> None:
    weight = 0.7
    binary = np.equal.outer(AUDIO_OF[IDS], AUDIO_OF[IDS]).astype(float)
    supervised, gradient = 0.0, np.zeros_like(scores)
    for axis in (1, 0):
        p, q = binary / binary.sum(axis, keepdims=True), softmax(scores / TAU, axis)
        supervised += -(p * np.log(q)).sum() / len(IDS) / 2
        gradient += (q - p) / TAU / len(IDS) / 2
    distilled, of_distilled = distillation(scores, correspondences(IDS, dict.fromkeys(DIMS, 1.0)))
    mixed = MixedTargets([SameAudio(), taught()], [None, TAU / 2], [1, weight])
    mixed.parts[0].prepare(CAPTIONS, AUDIO_OF)
    loss, ours = loss_and_gradient(mixed, ListNet("both", TAU, None), scores)
    assert (1 + weight) * loss == pytest.approx(supervised + weight * distilled, abs=1e-5)
    np.testing.assert_allclose((1 + weight) * ours, gradient + weight * of_distilled, atol=1e-5)


@given(st.permutations([*WEIGHTS]))
def test_the_order_of_teachers_does_not_matter(order: list[str]) -> None:
    ids = torch.tensor(IDS)
    for direction in (TEXT_TO_AUDIO, AUDIO_TO_TEXT):
        shuffled = taught(order, [WEIGHTS[name] for name in order])(ids, ids, direction)
        torch.testing.assert_close(shuffled, taught(weights=[*WEIGHTS.values()])(ids, ids, direction))


def test_a_teacher_without_weight_says_nothing() -> None:
    ids = torch.tensor(IDS)
    torch.testing.assert_close(taught("ab", [2, 0])(ids, ids), taught("a")(ids, ids))


def test_tables_travel_in_no_state_and_are_not_trained() -> None:
    relevance = taught()
    assert list(relevance.parameters()) == list(relevance.buffers()) == []
    assert not relevance.symmetric


def test_the_mass_off_the_pair_against_a_loop() -> None:
    ids, items = torch.tensor([5, 2]), torch.tensor([2, 9, 5])
    target = target_distribution(taught()(ids, items, TEXT_TO_AUDIO), TAU)
    off = [sum(float(target[i, j]) for j, item in enumerate([2, 9, 5]) if item != ids[i]) for i in (0, 1)]
    assert float(mass_off_pair(target, ids, items)) == pytest.approx(sum(off) / 2)


@pytest.mark.parametrize(
    ("teachers", "weights", "message"),
    [
        ([], None, "0 teachers and 0 weights; give at least one teacher"),
        (["a", "b"], [1.0], "2 teachers and 1 weights"),
        (["a", "b", "a"], None, "teacher 'a' is given twice; name each once, and weigh it by weights"),
        (["a", "b"], [1.0, -1.0], "give none below 0 and one above"),
        (["a"], [0.0], "give none below 0 and one above"),
        (["a"], [float("nan")], "give none below 0 and one above"),
    ],
)
def test_teachers_and_weights_have_to_fit(teachers: list[str], weights: list[float] | None, message: str) -> None:
    with pytest.raises(RelevanceError, match=message):
        EstimatedCorrespondence(teachers, weights)


def test_without_tables_the_way_to_get_them_is_said() -> None:
    with pytest.raises(RelevanceError, match="has no tables of its teachers: train with `python train"):
        EstimatedCorrespondence(["a"]).prepare(CAPTIONS, AUDIO_OF)
    relevance = EstimatedCorrespondence(["a"])
    relevance.take([table_of("a")], DATA)
    with pytest.raises(RelevanceError, match=r"before prepare\(\)"):
        relevance(torch.tensor([0]), torch.tensor([0]))


def test_tables_of_other_data_are_refused() -> None:
    relevance = EstimatedCorrespondence(["a", "b"])
    relevance.take([table_of("a"), table_of("b")], DATA)
    for captions, audio_ids in (([*CAPTIONS[1:], "a"], AUDIO_OF), (CAPTIONS, AUDIO_OF[::-1].copy())):
        with pytest.raises(RelevanceError, match="teachers a, b are of other captions or recordings than the data"):
            relevance.prepare(captions, audio_ids)


def test_tables_of_other_teachers_or_with_missing_rows_are_refused() -> None:
    relevance = EstimatedCorrespondence(["a", "b"])
    with pytest.raises(RelevanceError, match=r"tables of \['b', 'a'\] were given for the teachers \['a', 'b'\]"):
        relevance.take([table_of("b"), table_of("a")], DATA)
    whole = table_of("b")
    for cut in (whole._replace(audio=whole.audio[1:]), whole._replace(text=whole.text[1:])):
        with pytest.raises(RelevanceError, match=r"teacher 'b': its table has \d+ recordings and \d+ captions, but"):
            relevance.take([table_of("a"), cut], DATA)


def test_a_caption_or_recording_that_no_table_has_is_named() -> None:
    missing, ids = 9, torch.tensor(IDS)
    whole = table_of("a")
    rows = {"caption": DATA.caption_ids != missing, "recording": DATA.audio_ids != AUDIO_OF[missing]}
    for what, direction in itertools.product(rows, (TEXT_TO_AUDIO, AUDIO_TO_TEXT)):
        kept = rows[what]
        relevance = EstimatedCorrespondence(["a"])
        if what == "caption":
            data = DATA._replace(caption_ids=DATA.caption_ids[kept])
            relevance.take([whole._replace(text=whole.text[kept])], data)
        else:
            data = DATA._replace(audio_ids=DATA.audio_ids[kept])
            relevance.take([whole._replace(audio=whole.audio[kept])], data)
        relevance.prepare(CAPTIONS, AUDIO_OF)
        with pytest.raises(
            RelevanceError, match=f"caption {missing} .'{CAPTIONS[missing]}'. or its recording is not in"
        ):
            relevance(ids, ids, direction)
        assert relevance.holds(np.array([0, 2]))
        assert relevance.holds(np.array([missing])) == (what == "recording")
