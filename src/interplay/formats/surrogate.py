"""A fitted surrogate on disk: its parameters and kernels as JSON, arrays as npz (`archive`).

Precision matrices are not stored: Q follows from the rows, the kernel and the noise, and is computed again; only the
covariances of a lasso, which come from refits, are.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..fields import EvaluationsError
from ..surrogates.base import GaussianSurrogate, threads
from ..surrogates.features import transform
from ..surrogates.fidelity import FidelitySurrogate
from ..surrogates.gaussian import Posterior
from ..surrogates.kernel import KernelSurrogate
from ..surrogates.kernels import Kernel
from ..surrogates.linear import LinearSurrogate
from ..surrogates.links import Link
from ..surrogates.members import Fit, Member
from ..surrogates.noise import Noise
from ..surrogates.rows import Groups, Rows
from ..surrogates.sums import Sum
from . import archive

__all__ = ["load", "pack", "save", "unpack"]

VERSION = 1
CLASSES: dict[str, Any] = {one.__name__: one for one in (FidelitySurrogate, KernelSurrogate, LinearSurrogate)}
_WORDS = ("kind_", "features_", "single_", "n_targets_")
_ARRAYS = ("X_", "weights_", "coef_", "intercept_", "kept_", "feature_names_in_", "own_", "gap_")
_POSTERIOR = ("theta", "intercept", "amplitude")
_COVARIANCE = ("precision", "constant", "constant_variance")
REMEDY = "the save method of a fitted surrogate writes one."

Arrays = dict[str, np.ndarray]


def save(surrogate: GaussianSurrogate, path: Path) -> Path:
    """Write a fitted surrogate to ``path`` and the arrays in the file of the same name with the suffix .npz."""
    arrays: Arrays = {}
    return archive.write(path, "surrogate", VERSION, pack(surrogate, arrays), arrays)


def load(path: Path) -> GaussianSurrogate:
    """Read what `save` wrote.

    Raises
    ------
    EvaluationsError
        If the file is something else, or damaged.
    """
    words, arrays = archive.read(path, "surrogate", VERSION, REMEDY)
    return unpack(words, arrays, str(path))


def pack(surrogate: GaussianSurrogate, arrays: Arrays, key: str = "") -> dict[str, Any]:
    """Put the arrays of a fitted surrogate into ``arrays``, under names that begin with ``key``; returns the rest."""
    held = {name: getattr(surrogate, name) for name in _ARRAYS if hasattr(surrogate, name)}
    link, rows, noise = surrogate.link_, surrogate.rows_, getattr(surrogate, "noise_", None)
    held |= {"sign": link.sign, "bound": link.bound, "most": link.most, "groups": rows.groups.index}
    held |= {"row_noise": rows.noise, "basis": rows.basis}
    if rows.asked is not None:
        held["asked"] = rows.asked
    if noise is not None:
        held |= {"noise/masks": noise.masks, "noise/level": noise.level}
    out = {
        "class": type(surrogate).__name__,
        "parameters": {name: plain(value) for name, value in surrogate.get_params().items()},
        **{name: getattr(surrogate, name) for name in _WORDS},
        "members": [_pack_member(member, held, f"{f}/") for f, member in enumerate(surrogate.members_)],
        "noise": None if noise is None else _pack_member(noise.member, held, "noise/"),
        "sums": [plain(vars(one)) for one in surrogate.sums_],
    }
    arrays |= {key + name: np.asarray(value) for name, value in held.items()}
    return out


def _pack_member(member: Member, held: dict[str, Any], key: str) -> dict[str, Any]:
    held |= {f"{key}centre": member.centre, f"{key}remainder": member.remainder}
    if member.anchors is not None:
        held[f"{key}anchors"] = member.anchors
    kernels: dict[int, int] = {}
    described: list[dict[str, Any]] = []
    fits = []
    for i, fit in enumerate(member.fits):
        number = kernels.setdefault(id(fit.kernel), len(kernels))
        if number == len(described):
            held[f"{key}gamma/{number}"] = fit.kernel.gamma
            described.append({name: value for name, value in vars(fit.kernel).items() if name != "gamma"})
        kept = _POSTERIOR if member.anchors is None else (*_POSTERIOR, *_COVARIANCE)
        held |= {f"{key}{i}/{name}": getattr(fit.posterior, name) for name in kept}
        held[f"{key}{i}/targets"] = fit.targets
        if fit.loadings is not None:
            held[f"{key}{i}/loadings"] = fit.loadings
        fits.append({"kernel": number, "noise": fit.noise, "prior": fit.posterior.prior})
    return {"name": member.name, "kernels": described, "fits": fits}


def unpack(words: dict[str, Any], arrays: Arrays, place: str, key: str = "") -> GaussianSurrogate:
    """Make a surrogate of what `pack` returned.

    Raises
    ------
    EvaluationsError
        If something is missing or does not fit the rest; ``place`` is named.
    """
    try:
        return _unpack(words, {k.removeprefix(key): v for k, v in arrays.items() if k.startswith(key)})
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, np.linalg.LinAlgError) as error:
        raise EvaluationsError(f"{place}: damaged, or written by another version ({error!s:.80}). Fit again.") from None


def _unpack(words: dict[str, Any], arrays: Arrays) -> GaussianSurrogate:
    surrogate = CLASSES[words["class"]](**words["parameters"])
    for name in _WORDS:
        setattr(surrogate, name, words[name])
    for name in _ARRAYS:
        if name in arrays:
            setattr(surrogate, name, arrays[name] if arrays[name].ndim else arrays[name].item())
    X = surrogate.X_
    m, T = len(X), surrogate.n_targets_
    surrogate.n_features_in_ = X.shape[1]
    arrays = {"most": np.full(T, np.inf), **arrays}  # files of before have none
    surrogate.link_ = Link(*(_shaped(arrays, name, T) for name in ("sign", "bound", "most")))
    basis = _shaped(arrays, "basis", m, -1)
    asked = _shaped(arrays, "asked", basis.shape[1]) if "asked" in arrays else None
    surrogate.rows_ = Rows(Groups.of(_shaped(arrays, "groups", m)), _shaped(arrays, "row_noise", m), basis, asked)
    _shaped(arrays, "weights_", len(words["members"]), T)
    with threads(m):
        members = enumerate(words["members"])
        surrogate.members_ = [_member(one, arrays, f"{f}/", X, surrogate.rows_, T) for f, one in members]
    surrogate.sums_ = tuple(_sum(one, T) for one in words.get("sums", ()))
    if words["noise"] is not None:
        masks = _shaped(arrays, "noise/masks", -1, X.shape[1])
        member = _member(words["noise"], arrays, "noise/", masks, Rows.of(masks), 1)
        surrogate.noise_ = Noise(member, masks, float(arrays["noise/level"]))
    elif isinstance(surrogate, KernelSurrogate):
        surrogate.noise_ = None
    return surrogate


def _member(one: dict[str, Any], arrays: Arrays, key: str, X: np.ndarray, rows: Rows, T: int) -> Member:
    """A member of T targets that was fitted to rows X (m, K)."""
    kernels, fits = [], []
    for n, given in enumerate(one["kernels"]):
        width = transform(X[:1], given["features"]).shape[1]
        kernels.append(Kernel(_shaped(arrays, f"{key}gamma/{n}", width), **given))
    anchors = arrays.get(f"{key}anchors")
    for i, given in enumerate(one["fits"]):
        at, kernel, noise = f"{key}{i}/", kernels[given["kernel"]], given["noise"]
        targets, loadings = _shaped(arrays, f"{at}targets", -1), arrays.get(f"{at}loadings")
        columns = len(targets) if loadings is None else len(loadings)
        if loadings is not None:
            _shaped(arrays, f"{at}loadings", columns, len(targets))
        if not (targets < T).all():
            raise ValueError(f"a fit of target {targets.max()}")
        nothing = np.zeros((len(X), columns))
        if anchors is not None:
            q = len(anchors)
            posterior = Posterior(
                precision=_shaped(arrays, f"{at}precision", q, q),
                constant=_shaped(arrays, f"{at}constant", q),
                constant_variance=float(arrays[f"{at}constant_variance"]),
                theta=nothing,
                intercept=nothing,
                amplitude=nothing,
                prior=given["prior"],
            )
        elif given["prior"]:
            posterior = Posterior.of(kernel.matrix(X, X), nothing, noise, rows)
        else:
            posterior = Posterior.least_squares(transform(X, kernel.linear_features), nothing, rows)
        posterior = replace(
            posterior,
            theta=_shaped(arrays, f"{at}theta", len(X) if anchors is None else len(anchors), columns),
            intercept=_shaped(arrays, f"{at}intercept", columns),
            amplitude=_shaped(arrays, f"{at}amplitude", columns),
        )
        fits.append(Fit(kernel, noise, targets, posterior, loadings))
    return Member(one["name"], tuple(fits), arrays[f"{key}centre"], arrays[f"{key}remainder"], anchors=anchors)


def _sum(given: dict[str, Any], T: int) -> Sum:
    """A target that is predicted as the sum of others."""
    parts, coefficients = np.asarray(given["parts"], np.int64), np.asarray(given["coefficients"], np.float64)
    out = Sum(int(given["target"]), parts, coefficients, float(given["offset"]), float(given["together"]))
    if not (0 <= out.target < T and (out.parts < T).all() and len(out.parts) == len(out.coefficients)):
        raise ValueError(f"a sum of targets {given['parts']}")
    return out


def _shaped(arrays: Arrays, name: str, *shape: int) -> np.ndarray:
    """An array of this shape; -1 stands for any number."""
    array = arrays[name]
    if array.ndim != len(shape) or any(n not in (-1, given) for n, given in zip(shape, array.shape, strict=True)):
        raise ValueError(f"{name} has shape {array.shape}")
    return array


def plain(value: Any) -> Any:
    """What JSON can hold of a value: arrays as lists."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value
