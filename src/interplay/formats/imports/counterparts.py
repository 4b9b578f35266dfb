"""What a fit of olmix asks for, as options of ``interplay select``; and what has no counterpart, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Any

__all__ = ["objective", "selection"]


def selection(
    notes: Mapping[str, Any], targets: Sequence[str], runs: str, tokens: str | None, prior: str | None
) -> tuple[str, tuple[str, ...]]:
    """Return the command that asks what the fit asks, and what it says otherwise.

    Parameters
    ----------
    notes : mapping
        Of the runs.
    targets : sequence of str
    runs, tokens, prior : str
        Files that were written; None where they were not.
    """
    fit = notes["olmix"]
    words, said = ["interplay select", quote(runs), "--target", quote(objective(fit.get("weights", {}), targets))], []
    if prior is not None:
        words += ["--near", quote(prior), "--kl NATS"]
        stated = f"kl_reg {fit['kl_reg']:g}" if "kl_reg" in fit else "no kl_reg"
        said.append(
            f"--kl bounds KL(mixture || prior) in nats; olmix weighs the same divergence in its objective ({stated}), "
            "so its number is no bound: 0.1 stays near the prior, 1 goes far"
        )
    elif "kl_reg" in fit:
        said.append(
            "kl_reg has no counterpart without a prior; write it with --prior-out and bound it with --near, --kl"
        )
    budget = fit.get("target_tokens")
    if tokens is not None:
        words += ["--tokens", quote(tokens)]
        if budget is not None:
            words += ["--budget", f"{budget:g}"]
            if "repetition_factor" in fit:
                words += ["--max-epochs", f"{fit['repetition_factor']:g}"]
        else:
            said.append("the fit states no target_tokens that bind; --budget and --max-epochs limit repetition")
    elif budget is not None:
        said.append("target_tokens and repetition_factor need the token counts; write them with --tokens-out")
    return " ".join(words), tuple(said)


def objective(weights: Mapping[str, float], targets: Sequence[str]) -> str:
    """Return the expression that olmix makes small: the weighted sum of its metrics, or the mean of all."""
    named = {t: w for t, w in weights.items() if t in targets and w}
    if not named:
        return f"mean({_quoted(targets[0])})" if len(targets) == 1 else "mean(*)"
    return " + ".join(f"{w:.6g}*{_quoted(t)}" for t, w in named.items())


def _quoted(name: str) -> str:
    mark = next((m for m in "\"'`" if m not in name), None)
    return name if mark is None else f"{mark}{name}{mark}"
