"""A process that evaluates for another; `pools` starts it and hands it two open files.

CONNECTION is a socket: evaluator (cloudpickle) and jobs come in, answers go out. LIFE is a pipe whose other end only
the parent holds: when the parent is gone, however it went, this process ends, and with it all that it started, since
they are one group of processes.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import signal
import sys
import threading
from multiprocessing.connection import Connection

#: Open files of ours lie above those that a program uses by number, and go to no program that it starts.
_ABOVE = 200


def main() -> None:
    """Serve jobs until the connection ends."""
    connection, life = (_moved(int(number)) for number in sys.argv[1:3])
    os.register_at_fork(after_in_child=lambda: (os.close(connection), os.close(life)))
    threading.Thread(target=_end_with_parent, args=(life,), daemon=True).start()
    serve(Connection(connection))


def serve(connection: Connection) -> None:
    """Read an evaluator, then answer job after job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    sys.path[:], sys.argv[:] = connection.recv()
    from ..signals import Terminated
    from .answers import Answer, answer, traceback_of

    signal.signal(signal.SIGTERM, lambda *_: _raise(Terminated()))  # so that temporary folders are removed
    try:
        evaluator = pickle.loads(connection.recv_bytes())
    except Exception as error:
        connection.send(f"{type(error).__name__}: {error}")
        return
    connection.send(None)
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        try:
            found = answer(evaluator, job)
        except Terminated:
            raise
        except BaseException as error:  # a function that raises KeyboardInterrupt by itself
            found = Answer.failed(len(job), traceback_of(error))
        connection.send(found)


def _moved(number: int) -> int:
    moved = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _ABOVE)
    os.close(number)
    return moved


def _raise(error: BaseException) -> None:
    raise error


def _end_with_parent(life: int) -> None:
    os.read(life, 1)
    os.killpg(0, signal.SIGKILL)
