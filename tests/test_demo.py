"""The demonstration: on the recording always, by training where torch is installed."""

import pytest

from interplay.cli import demo


def test_demo_on_the_packaged_recording(capsys):
    demo.run(live=False)
    shown = capsys.readouterr().out
    assert "Recorded: 80 retrained near-full masks" in shown
    assert "Verdict: solid" in shown
    assert "Truth: leave-one-out retraining, 8 seeds. Spearman" in shown


@pytest.mark.slow
def test_demo_trains_estimates_and_compares(capsys, monkeypatch):
    pytest.importorskip("torch", reason="torch is not installed")
    monkeypatch.setattr(demo, "W0_SEEDS", (200,))
    monkeypatch.setattr(demo, "MASKS", 60)
    monkeypatch.setattr(demo, "BESIDE", 4)
    demo.run()
    shown = capsys.readouterr().out
    assert "Estimated: 60 masks without retraining" in shown
    assert "Estimator:" in shown
    assert "4 retrained masks" in shown
    rank = float(shown.split("Truth: ")[1].split("Spearman ")[1].split(",")[0])
    assert rank > 0.6
