"""The verb `select`: the subset or mixture to train next, within rules, and the few that decide whether it is so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ..fields import listed
from . import inputs, rules
from .compare import At
from .evaluate import COMMAND, seeds_of
from .reading import File, Name, Names, RunsFiles, option, reads_runs, summary, truth_of

if TYPE_CHECKING:
    import numpy as np

    from ..evaluations import Evaluations
    from ..formats.several import Source
    from ..selection import Selection

EXAMPLES = "\n\n".join(
    (
        "Examples:",
        "interplay select runs.csv --target loss --size 8 --require en --forbid toxic --verify 5",
        "interplay select runs.csv --target loss --at-most 2:de,fr,es --verify 5 --masks-out check.csv",
        "interplay select runs.csv --target loss --at-most 2:de,fr,es --verified check.csv",
        f"interplay select runs.csv --target loss --size 8 --verify 10 --store verified.db --command {COMMAND}",
        "interplay select ratios.csv --metrics metrics.csv --target 'mean(bpb/*)' --cap web=0.6 --tokens tokens.csv "
        "--max-epochs 4 --near prior.csv --kl 0.1",
        "interplay select ratios.csv --metrics metrics.csv --worst 'bpb/*' --within mmlu=0.01 --out choice.html",
    )
)
Number = Optional[float]  # noqa: UP045 - typer reads these at run time
Count = Optional[int]  # noqa: UP045


@reads_runs
def select(
    file: RunsFiles,
    target: Annotated[Names, option("NAME|EXPRESSION", rules.TARGET)] = None,
    worst: Annotated[Names, option("NAME", rules.WORST)] = None,
    pareto: Annotated[Names, option("NAME", rules.PARETO)] = None,
    within: Annotated[Names, option("NAME=TOL", rules.WITHIN)] = None,
    size: Annotated[Name, option("N|MIN-MAX", "Tasks in the mask.")] = None,
    require: Annotated[Names, option("NAME", "Tasks that must be in; repeatable, globs allowed.")] = None,
    forbid: Annotated[Names, option("NAME", "Tasks that must be out; repeatable, globs allowed.")] = None,
    at_most: Annotated[Names, option("N:NAMES|GROUP=N", rules.AT_MOST)] = None,
    groups: Annotated[File, option("FILE", rules.GROUPS)] = None,
    costs: Annotated[File, option("FILE", rules.COSTS)] = None,
    budget: Annotated[Number, option("N", rules.BUDGET)] = None,
    cap: Annotated[Names, option("NAME=SHARE|SHARE", rules.CAP)] = None,
    floor: Annotated[Names, option("NAME=SHARE|SHARE", rules.FLOOR)] = None,
    tokens: Annotated[File, option("FILE", rules.TOKENS)] = None,
    max_epochs: Annotated[Number, option("N", "How often a task may be read; with --tokens.")] = None,
    near: Annotated[File, option("FILE", rules.NEAR)] = None,
    kl: Annotated[Number, option("NATS", "How near: KL(mixture || --near).")] = None,
    among: Annotated[File, option("FILE", rules.AMONG)] = None,
    against: Annotated[Name, option("WORD|FILE", rules.AGAINST)] = None,
    risk: Annotated[Number, option("SD", rules.RISK)] = None,
    beyond: Annotated[bool, typer.Option("--beyond", help="Allow choices far from the runs.")] = False,
    surrogate: Annotated[
        Name,
        option("auto|ridge|rbf|ard|stack", "What is fitted; the stack, or auto where there are several fidelities."),
    ] = None,
    at: At = None,
    verify: Annotated[Count, typer.Option(min=1, metavar="N", help=rules.VERIFY)] = None,
    masks_out: Annotated[File, option("FILE", "Write what --verify proposes for `interplay evaluate`: .csv.")] = None,
    verified: Annotated[
        Name, option("FILE", "Runs of choices that were proposed before; the choice is made among what was run.")
    ] = None,
    train: Annotated[
        Name, typer.Option("--command", metavar="COMMAND", help="Trains and measures one mask, as in `evaluate`.")
    ] = None,
    store: Annotated[Name, option("STORE", "Where results of --command are kept, so that it can go on.")] = None,
    seeds: Annotated[Name, option("N", "Seeds of --command, as in `evaluate`; those of the runs if not given.")] = None,
    accept_changed: Annotated[
        bool, typer.Option("--accept-changed", help="Go on with --store though the script differs, as in `evaluate`.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, metavar="N", help="Trainings of --command at once.")] = 1,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Tasks of a mixture to show.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Print the choice as one line of JSON.")] = False,
    out: Annotated[
        File, option("FILE", "Write a page, .html; the tidy table, .csv or .parquet; or all of it, .json (+ .npz).")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 where the verdict is 'not supported'.")] = False,
) -> None:
    """Choose the subset or mixture to train next, within rules, and say how far to believe it."""
    from ..progress import waiting
    from ..report.selection import text
    from ..report.words import plain
    from ..selection import select as select_from
    from .errors import FAILED, NOT_SUPPORTED
    from .output import ANSWERS, check_out, command, say

    wanted, worst, pareto = _one(target), inputs.names(worst), inputs.names(pareto)
    _check_command(file, train, verify, verified, masks_out, {"--store": store, "--seeds": seeds})
    if accept_changed and (train is None or store is None):
        raise ValueError("--accept-changed: it is about trainings of --command that --store holds; give both.")
    more = truth_of(verified, None)
    stored = (more.path,) if more is not None and isinstance(more.path, Path) else ()
    given = (*file.files, *stored, groups, costs, tokens, near, among, None if against is None else Path(against))
    if out is not None:
        check_out(out, ANSWERS, inputs=(*given, masks_out))
    if masks_out is not None:
        if verify is None:
            raise ValueError(f"--masks-out {masks_out}: say how many are to be written with --verify N.")
        check_out(masks_out, (".csv",), inputs=given, name="--masks-out")
    kept = rules.tolerances(within or ())
    number, caps, floors = rules.sizes(size), rules.shares(cap or (), "--cap"), rules.shares(floor or (), "--floor")
    with waiting("reading the runs"):
        runs = rules.read(file, wanted, {"--worst": worst, "--pareto": pareto, "--within": list(kept)})
        asked: dict[str, Any] = {"at_most": rules.at_most(at_most or (), groups, runs.tasks)}
        asked |= rules.priced(runs, inputs.tokens(tokens, runs.tasks), costs, budget)
        asked |= {"near": rules.near(near, runs), "against": rules.baseline(against, runs)}
        with inputs.option("--among"):
            phases = inputs.phases_of(runs)
            asked["among"] = None if among is None else inputs.candidates(among, runs.tasks, runs.kind, phases)
        checks = None if more is None else file.read_truth(more, runs, "--verified")
        own = runs.T
        if train is None:
            runs, checks = _with_parts(runs, file, more, checks)
    if masks_out is not None:
        _check_masks_out(masks_out, runs)
    asked |= {"worst": worst, "pareto": pareto}
    asked |= {"within": kept, "size": number, "require": require or (), "forbid": forbid or ()}
    asked |= {"caps": caps, "floors": floors, "max_epochs": max_epochs, "kl": kl, "beyond": beyond}
    asked |= {"surrogate": surrogate, "at": at, **({} if risk is None else {"risk": risk})}
    if train is not None and verify is not None:
        chosen = _trained(runs, wanted, asked, train, verify, store, seeds, accept_changed, workers)
    else:
        with waiting("fitting and searching"), rules.named():
            chosen = select_from(runs, wanted, verified=checks, **asked)
    chosen = replace(chosen, made={**chosen.made, "command": command()})
    if out is not None:
        _write(chosen, out)
    if masks_out is not None and verify is not None:
        _write_masks(chosen, verify, masks_out)
    if as_json:
        for warning in chosen.warnings:
            typer.echo(f"Note: {plain(warning, 300)}", err=True)
        say([_line(chosen, None if train else verify)])
    else:
        made = {str(key).rpartition(":")[0] for key in runs.notes.get("derived") or {}}
        measured = [name for name in runs.targets[:own] if name not in made]
        following = _following(chosen, None if train else verify, masks_out, measured, runs.targets[own:])
        say([summary(runs, file), text(chosen, top), *following])
        say(_kept(out))
    if train is not None and not chosen.verified:
        raise typer.Exit(FAILED)
    if strict and chosen.verdict == "not supported":
        raise typer.Exit(NOT_SUPPORTED)


def _with_parts(
    runs: Evaluations, file: RunsFiles, more: Source | None, checks: Evaluations | None
) -> tuple[Evaluations, Evaluations | None]:
    """Runs and those of --verified with the parts of sums beside them, where both hold them."""
    whole = replace(file, target=list(runs.targets)).with_parts(runs)
    if more is None or whole.T == runs.T:
        return whole, checks
    try:
        return whole, file.read_truth(more, whole, "--verified")
    except ValueError:  # what was trained since measured the target alone
        return runs, checks


def _one(target: list[str] | None) -> str | None:
    """--target: the one objective."""
    if not target:
        return None
    if len(target) > 1:
        raise ValueError(
            f"--target: {target[0]} and {target[1]} are given, and a choice is for one thing. Give an expression, such "
            "as 'mean(a, b)'; or --worst for the worst of several, --pareto for what one costs another."
        )
    return inputs.formula(target[0])


def _check_command(
    file: RunsFiles,
    train: str | None,
    verify: int | None,
    verified: str | None,
    masks_out: Path | None,
    own: dict[str, str | None],
) -> None:
    """Refuse what does not go with --command, or says nothing without it."""
    if train is None:
        for name, value in own.items():
            if value is not None:
                raise ValueError(f"{name} {value}: it is of trainings by --command; say what trains.")
        return
    if verify is None:
        raise ValueError("--command: say how many trainings it may take with --verify N.")
    for name, value in (("--verified", verified), ("--masks-out", masks_out)):
        if value is not None:
            raise ValueError(f"{name} {value}: --command trains what is proposed by itself; leave one of them out.")
    if file.derive:
        raise ValueError("--derive: --command measures the targets themselves; write the expression as --target.")


def _trained(
    runs: Evaluations,
    wanted: str | None,
    asked: dict[str, Any],
    train: str,
    trainings: int,
    store: str | None,
    seeds: str | None,
    accept_changed: bool,
    workers: int,
) -> Selection:
    """Let the most promising choices be trained, and choose among what came out."""
    from ..campaign import Interrupted
    from ..evaluators import CommandRetrain
    from ..report.words import plain
    from ..selection import verify
    from ..store import ProblemMismatch, Store

    held = sorted(set(map(str, runs.fidelity)))
    if asked["at"] is None and len(held) > 1:
        raise ValueError(f"--command: the runs have several fidelities ({', '.join(held)}); say with --at which it is.")
    up = [name for name, one in zip(runs.targets, runs.higher_is_better, strict=True) if one]
    evaluator = CommandRetrain(
        train, tasks=runs.tasks, targets=runs.targets, higher_is_better=up, fidelity=asked["at"] or held[0]
    )
    given = None if seeds is None else seeds_of(seeds)
    which = list(range(given)) if isinstance(given, int) else given
    try:
        if accept_changed and store is not None:
            with Store(store) as kept:
                kept.settle(evaluator, runs.tasks, accept_changed=True)
        with rules.named():
            return verify(
                runs, evaluator, wanted, trainings=trainings, seeds=which, store=store, workers=workers, **asked
            )
    except ProblemMismatch as error:
        raise ValueError(f"{error.statement} {rules.MISMATCH.get(error.clash, error.remedy)}") from error
    except Interrupted as stopped:
        typer.echo(f"interplay: {plain(str(stopped), 600)}", err=True)
        raise typer.Exit(130) from None


def _write(chosen: Selection, out: Path) -> None:
    """Write the page (.html), the tidy table (.csv, .parquet), or all of it (.json with .npz beside it)."""
    from .output import write_frame

    if out.suffix.lower() == ".html":
        from ..report.chosen import write

        write(chosen, out)
    elif out.suffix.lower() == ".json":
        chosen.save(out)
    else:
        write_frame(chosen.to_frame(), out, names=("candidate", "target"))


def _columns(tasks: tuple[str, ...]) -> list[str]:
    """Names of the columns of a table of masks; of tasks that a table takes for something else ``task:NAME``."""
    from ..formats.table import is_metadata

    return [f"task:{t}" if is_metadata(t) or t.startswith(("task:", "target:")) else t for t in tasks]


def _check_masks_out(path: Path, runs: Evaluations) -> None:
    """Refuse to write over masks that somebody has added results to."""
    from .design import keep_results

    keep_results(path, _columns(runs.tasks), "--masks-out")


def _write_masks(chosen: Selection, n: int, path: Path) -> None:
    """Write what is worth verifying as a design: a column ``run`` and one for each task."""
    import pandas as pd

    from ..selection import result
    from .output import written_whole

    frame = pd.DataFrame(chosen.shortlist(n), columns=_columns(chosen.tasks))
    if chosen.kind == "mask":
        frame = frame.astype(int)
    roles = [c.role for c in chosen.promising[:n]]
    names = [role if role == result.CHOICE else f"{role}-{roles[: i + 1].count(role)}" for i, role in enumerate(roles)]
    frame.insert(0, "run", names, allow_duplicates=True)
    written_whole(path, lambda partial: frame.to_csv(partial, index=False, lineterminator="\n"))


def _kept(out: Path | None) -> Iterator[str]:
    """Where the choice was written, and what goes on from there."""
    from ..report.words import plain

    if out is not None:
        yield f"\nWritten: {plain(out.name)}"
        if out.suffix == ".json":
            name = plain(quote(str(out)), 200)
            yield f"Next: interplay export {name} --to TRAINER --out FILE (interplay export --formats lists them)"


def _following(
    chosen: Selection, n: int | None, path: Path | None, measured: Sequence[str], parts: Sequence[str]
) -> Iterator[str]:
    """What to run to verify the choice, which targets to measure, and how to go on."""
    from ..report.words import plain

    if n is None:
        return
    weights = chosen.shortlist(n)
    fewer = f" (no more than {len(weights)} distinct ones are known)" if len(weights) < n else ""
    these = f"the choice and {_others(chosen, n)}{fewer}"
    if path is None:
        yield f"\nTo verify: {these}"
        yield from (f"{i}  {_told(chosen, row)}" for i, row in enumerate(weights, 1))
        yield "Write them as masks with --masks-out FILE, run them, and give their results back with --verified."
        return
    results = plain(listed(measured, 6), 300)
    results += f"; where you have them, {plain(listed(parts, 3), 100)} too: it is predicted by these" * bool(parts)
    name = plain(quote(str(path)), 200)
    yield f"\n{plain(path.name)}: {these}, to verify it."
    yield (
        f"Train each as the runs were trained, add a column for each target that the runs have ({results}), then give "
        f"the same command with --verified {name}."
    )
    yield (
        f"Or let them be trained: interplay evaluate {name} --store verified.db --command '...', then "
        "--verified verified.db"
    )


def _others(chosen: Selection, n: int) -> str:
    """What is proposed beside the choice: members of its front, and alternatives."""
    from ..selection import result

    roles = [c.role for c in chosen.promising[1:n]]
    front, more = roles.count(result.FRONT), roles.count(result.ALTERNATIVE)
    alternatives = f"{more} alternative{'s' * (more != 1)}"
    return f"{front} of the front, spread along it" + (f", {alternatives}" if more else "") if front else alternatives


def _told(chosen: Selection, weights: np.ndarray) -> str:
    """One of what is proposed: a mask by what it holds in place of tasks of the choice, a mixture by its weights."""
    from ..report.words import plain
    from ..selection.result import apart, named

    if chosen.kind != "mask" or (weights == chosen.weights).all():
        return plain(named(chosen.tasks, weights, chosen.kind, 30), 600)
    return plain(apart(chosen.tasks, chosen.weights, weights, 10), 600)


def _line(chosen: Selection, n: int | None) -> str:
    """The choice as JSON; what is not known is null."""
    import json

    import numpy as np

    from ..predictor import Z
    from ..selection import result

    choice = chosen.choice
    known = lambda values: {
        t: float(v) if np.isfinite(v) else None for t, v in zip(chosen.targets, values, strict=True)
    }
    weights = lambda row: {t: float(w) for t, w in zip(chosen.tasks, row, strict=True) if w}
    compared = {}
    for role, key in ((result.BASELINE, "baseline"), (result.RUN, "best_run"), (result.FREE, "without_rules")):
        for c in chosen.of(role):
            half = Z * c.gain_deviation
            gains = {"gain": known(c.gain), "gain_lower": known(c.gain - half), "gain_upper": known(c.gain + half)}
            compared[key] = {"name": c.name, "predicted": known(c.predicted), "measured": known(c.measured), **gains}
    said: dict[str, Any] = {
        "objective": chosen.objective,
        "verdict": chosen.verdict,
        "why": chosen.why,
        "kind": chosen.kind,
        "tasks": list(chosen.names),
        "weights": weights(choice.weights),
        "predicted": known(choice.predicted),
        "lower": known(choice.predicted - Z * choice.deviation),
        "upper": known(choice.predicted + Z * choice.deviation),
        "measured": known(choice.measured),
        "runs": choice.runs,
        "far": choice.far,
        **compared,
        "tied": chosen.tied,
        "exact": chosen.exact,
        "rules": list(chosen.rules),
        "warnings": list(chosen.warnings),
    }
    if n is not None:
        said["verify"] = [weights(row) for row in chosen.shortlist(n)]
    return json.dumps(said, allow_nan=False)
