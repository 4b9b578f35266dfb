"""`evaluate` on Ray: a local cluster of two machines, of which one is lost on the way."""

import threading
import time

import numpy as np
import pytest

from interplay import Store, evaluate
from tests.evaluators import DESIGN, Additive, code, truth

ray = pytest.importorskip("ray", reason="ray is not installed")
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def cluster(module_patch):
    from ray.cluster_utils import Cluster

    module_patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    cluster.machines = [cluster.add_node(num_cpus=1) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def module_patch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def same(runs, keep=lambda mask: True):
    rows, seeds = np.tile(DESIGN, (len(SEEDS), 1)), np.repeat(SEEDS, len(DESIGN))
    kept = [keep(mask) for mask in rows]
    np.testing.assert_array_equal(runs.masks, rows[kept])
    np.testing.assert_array_equal(runs.values, truth(rows, seeds)[kept])
    return True


@pytest.mark.slow
def test_actors_evaluate_and_what_kills_or_hangs_them_fails_alone(cluster):
    runs = evaluate(Additive(batch=3), DESIGN, seeds=SEEDS, workers=2, executor="ray")
    assert same(runs)
    runs = evaluate(
        Additive(kills=(7,), hangs=(11,)), DESIGN, seeds=SEEDS, workers=2, executor="ray", timeout=3, retries=0
    )
    assert same(runs, lambda mask: code(mask) not in (7, 11))
    assert "6 of 33 evaluations failed" in runs.warnings[0]


@pytest.mark.slow
def test_a_machine_that_is_lost_changes_nothing(cluster, tmp_path):
    place = tmp_path / "runs.db"

    def lose():
        while not place.exists() or not sum(n["done"] for _, n in Store(place).problems()):
            time.sleep(0.1)
        cluster.remove_node(cluster.machines.pop(), allow_graceful=False)

    losing = threading.Thread(target=lose)
    losing.start()
    runs = evaluate(Additive(0.2), DESIGN, seeds=SEEDS, workers=2, executor="ray", store=place, retries=3)
    losing.join()
    assert len(cluster.machines) == 1
    assert same(runs)
    assert Store(place).frame()["status"].eq("done").all()


def test_a_missing_ray_is_said(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install 'interplay\[ray\]'"):
        evaluate(Additive(), DESIGN, executor="ray")
