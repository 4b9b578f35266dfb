"""Coupled training runs: within a seed every mask sees the same initial weights and the same batches.

    L_t(W; s) = 1/B sum_{i in batch t} s_{task of i} loss_i(W),    batches and B the same for every mask s

`Schedule` lays the batches out, `BatchSampler` hands them to a PyTorch DataLoader, `coupled_dataset` to a
`transformers.Trainer`, and `check_coupling` says of any training function whether its runs are coupled. The noise that
two masks of one seed share cancels in their difference, so that effects need far fewer seeds (design: section 3).
"""

from __future__ import annotations

from .check import check_coupling
from .datasets import coupled_dataset
from .result import Coupling
from .samplers import BatchSampler
from .schedule import Batch, Schedule, coupled_mean

__all__ = ["Batch", "BatchSampler", "Coupling", "Schedule", "check_coupling", "coupled_dataset", "coupled_mean"]
