"""A script as a new user writes it: a small torch model of one's own, five sources, no retraining."""

import numpy as np
import pytest

import interplay as ip

torch = pytest.importorskip("torch", reason="torch is not installed")


def script(weight_decay=1e-3, shuffle=False):
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    centres = 1.5 * torch.randn(3, 8)

    def source(n, noise=1.0, wrong=0.0, classes=(0, 1, 2)):
        y = torch.tensor(rng.choice(classes, n))
        x = centres[y] + noise * torch.randn(n, 8)
        y = torch.where(torch.rand(n) < wrong, (y + 1) % 3, y)
        return DataLoader(TensorDataset(x, y), batch_size=32, shuffle=shuffle)

    sources = {
        "clean": source(120),
        "blurred": source(120, noise=3.0),
        "wrong": source(120, wrong=0.8),
        "only_0": source(60, classes=(0,)),
        "tiny": source(12),
    }
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    optimiser = torch.optim.Adam(model.parameters(), 0.01, weight_decay=1e-3)
    x, y = (torch.cat(parts) for parts in zip(*(loader.dataset.tensors for loader in sources.values()), strict=True))
    for _ in range(300):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    problem = ip.evaluators.Linearized(model, sources, targets={"val": source(400)}, weight_decay=weight_decay)
    runs = ip.evaluate(problem, ip.masks.bernoulli(5, 20, p=0.9, rng=rng))
    return runs, ip.attribute(runs)


def test_five_sources_are_attributed():
    runs, answer = script()
    assert (len(runs), runs.K, runs.fidelity[0]) == (20, 5, "estimated")
    assert answer.top(1).task.tolist() == ["clean", "wrong"]
    assert answer.effects[answer.tasks.index("wrong"), 0] < 0
    shown = repr(answer)
    for words in ("lower is better", "clean", "wrong", "Verdict:", "Estimator:", "estimator's own error"):
        assert words in shown
    assert answer.trust.verdict != "solid"  # nothing was retrained to judge the estimates by


def test_what_is_forgotten_is_said():
    shown = repr(script(weight_decay=0.0)[1])
    assert "state weight_decay" in shown
    with pytest.raises(ValueError, match=r"loaders\['clean'\] shuffles.*shuffle=False"):
        script(shuffle=True)
