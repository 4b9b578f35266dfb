"""Which subset or mixture to train next: the best within rules, less risk, checked by the runs that matter most."""

from .choose import select
from .constraints import Constraints
from .result import Candidate, Selection
from .verification import verify

__all__ = ["Candidate", "Constraints", "Selection", "select", "verify"]
