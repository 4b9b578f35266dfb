"""Subspaces of the parameters in which the training of every mask is solved: W = W0 + R z, R (p, d).

data         : W0, the first-order response (G + ridge I)^-1 g_k and the mean loss gradient g_k of each task, leading
               eigenvectors of the Gauss-Newton matrix G = sum_i w_i J_i'H_i J_i / sum_i w_i, H_i = L_i L_i' the loss's
               curvature (randomised range finding, two power steps); orthonormal
gauss-newton : W0, each g_k, leading right singular vectors of sketched rows a_j = sum_i sqrt(w_i) J_i'L_i v_ij,
               v_ij = +-1, E[a_j a_j'] = sum w_i G: 2 d + 16 rows, one backward pass each whatever the number of
               outputs, and no forward mode; orthonormal (Halko, Martinsson, Tropp 2011, one pass)
gaussian, rademacher, sparse : random, see `interplay.gradients.random_bases`; never p x d in memory beyond a limit

Error over spread on 40 retrained masks of digits (3,610 parameters, 20 tasks) at d = 64, 104, 256: data .24, .23, .21;
gauss-newton .48, .38, .27, for a third of the time; gaussian .76, .69, .56; sparse .72, .66, .55.

The first two hold R itself, p x d numbers (in float32 or bfloat16 if wanted), and while they are found a few times
that. Columns are in the order above, so that the first of them are a smaller subspace of the same kind.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .bases import Basis, Held
from .devices import allowance
from .examples import Examples
from .losses import Loss
from .network import Network
from .random_bases import Drawn, Hashed

SUBSPACES = ("data", "gauss-newton", "gaussian", "rademacher", "sparse")
RANDOM = SUBSPACES[2:]
COLUMNS = 65536  # of rows that are multiplied at once


def basis(
    kind: str,
    network: Network,
    examples: Examples,
    loss: Loss,
    dim: int,
    rng: np.random.Generator,
    *,
    ridge: float = 0.0,
    orthonormal: bool = True,
    storage: torch.dtype | None = None,
    memory: int | None = None,
) -> Basis:
    """Basis R (p, d) of a subspace; the identity where d reaches the number of parameters.

    Parameters
    ----------
    kind : {"data", "gauss-newton", "gaussian", "rademacher", "sparse"}
    network, examples, loss
        The trained network and the examples of all tasks.
    dim : int
        Number of columns d.
    rng : numpy.random.Generator
        Seeds all that is random; of the random bases it gives the seed from which entries are made.
    ridge : float
        Ridge of the training objective (weight decay + mu), for the responses of "data".
    orthonormal : bool
        Orthonormalise a random basis (the span stays; |R z| = |z|). The others always are.
    storage : torch.dtype, optional
        What a basis in memory is kept in; default: the model's precision. In bfloat16 R'R = I holds to about 1e-2.
    memory : int, optional
        Bytes up to which "gaussian" and "rademacher" are kept; beyond, they are drawn again block by block. Default:
        1 GiB, and on a card an eighth of what is free there if that is more.

    Raises
    ------
    ValueError
        If kind or dim is none of the allowed.
    """
    if kind not in SUBSPACES:
        raise ValueError(f"subspace is {kind!r}; it must be one of {', '.join(SUBSPACES)}.")
    if int(dim) != dim or dim < 1:
        raise ValueError(f"dim is {dim!r}; it must be a whole number of at least 1.")
    dim, size, like = int(dim), network.size, network.W0
    if dim >= size and (orthonormal or kind not in RANDOM):
        return Held(torch.eye(size, dtype=like.dtype, device=like.device), like, kind=kind, storage=storage)
    if kind not in RANDOM:
        find = data_subspace if kind == "data" else gauss_newton_subspace
        found = find(network, examples, loss, dim, rng, ridge=ridge)
        return Held(found.T, like, kind=kind, storage=storage)
    seed = int(rng.integers(2**63))
    if kind == "sparse":
        random: Basis = Hashed(size, dim, seed, like)
    else:
        memory = allowance(like.device, 2**30) if memory is None else memory
        random = Drawn(kind, size, dim, seed, like, memory=memory, storage=storage)
    return random.orthonormalise() if orthonormal else random


def subspace(
    kind: str,
    network: Network,
    examples: Examples,
    loss: Loss,
    dim: int,
    rng: np.random.Generator,
    *,
    ridge: float = 0.0,
    orthonormal: bool = True,
) -> Tensor:
    """`basis` as a matrix (p, d) in memory."""
    return basis(kind, network, examples, loss, dim, rng, ridge=ridge, orthonormal=orthonormal).dense()


def task_gradients(network: Network, examples: Examples, loss: Loss) -> Tensor:
    """Mean loss gradient of each task at W0, shape (K, p)."""
    K = len(examples.names)
    residual = loss.value_and_residual(examples.offset, examples.labels)[1] * examples.weights.unsqueeze(-1)
    total = torch.zeros(K, network.size, dtype=network.wide, device=network.W0.device)
    at_once = max(1, network.memory // (8 * total.element_size() * network.size))  # tasks: each is held a few times
    for x, rows in examples.slices():
        for present in examples.task[rows].unique().split(at_once):
            chosen = (examples.task[rows] == present[:, None]).unsqueeze(-1)
            total.index_add_(0, present, network.pull(x, (chosen * residual[rows]).to(network.W0.dtype)).to(total))
    return total.div_(examples.counts.to(total)[:, None])


def curvature_product(network: Network, examples: Examples, loss: Loss, vectors: Tensor) -> Tensor:
    """Gauss-Newton matrix of all examples' mean loss times `vectors` (p, d), shape (p, d)."""
    return curvature_rows(network, examples, loss, vectors.T).T


def curvature_rows(network: Network, examples: Examples, loss: Loss, V: Tensor) -> Tensor:
    """Gauss-Newton matrix of all examples' mean loss times each row of V (d, p), shape (d, p)."""
    total = torch.zeros_like(V)
    for x, rows in examples.slices():
        moved = network.push_rows(x, V)
        bent = loss.curvature_product(examples.offset[rows].to(moved), moved, examples.labels[rows])
        total += network.pull(x, (bent * examples.weights[rows].unsqueeze(-1)).to(moved))
    return total / examples.weights.sum().to(total)


def data_subspace(
    network: Network,
    examples: Examples,
    loss: Loss,
    dim: int,
    rng: np.random.Generator,
    *,
    ridge: float = 0.0,
    power: int = 2,
    conjugate: int = 10,
) -> Tensor:
    """W0, each task's first-order response and mean gradient, leading eigenvectors of G, orthonormal (p, d)."""
    with torch.no_grad():
        gradients = task_gradients(network, examples, loss)
        tasks = len(gradients)
        values, leading = leading_eigenvectors(
            network, examples, loss, max(dim - 2 * tasks - 1, min(dim, 16)), rng, power
        )
        responses = _responses(network, examples, loss, gradients, ridge, values, leading, conjugate)
        fixed = torch.cat([network.W0[None].to(gradients), responses, gradients])
        fixed = fixed / fixed.norm(dim=1, keepdim=True).clamp_min(1e-30)
        if tasks + 1 > dim:
            return torch.linalg.svd(fixed[: tasks + 1].double(), full_matrices=False)[2][:dim].to(fixed).T
        return independent_rows(torch.cat([fixed, leading]), dim).to(fixed).T


def gauss_newton_subspace(
    network: Network,
    examples: Examples,
    loss: Loss,
    dim: int,
    rng: np.random.Generator,
    *,
    ridge: float = 0.0,
    oversampling: float = 2.0,
) -> Tensor:
    """W0, mean gradient of each task, leading right singular vectors of sketched rows of L'J, orthonormal (p, d)."""
    del ridge  # responses in the sketched G were measured to add nothing
    with torch.no_grad():
        gradients = task_gradients(network, examples, loss)
        fixed = torch.cat([network.W0[None].to(gradients), gradients])[:dim]
        fixed = fixed / fixed.norm(dim=1, keepdim=True).clamp_min(1e-30)
        count = min(network.size, int(oversampling * dim) + 16)
        rows = sketched_rows(network, examples, loss, count, rng)
        values, left = torch.linalg.eigh(_gram(rows))
        leading = left[:, -dim:].flip(1) / values[-dim:].flip(0).clamp_min(1e-30).sqrt()
        return independent_rows(torch.cat([fixed, leading.T.to(rows) @ rows]), dim).to(fixed).T


def sketched_rows(
    network: Network, examples: Examples, loss: Loss, count: int, rng: np.random.Generator, *, kind: str = "rademacher"
) -> Tensor:
    """Rows a_j = sum_i sqrt(w_i) J_i'L_i v_ij, shape (count, p): E[a a'] is the Gauss-Newton matrix of the sum.

    Parameters
    ----------
    kind : {"rademacher", "gaussian"}
        Entries of v.
    """
    total = torch.zeros(count, network.size, dtype=network.wide, device=network.W0.device)
    for x, rows in examples.slices():
        offset, labels = examples.offset[rows], examples.labels[rows]
        transpose, r = _transposed_root(loss, offset, labels)
        shape = (count, len(offset), r)
        draws = rng.standard_normal(shape) if kind == "gaussian" else rng.integers(0, 2, shape) * 2.0 - 1.0
        bent = transpose(torch.from_numpy(draws).to(offset) * examples.weights[rows].sqrt()[:, None])
        total += network.pull(x, bent.to(network.W0.dtype))
    return total


def _transposed_root(loss: Loss, offset: Tensor, labels: Tensor) -> tuple[Callable[[Tensor], Tensor], int]:
    """L v for v (m, n, r): (m, n, C), from the loss's L'; and r."""
    n, C = offset.shape
    if C <= 64:
        eye = torch.eye(C, dtype=offset.dtype, device=offset.device).expand(n, C, C)
        root = loss.curvature_root(offset, eye, labels)
        return lambda v: torch.einsum("mnr,nrc->mnc", v, root), root.shape[1]
    zero = torch.zeros(n, C, 1, dtype=offset.dtype, device=offset.device)
    root, back = torch.func.vjp(lambda v: loss.curvature_root(offset, v, labels), zero)[:2]
    return lambda v: torch.func.vmap(lambda one: back(one.unsqueeze(-1))[0].squeeze(-1))(v), root.shape[1]


def _gram(rows: Tensor) -> Tensor:
    """Rows times their transpose in float64, without a copy of them in float64."""
    total = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=rows.device)
    for columns in rows.split(COLUMNS, dim=1):
        part = columns.double()
        total += part @ part.T
    return total


def leading_eigenvectors(
    network: Network, examples: Examples, loss: Loss, count: int, rng: np.random.Generator, power: int
) -> tuple[Tensor, Tensor]:
    """Leading eigenvalues (c,) and eigenvectors (c, p) of G by randomised range finding, largest first."""
    rows = min(network.size, count + 8)
    start = torch.from_numpy(rng.standard_normal((network.size, rows))).T
    basis = curvature_rows(network, examples, loss, start.to(network.W0.device, network.wide).contiguous())
    basis = torch.linalg.qr(basis.T)[0].T
    for _ in range(power):
        basis = torch.linalg.qr(curvature_rows(network, examples, loss, basis).T)[0].T
    image = curvature_rows(network, examples, loss, basis)
    values, vectors = torch.linalg.eigh((basis @ image.T).double())
    chosen = slice(max(0, rows - count), None)
    return values[chosen].flip(0).clamp_min(0).to(basis), vectors[:, chosen].flip(1).T.to(basis) @ basis


def _responses(
    network: Network,
    examples: Examples,
    loss: Loss,
    gradients: Tensor,
    ridge: float,
    values: Tensor,
    vectors: Tensor,
    steps: int,
) -> Tensor:
    """(G + ridge I)^-1 g_k for each row, roughly: conjugate gradients preconditioned by G's eigenvectors."""
    ridge = max(ridge, 1e-4 * float(values[0]), 1e-12)
    inverse, rest = 1 / (values + ridge), 1 / (values[-1] + ridge)

    def precondition(residual: Tensor) -> Tensor:
        inside = residual @ vectors.T
        return rest * residual + (inside * (inverse - rest)) @ vectors

    found = torch.zeros_like(gradients)
    residual = gradients.clone()
    direction = precondition(residual)
    inner = (residual * direction).sum(1, keepdim=True)
    for _ in range(steps):
        image = curvature_rows(network, examples, loss, direction) + ridge * direction
        step = inner / (direction * image).sum(1, keepdim=True).clamp_min(1e-30)
        found += step * direction
        residual -= step * image
        turned = precondition(residual)
        new = (residual * turned).sum(1, keepdim=True)
        direction = turned + new / inner.clamp_min(1e-30) * direction
        inner = new
    return found


def independent_rows(rows: Tensor, dim: int) -> Tensor:
    """First `dim` linearly independent directions of the rows, orthonormal, in order.

    Twice Cholesky's factor of their products, which are summed in float64, instead of Gram and Schmidt's steps, which
    read all rows anew for each.
    """
    rows = rows if rows.dtype == torch.float64 else rows.float()
    Q = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-30)
    for threshold in (1e-6, 1e-3):
        T, kept = _triangular(_gram(Q).cpu(), threshold, dim)  # small steps, each of which would wait for a card
        Q = T.T.to(Q) @ Q[kept]
    return Q


def _triangular(gram: Tensor, threshold: float, dim: int) -> tuple[Tensor, list[int]]:
    """Upper triangular T such that the columns `kept` times T are orthonormal; dependent columns are left out."""
    found = torch.zeros(len(gram), 0, dtype=torch.float64, device=gram.device)  # coefficients of the directions
    kept: list[int] = []
    for j in range(len(gram)):
        new = torch.zeros(len(gram), dtype=torch.float64, device=gram.device)
        new[j] = 1.0
        for _ in range(2):
            new = new - found @ (found.T @ (gram @ new))
        length = float((new @ gram @ new).clamp_min(0)) ** 0.5
        if length > threshold * float(gram[j, j]) ** 0.5:
            found = torch.cat([found, new[:, None] / length], 1)
            kept.append(j)
        if len(kept) == dim:
            break
    return found[kept], kept
