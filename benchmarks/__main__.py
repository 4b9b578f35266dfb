"""Print the tables of the benchmarks and write them to benchmarks/results.

python -m benchmarks                        # all
python -m benchmarks speed regmix           # some
python -m benchmarks.fetch                  # first: the public recordings, into recordings/public
python -m benchmarks --data FOLDER          # where they lie (regmix/, olmix/, valuation/, ...)
python -m benchmarks masks --quick          # few draws: a signal within a minute or two; writes no table
python -m benchmarks masks --resume         # keeps figures per draw in results/raw and goes on from there
"""

from __future__ import annotations

import argparse
import os
from importlib import import_module
from inspect import signature
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: alternatives and ours on one core each

from .public import recordings

HERE = Path(__file__).resolve().parent
ELSEWHERE = "python -m benchmarks.fetch downloads the public ones; --data names another folder"
NAMES = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"among {', '.join(NAMES)}; all if none is given")
    parser.add_argument("--data", type=Path, default=recordings())
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--quick", action="store_true", help="few draws; tables are printed and not written")
    parser.add_argument("--resume", action="store_true", help="keep figures per draw under --out/raw, and use them")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in NAMES]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    from .draws import Run
    from .machine import machine

    run = Run(arguments.quick, arguments.out / "raw" if arguments.resume else None)
    for name in arguments.names or NAMES:
        report = import_module(f"benchmarks.bench_{name}").report
        text = report(arguments.data, **({"run": run} if "run" in signature(report).parameters else {}))
        if text is None:
            print(f"{name}: skipped, its recordings are not under {arguments.data} ({ELSEWHERE})\n")
            continue
        text += f"\n{machine()}\n"
        print(text, flush=True)
        if not arguments.quick:
            (arguments.out / f"{name}.md").write_text(text)


if __name__ == "__main__":
    main()
