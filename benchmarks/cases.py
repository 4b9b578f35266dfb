"""Cases whose verdicts are known: half of them tune the verdicts of the library, the others judge them.

The labels are facts about what can be known from such runs, set by the rule in `labels` without a look at the code that
says 'solid', 'indicative' or 'not supported'. Where E is known the rule was measured over 20 draws (`label_cases`,
`results/cases.md`) and the problem was changed until its label was clear. Otherwise the label holds by construction:

- pure noise, a target that never changes, rows that lost their values: there is nothing to find, not supported;
- tasks that no run switches: what they do is unknown, so the answer as a whole is indicative at most;
- estimates known to be unfaithful are not supported, those known to keep only the order are indicative at most. (The
  effects of such an estimator are drawn to correlate with the real ones accordingly, so the rule says so as well.)

Halves alternate within (family, verdict) in the order of the list, whether or not its recordings are there. New cases
go behind the last of their family, so that no case ever changes its half.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from . import cases_designs, cases_games, cases_recordings
from .labels import Asked, Case

__all__ = ["Asked", "Case", "cases"]

HALVES = ("tune", "judge")


def cases(data: Path) -> list[Case]:
    """All cases whose recordings are there; games always are.

    Parameters
    ----------
    data : Path
        Folder of the public recordings (regmix, valuation, ...).
    """
    known = _halved([*cases_games.cases(), *cases_designs.cases(), *cases_recordings.cases(data)])
    return [case for case in known if cases_recordings.present(case, data)]


def _halved(known: list[Case]) -> list[Case]:
    """Alternate halves within (family, verdict); groups begin in turn, so that odd ones are no advantage to a half."""
    seen: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], int] = {}
    out = []
    for case in known:
        group = case.family, case.verdict
        if group not in first:
            first[group] = sum(verdict == case.verdict for _, verdict in first) % 2
        out.append(replace(case, half=HALVES[(first[group] + seen[group]) % 2]))
        seen[group] += 1
    return out
