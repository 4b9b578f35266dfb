"""Trainings followed step by step: the run replayed, exact metagradients, optimisers (needs the torch extra)."""

from ..gradients import Network as _Network  # noqa: F401  (without torch it says how to install it)
from .course import Course
from .in_run import InRun
from .metagradient import Metagradient
from .optimisers import Optimiser
from .reactions import Reactions
from .replay import Replay
from .training import Flatter

__all__ = ["Course", "Flatter", "InRun", "Metagradient", "Optimiser", "Reactions", "Replay"]
