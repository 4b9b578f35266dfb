"""What an export came to: asked and realised share, amount read, amount there is and epochs of every source.

r_i              share that the trainer draws of source i, from what stands in the file
read_i = r_i B   B the budget of the training, or what one pass reads
epochs_i         read_i / available_i
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...fields import listed

if TYPE_CHECKING:
    import pandas as pd

    from .format import Draft
    from .mixture import Plan

Array = NDArray[np.float64]
MOST_EPOCHS = 4.0  # up to about here repeated text is nearly as good as new (Muennighoff et al. 2023)
OFF, OFF_PART = 1e-3, 0.1  # of a realised share from the one asked for, and as a part of it
SHOWN = 40


@dataclass(frozen=True, eq=False, repr=False)
class Exported:
    """A file that was written, and what a trainer makes of it; its ``repr`` is the table. Arrays are (n,), a row each.

    Attributes
    ----------
    path : Path
    format, title : str
        Name of the format, and what the trainer is called.
    unit, weight : str
        What the trainer counts where it draws, and what the weight in the file means.
    tasks, sources, phases : tuple of str (n,)
        Phases are '' where there are none.
    asked, realised : array
        Shares in the unit of the choice (in that of the trainer where it is not said): what was asked for, and what the
        file leads to. NaN asked where sources are read whole.
    written : array
        Weights as they stand in the file; NaN where none does.
    amount_unit : str
        Of ``read`` and ``available``.
    read, available, epochs : array
        How much the training reads (of a budget; else in one pass), how much there is, how often that is; NaN where it
        is not known.
    notes : tuple of str
    """

    path: Path
    format: str
    title: str
    unit: str
    weight: str
    tasks: tuple[str, ...]
    sources: tuple[str, ...]
    phases: tuple[str, ...]
    asked: Array
    written: Array
    realised: Array
    amount_unit: str
    read: Array
    available: Array
    epochs: Array
    notes: tuple[str, ...]

    @classmethod
    def of(cls, path: Path, plan: Plan, draft: Draft) -> Exported:
        """Work out what a draft leads to."""
        form = plan.format
        nothing = np.full(len(plan.names), np.nan)
        if form.merges:
            unit, realised, read, available, notes = form.unit, plan.asked, nothing, nothing, []
        else:
            unit, realised, read, available, notes = _amounts(plan, draft)
        epochs = read / available
        notes = [*plan.notes, *draft.notes, *notes, *_repeated(plan, epochs), *_off(plan, realised)]
        return cls(
            path=path,
            format=form.name,
            title=form.title,
            unit=form.unit,
            weight=form.weight,
            tasks=plan.tasks,
            sources=plan.names,
            phases=plan.stage,
            asked=plan.asked,
            written=draft.written,
            realised=realised,
            amount_unit=unit,
            read=read,
            available=available,
            epochs=epochs,
            notes=tuple(dict.fromkeys(notes)),
        )

    def to_frame(self) -> pd.DataFrame:
        """Tidy table: one row per source, and per phase where there are some."""
        import pandas as pd

        columns: dict[str, Any] = {"phase": self.phases} if any(self.phases) else {}
        columns |= {"task": self.tasks, "source": self.sources}
        for name in ("asked", "written", "realised", "read", "available", "epochs"):
            columns[name] = getattr(self, name)
        return pd.DataFrame(columns)

    def __repr__(self) -> str:
        from ...report.columns import table
        from ...report.words import plain

        staged, merged = any(self.phases), self.unit == "models"
        named = self.tasks != self.sources
        columns = ["task", *(["source"] * named), *(["phase"] * staged), *([] if merged else ["asked"]), "written"]
        columns += [] if merged else ["realised", "read", "available", "epochs"]
        order = np.argsort(-np.nan_to_num(np.abs(self.realised)), kind="stable")
        shown = sorted(order[:SHOWN].tolist())
        rows = []
        for i in shown:
            cells = [] if merged else [_share(self.asked[i])]
            cells.append(_weight(self.written[i]))
            if not merged:
                cells += [_share(self.realised[i]), *map(_amount, (self.read[i], self.available[i], self.epochs[i]))]
            own = [plain(self.tasks[i]), *([plain(self.sources[i])] * named), *([plain(self.phases[i])] * staged)]
            rows.append([*own, *cells])
        lines = [f"{plain(str(self.path), 200)}: {self.title}, {self.weight}"]
        if np.isfinite(self.read).any():
            lines.append(f"read and available are {self.amount_unit}")
        lines += ["", *table(columns, rows)]
        if len(rows) < len(self.sources):
            lines.append(f"... {len(self.sources) - len(rows)} more of lower share")
        notes = [f"Note: {plain(note, 400)}" for note in self.notes]
        return "\n".join([*lines, *([""] if notes else []), *notes])


def _amounts(plan: Plan, draft: Draft) -> tuple[str, Array, Array, Array, list[str]]:
    """Unit of amounts, realised shares, amounts read and available, and what is to be said of them."""
    own, budget = plan.format.unit, plan.options.budget
    unit = own if budget is None else plan.options.budget_unit
    if plan.whole and budget is None and np.isnan(plan.size(unit)).any():
        unit = "tokens" if unit == "examples" else "examples"
    size = plan.size(unit)
    if plan.whole:
        drawn = realised = plan.within(size)
        once = float(size.sum())
    else:
        shares = plan.shares if draft.realised is None else draft.realised
        drawn, once = plan.translated(shares, own, unit), draft.once
        if unit != own:
            length = plan.tokens / plan.examples
            once = float((shares * draft.once * (length if unit == "tokens" else 1 / length)).sum())
        realised = plan.translated(shares, own, plan.options.unit or own) if plan.converted else shares
    total = once if budget is None else budget * plan.part
    read = drawn * total
    notes = []
    if budget is not None:
        if np.isnan(read).any():
            notes.append(
                f"how often sources are read is not known: the budget counts {unit}, "
                f"{plan.format.title} draws {own}, and not every source has both counts."
            )
        elif np.isnan(size).any():
            notes.append(f"how often sources are read is known of those with a count of {unit} only.")
        if np.isfinite(once) and once > 0 and (passes := float(np.sum(read)) / once) > 1.005:
            rest = "; what is left of the sources is never read" if draft.same and not plan.whole else ""
            what = "the same " if draft.same else ""
            notes.append(f"the training goes {passes:.3g} times through {what}{_amount(once)} {unit}{rest}.")
    return unit, realised, read, size, notes


def _repeated(plan: Plan, epochs: Array) -> list[str]:
    """Sources that are read more than a few times, over all phases."""
    often: dict[tuple[Any, ...], float] = {}
    for name, fields, times in zip(plan.names, plan.fields, epochs, strict=True):
        key = (name, *fields.items())
        often[key] = often.get(key, 0.0) + float(np.nan_to_num(times))
    worst = sorted((key for key in often if often[key] > MOST_EPOCHS * 1.005), key=lambda key: -often[key])
    if not worst:
        return []
    told = listed([f"{key[0]} {often[key]:.3g} times" for key in worst])
    return [f"read more than {MOST_EPOCHS:g} times: {told}. Repeated text is worth less than new text."]


def _off(plan: Plan, realised: Array) -> list[str]:
    """Say where realised shares are not those that were asked for."""
    if plan.format.merges or plan.whole:
        return []
    gap = np.abs(realised - plan.asked)
    if not np.isfinite(gap).all():
        return []
    if gap.max() > OFF:
        i = int(gap.argmax())
        return [f"realised shares are up to {gap[i]:.2g} off those asked for ({plan.names[i]})."]
    part = np.where(realised > 0, gap / plan.asked, 0.0)  # what is not read at all is said by the format
    i = int(part.argmax())
    if part[i] <= OFF_PART:
        return []
    return [f"the realised share of {plan.names[i]} is {realised[i]:.2g} instead of {plan.asked[i]:.2g}."]


def _share(value: Any) -> str:
    if not np.isfinite(value):
        return ""
    return f"{value:.4f}" if value >= 5e-4 else f"{value:.2e}"


def _weight(value: Any) -> str:
    return "" if not np.isfinite(value) else "1.0" if value == 1 else f"{value:.6g}"


def _amount(value: Any) -> str:
    if not np.isfinite(value):
        return ""
    return f"{value:,.0f}" if 1000 <= value < 1e6 else f"{value:.3g}"
