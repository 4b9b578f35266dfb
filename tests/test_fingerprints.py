"""What tells one evaluator from another: games and the gradient estimators; the others have it in their own tests."""

import json

import numpy as np
import pytest

from interplay.problems import games


def differing(a, b):
    a, b = (json.loads(json.dumps(one.fingerprint())) for one in (a, b))
    return {key for key in a | b if a.get(key) != b.get(key)}


@pytest.mark.parametrize(
    ("one", "other", "differs"),
    [
        (games.xor_pairs(4), games.xor_pairs(4), set()),
        (games.xor_pairs(4), games.duplicates(4), {"terms"}),
        (games.additive(0), games.additive(0), set()),
        (games.additive(0), games.additive(1), {"terms", "noise", "noise_seed"}),
        (games.saturating(4), games.saturating(4), set()),
        (games.saturating(4), games.xor_pairs(4), {"terms", "values"}),
    ],
)
def test_games(one, other, differs):
    assert differing(one, other) == differs
    assert one.batch == 1000


def test_terms_count_whatever_their_order():
    one, other = games.polynomial({(0, 1): 1.0, (2,): 2.0}, 3), games.polynomial({(2,): 2.0, (1, 0): 1.0}, 3)
    assert not differing(one, other)


@pytest.fixture(scope="module")
def estimator():
    """Build `Linearized` (or another) around a small trained model; parts may be replaced."""
    torch = pytest.importorskip("torch")
    from interplay.evaluators.linearized import Linearized

    rng = np.random.default_rng(0)
    draw = lambda n: (torch.from_numpy(rng.normal(size=(n, 4))), torch.from_numpy(rng.integers(0, 3, n)))
    tasks, targets = {"a": draw(20), "b": draw(15)}, {"val": draw(20)}

    def build(kind=Linearized, scale=1.0, shift=0.0, activation=torch.nn.Tanh, **options):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 4), activation(), torch.nn.Linear(4, 3)).double()
        with torch.no_grad():
            model[0].weight *= scale
        moved = tasks | {"b": (tasks["b"][0] + shift, tasks["b"][1])}
        return kind(
            model, moved, targets, **{"dim": 10, **({"weight_decay": 0.1} if kind is Linearized else {})} | options
        )

    return build


def test_gradient_estimators(estimator):
    base = estimator()
    assert base.batch == 1000
    assert not differing(base, estimator())
    before = base.fingerprint()
    base.evaluate(np.ones((1, 2)))
    assert base.fingerprint() == before
    assert differing(base, estimator(scale=2.0)) == {"W0"}
    assert differing(base, estimator(shift=1.0)) == {"data.tasks"}
    assert differing(base, estimator(rng=1, weight_decay=0.2)) == {"rng", "weight_decay"}
    assert differing(base, estimator(training=(0.1, 10), normalise="selected")) == {"mu", "normalise"}
    assert differing(base, estimator(metric="accuracy")) == {"metric.val"}
    torch = pytest.importorskip("torch")
    assert differing(base, estimator(activation=torch.nn.Sigmoid)) == {"model"}
    first, second = (
        estimator(metric=metric, higher_is_better=True)
        for metric in (lambda logits, labels: logits.sum(), lambda logits, labels: logits.mean())
    )
    assert differing(first, second) == {"metric.val"}


def test_published_estimator_and_means(estimator):
    pytest.importorskip("torch")
    from interplay.evaluators.ensemble import Ensemble
    from interplay.evaluators.published import PublishedLinearized

    published = estimator(PublishedLinearized, grid=[0.1])
    assert differing(published, estimator(PublishedLinearized, grid=[1.0])) == {"lambda"}
    one, other = Ensemble([estimator(), estimator(scale=2.0)]), Ensemble([estimator(), estimator(scale=3.0)])
    assert differing(one, other) == {"members.1.W0"}
    assert one.batch == 1000
