"""A process that evaluates for another: `python -m interplay.workers.child CONNECTION LIFE`.

It reads an evaluator (cloudpickle) and jobs from CONNECTION, an inherited socket, and writes answers to it. LIFE is a
pipe whose other end only the parent holds: when the parent is gone, however it went, this process ends, and with it all
that it started, since they are one group of processes.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from multiprocessing.connection import Connection


def main() -> None:
    """Serve jobs until the connection ends."""
    connection, life = Connection(int(sys.argv[1])), int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    threading.Thread(target=_end_with_parent, args=(life,), daemon=True).start()
    sys.path[:] = connection.recv()
    from .answers import answer

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
        connection.send(answer(evaluator, job))


def _end_with_parent(life: int) -> None:
    os.read(life, 1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
