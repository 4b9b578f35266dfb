"""lm-evaluation-harness: scores, directions and errors as its files state them; what differs between runs is said."""

import gzip
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interplay import Evaluations
from interplay.evaluations import EvaluationsError
from interplay.formats.imports import import_runs
from interplay.formats.imports.results import Results, Score, named, results_of
from tests.hostile import TASKS

RUNS = [f"run-{i}" for i in range(6)]
WEB = [0.1, 0.2, 0.3, 0.5, 0.7, 0.9]


def document(i: int, **more):
    """Results of one run: three tasks, one of them a group, and its members."""
    held = {
        "results": {
            "arc_easy": {
                "alias": "arc_easy",
                "acc,none": 0.4 + i / 100,
                "acc_stderr,none": 0.01,
                "acc_norm,none": 0.3 + i / 10,
                "acc_norm_stderr,none": 0.02,
                "sample_len": 2376,
            },
            "gsm8k": {
                "exact_match,strict-match": 0.1 + i / 50,
                "exact_match_stderr,strict-match": 0.011,
                "exact_match,flexible-extract": 0.2 + i / 50,
                "exact_match_stderr,flexible-extract": "N/A",
            },
            "wikitext": {"word_perplexity,none": 20.0 - i, "word_perplexity_stderr,none": "N/A"},
            "mmlu": {"alias": "mmlu", "acc,none": 0.25 + i / 100, "acc_stderr,none": 0.003},
            "mmlu_stem": {"alias": " - stem", "acc,none": 0.2 + i / 100},
            "mmlu_anatomy": {"alias": "  - anatomy", "acc,none": 0.2 + i / 90},
        },
        "groups": {"mmlu": {"alias": "mmlu", "acc,none": 0.25 + i / 100, "acc_stderr,none": 0.003}},
        "group_subtasks": {"mmlu": ["mmlu_stem"], "mmlu_stem": ["mmlu_anatomy"], "arc_easy": []},
        "versions": {"arc_easy": 1.0, "gsm8k": 3.0},
        "n-shot": {"arc_easy": 0, "gsm8k": 5},
        "higher_is_better": {
            "arc_easy": {"acc": True, "acc_norm": True},
            "gsm8k": {"exact_match": True},
            "wikitext": {"word_perplexity": False},
            "mmlu": {"acc": True},
        },
        "n-samples": {"arc_easy": {"original": 2376, "effective": 2376}},
        "config": {"model": "hf", "model_args": f"pretrained=org/model-{i},dtype=bfloat16", "random_seed": 0},
        "date": 1.7e9 + i,
        "model_name": f"org/model-{i}",
    }
    return held | more


def write(folder: Path, held, name="results_2025-01-02T03-04-05.678901.json"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(held), encoding="utf-8")


def mixtures(path: Path, runs=RUNS, more=""):
    """A table of two sources, and seeds."""
    rows = [f"{run},{w},{1 - w},{i % 2}" for i, (run, w) in enumerate(zip(runs, WEB, strict=True))]
    path.write_text("\n".join(["run,web,code,seed", *rows, more]).strip() + "\n", encoding="utf-8")
    return path


@pytest.fixture
def place(tmp_path):
    for i, run in enumerate(RUNS):
        write(tmp_path / "results" / run / f"org__model-{i}", document(i))
    mixtures(tmp_path / "mixtures.csv")
    return tmp_path


def read(place, **how):
    return import_runs("lm-eval", place / "results", mixtures=place / "mixtures.csv", **how)


def whys(found, what):
    return [why for w, why in found.left if what in w]


def test_scores_directions_errors_and_seeds(place):
    found = read(place)
    runs = found.runs
    assert runs.tasks == ("web", "code")
    assert runs.targets == (
        "arc_easy/acc",
        "arc_easy/acc_norm",
        "gsm8k/exact_match,strict-match",
        "gsm8k/exact_match,flexible-extract",
        "wikitext/word_perplexity",
        "mmlu/acc",
    )
    assert runs.higher_is_better == (True, True, True, True, False, True)
    i = np.arange(6)
    expected = [0.4 + i / 100, 0.3 + i / 10, 0.1 + i / 50, 0.2 + i / 50, 20.0 - i, 0.25 + i / 100]
    np.testing.assert_allclose(runs.values, np.column_stack(expected), rtol=0, atol=0)
    np.testing.assert_allclose(runs.masks, np.column_stack([WEB, 1 - np.array(WEB)]))
    assert runs.seed.tolist() == [0, 1, 0, 1, 0, 1]
    assert runs.origin.tolist() == RUNS
    assert runs.notes["standard_errors"] == pytest.approx(
        {"arc_easy/acc": 0.01, "arc_easy/acc_norm": 0.02, "gsm8k/exact_match,strict-match": 0.011, "mmlu/acc": 0.003}
    )
    assert whys(found, "'mmlu_stem/acc'") == ["a member of a group whose own score is taken (--target takes it)"]
    assert whys(found, "'mmlu_anatomy/acc'") == whys(found, "'mmlu_stem/acc'")
    assert whys(found, "config: random_seed") == ["seeds of the evaluation, not of the training"]


def test_noise_of_the_evaluation_is_set_beside_the_spread_between_runs(place):
    said = [w for w in read(place, targets=["arc_easy/*"]).runs.warnings if "sampling of test questions" in w]
    spread = np.std([0.4 + i / 100 for i in range(6)], ddof=1)
    assert 0.5 * spread**2 > 0.01**2  # an error that is smaller than half of the variance is not spoken of
    assert said == []
    for i, run in enumerate(RUNS):
        held = document(i)
        held["results"]["arc_easy"]["acc_stderr,none"] = 0.017
        write(place / "results" / run / f"org__model-{i}", held)
    said = [w for w in read(place, targets=["arc_easy/*"]).runs.warnings if "sampling of test questions" in w]
    assert said == [
        "most of what differs between runs may be the sampling of test questions: arc_easy/acc "
        "(standard error of the evaluation 0.017, spread between runs 0.019)"
    ]


def test_targets_are_named_with_globs_also_members_of_groups(place):
    found = read(place, targets=["mmlu_*", "wikitext/word_perplexity"])
    assert found.runs.targets == ("mmlu_stem/acc", "mmlu_anatomy/acc", "wikitext/word_perplexity")
    assert found.runs.higher_is_better == (True, True, False)
    assert whys(found, "'arc_easy/acc'") == ["not among --target"]
    with pytest.raises(EvaluationsError, match=r"no result of lm-eval is called 'arc_esay/acc'. There are 8, such as"):
        read(place, targets=["arc_esay/acc"])
    assert "arc_easy/acc" not in read(place, ignore=["arc_easy/*"]).runs.targets


def test_of_several_results_of_a_run_the_latest_of_each_task_counts(place):
    later = {"results": {"arc_easy": {"acc,none": 0.99, "acc_norm,none": 0.5}}, "model_name": "org/model-2"}
    write(place / "results" / "run-2" / "org__model-2", later, "results_2025-02-01T00-00-00.000001.json")
    found = read(place)
    row = found.runs.origin.tolist().index("run-2")
    held = dict(zip(found.runs.targets, found.runs.values[row], strict=True))
    assert held["arc_easy/acc"] == 0.99
    assert held["wikitext/word_perplexity"] == 18.0
    assert whys(found, "earlier results of 'run-2': arc_easy") == [
        "results_2025-02-01T00-00-00.000001.json has later ones"
    ]


def test_results_without_dates_are_not_put_in_an_order(place):
    folder = place / "results" / "run-2" / "org__model-2"
    held = {k: v for k, v in document(2).items() if k != "date"}
    write(folder, held, "results.json")
    with pytest.raises(EvaluationsError, match=r"run-2: which of results.*is the latest is not said"):
        read(place)


def test_what_differs_in_how_runs_were_evaluated_is_said(place):
    for i, run in enumerate(RUNS):
        held = document(i)
        held["n-shot"] = {"arc_easy": i % 2, "gsm8k": 5}
        held["versions"] = {"arc_easy": 1.0 + (i == 0)}
        held["n-samples"] = {"arc_easy": {"original": 2376, "effective": 100 + i}}
        held["chat_template_sha"] = "abc" if i else "def"
        write(place / "results" / run / f"org__model-{i}", held)
    said = "\n".join(read(place).runs.warnings)
    assert "different examples in the prompt (n-shot): arc_easy (0, 1); they are hardly comparable" in said
    assert "different versions: arc_easy (2.0, 1.0)" in said
    assert "different numbers of questions: arc_easy (100, 101, 102, 103)" in said
    assert "different chat_template_sha: def, abc" in said
    assert "evaluated on a part of the questions (--limit): arc_easy (100 of 2376)" in said


def test_a_limit_is_said_where_only_the_configuration_states_it(place):
    for i, run in enumerate(RUNS):
        held = document(i) | {"n-samples": {}}
        held["config"] = {"model": "hf", "limit": 50.0}
        write(place / "results" / run / f"org__model-{i}", held)
    assert "evaluated on a part of the questions (--limit)" in read(place).runs.warnings


def test_results_before_version_04_have_no_filters(tmp_path):
    for i, run in enumerate(RUNS):
        held = {"results": {"piqa": {"acc": 0.5 + i / 100, "acc_stderr": 0.01}}, "versions": {"piqa": 0}, "config": {}}
        write(tmp_path / "results" / run, held, "results.json")
    mixtures(tmp_path / "mixtures.csv")
    found = read(tmp_path)
    assert found.runs.targets == ("piqa/acc",)
    assert found.runs.notes["standard_errors"] == {"piqa/acc": pytest.approx(0.01)}


def test_packed_files_and_files_side_by_side_are_named_by_their_models(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    for i in range(6):
        name = f"results_2025-01-0{i + 1}T00-00-00.json.gz"
        (folder / name).write_bytes(gzip.compress(json.dumps(document(i)).encode()))
    mixtures(tmp_path / "mixtures.csv", [f"org/model-{i}" for i in range(6)])
    found = read(tmp_path)
    assert found.runs.origin.tolist() == [f"model-{i}" for i in range(6)]
    assert found.runs.seed.tolist() == [0, 1, 0, 1, 0, 1]
    files = [folder / f"results_2025-01-0{i + 1}T00-00-00.json.gz" for i in range(6)]
    again = import_runs("lm-eval", files, mixtures=tmp_path / "mixtures.csv")
    np.testing.assert_array_equal(again.runs.values, found.runs.values)


def test_several_folders_are_runs_and_mixtures_may_name_the_models(place):
    folders = [place / "results" / run for run in RUNS]
    found = import_runs("lm-eval", folders, mixtures=place / "mixtures.csv")
    assert found.runs.equals(read(place).runs)
    mixtures(place / "mixtures.csv", [f"org/model-{i}" for i in range(6)])
    np.testing.assert_array_equal(read(place).runs.masks, found.runs.masks)


def test_what_some_runs_lack_or_never_varies_is_left(place):
    for i, run in enumerate(RUNS):
        held = document(i)
        held["results"]["boolq"] = {"acc,none": 0.5, "f1,none": "N/A"}
        held["total_evaluation_time_seconds"] = "12.5"
        if i:
            del held["results"]["wikitext"]
        write(place / "results" / run / f"org__model-{i}", held)
    (place / "results" / "logs").mkdir()
    found = read(place)
    assert whys(found, "'wikitext/word_perplexity'") == [
        "5 runs (run-1, run-2, run-3, run-4, ... (1 more)) lack it; --target and --missing skip take it"
    ]
    assert whys(found, "'boolq/acc'") == ["the same in all runs"]
    assert whys(found, "'boolq/f1'") == ["no number in any run"]
    assert whys(found, "total_evaluation_time_seconds") == ["the cost of the evaluation, not of the training"]
    assert whys(found, "folder 'logs'") == ["no results of lm-eval in it"]
    with pytest.raises(EvaluationsError, match=r"5 of 6 values are missing.*--missing skip"):
        read(place, targets=["wikitext/*"])


def test_runs_without_mixtures_are_listed(place):
    with pytest.raises(EvaluationsError, match=r"Give --mixtures FILE, a table with a column 'run'.*'run-0', 'run-1'"):
        import_runs("lm-eval", place / "results")
    text = (place / "mixtures.csv").read_text().replace("run-3", "other")
    (place / "mixtures.csv").write_text(text)
    with pytest.raises(EvaluationsError, match="no mixture for 1 of 6 runs: 'run-3'"):
        read(place)


def test_mixtures_in_other_files_state_no_seeds(place):
    held = {run: {"web": w, "code": 1 - w} for run, w in zip(RUNS, WEB, strict=True)}
    (place / "mixtures.json").write_text(json.dumps(held))
    found = import_runs("lm-eval", place / "results", mixtures=place / "mixtures.json")
    np.testing.assert_array_equal(found.runs.masks, read(place).runs.masks)
    assert set(found.runs.seed) == {-1}
    (place / "folder").mkdir()
    for run, weights in held.items():
        (place / "folder" / f"{run}.json").write_text(json.dumps({"train": weights}))
    assert import_runs("lm-eval", place / "results", mixtures=place / "folder").runs.equals(found.runs)


def test_a_column_of_the_mixtures_may_be_the_seed(place):
    text = (place / "mixtures.csv").read_text().replace("seed", "draw")
    (place / "mixtures.csv").write_text(text)
    found = read(place, seed="draw")
    assert found.runs.tasks == ("web", "code")
    assert found.runs.seed.tolist() == [0, 1, 0, 1, 0, 1]
    with pytest.raises(EvaluationsError, match=r"--seed nope: mixtures.csv has no such column"):
        read(place, seed="nope")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"results": {"arc": {"acc,none": 0.5}', "is no JSON"),
        ('{"results": []}', "no result of lm-eval: it has no 'results' of tasks"),
        (
            '{"log_history": [], "global_step": 1}',
            "looks like the state of a Hugging Face trainer; `interplay import trainer`",
        ),
        ('{"results": {"arc": {"acc,none": 0.5}}, "groups": {"g": 3}}', "results of 'g' are '3', and no scores"),
        ("", "is empty"),
    ],
)
def test_broken_files(place, text, match):
    path = place / "results" / "run-1" / "org__model-1" / "results_2025-01-02T03-04-05.678901.json"
    path.write_text(text)
    with pytest.raises(EvaluationsError, match=match):
        read(place)


def test_other_places_are_refused(place, tmp_path):
    with pytest.raises(EvaluationsError, match="does not exist"):
        import_runs("lm-eval", place / "nowhere", mixtures=place / "mixtures.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EvaluationsError, match=r"no results of lm-eval .* are there"):
        import_runs("lm-eval", tmp_path / "empty", mixtures=place / "mixtures.csv")
    write(place / "results" / "run-1" / "other", document(9), "results_2025-03-03T00-00-00.json")
    with pytest.raises(EvaluationsError, match="holds results of 2 models: 'org/model-1', 'org/model-9'"):
        read(place)
    write(place / "results" / "run-1" / "shot-5" / "org__model-1", document(1), "results_2025-03-03T00-00-00.json")
    (place / "results" / "run-1" / "other" / "results_2025-03-03T00-00-00.json").unlink()
    with pytest.raises(EvaluationsError, match="run-1: results of 'arc_easy' are in two folders"):
        read(place)
    with pytest.raises(EvaluationsError, match="--cost is not for results of lm-eval"):
        read(place, cost="x")
    with pytest.raises(EvaluationsError, match="--where is not for results of lm-eval"):
        read(place, where={"step": "3"})


def test_a_pickle_is_never_loaded(place):
    class Trap:
        def __reduce__(self):
            return Path.touch, (place / "run",)

    path = place / "results" / "run-1" / "org__model-1" / "results_2025-04-04T00-00-00.json"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(EvaluationsError, match="pickle"):
        read(place)
    assert not (place / "run").exists()


def test_hostile_names_are_kept_and_shown_plainly(place):
    for i, run in enumerate(RUNS):
        held = document(i)
        held["results"] = {name: {"acc,none": (i + k) / 100} for k, name in enumerate(TASKS)}
        held["group_subtasks"] = {"mmlu": "none", "": [""]}
        write(place / "results" / run / f"org__model-{i}", held)
    found = read(place)
    assert "<script>window.hacked=1</script>/acc" in found.runs.targets
    assert "\x1b" not in repr(found)


def test_results_of_one_run(place):
    one = results_of(place / "results" / "run-1")
    assert (one.name, one.model) == ("run-1", "org/model-1")
    assert one.targets["arc_easy/acc"] == Score("arc_easy", "acc", "none", 0.4 + 1 / 100, True, 0.01)
    assert one.targets["gsm8k/exact_match,flexible-extract"].error is None
    (place / "none").mkdir()
    with pytest.raises(EvaluationsError, match="none holds no results of lm-eval"):
        results_of(place / "none")


NAME = st.sampled_from(["a", "b", "none", ""])


@given(st.lists(st.tuples(NAME, NAME, NAME), unique=True, min_size=1, max_size=12))
def test_names_tell_all_scores_apart(scores):
    run = Results("r", "r", "m", tuple(Score(task, metric, filter_, 0.0) for task, metric, filter_ in scores))
    held = {(s.task, s.metric, "none" if s.filter == "" else s.filter) for s in run.scores}
    if len(held) == len(scores):
        assert len(named([run])[0]) == len(scores)


def test_a_run_that_is_given_twice_is_taken_once(place):
    once = read(place).runs
    folders = [place / "results", place / "results" / "run-1", place / "results"]
    found = import_runs("lm-eval", folders, mixtures=place / "mixtures.csv")
    assert found.runs.equals(once)
    assert whys(found, "run 'run-1'") == ["given twice; taken once"]
    assert whys(found, f"{place / 'results'}") == ["given twice; taken once"]


@pytest.mark.parametrize("model", ["org/model-{}", "model"])
def test_results_that_lie_deeper_are_refused_with_the_folder_to_give(place, model):
    for i, run in enumerate(RUNS):
        write(place / "above" / "sweep" / run / "m", document(i, model_name=model.format(i)))
    with pytest.raises(EvaluationsError, match=r"the folder whose folders are the runs, here perhaps '.*above/sweep'"):
        import_runs("lm-eval", place / "above", mixtures=place / "mixtures.csv")


def test_standard_errors_are_said_and_stay_out_of_the_table(place):
    found = read(place)
    words = "compared with the spread between runs, and kept as means in notes['standard_errors']; no fit uses them"
    assert [why.startswith(words) for why in whys(found, "standard errors of 4 targets")] == [True]
    for name in ("runs.csv", "runs.parquet", "runs.npz"):
        found.runs.write(place / name)
        again = Evaluations.read(place / name)
        assert (again.tasks, again.targets) == (found.runs.tasks, found.runs.targets)
        assert again.notes["standard_errors"] == found.runs.notes["standard_errors"]


def test_directions_that_files_disagree_on_are_asked_for(place):
    odd = document(2)
    odd["higher_is_better"] = {**odd["higher_is_better"], "mmlu": {"acc": False}}
    write(place / "results" / RUNS[2] / "org__model-2", odd)
    with pytest.raises(EvaluationsError, match=r"'mmlu/acc': some files say that higher is better.*--higher-is-better"):
        read(place)
    runs = read(place, higher_is_better="mmlu/*").runs
    assert runs.higher_is_better[runs.targets.index("mmlu/acc")]
