"""A PostgreSQL server of the tests' own: in a temporary folder, on a socket there, as an unprivileged user."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest


def programs() -> Path | None:
    """Return the folder that holds initdb and pg_ctl, where the server is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


class Server:
    """A server that can be stopped and started; `address` is that of a database in it."""

    def __init__(self) -> None:
        self.programs = programs()
        if self.programs is None:
            pytest.skip("PostgreSQL is not installed (apt install postgresql)")
        pytest.importorskip("psycopg", reason="PostgreSQL: the extra 'postgresql' is not installed")
        self.folder = Path(tempfile.mkdtemp(prefix="pg"))
        self.user = "nobody" if os.geteuid() == 0 else None  # the server refuses to run as root
        if self.user:
            shutil.chown(self.folder, self.user)
        self._run("initdb", "-D", self.data, "--auth=trust", "--username=postgres", "--no-sync")
        self.start()

    @property
    def data(self) -> str:
        return str(self.folder / "data")

    @property
    def address(self) -> str:
        return f"postgresql://postgres:s3cr3t%40word@/postgres?host={self.folder}"

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' -c fsync=off"
        self._run("pg_ctl", "start", "-w", "-D", self.data, "-o", options, "-l", str(self.folder / "log"))

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "-m", "immediate", "-D", self.data)

    def empty(self) -> str:
        """Drop every table; return the address."""
        drop = "DROP TABLE IF EXISTS interplay_runs, interplay_workers, interplay_problems, interplay_store"
        self._run("psql", "-h", str(self.folder), "-U", "postgres", "-q", "-c", drop)
        return self.address

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def _run(self, program: str, *arguments: str) -> None:
        path = self.programs / program
        command = [str(path) if path.exists() else program, *arguments]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        done = subprocess.run(command, user=self.user, cwd=self.folder, **quiet)
        assert done.returncode == 0, command
