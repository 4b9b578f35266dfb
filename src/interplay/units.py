"""Units of readings, in words: the target's own, or what a difference of logarithms means under a log link."""

from __future__ import annotations

from .surrogates.links import Link

OWN = "own"


def formula(link: Link, t: int) -> str:
    """What is fitted of target y: 'y', 'log y', 'log(y - c)' for a floor c, 'log(c - y)' for a ceiling."""
    if not link.log[t]:
        return "y"
    c = link.bound[t]
    if link.sign[t] < 0:
        return f"log({c:.4g} - y)"
    return "log y" if c == 0 else f"log(y {'-' if c > 0 else '+'} {abs(c):.4g})"


def unit(link: Link, t: int) -> str:
    """Unit of 100 times a difference of what is fitted, where that is a logarithm: per cent, where it is small."""
    if not link.log[t]:
        return OWN
    if link.bound[t] == 0 and link.sign[t] > 0:
        return "per cent"
    return f"per cent of the gap to the {'floor' if link.sign[t] > 0 else 'ceiling'} {link.bound[t]:.3g}"


def meaning(unit: str, higher: bool) -> str:
    """What a benefit in per cent does to the target, or to its gap, in words; '' for a target's own unit."""
    if unit == OWN:
        return ""
    what = f"{'multiplies' if higher else 'divides'} the target" if unit == "per cent" else "divides the gap"
    return f"100 × a difference of logarithms: +b {what} by exp(b / 100), so +10 by 1.1 and +100 by 2.7"
