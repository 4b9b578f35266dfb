import importlib.util
import json
import pickle
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interplay.coupling import Batch, BatchSampler, Coupling, Schedule, check_coupling, coupled_dataset, coupled_mean
from interplay.coupling.cancelling import cancelled
from interplay.evaluators import Retrain
from interplay.evaluators.failures import EvaluationFailed

EXAMPLE = Path(__file__).parent.parent / "examples" / "coupled_trainer" / "train.py"


# The schedule


@st.composite
def schedules(draw):
    sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    N = sum(sizes)
    options = {"seed": draw(st.integers(0, 2**40)), "batch_size": draw(st.integers(1, N))}
    length = draw(st.sampled_from([{"steps": 1}, {"steps": 17}, {"epochs": 1}, {"epochs": 3}, {"epochs": 1.5}]))
    source = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    mask = draw(st.lists(st.sampled_from([0.0, 1.0, 0.3, 2.0]), min_size=len(sizes), max_size=len(sizes)))
    return source, {**options, **length}, mask


@given(schedules())
def test_batches_come_from_the_seed_alone(case):
    source, options, mask = case
    schedule, again = Schedule(source, **options), Schedule(source, **options)
    for step, batch in enumerate(schedule.under(mask)):
        np.testing.assert_array_equal(batch.indices, again.batch(step))
        np.testing.assert_array_equal(batch.weights, np.array(mask)[source[batch.indices]])
        assert batch.batch_size == options["batch_size"]
    assert step + 1 == len(schedule) == schedule.steps


@given(schedules())
def test_dropping_keeps_the_present_examples_in_order(case):
    source, options, mask = case
    schedule = Schedule(source, **options)
    for full, kept in zip(schedule.under(mask), schedule.under(mask, absent="drop"), strict=True):
        present = np.array(mask)[source[full.indices]] > 0
        np.testing.assert_array_equal(kept.indices, full.indices[present])
        np.testing.assert_array_equal(kept.weights, full.weights[present])
        assert kept.batch_size == full.batch_size
        losses = full.indices + 0.5
        assert kept.mean(losses[present]) == pytest.approx(full.mean(losses))


@given(schedules())
def test_every_epoch_reads_every_example_once_and_all_batches_but_the_last_are_full(case):
    source, options, _ = case
    schedule = Schedule(source, **options)
    batches = [schedule.batch(step) for step in range(schedule.steps)]
    read = np.concatenate(batches)
    N = len(source)
    for e in range(len(read) // N):
        np.testing.assert_array_equal(np.sort(read[e * N : (e + 1) * N]), np.arange(N))
        np.testing.assert_array_equal(read[e * N : (e + 1) * N], schedule.epoch(e))
    assert {len(batch) for batch in batches[:-1]} <= {schedule.batch_size}
    if "epochs" in options:
        assert len(read) == round(options["epochs"] * N)
    else:
        assert len(batches[-1]) == schedule.batch_size


@given(schedules(), st.data())
def test_a_run_goes_on_where_it_stopped(case, data):
    source, options, mask = case
    schedule = Schedule(source, **options)
    start = data.draw(st.integers(0, schedule.steps))
    whole = list(BatchSampler(schedule, mask))
    resumed = BatchSampler(pickle.loads(pickle.dumps(schedule)), mask, start=start)
    assert list(resumed) == whole[start:]
    assert len(resumed) == len(whole) - start


def test_seeds_and_epochs_have_orders_of_their_own():
    orders = [
        Schedule({"a": 30}, seed=seed, batch_size=3, epochs=2).epoch(e).tolist() for seed in (0, 1) for e in (0, 1)
    ]
    assert len({tuple(order) for order in orders}) == 4


def test_the_short_last_batch_keeps_the_normaliser():
    last = list(Schedule({"a": 5}, seed=0, batch_size=4, epochs=1).under([1]))[-1]
    assert (len(last), last.batch_size, last.mean(np.ones(1))) == (1, 4, 0.25)


def test_sources_can_be_numbers_names_sizes_or_data():
    options = {"seed": 1, "batch_size": 2, "steps": 3}
    by_number = Schedule([1, 1, 0], **options)
    by_name = Schedule(["y", "y", "x"], tasks=["x", "y"], **options)
    by_size = Schedule({"y": 2, "x": [7]}, **options)
    np.testing.assert_array_equal(by_number.source, by_name.source)
    assert (by_number.tasks, by_name.tasks, by_size.tasks) == (None, ("x", "y"), ("y", "x"))
    assert by_size.source.tolist() == [0, 0, 1]
    assert repr(by_size) == "Schedule(3 examples of 2 tasks, 3 batches of 2, seed 1)"


def test_ten_million_examples_are_cheap():
    started = time.perf_counter()
    schedule = Schedule({"a": 9_000_000, "b": 1_000_000}, seed=0, batch_size=256, steps=2000)
    for step in (0, 1, 1999):
        assert len(schedule.part(step, [1, 0], absent="drop")) < 256
    assert time.perf_counter() - started < 20
    assert schedule.source.nbytes == 10_000_000


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ([0, 1], {"steps": 1, "epochs": 1}, "give one of them"),
        ([0, 1], {}, "give one of them"),
        ([0, 1], {"steps": 0}, "steps is 0"),
        ([0, 1], {"epochs": -1}, "epochs is -1"),
        ([0, 1], {"steps": 1, "seed": -1}, "seed is -1"),
        ([0, 1], {"steps": 1, "batch_size": 3}, "use 1 to 2"),
        ([0, 2], {"steps": 1}, "no example of task 1"),
        ([0, 1], {"steps": 1, "tasks": ["a"]}, "task number 1"),
        ([0, 1], {"steps": 1, "tasks": ["a", "b", "c"]}, "no example of task 'c'"),
        ([0.5, 1], {"steps": 1}, "must hold task numbers"),
        ([[0], [1]], {"steps": 1}, r"must be \(N,\)"),
        (["a", "b"], {"steps": 1}, "in which order"),
        (["a", "b"], {"steps": 1, "tasks": ["a", "c"]}, "'b', which is not among tasks"),
        ({"a": 0, "b": 2}, {"steps": 1}, "at least one example"),
        ({}, {"steps": 1}, "at least one example"),
        ({"a": iter([1])}, {"steps": 1}, "a streamed data set has none"),
        ({"a": 2}, {"steps": 1, "tasks": ["a"]}, "leave tasks out"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(source, options, message):
    with pytest.raises(ValueError, match=message):
        Schedule(source, **{"seed": 0, "batch_size": 1, **options})


def test_masks_and_steps_that_do_not_fit_are_refused():
    schedule = Schedule({"a": 2, "b": 2}, seed=0, batch_size=2, steps=3)
    for call, message in [
        (lambda: schedule.part(0, [1]), r"must be \(2,\)"),
        (lambda: schedule.part(0, [1, -1]), "-1 for task 'b'"),
        (lambda: schedule.part(0, [np.nan, 1]), "nan for task 'a'"),
        (lambda: schedule.part(0, [1, 1], absent="skip"), "choose 'weight'"),
        (lambda: schedule.under([1, 1], start=4), "start is 4"),
        (lambda: schedule.batch(-1), "step is -1"),
        (lambda: Schedule([0, 1], seed=0, batch_size=1, steps=1).weights([1, np.inf]), "inf for task 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(IndexError, match="the schedule has 3"):
        schedule.batch(3)


# Weights and normaliser


def test_the_mean_of_a_batch_refuses_losses_that_are_reduced_already():
    assert coupled_mean([1.0, 3.0], [1.0, 0.5], 5) == pytest.approx(0.5)
    batch = Batch(np.arange(3), np.ones(3), 4)
    for losses in (np.float64(2.0), np.ones(2), np.ones((3, 7))):
        with pytest.raises(ValueError, match="reduction='none'"):
            batch.mean(losses)


def test_the_mean_of_a_batch_stays_in_torch():
    torch = pytest.importorskip("torch")
    losses = torch.tensor([1.0, 2.0, 5.0], requires_grad=True)
    for weights in (np.array([1.0, 0.0, 0.5]), [1, 0, 0.5], torch.tensor([1, 0, 0.5], dtype=torch.float64)):
        losses.grad = None
        loss = coupled_mean(losses, weights, 4)
        loss.backward()
        assert loss.dtype == torch.float32
        assert losses.grad.tolist() == [0.25, 0.0, 0.125]


# The sampler


def test_a_sampler_hands_out_weights_beside_the_batches():
    sampler = BatchSampler({"a": 6, "b": 4}, [0, 0.5], seed=0, batch_size=4, epochs=2, absent="drop")
    for indices, batch in sampler.over(list(sampler)):
        assert indices == batch.indices.tolist()
        assert set(batch.weights.tolist()) <= {0.5, 0.0}
    assert (sampler.batch_size, sampler.drop_last, len(sampler)) == (4, False, 5)


def test_a_batch_of_absent_examples_keeps_one_that_weighs_nothing():
    sampler = BatchSampler({"a": 7, "b": 1}, [0, 1], seed=0, batch_size=2, epochs=3, absent="drop")
    batches = list(sampler.batches())
    assert all(len(batch) for batch in batches)
    empty = [batch for batch in batches if not batch.weights.any()]
    assert empty
    assert all(batch.mean(np.array([9.0])) == 0 for batch in empty)
    assert sum(batch.weights.sum() for batch in batches) == 3


def test_a_sampler_says_what_is_wrong():
    schedule = Schedule({"a": 2, "b": 2}, seed=0, batch_size=2, steps=3)
    sampler = BatchSampler(schedule, [1, 1])
    for call, message in [
        (lambda: BatchSampler(schedule, [1, 1], seed=1), "seed given beside a Schedule"),
        (lambda: BatchSampler([0, 1], [1, 1], batch_size=1, steps=1), "seed is missing"),
        (lambda: BatchSampler([0, 1], [1, 1], seed=0, steps=1), "batch_size is missing"),
        (lambda: BatchSampler(schedule, [1, 1], absent="none"), "choose 'weight'"),
        (lambda: BatchSampler(schedule, [1, 1], start=9), "start is 9"),
        (lambda: list(sampler.over([1, 2])), "ended before step 2 of 3"),
        (lambda: list(sampler.over([1, 2, 3, 4])), "more than the 3 batches"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_torch_loader_takes_the_sampler(workers):
    torch = pytest.importorskip("torch")
    from torch.utils.data import DataLoader, TensorDataset

    data = TensorDataset(torch.arange(20))
    for absent in ("weight", "drop"):
        sampler = BatchSampler(np.arange(20) % 3, [1, 0, 1], seed=4, batch_size=6, steps=5, absent=absent)
        seen = list(sampler.over(DataLoader(data, batch_sampler=sampler, num_workers=workers)))
        assert len(seen) == 5
        for (x,), batch in seen:
            assert x.tolist() == batch.indices.tolist()
    with pytest.raises(ValueError, match="not made with this sampler"):
        next(sampler.over(DataLoader(data, batch_size=6)))


# Hugging Face


def test_a_coupled_dataset_is_the_schedule_with_weights():
    datasets = pytest.importorskip("datasets")
    sources = {name: datasets.Dataset.from_dict({"x": [10 * k + i for i in range(4)]}) for k, name in enumerate("abc")}
    options = {"seed": 2, "batch_size": 5, "steps": 4}
    rows = coupled_dataset(sources, [1, 0, 0.5], **options)
    schedule = Schedule({"a": 4, "b": 4, "c": 4}, **options)
    order = np.concatenate([schedule.batch(step) for step in range(4)])
    assert rows["x"][:] == [10 * (i // 4) + i % 4 for i in order.tolist()]
    assert rows["weight"][:] == [[1, 0, 0.5][i // 4] for i in order.tolist()]
    with pytest.raises(ValueError, match="column 'x' already"):
        coupled_dataset(sources, [1, 1, 1], column="x", **options)
    with pytest.raises(ValueError, match="the same columns"):
        coupled_dataset({**sources, "a": datasets.Dataset.from_dict({"x": ["text"]})}, [1, 1, 1], **options)
    with pytest.raises(ValueError, match=r"sources\['a'\] is of type list"):
        coupled_dataset({"a": [1, 2], "b": [3]}, [1, 1], seed=0, batch_size=1, steps=1)


def test_without_datasets_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match="pip install datasets"):
        coupled_dataset({"a": [1]}, [1], seed=0, batch_size=1, steps=1)


@pytest.fixture
def example(monkeypatch, tmp_path):
    for package in ("torch", "transformers", "datasets"):
        pytest.importorskip(package)
    if not EXAMPLE.is_file():
        pytest.skip("the examples are not beside the tests (a wheel)")
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("coupled_trainer", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_example_with_a_trainer_is_coupled_with_dropout_and_accumulation(example):
    found = check_coupling(example.train, list(example.SOURCES), task="sum")
    assert (found.coupled, found.reason) == (True, "smooth"), found
    assert found.tiny < 1e-3
    assert found.trainings <= 8


@pytest.mark.slow
def test_accumulation_in_the_example_changes_nothing(example, monkeypatch):
    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    monkeypatch.setattr(example, "SIZES", example.SIZES | still)
    mask = np.array([1, 1, 0, 1, 1.0])
    halves = example.train(mask, 1)
    monkeypatch.setattr(example, "PER_DEVICE", 16)
    monkeypatch.setattr(example, "ACCUMULATION", 1)
    assert example.train(mask, 1) == pytest.approx(halves, abs=1e-3)


# The check


def trainer(batches, *, read=lambda mask: mask, key=lambda mask, seed: seed, K=6, T=3, noise=0.0):
    """SGD of a logistic regression on K sources; ``batches(source, weights, seed)`` yields indices and weights."""
    rng = np.random.default_rng(5)
    source = np.repeat(np.arange(K), 60)
    X, true = rng.normal(size=(60 * K, 4)), rng.normal(size=(K, 4))
    y = (X * true[source]).sum(1) + 0.5 * rng.normal(size=60 * K) > 0
    Xt = rng.normal(size=(200, 4))
    yt = [(Xt @ (0.7 * true.mean(0) + 0.3 * true[t])) > 0 for t in range(T)]
    unrepeatable = np.random.default_rng()

    def train(mask, seed):
        seed = key(mask, seed)
        w = 0.1 * np.random.default_rng([1, seed]).normal(size=4)
        for indices, weights in batches(source, read(mask), seed):
            p = 1 / (1 + np.exp(-X[indices] @ w))
            w = w - 1.0 * X[indices].T @ (weights * (p - y[indices])) / 8
        p = np.clip(1 / (1 + np.exp(-Xt @ w)), 1e-9, 1 - 1e-9)
        values = [-np.log(np.where(labels, p, 1 - p)).mean() for labels in yt]
        return {f"loss_{t}": v * (1 + noise * unrepeatable.normal()) for t, v in enumerate(values)}

    return train


def dropped(source, weights, seed):
    for batch in Schedule(source, seed=seed, batch_size=8, steps=60).under(weights, absent="drop"):
        yield batch.indices, batch.weights


def redrawn(source, weights, seed):
    """Batches of the examples that are present: without a task all of them are others."""
    rng, pool = np.random.default_rng([2, seed]), np.flatnonzero(weights[source] > 0)
    order = np.concatenate([rng.permutation(pool) for _ in range(2)])
    for indices in order[:480].reshape(60, 8):
        yield indices, weights[source[indices]]


def counted(source, weights, seed):
    """As many examples of a source as its weight says, shuffled together."""
    rng = np.random.default_rng([2, seed])
    pool = np.concatenate([np.flatnonzero(source == k)[: int(60 * w)] for k, w in enumerate(weights)])
    for _ in range(60):
        yield rng.choice(pool, 8), np.ones(8)


def present(mask):
    return (mask > 0).astype(float)


def full(mask):
    return (mask == 1).astype(float)


def only_binary(mask):
    assert set(mask.tolist()) <= {0.0, 1.0}, "masks hold 0 and 1"
    return mask


@pytest.mark.parametrize("T", [1, 3])
def test_dropping_from_a_fixed_schedule_is_coupled(T):
    found = check_coupling(trainer(dropped, T=T), 6)
    assert (found.coupled, found.reason, found.trainings) == (True, "smooth", 7), found
    assert found.repeatable
    assert found.seed_matters
    assert found.reads_weights
    assert found.tiny < 1e-6
    assert found.remedy == ""


def test_noise_of_the_hardware_is_allowed_for():
    found = check_coupling(trainer(dropped, noise=1e-5), 6)
    assert found.coupled is True, found
    assert 0 < found.repeat < 0.05


@pytest.mark.parametrize("noise", [0.0, 1e-5])
def test_batches_drawn_anew_are_not_coupled(noise):
    found = check_coupling(trainer(redrawn, noise=noise), 6)
    assert (found.coupled, found.reason, found.repeatable) == (False, "redrawn", True), found
    assert "BatchSampler" in found.remedy


def test_a_generator_seeded_by_the_mask_is_not_coupled():
    found = check_coupling(trainer(dropped, key=lambda mask, seed: zlib.crc32(mask.tobytes(), seed)), 6)
    assert (found.coupled, found.reason) == (False, "redrawn"), found


def test_weights_that_count_examples_are_not_coupled():
    found = check_coupling(trainer(counted), 6)
    assert (found.coupled, found.reason) == (False, "resampled"), found
    assert found.tiny == 0  # no example at a tiny weight: equal for another reason


@pytest.mark.parametrize("read", [present, full, only_binary])
@pytest.mark.parametrize(("batches", "right"), [(dropped, True), (redrawn, False)])
def test_functions_that_read_masks_only_are_judged_by_seeds(read, batches, right):
    found = check_coupling(trainer(batches, read=read), 6, seeds=8)
    assert found.coupled is right, found
    assert found.reads_weights is False
    assert (found.cancelled > 0.5) is right
    assert found.seeds == tuple(range(8))


@pytest.mark.parametrize("read", [present, full, np.round, lambda mask: mask > 0.3, lambda mask: mask > 0.50005])
def test_functions_that_read_masks_only_are_never_called_coupled_by_their_weights(read):
    found = check_coupling(trainer(redrawn, read=lambda mask: read(mask) + 0.0), 6, takes="weights")
    assert (found.coupled, found.reason) == (None, "weights"), found


@pytest.mark.parametrize("refused", [(0.0, 0.4), (0.4, 0.5), (0.5, 1.0)])
def test_weights_may_be_refused_at_any_point(refused):
    train = trainer(dropped)

    def choosy(mask, seed):
        assert not refused[0] < mask[0] <= refused[1] or mask[0] == 1
        return train(mask, seed)

    found = check_coupling(choosy, 6)
    assert (found.coupled, found.reason, found.reads_weights) == (True, "shared", False), found


def test_masks_only_asks_for_nothing_else():
    asked = []
    train = trainer(dropped, read=present)

    def watched(mask, seed):
        asked.append((tuple(mask), seed))
        return train(mask, seed)

    found = check_coupling(watched, 6, takes="masks", task=2, seed=7)
    assert found.coupled is True, found
    assert {w for mask, _ in asked for w in mask} == {0.0, 1.0}
    assert {seed for _, seed in asked} == {7, 8, 9, 10}
    assert found.trainings == len(asked) <= 13


def test_a_function_that_is_not_repeatable_is_not_coupled():
    generator = np.random.default_rng(0)
    found = check_coupling(trainer(dropped, key=lambda mask, seed: int(generator.integers(2**40))), 6)
    assert (found.coupled, found.reason, found.repeatable) == (False, "unrepeatable", False), found


def test_a_model_that_goes_on_training_is_not_repeatable():
    kept = {"w": 5.0}

    def train(mask, seed):
        kept["w"] *= 1 - 0.2 * mask.mean()
        return {"loss": kept["w"] + 0.1 * np.random.default_rng(seed).normal()}

    assert check_coupling(train, 3).reason == "unrepeatable"


def test_a_function_that_ignores_its_seed_is_deterministic_if_smooth():
    found = check_coupling(trainer(dropped, key=lambda mask, seed: 3), 6)
    assert (found.coupled, found.reason, found.seed_matters) == (True, "deterministic", False), found
    assert "one seed is enough" in repr(found)


@pytest.mark.parametrize(("read", "coupled", "reason"), [(np.array, False, "redrawn"), (present, None, "no seeds")])
def test_noise_that_no_seed_averages_out_is_not_called_coupled(read, coupled, reason):
    found = check_coupling(trainer(redrawn, read=read, key=lambda mask, seed: 3), 6)
    assert (found.coupled, found.reason) == (coupled, reason), found


def test_reseeding_the_global_generators_is_seen_through():
    def train(mask, seed):
        np.random.seed(3)  # noqa: NPY002
        return {"loss": float(np.random.normal() + np.exp(-mask.sum()))}  # noqa: NPY002

    found = check_coupling(train, 3)
    assert (found.coupled, found.seed_matters) == (True, False), found


@pytest.mark.parametrize(
    ("train", "reason"),
    [
        (lambda mask, seed: {"loss": 1.0}, "constant"),
        (trainer(dropped, read=np.ones_like), "no effect"),
    ],
)
def test_functions_that_do_not_read_their_mask_are_not_judged(train, reason):
    found = check_coupling(train, 6)
    assert (found.coupled, found.reason) == (None, reason), found
    assert "Use the mask" in found.remedy
    assert repr(found).startswith("Coupled: cannot tell.")
    assert ("the values never changed" in repr(found)) is (reason == "constant")


def test_an_evaluator_is_checked_as_it_is():
    evaluator = Retrain(trainer(dropped), tasks=list("abcdef"), targets=["loss_2", "loss_0", "loss_1"])
    found = check_coupling(evaluator, task="c")
    assert (found.coupled, found.task) == (True, "c")
    assert list(found.runs[0]["values"]) == ["loss_2", "loss_0", "loss_1"]
    assert check_coupling(evaluator, 6).task == "a"


def test_batched_retraining_is_coupled_unless_told_otherwise():
    torch = pytest.importorskip("torch")
    from interplay.evaluators import BatchedRetrain

    rng = np.random.default_rng(0)

    def source(n):
        x = rng.normal(size=(n, 4))
        return x, (x.sum(1) + rng.normal(size=n) > 0).astype(int)

    def model(seed):
        torch.manual_seed(seed)
        return torch.nn.Linear(4, 2)

    options = {"steps": 30, "batch_size": 12}
    sources, targets = {name: source(30) for name in "abc"}, {name: source(80) for name in "xy"}
    assert check_coupling(BatchedRetrain(model, sources, targets, **options)).coupled is True
    assert check_coupling(BatchedRetrain(model, sources, targets, coupled=False, **options)).coupled is False


def test_a_torch_loop_with_the_sampler_is_coupled():
    torch = pytest.importorskip("torch")
    from torch.nn.functional import cross_entropy
    from torch.utils.data import DataLoader, TensorDataset

    rng = np.random.default_rng(1)
    source = np.repeat([0, 1, 2], 40)
    x = torch.tensor(rng.normal(size=(120, 5)), dtype=torch.float32)
    y = (x.sum(1) + x[:, 0] * torch.tensor(source) > 0).long()

    def train(mask, seed):
        torch.manual_seed(seed)
        model = torch.nn.Sequential(
            torch.nn.Linear(5, 16), torch.nn.Dropout(0.2), torch.nn.ReLU(), torch.nn.Linear(16, 2)
        )
        optimiser = torch.optim.Adam(model.parameters(), 0.01)
        sampler = BatchSampler(source, mask, seed=seed, batch_size=16, steps=40)
        for (xs, ys), batch in sampler.over(DataLoader(TensorDataset(x, y), batch_sampler=sampler)):
            optimiser.zero_grad()
            batch.mean(cross_entropy(model(xs), ys, reduction="none")).backward()
            optimiser.step()
        with torch.no_grad():
            losses = cross_entropy(model.eval()(x), y, reduction="none").numpy()
        return {f"loss_{k}": float(losses[source == k].mean()) for k in range(3)}

    found = check_coupling(train, ["a", "b", "c"], task="c")
    assert (found.coupled, found.trainings) == (True, 7), found


def test_the_answer_is_words_numbers_and_a_dictionary():
    found = check_coupling(trainer(redrawn), 6)
    assert isinstance(found, Coupling)
    shown = repr(found)
    assert max(map(len, shown.splitlines())) <= 120
    for words in ("Coupled: no.", "Remedy:", f"{found.trainings} trainings", "'task_0'", "a tiny weight instead of 0"):
        assert words in shown
    kept = json.loads(json.dumps(found.to_dict()))
    assert (kept["coupled"], kept["reason"], kept["remedy"]) == (False, "redrawn", found.remedy)
    assert len(kept["runs"]) == found.trainings
    assert set(kept["runs"][0]) == {"task", "weight", "seed", "values"}
    with pytest.raises(AttributeError):
        found.coupled = True


def raises(mask, seed):
    raise KeyError("no such file")


def forgets(mask, seed):
    return {"loss": 1.0 + seed} if mask[0] else {"error": 1.0}


def diverges(mask, seed):
    return {"loss": np.nan if mask[0] == 0 else 1.0 + seed}


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (raises, "weight 1 for task 'task_0' and 1 for the others, seed 0, failed: KeyError: 'no such file'"),
        (forgets, "weight 0 for task 'task_0'.* lacks target 'loss'"),
        (diverges, "weight 0 for task 'task_0'.* is nan"),
    ],
)
def test_a_training_that_fails_says_which(train, message):
    with pytest.raises(EvaluationFailed, match=message):
        check_coupling(train, 3)


class Fixed:
    """An evaluator that returns what it is given, in turn."""

    tasks, targets = ("a", "b"), None

    def __init__(self, *values):
        self.values = list(values)

    def evaluate(self, masks, seeds):
        return self.values.pop(0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1.0]], r"values of shape \(1,\)"),
        ([[[1.0]], [[1.0, 2.0]]], "gave 2 values for targets target_0, target_1"),
        ([[[np.inf]]], "gave inf for target 'target_0'"),
    ],
)
def test_an_evaluator_that_returns_nonsense_is_found_out(values, message):
    with pytest.raises(EvaluationFailed, match=message):
        check_coupling(Fixed(*map(np.array, values)))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "tasks is missing"),
        ({"tasks": "abc"}, TypeError, "sequence of names"),
        ({"tasks": 1}, ValueError, "at least two"),
        ({"tasks": 3, "task": "z"}, ValueError, "none of task_0"),
        ({"tasks": 3, "task": 3}, ValueError, "0 to 2"),
        ({"tasks": 3, "takes": "both"}, ValueError, "takes is 'both'"),
        ({"tasks": 3, "seeds": 2}, ValueError, "seeds is 2"),
        ({"tasks": 3, "seed": -1}, ValueError, "seed is -1"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        check_coupling(trainer(dropped), **arguments)
    with pytest.raises(ValueError, match="the evaluator has 2"):
        check_coupling(Fixed(), 3)


# How much cancels


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 4), st.integers(3, 8), st.integers(1, 6))
def test_shares_are_those_of_an_analysis_of_variance(key, J, n, T):
    rng = np.random.default_rng(key)
    values = rng.normal(size=(J, n, T)) + rng.normal(size=(n, T)) + 10 * rng.normal(size=(J, 1, T))
    found = cancelled(values)
    X = values - values.mean(1, keepdims=True)
    cross = (X.sum(0) ** 2).sum(0) - (X**2).sum((0, 1))
    assert found.share == pytest.approx((cross / (J - 1) / (X**2).sum((0, 1))).mean(), abs=1e-6)
    moved = cancelled(values * 3 + rng.normal(size=(J, 1, T)))
    assert moved.share == pytest.approx(found.share, abs=1e-6)
    assert 0 <= found.by_chance <= 1
    assert 0 <= found.if_shared <= 1


def test_verdicts_by_seeds_are_rarely_wrong():
    rng, said = np.random.default_rng(0), {True: [], False: []}
    for common in said:
        for _ in range(400):
            shared, own = rng.normal(size=(4, 2)), rng.normal(size=(3, 4, 2))
            said[common].append(cancelled(shared + 0.4 * own if common else own).verdict)
    assert said[True].count(True) > 280
    assert said[True].count(False) < 8
    assert said[False].count(True) < 8
    assert said[False].count(False) > 80


def test_values_that_never_move_share_nothing():
    assert cancelled(np.ones((2, 4, 1))).verdict is None


def test_the_room_is_light():
    heavy = ("torch", "datasets", "scipy", "pandas")
    program = f"import interplay.coupling, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
