"""CLIMB: scripts as text, results of lm-eval, tables of both; what is refused."""

import numpy as np
import pandas as pd
import pytest

from interplay import import_runs
from interplay.evaluations import EvaluationsError
from interplay.formats.imports.climb import Script, script_of, scripts_in
from tests.test_imports_samples import M, harness, left, put, script, three_sources


@pytest.fixture
def mixed(rng):
    return three_sources(rng)


@pytest.fixture
def iterations(tmp_path, mixed):
    for i, row in mixed.drop(columns="run").iterrows():
        place = tmp_path / "mixtures_0" / f"n{i}.sh"
        place.parent.mkdir(exist_ok=True)
        place.write_text(script({k: repr(v) for k, v in row.items() if k != "math" or i}))
        results = tmp_path / "lm_eval_results_0" / f"n{i}" / "model"
        results.mkdir(parents=True)
        (results / "results_2026-01-01T00-00-00.json").write_text(harness({"arc": i / 10, "piqa": 0.5 + i / 100}))
    return tmp_path


def test_climb_folders(iterations, mixed):
    found = import_runs("climb", [iterations / "mixtures_0", iterations / "lm_eval_results_0"], kind="weights")
    runs = found.runs
    order = [int(name.removeprefix("0/n")) for name in runs.origin]
    assert sorted(order) == list(range(M))
    expected = mixed[["web", "code", "math"]].to_numpy().copy()
    expected[0, 2] = 0.0
    columns = [("web", "code", "math").index(t) for t in runs.tasks]
    np.testing.assert_array_equal(runs.masks, expected[order][:, columns])
    assert runs.targets == ("arc/acc", "piqa/acc")
    assert runs.higher_is_better == (True, True)
    np.testing.assert_allclose(runs.values[:, 0], np.array(order) / 10)
    assert left(found)["1 weight not stated in scripts"] == "taken as 0"
    above = import_runs("climb", iterations, kind="weights").runs
    assert above.equals(runs)
    (iterations / "mixtures_0/n7.sh").unlink()
    assert left(import_runs("climb", iterations, kind="weights"))["1 run (0/n7)"] == "no mixture"


def test_climb_scripts_are_text(tmp_path):
    mark = tmp_path / "executed"
    place = tmp_path / "n1.sh"
    place.write_text(script({"a": 0.25, "b": "7.5e-1"}, before=f"touch {mark}\n$(touch {mark})\n"))
    place.chmod(0o755)
    assert script_of(place).weights == {"/data/a": 0.25, "/data/b": 0.75}
    assert scripts_in(tmp_path) == {"n1": Script({"a": 0.25, "b": 0.75}, 2)}
    for body in (f"0.5 $(touch {mark})", "$W /data/a", "`ls` /data/a", "half /data/a", "0.5"):
        place.write_text(f"cat <<EOF\n{body}\nEOF\n")
        with pytest.raises(EvaluationsError, match="no weight and path in plain text; nothing in a script is run"):
            script_of(place)
    place.write_text("cat <<'EOF'\n0.5 /data/$x\nEOF\n")
    assert script_of(place).weights == {"/data/$x": 0.5}
    for text, words in (
        ("echo 0.5 /data/a\n", "one here-document"),
        (script({"a": 1}) * 2, "it has 2"),
        (script({}), "empty"),
        (script({"a": 1}).replace("1 /data/a", "1 /data/a\n0 /data/a"), "'/data/a' twice"),
    ):
        place.write_text(text)
        with pytest.raises(EvaluationsError, match=words):
            script_of(place)
    assert not mark.exists()


def test_climb_table(tmp_path, mixed):
    frame = pd.DataFrame(
        {"model_benchmark_path": [f"/x/n{i}" for i in range(M)], "arc_easy_acc": 0.5, "valid_avg": np.arange(M)}
    )
    frame = pd.concat([frame, mixed.drop(columns="run")], axis=1)
    runs = import_runs("climb", put(frame, tmp_path / "lm_harness_results.csv")).runs
    assert (runs.tasks, runs.targets) == (("web", "code", "math"), ("arc_easy_acc", "valid_avg"))
    assert runs.higher_is_better == (True, True)
    assert runs.origin[3] == "/x/n3"
    assert import_runs("climb", tmp_path / "lm_harness_results.csv", targets="valid_avg").runs.targets == ("valid_avg",)
    with pytest.raises(EvaluationsError, match=r"is no lm_harness_results.csv"):
        import_runs("climb", put(mixed, tmp_path / "x.csv"))


def test_climb_refuses(iterations):
    with pytest.raises(EvaluationsError, match=r"no mixtures \(n0.sh\) are there"):
        import_runs("climb", iterations / "lm_eval_results_0")
    with pytest.raises(EvaluationsError, match=r"no results .* are there"):
        import_runs("climb", iterations / "mixtures_0")
    (iterations / "lm_eval_results_0").rename(iterations / "lm_eval_results_1")
    with pytest.raises(EvaluationsError, match="none is of both"):
        import_runs("climb", iterations)


def test_climb_refuses_runs_that_are_there_twice(iterations):
    copy = iterations / "again" / "mixtures_0"
    copy.mkdir(parents=True)
    (copy / "n0.sh").write_text(script({"web": 1}))
    with pytest.raises(EvaluationsError, match="holds two scripts of one run"):
        import_runs("climb", iterations)
    with pytest.raises(EvaluationsError, match=r"'0/n0' has two mixtures"):
        import_runs("climb", [iterations / "mixtures_0", copy, iterations / "lm_eval_results_0"])
    (copy / "n0.sh").write_bytes(script({"wéb": 1}).encode("latin-1"))
    with pytest.raises(EvaluationsError, match=r"n0\.sh is not text in UTF-8"):
        scripts_in(copy)
    again = iterations / "lm_eval_results_0" / "more" / "lm_eval_results_0" / "n0"
    again.mkdir(parents=True)
    (again / "results_1.json").write_text(harness({"a": 1}))
    with pytest.raises(EvaluationsError, match=r"holds results of '0/n0' twice"):
        import_runs("climb", [iterations / "mixtures_0", iterations / "lm_eval_results_0"])


def test_climb_takes_a_folder_that_is_given_twice_once_and_refuses_two_of_one_run(iterations):
    once = import_runs("climb", iterations, kind="weights").runs
    assert import_runs("climb", [iterations, iterations / "mixtures_0", iterations], kind="weights").runs.equals(once)
    other = iterations.parent / "other" / "lm_eval_results_0" / "n0" / "m"
    other.mkdir(parents=True)
    (other / "results_2026-01-01T00-00-00.json").write_text(harness({"arc": 0.9}))
    with pytest.raises(EvaluationsError, match=r"run '0/n0' has results in .*n0 and in .*n0\. Give one folder of each"):
        import_runs("climb", [iterations, other.parents[2]])


def test_commands_of_scripts_are_counted_and_not_run(iterations, mixed):
    weights = mixed.drop(columns="run").to_dict("records")
    mark = iterations / "executed"
    before, after = f"# a comment\nset -e\n\ntouch {mark}\n", f"rm -rf {iterations}\n"
    (iterations / "mixtures_0" / "n1.sh").write_text(script(weights[1], before=before))
    (iterations / "mixtures_0" / "n3.sh").write_text(script(weights[3], after=after))
    (iterations / "mixtures_0" / "n4.sh").write_text(script(weights[4]).replace("<<EOF", "<<EOF | sort -n > out"))
    found = import_runs("climb", iterations, kind="weights")
    assert left(found)["commands of scripts: 4 lines in 3 scripts (0/n1, 0/n3, 0/n4)"] == "not run"
    assert not mark.exists()
    beside = import_runs(
        "lm-eval", iterations / "lm_eval_results_0", mixtures=iterations / "mixtures_0", kind="weights"
    )
    assert left(beside)["commands of scripts: 4 lines in 3 scripts (0/n1, 0/n3, 0/n4)"] == "not run"
    for heading in ("cat <<EOF", "  cat << 'EOF'  # a mixture", 'cat <<-"EOF"'):
        place = iterations / "plain.sh"
        place.write_text(f"#!/bin/bash\n{heading}\n1 /data/a\nEOF\n")
        assert script_of(place) == Script({"/data/a": 1.0}, 0)


def test_climb_asks_for_directions_that_files_disagree_on(iterations):
    odd = iterations / "lm_eval_results_0" / "n7" / "model" / "results_2026-01-01T00-00-00.json"
    odd.write_text(harness({"arc": 0.7, "piqa": 0.57}, up=False))
    with pytest.raises(EvaluationsError, match=r"'arc/acc': some files say that higher is better, others"):
        import_runs("climb", iterations)
    told = import_runs("climb", iterations, lower_is_better="arc/*", higher_is_better="piqa/acc", kind="weights").runs
    assert told.higher_is_better == (False, True)
    named = import_runs("climb", iterations, targets="piqa/acc", higher_is_better="piqa/*", kind="weights").runs
    assert (named.targets, named.higher_is_better) == (("piqa/acc",), (True,))


def test_climb_says_what_becomes_of_standard_errors(iterations):
    found = import_runs("climb", iterations, kind="weights")
    assert found.runs.notes["standard_errors"] == {"arc/acc": pytest.approx(0.01), "piqa/acc": pytest.approx(0.01)}
    assert "no fit uses them" in left(found)["standard errors of 2 targets"]
    assert not any("stderr" in name for name in (*found.runs.tasks, *found.runs.targets))


def test_climb_refuses_tables_of_another_kind(tmp_path, mixed):
    path = put(mixed.assign(lr=0.1, arc_acc=0.5), tmp_path / "x.csv")
    with pytest.raises(EvaluationsError, match=r"scores up to 'valid_avg' and then sources.*`interplay import wide`"):
        import_runs("climb", path)
    log = pd.DataFrame({"Name": "r", "State": "finished", "lr": [0.1, 0.2], "loss": 1.0})
    with pytest.raises(EvaluationsError, match=r"It looks like a table of runs of W&B; `interplay import wandb` reads"):
        import_runs("climb", put(log, tmp_path / "y.csv"))
    other = mixed.drop(columns="run").assign(arc_easy_acc=0.5)
    other.insert(0, "model_benchmark_path", mixed["run"])
    assert import_runs("climb", put(other, tmp_path / "z.csv")).runs.targets == ("arc_easy_acc",)
