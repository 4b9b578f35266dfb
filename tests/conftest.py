"""Fixtures for all tests, and the rule that nothing is skipped unseen where CI=true.

There a test that skips, because torch, a service or a recording is missing, fails. What may be missing is named
in INTERPLAY_MAY_SKIP, comma-separated, and matched as a word in the reason: ``INTERPLAY_MAY_SKIP=torch,shapiq``.
"""

import os
import re
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# No test judges by the time it took: machines are noisy.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# scikit-learn's check of array API input skips itself unless this is set; our estimators take NumPy arrays only.
# Trainers read what is exported for them where somebody has them; no extra installs any.
ALWAYS_EXCUSED = ["SCIPY_ARRAY_API", "trainer package", "CUDA card"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def browser():
    """Chromium for the tests of a module; skips where it is not installed."""
    from tests.browser import chromium

    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def postgresql():
    """A PostgreSQL server of the tests' own; skips where it is not installed."""
    from tests.postgresql import Server

    server = Server()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """The address of an empty store, of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "runs.db")
    return request.getfixturevalue("postgresql").empty()


@pytest.fixture
def shell(monkeypatch, capsys, tmp_path):
    """Run a command line in a folder of its own; returns (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        from interplay.cli import main

        monkeypatch.setattr(sys, "argv", ["interplay", *map(str, words)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def _fail_if_it_must_run(report):
    """Turn the report of a skip into a failure when CI=true and its reason is not excused."""
    if os.environ.get("CI", "").lower() != "true" or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    named = [name.strip() for name in os.environ.get("INTERPLAY_MAY_SKIP", "").split(",") if name.strip()]
    if any(re.search(rf"\b{re.escape(name)}\b", reason) for name in ALWAYS_EXCUSED + named):
        return
    report.outcome = "failed"
    report.longrepr = (
        f"{report.nodeid}: {reason}\nCI=true: this must run, not skip. "
        "Provide what it needs, or name it in INTERPLAY_MAY_SKIP."
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    _fail_if_it_must_run(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    _fail_if_it_must_run(report)
    return report
