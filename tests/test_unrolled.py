"""Trainings followed step by step: optimisers, flatter gradients, reactions, the run and its metagradients."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import interplay as ip  # noqa: E402
from interplay import progress  # noqa: E402
from interplay.unrolled import Flatter, InRun, Metagradient, Optimiser, Replay  # noqa: E402
from interplay.unrolled.misfit import WORST, Misfit  # noqa: E402
from interplay.unrolled.outcome_loss import OutcomeLoss  # noqa: E402
from interplay.unrolled.reactions import Outcomes, chosen, outputs  # noqa: E402
from interplay.unrolled.training import batches, train  # noqa: E402

from .courses import SoftmaxRegression  # noqa: E402

SGD = Optimiser("sgd", lr=0.3, momentum=0.5, weight_decay=0.01)
ADAM = Optimiser("adamw", lr=0.05, weight_decay=0.1, eps=1e-3, warmup=0.2)
MASKS = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [0, 1, 0, 1], [1, 0.5, 2, 1]], float)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_steps_are_those_of_torch(name):
    W = torch.randn(7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    theirs = W.clone().requires_grad_()
    if name == "adamw":
        own = Optimiser("adamw", lr=0.1, weight_decay=0.2, betas=(0.8, 0.9), schedule="constant", warmup=0.0)
        other = torch.optim.AdamW([theirs], lr=0.1, weight_decay=0.2, betas=(0.8, 0.9))
    else:
        own = Optimiser("sgd", lr=0.1, momentum=0.7, schedule="constant", warmup=0.0)
        other = torch.optim.SGD([theirs], lr=0.1, momentum=0.7)
    state, many = own.start(W), W.repeat(3, 1)
    states = own.start(many)
    for t in range(6):
        g = torch.sin(theirs.detach() * (t + 1))
        theirs.grad = g.clone()
        other.step()
        own.step(many, g.repeat(3, 1), states, own.rate(t, 6))
        own.step(W, g, state, own.rate(t, 6))
    torch.testing.assert_close(W, theirs.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(many, W.repeat(3, 1), rtol=1e-12, atol=1e-12)


def test_the_learning_rate_warms_up_and_falls():
    rates = [Optimiser(lr=2.0, schedule="cosine", warmup=0.25).rate(t, 8) for t in range(8)]
    assert rates[0] == 1.0
    assert rates[1] == rates[2] == 2.0
    assert np.all(np.diff(rates[2:]) < 0)
    assert Optimiser(lr=2.0, schedule="constant", warmup=0.0).rate(7, 8) == 2.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "lion"}, "name is 'lion'"),
        ({"lr": -1.0}, "lr is -1.0"),
        ({"warmup": 1.5}, "warmup is 1.5"),
        ({"betas": (0.9, 1.0)}, "betas"),
        ({"schedule": "step"}, "schedule is 'step'"),
        ({"weight_decay": float("nan")}, "weight_decay"),
    ],
)
def test_bad_options_of_an_optimiser_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        Optimiser(**options)


def test_flatter_gradients_are_their_formulas():
    A = torch.diag(torch.tensor([1.0, 4.0, 9.0], dtype=torch.float64))
    plain = lambda W, indices, weights: A @ W
    W = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    batch = (np.zeros(1), np.ones(1))
    g = A @ W
    sam = Flatter("sam", 0.1).gradient(plain, W, batch, None)
    torch.testing.assert_close(sam, A @ (W + 0.1 * g / g.norm()))
    noise = Flatter("noise", 0.1).gradient(plain, W, batch, torch.Generator().manual_seed(0))
    torch.testing.assert_close(noise, g)  # symmetric perturbations leave the gradient of a quadratic
    with pytest.raises(ValueError, match="flatter is 'asam'"):
        Flatter("asam", 0.1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="size of sam is -1"):
        Flatter("sam", -1)


def test_noise_is_that_of_the_seed():
    course = SoftmaxRegression()
    whole = course.batches(np.ones(4), 0)
    ends = [
        train(course.initial(0), whole, course.gradient, SGD, seed=seed, flatter=Flatter("noise", 0.3))
        for seed in (0, 0, 1)
    ]
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_batches_leave_gaps_or_close_them():
    course = SoftmaxRegression()
    from interplay.coupling import Schedule

    schedule = Schedule(course.group, seed=0, batch_size=8, epochs=2)
    gaps = batches(schedule, np.array([1, 0, 1, 1.0]), refill=False)
    closed = batches(schedule, np.array([1, 0, 1, 1.0]), refill=True)
    assert len(gaps) == 10
    assert len(closed) == 8, "60 of 80 examples are left"
    assert np.concatenate([i for i, _ in gaps]).tolist() == np.concatenate([i for i, _ in closed]).tolist()
    assert all(np.allclose(w, 1 / 8) for _, w in gaps + closed)


@pytest.mark.parametrize("optimiser", [SGD, ADAM])
@pytest.mark.parametrize("targets", ["linear", "real"])
def test_the_run_is_exact_where_outputs_are_linear(optimiser, targets):
    course = SoftmaxRegression(optimiser=optimiser)
    seeds = np.array([0, 0, 1, 1])
    run = InRun(course, targets=targets)
    np.testing.assert_allclose(run.evaluate(MASKS, seeds), course.evaluate(MASKS, seeds), rtol=1e-9, atol=1e-9)
    assert set(run.moved) == {0, 1}


@pytest.mark.parametrize("optimiser", [SGD, ADAM])
@pytest.mark.parametrize("targets", ["linear", "real"])
def test_the_replay_around_an_end_is_exact_where_outputs_are_linear(optimiser, targets):
    course = SoftmaxRegression(optimiser=optimiser)
    found = Replay(course, course.train(), targets=targets)
    truth = course.evaluate(MASKS, np.zeros(4, int))
    np.testing.assert_allclose(found.evaluate(MASKS, np.zeros(4, int)), truth, rtol=1e-8, atol=1e-8)
    assert found.notes["estimator"]["method"] == "replay"
    assert found.fingerprint() != Replay(course, course.train(seed=1), targets=targets).fingerprint()
    with pytest.raises(ValueError, match="and the course trains 12 parameters"):
        Replay(course, torch.zeros(3, dtype=torch.float64))


def test_more_outcomes_come_closer():
    course = SoftmaxRegression(optimiser=ADAM, classes=5, places=3)
    truth = course.evaluate(MASKS[:3], np.zeros(3, int))
    errors = [
        np.abs(InRun(course, react=R).evaluate(MASKS[:3], np.zeros(3, int)) - truth).mean() for R in (0, 2, 6, 12)
    ]
    assert errors[3] < 1e-9 < errors[2] < errors[1] < errors[0]


def test_without_reactions_contributions_are_summed():
    course = SoftmaxRegression(optimiser=Optimiser("sgd", lr=0.1, schedule="constant", warmup=0.0))
    W, copies = InRun(course, react=0).follow(MASKS[1:2], 0)
    V, sums = course.initial(0), torch.zeros(4, len(W), dtype=torch.float64)
    for indices, weights in course.batches(np.ones(4), 0):
        G = course.reactions(V, indices, 0).gradients
        for g, i, w in zip(G, indices, weights, strict=True):
            sums[course.group[i]] += 0.1 * w * g
        V = V - 0.1 * course.gradient(V, indices, weights)
    torch.testing.assert_close(W, V)
    torch.testing.assert_close(copies[0], V + sums[3])


# ---- whether reactions foresee real losses


def looks_back(course, R, back, at):
    """Errors at some steps, each array read anew: what outputs that are linear at W_t say of losses at W_{t - back}."""
    V, past, found = course.initial(0), [], []
    for t, (indices, weights) in enumerate(course.batches(np.ones(4), 0)):
        past.append(V)
        if t in at:
            X, y, there = course.X[indices], course.y[indices], past[t - back]
            reactions = course.reactions(V, indices, R)
            plain = (
                course.losses(V, X, y)
                + torch.func.jvp(lambda U, X=X, y=y: course.losses(U, X, y), (V,), (there - V,))[1]
            )
            change = torch.einsum("nrp,p->nr", reactions.rows, there - V)
            foreseen, real = plain + reactions.bend(change)[1], course.losses(there, X, y)
            found.append([float((one - real).abs().sum()) for one in (foreseen, plain)])
        V = V - course.optimiser.lr * course.gradient(V, indices, weights)
    return np.array(found)


@pytest.mark.parametrize("R", [1, 2, 6])
def test_the_misfit_is_that_of_losses_along_the_run(R):
    sgd = Optimiser("sgd", lr=0.3, schedule="constant", warmup=0.0)
    course = SoftmaxRegression(optimiser=sgd, classes=5, places=3, steps=12)
    run = InRun(course, react=R)
    run.evaluate(MASKS[:2], np.zeros(2, int))
    assert (Misfit(12).back, Misfit(12).at) == (2, set(range(2, 12)))
    errors, plain = looks_back(course, R, 2, set(range(2, 12))).sum(0)
    assert run.misfit[0] == pytest.approx(errors / plain, rel=1e-9)


def test_the_misfit_falls_as_more_outcomes_react():
    course = SoftmaxRegression(optimiser=ADAM, classes=5, places=3)
    found = []
    for R in (1, 2, 6, 12):
        run = InRun(course, react=R)
        run.evaluate(MASKS[1:3], np.zeros(2, int))
        found.append(run.misfit[0])
    assert found[3] < 1e-9 < found[2] < found[1] < found[0]


def test_looks_are_along_the_run():
    looks = Misfit(300)
    assert (looks.back, min(looks.at), max(looks.at), len(looks.at)) == (5, 30, 299, 20)
    assert (Misfit(20).back, min(Misfit(20).at)) == (3, 3)
    assert Misfit(1).at == set()
    assert Misfit(2).at == {1}
    assert Misfit(1).value is None


def test_what_only_rounds_is_not_looked_at():
    course = SoftmaxRegression(optimiser=Optimiser("sgd", lr=1e-9))  # losses are linear along so short a way
    run = InRun(course, react=2)
    run.evaluate(MASKS[:2], np.zeros(2, int))
    assert run.misfit == {}
    assert run.warnings == ()


def test_reactions_that_foresee_little_are_said():
    course = SoftmaxRegression()
    run = InRun(course, react=2)
    assert run.warnings == ()
    run.misfit = {0: 0.1, 1: WORST}
    assert len(run.warnings) == 1
    assert f"their error is {WORST:.2f} of that without them" in run.warnings[0]
    assert "Raise react (now 2)" in run.warnings[0]
    assert len(run.warnings[0]) <= 300  # a line of an answer holds no more
    assert run.notes["estimator"]["misfit"] == WORST
    assert run.notes["estimator"]["warnings"] == list(run.warnings)
    run.misfit = {0: WORST - 0.01}
    assert run.warnings == ()
    assert "warnings" not in run.notes["estimator"]


def test_an_answer_shows_it():
    course, masks = SoftmaxRegression(classes=5), ip.masks.leave_one_out(4)
    masks = np.vstack([masks, [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]])
    shown = lambda react: repr(ip.attribute(ip.evaluate(InRun(course, react=react), masks, progress=False)))
    assert "Estimator: reactions foresee little" in shown(1)
    assert "reactions foresee little" not in shown(None)
    assert "reactions foresee little" not in shown(0)
    assert "Estimator: unknown: no retrained masks to judge by; Imitation" in shown(0)


def test_nothing_is_looked_at_where_nothing_reacts():
    run = InRun(SoftmaxRegression(), react=0)
    run.evaluate(MASKS, np.zeros(4, int))
    assert run.misfit == {}
    assert "misfit" not in run.notes["estimator"]


# ---- steps that are shown


def test_steps_are_told_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr(progress, "QUIET", 0.0)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    course = SoftmaxRegression(steps=3)
    for way in (InRun, lambda course, **how: Replay(course, course.train(), **how)):
        way(course, progress=True).evaluate(MASKS, np.array([4, 4, 4, 4]))
        lines = capsys.readouterr().err.splitlines()
        assert [line.split(",")[0] for line in lines] == [
            f"interplay: {t} of 3 steps of the training of seed 4" for t in (1, 2, 3)
        ]
        assert lines[-1].endswith(", 0 s left")
        way(course).evaluate(MASKS, np.zeros(4, int))
        assert capsys.readouterr().err == ""


def test_masks_are_followed_in_several_passes():
    course = SoftmaxRegression()
    seeds = np.zeros(4, int)
    together, apart = InRun(course), InRun(course, memory=12 * 26)
    assert apart.batch == 1
    np.testing.assert_allclose(apart.evaluate(MASKS, seeds), together.evaluate(MASKS, seeds), rtol=1e-12)


def test_courses_that_cannot_be_followed_are_refused():
    course = SoftmaxRegression()
    with pytest.raises(ValueError, match="react is -1"):
        InRun(course, react=-1)
    with pytest.raises(ValueError, match="targets is 'exact'"):
        InRun(course, targets="exact")
    course.notes = {**course.notes, "absent_tasks": "fixed_epochs"}
    for way in (InRun, Metagradient):
        with pytest.raises(ValueError, match="steps="):
            way(course)
    course.notes = {**course.notes, "absent_tasks": "fixed_steps", "training": {"flatter": "sam"}}
    for way in (InRun, Metagradient):
        with pytest.raises(ValueError, match="flatter"):
            way(course)


@pytest.mark.parametrize("optimiser", [SGD, ADAM])
def test_metagradients_are_finite_differences(optimiser):
    course = SoftmaxRegression(optimiser=optimiser)
    full, slopes = Metagradient(course).slopes(0)
    h = 1e-5
    for k in range(4):
        ends = np.ones((2, 4))
        ends[:, k] += (h, -h)
        up, down = course.evaluate(ends, np.zeros(2, int))
        np.testing.assert_allclose(slopes[k], (up - down) / (2 * h), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(full, course.evaluate(np.ones((1, 4)), np.zeros(1, int))[0])
    estimate = Metagradient(course).evaluate(MASKS[1:2], np.zeros(1, int))
    np.testing.assert_allclose(estimate[0], full - slopes[3])


def test_states_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="raise memory, or use InRun"):
        Metagradient(SoftmaxRegression(), memory=100).slopes(0)


def logits_of(seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(6, 5, generator=generator, dtype=torch.float64), torch.tensor([0, 0, 1, 2, 2, 2])


def test_the_most_uncertain_outcomes_are_chosen():
    f, owner = logits_of()
    found = chosen(f, owner, 3, 2)
    p = f.softmax(-1)
    score = p * (1 - p)
    for i in range(3):
        rows = (owner == i).nonzero()[:, 0]
        best = score[rows].flatten().topk(2).values
        torch.testing.assert_close(score[found.place[i], found.outcome[i]], best)
    assert found.weight.tolist() == [0.5, 1.0, pytest.approx(1 / 3)]


@pytest.mark.parametrize("R", [1, 2, 4, 9])
def test_losses_of_outcomes_bend_as_the_softmax_does(R):
    f, owner = logits_of()
    found = chosen(f, owner, 3, R)
    assert found.place.shape == (3, min(R, 12))
    change = torch.randn(3, found.q.shape[1], generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    change = torch.where(found.place >= 0, change, 0.0)
    moved = f.clone()  # logits that move the chosen outcomes by `change`, and nothing among the rest
    for i, r in (found.place >= 0).nonzero().tolist():
        moved[found.place[i, r], found.outcome[i, r]] += change[i, r]
    torch.testing.assert_close(torch.where(found.place >= 0, outputs(moved, found) - found.q, 0.0), change)
    slope, second = found.bend(change)

    def loss(g):  # of the label 0, mean over the places of each example
        values = torch.nn.functional.cross_entropy(g, torch.zeros(6, dtype=torch.int64), reduction="none")
        return torch.zeros(3, dtype=torch.float64).index_add(0, owner, values) * found.weight

    first = torch.func.jvp(loss, (f,), (moved - f,))[1]
    torch.testing.assert_close(second, loss(moved) - loss(f) - first)
    assert (second >= -1e-12).all()
    assert slope.shape == change.shape


@pytest.mark.parametrize("R", [1, 3, 9])
def test_the_loss_for_the_solver_has_its_derivatives(R):
    f, owner = logits_of(2)
    loss = OutcomeLoss(torch.rand(3, generator=torch.Generator().manual_seed(3)), chosen(f, owner, 3, R))
    C = 1 + loss.outcomes.q.shape[1]
    generator = torch.Generator().manual_seed(4)
    x, v = torch.randn(2, 3, C, generator=generator, dtype=torch.float64)
    labels = torch.arange(3)
    value = lambda y: loss.value_and_residual(y, labels)[0].sum()
    torch.testing.assert_close(loss.value_and_residual(x, labels)[1], torch.func.grad(value)(x))
    H = torch.func.hessian(value)(x)
    torch.testing.assert_close(loss.curvature_product(x, v, labels), torch.einsum("ncmd,md->nc", H, v))
    root = loss.curvature_root(x, torch.eye(C, dtype=torch.float64).expand(3, C, C), labels)
    own = torch.stack([H[i, :, i] for i in range(3)])
    torch.testing.assert_close(torch.einsum("nrc,nrd->ncd", root, root), own)


def test_outcomes_of_parts_are_put_together():
    f, owner = logits_of()
    parts = [chosen(f[:3], owner[:3], 2, 4), chosen(f[3:], owner[3:] - 2, 1, 9)]
    whole = Outcomes.stacked(parts)
    assert whole.place.shape == (3, 9)
    change = torch.zeros(3, 9, dtype=torch.float64)
    change[:2, :4] = 0.3
    change[2] = -0.2
    slope, second = whole.bend(change)
    for rows, part, columns in ((slice(0, 2), parts[0], 4), (slice(2, 3), parts[1], 9)):
        own_slope, own_second = part.bend(change[rows, :columns])
        torch.testing.assert_close(slope[rows, :columns], own_slope)
        torch.testing.assert_close(second[rows], own_second)
