"""olmix: ``ratios.csv`` and ``metrics.csv``, or the YAML file of a fit, which names them and states what it is for.

A fit says more than the runs: token counts, the mixture to stay near to, how often a source may be read, weights of the
metrics. These travel in ``notes["olmix"]``, and `selection` writes them as options of ``interplay select``. All metrics
are bits per byte, which olmix makes small.

    olmix    minimise sum_t weight_t y_t + kl_reg KL(w || prior)
             with w_k target_tokens <= repetition_factor N_k
    select   minimise sum_t weight_t y_t
             with w_k B <= --max-epochs N_k and KL(w || prior) <= --kl
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...fields import EvaluationsError, listed
from .documents import load, mapping_of, number
from .draft import Draft, Left, Options
from .pairing import paired
from .sheets import existing, read_sheet

__all__ = ["prior_of", "read", "tokens_of"]

_YAML = (".yaml", ".yml", ".json")


def read(paths: tuple[Path, ...], options: Options) -> Draft:
    """Read a fit, a folder that holds the two tables, or the two tables."""
    for path in paths:
        existing(path, folder=len(paths) == 1)
    if len(paths) == 1 and paths[0].is_dir():
        paths = (paths[0] / "ratios.csv", paths[0] / "metrics.csv")
    if len(paths) == 1 and paths[0].suffix.lower() in _YAML:
        return _of_fit(paths[0], options)
    if len(paths) != 2:
        raise EvaluationsError(
            f"{listed([p.name for p in paths])}: give ratios.csv and metrics.csv, the folder that holds them, or the "
            "YAML file of a fit."
        )
    return _tables(paths[0], paths[1], options)


def _tables(ratios: Path, metrics: Path, options: Options, **more: Any) -> Draft:
    first, second = read_sheet(ratios), read_sheet(metrics)
    draft = paired(first, second, options, kind="mixture", higher_is_better=False, **more)
    sums = _sums(draft)
    if options.kind is None and sums is not None and np.mean(np.abs(sums - 1) <= 0.01) < 0.5:
        raise EvaluationsError(
            f"{first.name}: the weights of a run sum to {np.median(sums):.4g} in the middle, and ratios sum to 1. Give "
            "the ratios first and the metrics second; name the sources with --tasks if there are other columns."
        )
    return draft


def _sums(draft: Draft) -> np.ndarray | None:
    try:
        return draft.frame[[*draft.tasks.values()]].to_numpy(dtype=float).sum(axis=1)
    except (TypeError, ValueError):
        return None


def _of_fit(path: Path, options: Options) -> Draft:
    fit = mapping_of(load(path), path.name, "the fit")
    if "swarm" not in fit:
        raise EvaluationsError(
            f"{path.name} is no fit of olmix: it has no 'swarm' (its keys: {listed([*fit])}). Give ratios.csv and "
            "metrics.csv, or the configuration of `olmix fit`."
        )
    swarm = mapping_of(fit["swarm"], path.name, "'swarm'")
    ratios, metrics = (_place(swarm.get(key), key, path) for key in ("ratios", "metrics"))
    stated, left, warnings = _stated(fit, path.name)
    wanted = stated.pop("metrics")
    unasked = {name: "dropped by filtering.drop_metrics of the fit" for name in stated["dropped"]}
    if wanted:
        there = [str(c) for c in read_sheet(metrics).frame.columns]
        unasked |= {c: "not among eval.tasks of the fit" for c in there if c not in wanted and c not in unasked}
        left += [Left(f"metric {m!r} of eval.tasks", f"no column of {metrics.name}") for m in wanted if m not in there]
    draft = _tables(ratios, metrics, options, notes={"olmix": stated}, unasked=unasked, left=tuple(left))
    return replace(draft, warnings=(*draft.warnings, *warnings, *_unknown(stated, draft)))


def _place(stated: Any, key: str, path: Path) -> Path:
    """Where the fit's tables are, beside its file."""
    if not isinstance(stated, str) or not stated:
        raise EvaluationsError(f"{path.name}: swarm.{key} is {str(stated)[:40]!r}; it must name a table. Correct it.")
    if re.match(r"\w+://", stated):
        raise EvaluationsError(f"{path.name}: swarm.{key} is the address {stated[:60]!r}. Fetch it, and name the file.")
    return existing(path.parent / stated)


def _stated(fit: Mapping[str, Any], name: str) -> tuple[dict[str, Any], list[Left], list[str]]:
    """What the fit states beside its runs; what is left of it; what is to be said."""
    part = lambda key: mapping_of(fit.get(key) or {}, name, f"{key!r}")
    floats = lambda held, what: {k: _fraction(v, name, f"{what} of {k!r}") for k, v in held.items()}
    priors, filtering, constraints, proposer = map(part, ("priors", "filtering", "constraints", "proposer"))
    inner = lambda held, key: mapping_of(held.get(key) or {}, name, f"{key!r}")
    tokens, sizes = floats(inner(priors, "token_counts"), "tokens"), floats(inner(priors, "relative_sizes"), "size")
    said: dict[str, Any] = {"token_counts": tokens, "prior": _prior(tokens, sizes)}
    said["dropped"] = [str(m) for m in filtering.get("drop_metrics") or ()]
    said["weights"] = floats(inner(filtering, "obj_weights"), "weight")
    if proposer.get("kl_reg") is not None:
        said["kl_reg"] = number(proposer["kl_reg"], name, "proposer.kl_reg")
    if constraints.get("enabled") in (True, "true"):
        for key in ("target_tokens", "repetition_factor"):
            if constraints.get(key) is not None:
                said[key] = number(constraints[key], name, f"constraints.{key}")
    families = _families(part("eval").get("tasks"), name)
    said["metrics"] = [metric for held in families.values() for metric in held]
    said["families"] = families
    left = [Left(f"{key} of the fit", _NO_COUNTERPART[key]) for key in ("regression",) if fit.get(key)]
    left += (
        [Left("constraints of the fit", "not enabled")]
        if constraints and "enabled" in constraints and constraints.get("enabled") not in (True, "true")
        else []
    )
    for key in ("keep_sources", "support_domains", "fixed_weight"):
        left += [Left(f"filtering.{key} of the fit", _NO_COUNTERPART[key])] if filtering.get(key) else []
    for key in ("temperature", "make_worst_mix"):
        left += (
            [Left(f"proposer.{key} of the fit", "no counterpart here")]
            if proposer.get(key) not in (None, False)
            else []
        )
    warnings = []
    if tokens and sizes and _far(_prior(tokens, {}), _prior({}, sizes)):
        warnings.append(
            "priors.relative_sizes of the fit are not the shares of its token_counts; the prior is of the sizes"
        )
    return said, left, warnings


_NO_COUNTERPART = {
    "regression": "the surrogate is chosen here by held-out errors",
    "keep_sources": "no counterpart here; leave sources out with --ignore",
    "support_domains": "no counterpart here; forbid sources with `interplay select --cap NAME=0`",
    "fixed_weight": "not taken; state it with `interplay select --floor NAME=SHARE --cap NAME=SHARE`",
}


def _fraction(value: Any, name: str, what: str) -> float:
    """A number, or a fraction in text as olmix takes it: 7/52."""
    if isinstance(value, str) and (found := re.fullmatch(r"\s*([\d._eE+-]+)\s*/\s*([\d._eE+-]+)\s*", value)):
        below = number(found[2], name, what)
        if not below:
            raise EvaluationsError(f"{name}: {what} is {value!r}, which divides by 0. Correct it.")
        return number(found[1], name, what) / below
    return number(value, name, what)


def _families(tasks: Any, name: str) -> dict[str, list[str]]:
    """Metrics by family: lists of names, or mappings whose values are the names of columns."""
    if not tasks:
        return {}
    families: dict[str, list[str]] = {}
    for family, held in mapping_of(tasks, name, "'eval.tasks'").items():
        held = (
            held if isinstance(held, list) else [*mapping_of(held, name, f"family {family!r} of eval.tasks").values()]
        )
        families[family] = [str(metric) for metric in held]
    return families


def _prior(tokens: Mapping[str, float], sizes: Mapping[str, float]) -> dict[str, float]:
    held = sizes or tokens  # as olmix takes them
    total = sum(held.values())
    return {name: value / total for name, value in held.items()} if total > 0 else {}


def _far(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    return any(abs(a.get(k, 0.0) - b.get(k, 0.0)) > 0.01 for k in {*a, *b})


def _unknown(stated: Mapping[str, Any], draft: Draft) -> list[str]:
    """Names of the fit that are not among the runs', and sources that its priors lack."""
    out = []
    for what, names, there in (
        ("priors", {**stated["prior"], **stated["token_counts"]}, draft.tasks),
        ("obj_weights", stated["weights"], draft.targets),
    ):
        if lost := [n for n in names if n not in there]:
            out.append(f"{what} of the fit name {listed(lost, 4)}, which no column is called; left out")
    held = [given for given in (stated["prior"], stated["token_counts"]) if given]
    if lacking := [t for t in draft.tasks if any(t not in given for given in held)]:
        out.append(f"priors of the fit do not name {listed(lacking, 4)}")
    return out


def tokens_of(notes: Mapping[str, Any], tasks: Sequence[str]) -> dict[str, float]:
    """Return the tokens of each task, as ``--tokens`` takes them.

    Raises
    ------
    EvaluationsError
        Where the fit states none, or not for every task.
    """
    return _of_all(notes.get("olmix", {}).get("token_counts", {}), tasks, "token_counts")


def prior_of(notes: Mapping[str, Any], tasks: Sequence[str]) -> dict[str, float]:
    """Return the mixture that the fit stays near to, over the tasks, as ``--near`` takes it."""
    held = _of_all(notes.get("olmix", {}).get("prior", {}), tasks, "priors")
    total = sum(held.values())
    return {task: value / total for task, value in held.items()}


def _of_all(held: Mapping[str, float], tasks: Sequence[str], what: str) -> dict[str, float]:
    if not held:
        raise EvaluationsError(f"the files state no {what}. Give the YAML file of a fit of olmix that does.")
    if absent := [task for task in tasks if task not in held]:
        raise EvaluationsError(
            f"{what} of the fit lack {listed(absent)}. Add them, or leave the sources out (--ignore)."
        )
    if odd := [task for task in tasks if not (np.isfinite(held[task]) and held[task] > 0)]:
        raise EvaluationsError(f"{what} of the fit give {odd[0]!r} {held[odd[0]]:g}; it must be above 0. Correct it.")
    return {task: held[task] for task in tasks}
