"""Run the blocks of the pages and write what they print into the output blocks after them.

python docs/renew.py                    # all pages
python docs/renew.py how-to/noisy.md    # some
python docs/renew.py --check            # write nothing; say which pages show what was not printed, to the digit
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from docs.blocks import DOCS, Page, faults, pages, renewed, session, shown_after, told


def renew(page: Page, *, check: bool = False) -> list[str]:
    """Run one page and renew its outputs; return what is wrong with it."""
    texts, wrong = {}, []
    with tempfile.TemporaryDirectory() as folder, session(page, Path(folder)) as run:
        for block, shown in shown_after(page):
            printed = run(block)
            if shown is None or not block.runs or not faults(shown.text, printed, exact=True):
                continue
            wrong.append(f"{page.name}:{shown.line + 1}")
            if not check:
                texts[shown.line] = renewed(shown.text, printed)
    if texts:
        (DOCS / page.name).write_text(told(page, texts), encoding="utf-8")
    return wrong


def main(words: list[str]) -> int:
    """Renew the pages that are named, or all."""
    check, named = "--check" in words, [word for word in words if not word.startswith("--")]
    wrong = []
    for page in pages():
        if not named or page.name in named:
            found = renew(page, check=check)
            print(f"{page.name}: {len(found)} outputs {'differ' if check else 'renewed'}", flush=True)
            wrong += found
    print("\n".join(wrong))
    return int(check and bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
