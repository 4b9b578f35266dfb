"""Which runs to do next for a question: the batch that tells most of it, given what was run.

`propose` reads runs and proposes masks or mixtures with seeds and fidelity; `Campaign` asks and tells from nothing on.
"""

from .best import knowledge_gradient
from .campaign import Campaign
from .designs import d_optimal, factorial
from .proposal import Proposal
from .proposing import propose
from .questions import QUESTIONS

__all__ = ["QUESTIONS", "Campaign", "Proposal", "d_optimal", "factorial", "knowledge_gradient", "propose"]
