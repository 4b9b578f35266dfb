"""Units, sizes, budgets and stopping: what a file leads to is worked out, and said where it is not known."""

import numpy as np
import pytest
import yaml

import interplay as ip
from interplay.fields import EvaluationsError
from interplay.formats.exports import export
from tests.test_exports import MIXING, out, sources, written

ASKED = {"web": 0.5, "code": 0.3, "math": 0.2}


def said(found, words):
    return any(words in note for note in found.notes)


def test_unknown_unit_is_said(tmp_path):
    found = export(ASKED, "megatron-lm", tmp_path / "mix.txt", sources())
    assert said(found, "does not say what its shares are of; they are written as shares of tokens")
    assert not said(export(ASKED, "megatron-lm", tmp_path / "mix.txt", sources(), unit="tokens"), "does not say")


def test_a_choice_made_with_token_counts_is_of_tokens(tmp_path):
    W = ip.masks.dirichlet(3, 30, np.random.default_rng(0))
    runs = ip.Evaluations.from_arrays(W, (W**2).sum(axis=1), tasks=list(ASKED), targets=["loss"], kind="mixture")
    counts = ip.Tokens(tuple(ASKED), np.array([9e6, 3e6, 3e6]))
    chosen = ip.select(runs, tokens=counts, max_epochs=4)
    assert not said(export(chosen, "megatron-lm", tmp_path / "mix.txt"), "does not say")
    assert said(export(chosen, "llama-factory", tmp_path / "mix.yaml"), "the choice has shares of tokens; without")
    turned = export(chosen, "llama-factory", tmp_path / "turned.yaml", sources=sources())
    asked = export(chosen, "llama-factory", tmp_path / "asked.yaml", sources=sources(), unit="tokens")
    np.testing.assert_array_equal(turned.realised, asked.realised)
    assert said(turned, "shares of tokens were turned into shares of examples")
    assert said(export(ip.select(runs), "megatron-lm", tmp_path / "mix.txt"), "does not say")


@pytest.mark.parametrize("lacking", ["tokens", "examples"])
def test_conversion_needs_both_sizes(lacking, tmp_path):
    rows = sources()
    del rows["code"][lacking]
    with pytest.raises(EvaluationsError, match=f"the {lacking} of 'org/code' are not known; .*leave unit"):
        export(ASKED, "llama-factory", tmp_path / "mix.yaml", rows, unit="tokens")
    assert not list(tmp_path.iterdir())


def test_a_single_source_needs_no_conversion(tmp_path):
    found = export({"web": 1.0, "code": 0.0}, "llama-factory", tmp_path / "mix.yaml", kind="mixture", unit="tokens")
    assert found.realised.tolist() == [1.0]


def test_axolotl_weights_are_fractions(tmp_path):
    """s = .5, .3, .2 of 1000, 100, 400 examples: 100 / .3 are read in all, of web 500/3."""
    path = tmp_path / "mix.yaml"
    rows = sources(("web", "code", "math"), [1, 1, 1], [1000, 100, 400], type=["a", "b", "c"])
    found = export(ASKED, "axolotl", path, rows, unit="examples")
    sets = yaml.safe_load(path.read_text())["datasets"]
    assert [one["type"] for one in sets] == ["a", "b", "c"]
    np.testing.assert_allclose([one["weight"] for one in sets], [1 / 6, 1.0, 1 / 6], rtol=1e-12)
    np.testing.assert_allclose(found.read, [166, 100, 66])
    np.testing.assert_allclose(found.realised, np.array([166, 100, 66]) / 332)
    np.testing.assert_allclose(found.epochs, [0.166, 1.0, 0.165])
    assert said(found, "realised shares are up to 0.0012 off")
    assert said(found, "no release of axolotl up to 0.19.0 knows 'weight'")
    whole = export({"web": 1, "code": 1, "math": 0}, "axolotl", path, rows)
    assert not said(whole, "'weight'")  # nothing is cut, so that every release reads the same
    export(ASKED, "axolotl", path, rows, unit="examples")
    cut = export(ASKED, "axolotl", path, rows, unit="examples", budget=100, budget_unit="examples")
    weights = [one["weight"] for one in yaml.safe_load(path.read_text())["datasets"]]
    np.testing.assert_allclose(weights, [0.05, 0.3, 0.05], rtol=1e-12)
    np.testing.assert_allclose(cut.read, [50, 30, 20])
    more = export(ASKED, "axolotl", path, rows, unit="examples", budget=3320, budget_unit="examples")
    assert said(more, "10 times through the same 332 examples; what is left of the sources is never read")
    assert said(more, "read more than 4 times: org/code 10 times")


@pytest.mark.parametrize("name", ["axolotl", "open-instruct"])
def test_fractions_need_sizes(name, tmp_path):
    with pytest.raises(EvaluationsError, match=r"the examples of 'web', 'code', 'math' are not known; .* and no share"):
        export(ASKED, name, tmp_path / "mix.yaml", unit="examples")
    assert not list(tmp_path.iterdir())


def test_open_instruct_counts(tmp_path):
    path = tmp_path / "mix.yaml"
    rows = sources(("web", "code", "math"), [1, 1, 1], [1000, 100, 400])
    found = export(ASKED, "open-instruct", path, rows, unit="examples")
    pairs = yaml.safe_load(path.read_text())["dataset_mixer_list"]
    assert pairs == ["org/web", "167", "org/code", "1.0", "org/math", "67"]
    np.testing.assert_allclose(found.read, [167, 100, 67])
    few = {"web": 0.999, "code": 0.001}  # one example: "1" was the whole set in some versions
    export(few, "open-instruct", path, rows, unit="examples")
    pairs = yaml.safe_load(path.read_text())["dataset_mixer_list"]
    assert pairs[:3] == ["org/web", "1.0", "org/code"]
    assert "." in pairs[3]
    assert int(float(pairs[3]) * 100) == 1


@pytest.mark.parametrize("name", [n for n in MIXING if n in ("levanter", "olmo-core")])
def test_masks_need_sizes_where_only_shares_are_known(name, tmp_path):
    with pytest.raises(EvaluationsError, match=r"tokens of 'web', 'code' are not known; it knows shares only.*--equal"):
        export({"web": 1, "code": 1}, name, out(name, tmp_path))


def test_epochs_of_a_budget(tmp_path):
    found = export(ASKED, "megatron-lm", tmp_path / "mix.txt", sources(), unit="tokens", budget=1e10)
    np.testing.assert_allclose(found.read, [5e9, 3e9, 2e9], rtol=1e-9)
    np.testing.assert_allclose(found.available, [5e9, 4e8, 1e8])
    np.testing.assert_allclose(found.epochs, [1, 7.5, 20])
    assert said(found, "read more than 4 times: org/math 20 times, org/code 7.5 times")
    assert found.amount_unit == "tokens"


def test_a_budget_of_tokens_where_examples_are_drawn(tmp_path):
    """Lengths are 1000, 400 and 200 tokens."""
    path = tmp_path / "mix.yaml"
    found = export(ASKED, "llama-factory", path, sources(), unit="examples", budget=6.6e8)
    per_example = np.array([500, 120, 40])
    np.testing.assert_allclose(found.read, 6.6e8 * per_example / per_example.sum(), rtol=1e-8)
    rows = sources()
    del rows["code"]["examples"]
    lost = export(ASKED, "llama-factory", path, rows, unit="examples", budget=6.6e8)
    assert np.isnan(lost.read).all()
    assert said(lost, "the budget counts tokens, LLaMA-Factory draws examples")
    part = export(ASKED, "trl", path, {**sources(), "code": "c"}, budget=1000, budget_unit="examples")
    assert np.isfinite(part.epochs).tolist() == [True, False, True]
    assert said(part, "known of those with a count of examples only")


def test_stopping(tmp_path):
    """2.5e6 / .5 = 1e7, 1e6 / .3 = 3.3e6, 5e5 / .2 = 2.5e6 examples until each is used up."""
    path = tmp_path / "mix.yaml"
    first = export(ASKED, "llama-factory", path, sources(), unit="examples")
    assert yaml.safe_load(path.read_text())["mix_strategy"] == "interleave_under"
    assert said(first, "ends when 'org/math' is used up (first_exhausted), after about 2,500,000 examples")
    np.testing.assert_allclose(first.epochs, [0.25, 0.75, 1.0])
    last = export(ASKED, "llama-factory", path, sources(), unit="examples", stopping="all_exhausted")
    assert yaml.safe_load(path.read_text())["mix_strategy"] == "interleave_over"
    np.testing.assert_allclose(last.epochs, [1.0, 3.0, 4.0])
    assert said(last, "the last, is used up (all_exhausted), after about 10,000,000 examples")
    unknown = export(ASKED, "ms-swift", path, unit="examples", stopping="all_exhausted")
    assert said(unknown, "give 'examples' to see when")


def test_an_epoch_of_llm_foundry_is_as_large_as_all_streams(tmp_path):
    found = export(ASKED, "llm-foundry", tmp_path / "mix.yaml", sources(), unit="examples")
    np.testing.assert_allclose(found.read, 6.5e6 * np.array([0.5, 0.3, 0.2]), rtol=1e-8)


def test_whole_sources_with_a_budget(tmp_path):
    mask = {"web": 1, "code": 1}
    found = export(mask, "trl", tmp_path / "mix.yaml", sources(), budget=1.08e10)
    np.testing.assert_allclose(found.epochs, [2.0, 2.0])
    assert said(found, "2 times through the same 5.4e+09 tokens.")
    tokens = {"web": {"tokens": 3e9}, "code": {"tokens": 1e9}}
    only = export(mask, "trl", tmp_path / "mix.yaml", tokens)
    assert only.amount_unit == "tokens"
    np.testing.assert_allclose(only.realised, [0.75, 0.25])


def test_zero_and_tiny_weights_are_left_out(tmp_path):
    path = tmp_path / "mix.yaml"
    found = export({"web": 0.7, "code": 0.3 - 2e-8, "math": 2e-8, "books": 0}, "ms-swift", path, unit="examples")
    assert written("ms-swift", path)[0] == ["web", "code"]
    assert sum(written("ms-swift", path)[1]) == 1
    assert said(found, "left out, with weight 0 or below 1e-07 of all: math, books.")
    small = export({"web": 1 - 4e-7, "code": 4e-7}, "ms-swift", path, unit="examples")
    assert "0.0000004" in path.read_text()  # no exponent, which some readers take for text
    assert "4.00e-07" in repr(small)


def test_amounts_are_divided_by_their_sum(tmp_path):
    path = tmp_path / "mix.yaml"
    found = export({"web": 30, "code": 70}, "ms-swift", path, unit="examples")
    assert written("ms-swift", path) == (["web", "code"], [0.3, 0.7])
    assert said(found, "divided by their sum")


def test_tasks_with_one_source_are_one(tmp_path):
    path = tmp_path / "mix.yaml"
    rows = {t: {"source": s, "examples": n} for t, s, n in (("web", "w", 100), ("code", "c", 50), ("math", "w", 100))}
    found = export(ASKED, "ms-swift", path, rows, unit="examples")
    assert written("ms-swift", path) == (["w", "c"], [0.7, 0.3])
    assert found.tasks == ("web + math", "code")
    assert said(found, "tasks with one source are written as one: web + math")
    rows["math"]["examples"] = 10
    with pytest.raises(EvaluationsError, match="'web' and 'math' have one source, 'w', with examples 100 and 10"):
        export(ASKED, "ms-swift", path, rows)
    with pytest.raises(EvaluationsError, match="'w' is the source of a task that is in and of 'math', which is out"):
        export({"web": 1, "code": 1, "math": 0}, "ms-swift", path, rows)


def test_shares_below_one_example(tmp_path):
    path, rows = tmp_path / "mix.yaml", {"web": {"examples": 100}, "code": {"examples": 100}}
    few = {"web": 0.999, "code": 0.001}
    found = export(few, "trl", path, rows, unit="examples")
    assert found.realised.tolist() == [1.0, 0.0]
    assert said(found, "nothing is read of 'code'")
    found = export(few, "axolotl", path, rows, unit="examples")
    assert found.realised.tolist() == [1.0, 0.0]
    assert said(found, "the share of 'code' is less than one example of its set")


def test_a_budget_in_tokens_cuts_sets(tmp_path):
    """Lengths are 1000, 400 and 200 tokens: of 1e6 tokens 1000 / .66 examples are read."""
    path = tmp_path / "mix.yaml"
    export(ASKED, "axolotl", path, sources(), unit="examples", budget=6.6e5)
    weights = [one["weight"] for one in yaml.safe_load(path.read_text())["datasets"]]
    np.testing.assert_allclose(np.array(weights) * [5e6, 1e6, 5e5], [500, 300, 200], rtol=1e-8)
    found = export(ASKED, "olmo-core", path, {**sources(), "code": "c"}, unit="tokens", budget=1e9)
    assert said(found, "Sources without 'tokens' have max_repetition_ratio 1")


def test_shares_that_a_conversion_makes_tiny(tmp_path):
    """2e-7 of the tokens, in examples a million times as long: one step of the grid."""
    path = tmp_path / "mix.yaml"
    rows = {"web": {"tokens": 1e12, "examples": 1e12}, "code": {"tokens": 1e12, "examples": 1e6}}
    found = export({"web": 1 - 2e-7, "code": 2e-7}, "ms-swift", path, rows, unit="tokens")
    assert written("ms-swift", path)[1] == [0.999999999, 1e-9]
    assert said(found, "the realised share of code is 0.001 instead of 2e-07")


def test_many_sources(tmp_path):
    """The table is cut; every source is in the file."""
    weights = {f"t{i}": float(i + 1) for i in range(300)}
    found = export(weights, "levanter", tmp_path / "mix.yaml", unit="tokens")
    assert len(written("levanter", found.path)[0]) == 300
    assert "... 260 more of lower share" in repr(found)
    assert len(found.to_frame()) == 300
