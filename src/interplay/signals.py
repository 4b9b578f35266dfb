"""Being asked to stop: Ctrl-C, and SIGTERM, which cluster schedulers send before they take a machine away."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

__all__ = ["Signals", "Terminated"]


class Terminated(SystemExit):
    """SIGTERM, as an exception: the process ends with code 143 after what must be said was said."""

    def __init__(self) -> None:
        super().__init__(143)


class Signals:
    """Within it both signals raise, once, in the main thread, and `asked` says so to whoever swallowed the exception.

    Training loops that catch Ctrl-C and return what they have would otherwise pass half a training for a whole one.
    """

    def __init__(self) -> None:
        self.asked: BaseException | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
                if signal.getsignal(number) is default:  # a handler of the user's stays
                    self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise what was asked for, if somebody else caught it."""
        if self.asked is not None:
            raise self.asked

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.asked = KeyboardInterrupt() if number == signal.SIGINT else Terminated()
        raise self.asked
