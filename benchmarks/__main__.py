"""Print the tables of the benchmarks and write them to benchmarks/results.

python -m benchmarks                        # all
python -m benchmarks speed regmix           # some
python -m benchmarks --data ../shared/data  # where the public recordings lie (regmix/)
"""

from __future__ import annotations

import argparse
import os
from importlib import import_module
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: alternatives and ours on one core each

HERE = Path(__file__).resolve().parent
NAMES = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"among {', '.join(NAMES)}; all if none is given")
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in NAMES]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    from .machine import machine

    for name in arguments.names or NAMES:
        text = import_module(f"benchmarks.bench_{name}").report(arguments.data)
        if text is None:
            print(f"{name}: skipped, its recordings are not under {arguments.data} (--data names another folder)\n")
            continue
        text += f"\n{machine()}\n"
        print(text, flush=True)
        (arguments.out / f"{name}.md").write_text(text)


if __name__ == "__main__":
    main()
