"""How far a reading may be believed: one verdict with its reason, and what to run next to make it better.

solid          the stated effects are expected to correlate with the true ones by .9 or more, and nothing that such runs
               cannot show is in question
indicative     by .53 or more: large effects are in sight, the order of the others is not
not supported  by less, or nothing shows that the target depends on the tasks at all

The expected correlation, and all else that a verdict rests on, is in `evidence`; what is said of it in `verdict`.
Thresholds were set on the tuning half of the cases in `benchmarks/cases.py`.
"""

from .evidence import Evidence, gather
from .verdict import CERTAIN, COVERED, VERDICTS, Trust, at_most, judge, limited, of_pairs

__all__ = ["CERTAIN", "COVERED", "VERDICTS", "Evidence", "Trust", "at_most", "gather", "judge", "limited", "of_pairs"]
