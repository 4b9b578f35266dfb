"""Directions of targets, guessed from their names: losses go down, scores go up.

A name is cut into words (``eval/arc_acc_norm`` -> eval, arc, acc, norm). Words of a loss win over words of a
score (``reward_loss``, ``accuracy_error``); a name without any of them is taken as a loss, and that is said.
"""

from __future__ import annotations

import re

__all__ = ["guess_direction", "metric_word", "words"]

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
_SPLIT = re.compile(r"[^A-Za-z0-9@]+|(?<=[a-z])(?=[A-Z])")


def words(name: str) -> list[str]:
    """Cut a name into lower-case words.

    Examples
    --------
    >>> words("eval/arcEasy_acc,none")
    ['eval', 'arc', 'easy', 'acc', 'none']
    """
    return [w.lower().split("@")[0] for w in _SPLIT.split(name) if w]


def guess_direction(name: str) -> bool | None:
    """Tell whether higher is better from the name of a target; None when the name does not say.

    Examples
    --------
    >>> guess_direction("val_loss"), guess_direction("arc_acc"), guess_direction("hellaswag")
    (False, True, None)
    """
    parts = words(name)
    if not _LOWER.isdisjoint(parts) or "negative log" in " ".join(parts):
        return False
    if parts and parts[-1] in _LAST_ONLY:
        return True
    joined = "".join(parts)
    if not _HIGHER.isdisjoint(parts) or re.search(r"rouge|bleu|winrate|exactmatch|passat|^r2", joined):
        return True
    return None


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
