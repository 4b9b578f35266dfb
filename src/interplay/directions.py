"""Directions of targets, guessed from their names: losses go down, scores go up.

A name is cut into words (``eval/arc_acc_norm`` -> eval, arc, acc, norm). Words of a loss win over words of a
score (``reward_loss``, ``mmlu_ppl``), and so does an end that turns one round (``accuracy_gap``). The name of a
benchmark is that of its score where the values are per cent; else they may be bits per byte as well. A name without
any of these is taken as a loss, and that is said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["GUESSED", "guess_direction", "metric_word", "words"]

LARGE = 15.0
#: What is said of targets whose names do not say their direction holds this.
GUESSED = "taken as lower is better"

_LOWER = frozenset(
    re.findall(
        r"\w+",
        """loss losses nll ce xent crossentropy entropy perplexity ppl bits bit bpb bpc byte error
        errors err wer cer mse rmse mae mape brier ece divergence kl distance deviation regret fid latency toxicity""",
    )
)
_HIGHER = frozenset(
    re.findall(
        r"\w+",
        """acc accuracy accuracies f1 auc auroc auprc reward rewards score scores win
        wins winrate bleu chrf rouge meteor bertscore r2 precision recall mcc exactmatch elo
        success likelihood spearman pearson correlation ndcg mrr iou dice psnr ssim""",
    )
)
#: Words that mean something else inside a name (``ap_news``): they count only as its last word.
_LAST_ONLY = frozenset(("ap", "map", "em", "pass", "correct", "return", "returns", "utility"))
#: Of scores too, but no sign that a column is a metric: they are names of other things as well.
_SCORES = frozenset(
    re.findall(
        r"\w+",
        """logprob logprobs logp loglik loglikelihood likelihoods elbo hits top1 top3 top5 top10 comet cider kappa
        cosine similarity solve solved solverate passrate throughput tps mfu""",
    )
)
#: Benchmarks, as words or as words put together; numbers at their end are left out.
_BENCHMARKS = frozenset(
    re.findall(
        r"\w+",
        """mmlu mmlupro cmmlu gsm gsm8k gsm1k hellaswag humaneval arc piqa boolq mbpp aime ifeval bbh squad triviaqa
        winogrande truthfulqa openbookqa obqa siqa socialiqa commonsenseqa csqa lambada gpqa musr agieval nq
        naturalquestions sciq logiqa mathqa coqa ceval livecodebench swebench simpleqa bigbench mgsm svamp asdiv
        alpacaeval arenahard mtbench bigcodebench""",
    )
)
#: Ends that turn a score round.
_TURNED = frozenset(("gap", "gaps", "hacking", "drop", "drops", "forgetting", "degradation", "decrease"))
_SPLIT = re.compile(r"[^A-Za-z0-9@]+|(?<=[a-z])(?=[A-Z])")


def words(name: str) -> list[str]:
    """Cut a name into lower-case words.

    Examples
    --------
    >>> words("eval/arcEasy_acc,none")
    ['eval', 'arc', 'easy', 'acc', 'none']
    """
    return [w.lower().split("@")[0] for w in _SPLIT.split(name) if w]


def guess_direction(name: str, values: NDArray[np.float64] | None = None) -> bool | None:
    """Tell whether higher is better from the name of a target, and its values (m,); None when these do not say.

    Examples
    --------
    >>> guess_direction("val_loss"), guess_direction("arc_acc"), guess_direction("hellaswag"), guess_direction("x")
    (False, True, None, None)
    >>> guess_direction("hellaswag", np.array([41.5, 43.0])), guess_direction("hellaswag", np.array([0.9, 1.2]))
    (True, None)
    """
    parts = words(name)
    if not _LOWER.isdisjoint(parts) or re.search(r"\bneg(ative)? log", " ".join(parts)):
        return False
    if len(parts) > 1 and parts[-1] in _TURNED and _score(parts[:-1]):
        return False
    return True if _score(parts) or (values is not None and _per_cent(values) and _benchmark(parts)) else None


def _per_cent(values: NDArray[np.float64]) -> bool:
    """Whether values can only be shares in per cent: losses per byte or token are below `LARGE`."""
    known = values[np.isfinite(values)]
    return len(known) > 0 and known.min() >= 0 and LARGE < known.max() <= 100


def _score(parts: Sequence[str]) -> bool:
    """Whether words hold one of a score."""
    if parts and parts[-1] in _LAST_ONLY:
        return True
    known = not (_HIGHER | _SCORES).isdisjoint((*parts, *_pairs(parts)))
    return known or bool(re.search(r"rouge|bleu|winrate|exactmatch|passat|^r2", "".join(parts)))


def _benchmark(parts: Sequence[str]) -> bool:
    """Whether words hold the name of a benchmark, alone or of two or three of them (``open_book_qa``)."""
    several = (*parts, *_pairs(parts), *map("".join, zip(parts, parts[1:], parts[2:], strict=False)))
    return (
        not _BENCHMARKS.isdisjoint((*several, *(one.rstrip("0123456789") for one in several))) or "math500" in several
    )


def _pairs(parts: Sequence[str]) -> list[str]:
    """Words put together by twos: 'top' and '1' are 'top1'."""
    return list(map("".join, pairwise(parts)))


def metric_word(name: str) -> bool:
    """Tell whether a column is called like a metric, so that it is no task unless the user says so.

    True for ``loss``, ``*_loss``, ``acc_*``, ``metric/*``, ``eval/*`` and the like: a word of a loss or a
    score at either end of the name, or one of those prefixes.

    Examples
    --------
    >>> [n for n in ("loss", "metric/x", "acc_tree", "wiki", "error_analysis_data") if metric_word(n)]
    ['loss', 'metric/x', 'acc_tree']
    """
    parts = words(name)
    if not parts:
        return False
    if re.match(r"(metrics?|eval|val|valid|test)[/.:]", name):
        return True
    ends = {parts[-1], parts[0]} if parts[0] in ("acc", "accuracy", "loss", "ppl", "bpb", "f1") else {parts[-1]}
    return not (_LOWER | _HIGHER).isdisjoint(ends)
