"""Runs as other programs wrote them: one module per format, each of which says what it took and what it left.

``import_runs("wandb", "export.csv", tasks="data/*", targets="eval/loss")``, or ``interplay import wandb ...``. Nothing
that is read is executed: scripts are text, YAML is loaded safely, pickles are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ...fields import EvaluationsError, unknown
from .draft import Options, as_paths
from .result import Imported

__all__ = ["IMPORTS", "Importer", "Imported", "import_runs"]


@dataclass(frozen=True)
class Importer:
    """A format: what writes it, what it consists of, and what of it is taken.

    Attributes
    ----------
    name : str
        On the command line.
    title, files : str
        What writes it; which files are given.
    tasks, targets, seeds, left : str
        Where each comes from, and what is not taken.
    """

    name: str
    title: str
    files: str
    tasks: str
    targets: str
    seeds: str
    left: str

    @property
    def module(self) -> Any:
        """Its module, whose ``read(paths, options)`` returns a `Draft`."""
        return import_module(f"{__name__}.{self.name.replace('-', '_')}")


_ALL: tuple[Importer, ...] = (
    Importer(
        name="wide",
        title="Any table with one row for each run",
        files="a CSV or Parquet file (also .gz), or one of tasks and one of results",
        tasks="numbers of one kind: 0 and 1, shares, or weights; --tasks names them; or the columns of --mixtures",
        targets="columns that are called like metrics; --target names them",
        seeds="column seed, or --seed",
        left="text, settings of the runs, and results that were not asked for",
    ),
    Importer(
        name="long",
        title="Any table with one row for each run and source, or run and metric",
        files="one CSV or Parquet file of run, source, weight and of run, metric, value, or two files",
        tasks="column task, source or domain; what a run does not name is 0",
        targets="column metric or target; the last step of each",
        seeds="column seed, or --seed",
        left="values of earlier steps, runs with weights or values only, other columns",
    ),
    Importer(
        name="olmix",
        title="Swarms and fits of olmix",
        files="ratios.csv and metrics.csv, their folder, or the YAML file of a fit",
        tasks="columns of ratios.csv",
        targets="columns of metrics.csv, lower is better; of a fit those of eval.tasks without filtering.drop_metrics",
        seeds="none; a run is one training",
        left="regression settings, fixed weights, and runs that only one file has; priors and limits become notes",
    ),
    Importer(
        name="regmix",
        title="Proxy runs of RegMix",
        files="train_mixture_1m.csv and train_pile_loss_1m.csv, or their folder; or losses and --mixtures, YAML files",
        tasks="columns of the mixtures, or train: of each YAML file; names as they are",
        targets="columns of the losses, lower is better",
        seeds="none",
        left="runs that only one of the files has",
    ),
    Importer(
        name="climb",
        title="CLIMB of NeMo Curator",
        files="folders mixtures_R and lm_eval_results_R, or lm_harness_results.csv",
        tasks="paths in the scripts, by their last part; or the columns after valid_avg",
        targets="scores of lm-eval with the directions that it states; or the columns up to valid_avg",
        seeds="none",
        left="runs without a script or a result, other commands of scripts; scripts are read as text and never run",
    ),
    Importer(
        name="admire",
        title="Tables of ADMIRE",
        files="a CSV file with columns ratio_SOURCE and metric_BENCHMARK",
        tasks="ratio_SOURCE",
        targets="metric_BENCHMARK",
        seeds="column seed, or --seed",
        left="other columns; train_time is the cost of a run",
    ),
    Importer(
        name="dmsl",
        title="Tables of data mixture scaling laws",
        files="a CSV file with columns weight_DOMAIN and DOMAIN_loss",
        tasks="weight_DOMAIN",
        targets="DOMAIN_loss",
        seeds="column seed, or --seed",
        left="n_tokens, which is said where it varies; model_size is the fidelity",
    ),
    Importer(
        name="marin",
        title="Two-phase swarms of Marin",
        files="a CSV file with columns phase_0_SOURCE and phase_1_SOURCE, or a Parquet registry with maps of weights",
        tasks="phase_0:SOURCE, as --phases takes them",
        targets="results such as eval/NAME, and maps of results",
        seeds="trainer_seed and data_seed: the one that varies, or their pairs, numbered",
        left="runs without the weights of some phase, and other columns",
    ),
    Importer(
        name="lm-eval",
        title="Results of lm-evaluation-harness",
        files="a folder with one folder for each run, which holds results_*.json (also .gz); and --mixtures",
        tasks="columns of --mixtures",
        targets="TASK/METRIC with the direction that the file states; of a group its own score",
        seeds="column seed of --mixtures",
        left="members of groups, results that some runs lack or never vary, errors (kept as notes), earlier results",
    ),
    Importer(
        name="wandb",
        title="Runs of Weights & Biases",
        files="the table of runs exported as CSV, or lines of JSON with name, state, config and summary",
        tasks="--tasks 'data/*', or the settings with a common beginning that sum to one or are 0 and 1",
        targets="--target, or results that are called like metrics",
        seeds="settings that are called seed; several are numbered",
        left="runs that did not finish, text, and other settings: of those that vary a warning travels with the runs",
    ),
    Importer(
        name="mlflow",
        title="Runs of MLflow",
        files="what search_runs() returns or its page saves; a folder mlruns; or an address: sqlite:///mlflow.db#NAME",
        tasks="--tasks, or the parameters with a common beginning that sum to one or are 0 and 1",
        targets="--target, or metrics that are called like one; the last value of each",
        seeds="parameters that are called seed; several are numbered",
        left="runs that did not finish, tags, and other parameters: of those that vary a warning travels with the runs",
    ),
    Importer(
        name="optuna",
        title="Trials of Optuna",
        files="what trials_dataframe() returns, saved; or an address such as sqlite:///study.db#STUDY",
        tasks="--tasks, or the parameters that sum to one or, with a common beginning, are 0 and 1",
        targets="values, with the direction of the study where its storage is read",
        seeds="parameters and attributes that are called seed",
        left="trials that failed or were pruned; that an optimiser's trials are no random design is said",
    ),
    Importer(
        name="trainer",
        title="Runs of Hugging Face's Trainer",
        files="a folder with one folder for each run, which holds trainer_state.json or checkpoints; and --mixtures",
        tasks="columns of --mixtures",
        targets="eval_* of the last evaluation, or of --where step=N",
        seeds="training_args.json, or column seed of --mixtures",
        left="runs without that evaluation, speeds, other results; training_args.bin, a pickle, is never loaded",
    ),
)
#: Every format by its name on the command line.
IMPORTS: Mapping[str, Importer] = {one.name: one for one in _ALL}


def import_runs(
    format: str,
    paths: str | Path | Sequence[str | Path],
    *,
    tasks: str | Sequence[str] = (),
    targets: str | Sequence[str] = (),
    ignore: str | Sequence[str] = (),
    higher_is_better: str | Sequence[str] = (),
    lower_is_better: str | Sequence[str] = (),
    mixtures: str | Path | None = None,
    min_runs: int = 5,
    **how: Any,
) -> Imported:
    """Read runs that another program wrote.

    Parameters
    ----------
    format : str
        One of `IMPORTS`.
    paths : path or sequence of paths
        Files or folders, as the format has them; for some, an address.
    tasks, targets, ignore, higher_is_better, lower_is_better : str or sequence of str, optional
        Names or globs.
    mixtures : path, optional
        What each run was trained on, where the results do not say it.
    min_runs : int
        Fewer runs than this are an error.
    **how
        Further fields of `Options`: ``run, seed, cost, fidelity, kind, missing, where``.

    Returns
    -------
    Imported
        ``.runs`` is the table; its ``repr`` says what was taken and what was left.

    Raises
    ------
    EvaluationsError
        For an unknown format, files that are not of this format, and all that `Evaluations.read` refuses.
    """
    if format not in IMPORTS:
        raise unknown(format, [*IMPORTS], "format")
    several = lambda names: (names,) if isinstance(names, str) else tuple(names or ())
    given = {"tasks": tasks, "targets": targets, "ignore": ignore}
    given |= {"higher_is_better": higher_is_better, "lower_is_better": lower_is_better}
    options = Options(**{name: several(names) for name, names in given.items()}, **_checked(how))
    options = options if mixtures is None else _with_mixtures(options, Path(mixtures))
    importer, files = IMPORTS[format], as_paths(paths)
    draft = importer.module.read(files, options)
    return Imported.of(importer, files, draft, draft.evaluations(options, min_runs=min_runs))


def _checked(how: Mapping[str, Any]) -> dict[str, Any]:
    from dataclasses import fields

    names = [f.name for f in fields(Options)]
    for name in how:
        if name not in names:
            raise unknown(name, names, "option of import_runs")
    return dict(how)


def _with_mixtures(options: Options, mixtures: Path) -> Options:
    from dataclasses import replace

    if not mixtures.exists():
        raise EvaluationsError(f"mixtures (--mixtures): {str(mixtures)!r} does not exist. Check the path.")
    return replace(options, mixtures=mixtures)
