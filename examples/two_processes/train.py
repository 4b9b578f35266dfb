"""A training script like yours: reads which sources are on, trains, and writes what it measured.

python train.py --mask mask.json --out result.json    # {"weights": {"plain": 1, ...}, "seed": 0} -> {"loss": 1.3}
"""

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

options = argparse.ArgumentParser()
options.add_argument("--mask")
options.add_argument("--out")
options = options.parse_args()
run = json.loads(Path(options.mask).read_text())

# Handwritten digits, which come with scikit-learn, as eight sources of 100 images; some were augmented, two badly.
X, y = load_digits(return_X_y=True)
order = np.random.default_rng(1).permutation(len(y))
X, y = X[order].reshape(-1, 8, 8) / 16, y[order]
noise = np.random.default_rng(2).normal(scale=0.25, size=X.shape)
CHANGES = {
    "plain": lambda x, e: x,
    "shifted_right": lambda x, e: np.roll(x, 1, axis=2),
    "shifted_down": lambda x, e: np.roll(x, 1, axis=1),
    "noisy": lambda x, e: x + e,
    "faint": lambda x, e: x / 2,
    "mirrored": lambda x, e: x[:, :, ::-1],
    "transposed": lambda x, e: x.transpose(0, 2, 1),
    "inverted": lambda x, e: 1 - x,
}
parts = [slice(100 * k, 100 * k + 100) for k in range(len(CHANGES))]
train_X = np.concatenate([change(X[p], noise[p]) for p, change in zip(parts, CHANGES.values(), strict=True)])
train_X, train_y = train_X.reshape(-1, 64), y[:800]
weight = np.repeat([run["weights"][name] for name in CHANGES], 100)
test_X, test_y = (np.roll(X[800:], 1, axis=2) + noise[800:] / 2).reshape(-1, 64), y[800:]  # as a phone takes them

rng = np.random.default_rng(run["seed"])  # the seed fixes initial weights and batches, whatever sources are on
W = rng.normal(scale=0.1, size=(65, 10))


def probabilities(images):
    scores = images @ W[:64] + W[64]
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


for _ in range(600):
    rows = rng.integers(0, 800, 32)
    error = weight[rows, None] * (probabilities(train_X[rows]) - np.eye(10)[train_y[rows]])  # absent: weight 0
    W -= 0.3 * np.vstack([train_X[rows].T @ error, error.sum(axis=0)]) / len(rows) + 1e-4 * W
loss = -np.log(probabilities(test_X)[np.arange(len(test_y)), test_y]).mean()
Path(options.out).write_text(json.dumps({"loss": float(loss)}))
