"""Ways to imitate one training: the optimum around its end, and the choice among ways on retrained masks."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from scipy.optimize import minimize  # noqa: E402

import interplay as ip  # noqa: E402
from interplay.evaluators import Imitation, Linearized  # noqa: E402
from interplay.evaluators.course_linearized import CourseLinearized  # noqa: E402
from interplay.unrolled import InRun, Optimiser  # noqa: E402

from .courses import SoftmaxRegression  # noqa: E402

MASKS = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 0, 0]], float)


@pytest.fixture(scope="module")
def course():
    return SoftmaxRegression(optimiser=Optimiser("sgd", lr=0.5, schedule="constant", warmup=0.0), steps=60)


@pytest.fixture(scope="module")
def W0(course):
    return course.train()


@pytest.fixture(scope="module")
def few(course):
    return ip.evaluate(course, MASKS, seeds=[0])


@pytest.mark.parametrize("sketch", [4096, 11])
def test_the_optimum_is_that_of_the_ridge_objective(course, W0, sketch):
    found = CourseLinearized(course, W0, mu=0.05, sketch=sketch)
    mask = MASKS[1]
    a = torch.from_numpy(mask[course.group] / len(course.group))
    start = (course.losses(W0, course.X, course.y).detach() / len(course.group)).sum()
    assert np.isfinite(float(start))
    pull = torch.func.grad(lambda V: course.losses(V, course.X, course.y).mean())(W0)

    def objective(w):
        V = torch.from_numpy(w).requires_grad_()
        value = (a * course.losses(V, course.X, course.y)).sum() + 0.025 * (V - W0).square().sum() - pull @ (V - W0)
        return value.item(), torch.autograd.grad(value, V)[0].numpy()

    best = minimize(objective, W0.numpy(), jac=True, method="BFGS", options={"gtol": 1e-8})
    W = found.parameters(found.displacements(mask[None]))[0]
    if sketch > 11:  # the whole space: exact
        np.testing.assert_allclose(W, best.x, atol=1e-5)
        np.testing.assert_allclose(found.evaluate(mask[None])[0], course.measure(W), atol=1e-6)
    else:
        assert objective(W.numpy())[0] < objective(W0.numpy())[0]
        assert found.notes["estimator"]["sketch"] == 11


def test_the_full_mask_stays_where_training_ended(course, W0):
    found = CourseLinearized(course, W0, mu=0.1)
    np.testing.assert_allclose(found.displacements(np.ones((1, 4))), 0, atol=1e-6)
    np.testing.assert_allclose(found.evaluate(np.ones((1, 4)))[0], course.measure(W0), atol=1e-6)


def test_the_ridge_is_that_of_gradient_descent_or_chosen(course, W0, few):
    assert CourseLinearized(course, W0).mu == pytest.approx(1 / (0.5 * 60))
    chosen = CourseLinearized(course, W0, retrained=few)
    assert chosen.notes["estimator"]["mu_from"] == "6 retrained masks"
    assert chosen.notes["estimator"]["verdict"] in ("faithful", "ranking only", "unfaithful")
    adam = SoftmaxRegression(optimiser=Optimiser("adamw", lr=0.05))
    assert "pass retrained=" in CourseLinearized(adam, adam.train()).notes["estimator"]["mu_from"]


def test_an_end_of_another_model_is_refused(course):
    with pytest.raises(ValueError, match="and the course trains 12 parameters"):
        Linearized.from_finetune(course, torch.zeros(5, dtype=torch.float64))


def test_fingerprints_tell_ends_and_options_apart(course, W0):
    own = [
        CourseLinearized(course, W0).fingerprint(),
        CourseLinearized(course, W0, react=1).fingerprint(),
        CourseLinearized(course, W0 + 1).fingerprint(),
        InRun(course).fingerprint(),
        InRun(course, react=0).fingerprint(),
    ]
    assert len({str(one) for one in own}) == len(own)


def test_the_way_that_agrees_best_is_chosen(course, W0, few):
    ways = {"sum": InRun(course, react=0), "in run": InRun(course), "optimum": CourseLinearized(course, W0)}
    best = Imitation(ways, few)
    assert best.chosen == "in run", "it is exact here"
    assert best.table["in run"]["centred_error_over_spread"] < 1e-6
    assert best.notes["estimator"]["verdict"] == "faithful"
    assert set(best.notes["estimator"]["ways"]) == set(ways)
    assert best.fidelity == "estimated-in-run"
    assert "in run" in repr(best)
    assert "(chosen)" in repr(best)
    runs = ip.evaluate(best, MASKS, seeds=[0])
    np.testing.assert_allclose(runs.values, few.values, atol=1e-9)
    assert best.fingerprint() == ways["in run"].fingerprint()


def test_few_retrained_masks_choose_nothing(course, few):
    best = Imitation({"sum": InRun(course, react=0), "in run": InRun(course)}, first(few, 3))
    assert best.chosen == "sum"
    assert best.notes["estimator"]["verdict"] == "unknown"


def first(runs, n):
    return ip.Evaluations.from_arrays(
        runs.masks[:n],
        runs.values[:n],
        tasks=runs.tasks,
        targets=runs.targets,
        seed=runs.seed[:n],
        higher_is_better=False,
    )


def test_ways_must_be_of_one_problem(course, few):
    other = SoftmaxRegression(K=3)
    with pytest.raises(ValueError, match="other tasks"):
        Imitation({"in run": InRun(course), "other": InRun(other)}, few)
    with pytest.raises(ValueError, match="ways is empty"):
        Imitation({}, few)


def test_estimates_join_retrained_runs_in_one_answer(course, few):
    masks = np.unique(ip.masks.bernoulli(4, 12, p=0.7, rng=np.random.default_rng(0)), axis=0)
    cheap = ip.evaluate(InRun(course), masks, seeds=[0])
    answer = ip.attribute(cheap + few)
    assert answer.fidelities is not None
    alone = ip.attribute(cheap)
    assert alone.trust.verdict != "solid", "nothing says how far the estimates are off"
