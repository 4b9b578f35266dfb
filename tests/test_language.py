"""The lower and the upper part of a language model: packed rows, kept states, gradients of single examples."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from interplay.language.adapter import answer_tokens  # noqa: E402
from interplay.language.cut import Cut, layers_of  # noqa: E402
from interplay.language.packing import pack  # noqa: E402
from interplay.language.states import States  # noqa: E402
from tests import language  # noqa: E402
from tests.language import KINDS, finetune  # noqa: E402

#: LoRA; chosen linear parts; norms and biases; the head, which is the embedding too in GPT-2.
TRAINED = {
    "lora": {},
    "linear": {"lora": None, "layers": None, "parameters": ["*.2.*proj*weight", "*h.2.*"]},
    "norms": {"lora": None, "layers": None, "parameters": ["*.1.*norm*", "*.1.ln_1*", "*.norm.weight", "*.ln_f*"]},
    "head": {"lora": None, "layers": None, "parameters": ["*lm_head*", "*wte*"]},
}


def trains(kind, what):
    """How to make the evaluator; globs that name nothing of this model are left out."""
    how = dict(TRAINED[what])
    if "parameters" in how:
        from fnmatch import fnmatchcase

        names = [name for name, _ in language.model(kind).named_parameters()]
        how["parameters"] = [g for g in how["parameters"] if any(fnmatchcase(name, g) for name in names)]
    return finetune(kind=kind, **how)


def alone(course, examples, i, inner=None):
    """Loss of one example by the whole model, nothing kept and nothing packed, as a graph."""
    inner = inner or course.adapter.cut.inner
    ids, first = torch.from_numpy(examples.ids[i]), int(examples.answer[i])
    logits = inner(input_ids=ids[None]).logits[0, first - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, ids[first:])


def moved(course, seed=0):
    """Parameters away from the start, where LoRA's B is not 0."""
    W = course.initial(seed)
    return W + 0.1 * torch.randn(W.shape, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------- rows of several sequences


def test_every_token_is_in_a_row_once_and_sees_its_own_sequence():
    lengths = np.array([5, 3, 9, 1, 4])
    packed = pack(lengths, row=10)
    assert len(set(packed.place.tolist())) == lengths.sum()
    flat, position = packed.sequence.reshape(-1)[packed.place], packed.positions.reshape(-1)[packed.place]
    assert flat.tolist() == np.repeat(np.arange(5), lengths).tolist()
    assert position.tolist() == [a for n in lengths for a in range(n)]
    seen = packed.attention(torch.float32)[:, 0] == 0
    own = (packed.sequence[:, :, None] == packed.sequence[:, None]) & (packed.sequence[:, None] >= 0)
    assert int((seen & own).sum()) == sum(n * (n + 1) // 2 for n in lengths)
    assert torch.equal(seen & ~own, torch.eye(10, dtype=torch.bool) & (packed.sequence[:, :, None] < 0))
    whole = pack(lengths).attention(torch.float32, causal=False)[0, 0] == 0
    assert int(whole.sum()) == (lengths**2).sum()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["lora", "head"])
def test_packed_losses_are_those_of_one_sequence_at_a_time(kind, what):
    course = trains(kind, what)
    assert (course.adapter.cut.first is None) == (what == "head" and kind == "gpt2"), (
        "below the head nothing is trained"
    )
    course.adapter.place(moved(course))
    found = course.adapter.measure(course.examples, course.states)
    with torch.no_grad():
        expected = [float(alone(course, course.examples, i)) for i in range(len(course.examples))]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", [0, 1, 2])
def test_the_upper_part_goes_on_from_what_the_lower_one_gives(kind, first):
    model = language.model(kind)
    cut, ids = Cut(model, first), [np.arange(2, 2 + n) for n in (5, 11, 3)]
    lengths = np.array([len(i) for i in ids])
    before = cut.layers
    with torch.no_grad():
        found = cut.logits(cut.lower(ids), lengths, torch.arange(int(lengths.sum())))
        expected = torch.cat([model(input_ids=torch.from_numpy(i)[None]).logits[0] for i in ids])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert layers_of(model)[1] is before
    assert not before[first]._forward_pre_hooks


def test_layers_that_a_model_tells_apart_by_their_number_keep_it():
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    config = Gemma3TextConfig(
        vocab_size=60,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        layer_types=["sliding_attention", "full_attention"] * 2,
        sliding_window=32,
    )
    model = Gemma3ForCausalLM(config).eval()
    cut, ids = Cut(model, 3), [np.arange(2, 12), np.arange(20, 27)]
    with torch.no_grad():
        found = cut.logits(cut.lower(ids), np.array([10, 7]), torch.arange(17))
        expected = torch.cat([model(input_ids=torch.from_numpy(i)[None]).logits[0] for i in ids])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_layers_are_no_experts_of_one_of_them():
    layer = lambda: torch.nn.ModuleDict({"experts": torch.nn.ModuleList(torch.nn.Linear(2, 2) for _ in range(9))})
    assert layers_of(torch.nn.ModuleDict({"layers": torch.nn.ModuleList([layer(), layer()])}))[0] == "layers"
    with pytest.raises(ValueError, match="without a list of layers; pass a language model"):
        layers_of(torch.nn.Linear(2, 2))


# ---------------------------------------------------------------- states that are kept


def states(course, folder, cut=None):
    return States(cut or course.adapter.cut, course.examples, folder, "key")


def everything(kept, course):
    return kept.of(np.arange(len(course.examples)), torch.float32)


def test_states_on_disk_are_those_in_memory_and_are_made_once(tmp_path, monkeypatch):
    course = finetune()
    memory, disk = states(course, None), states(course, tmp_path)
    assert torch.equal(everything(memory, course), everything(disk, course))
    monkeypatch.setattr(Cut, "lower", lambda *_: pytest.fail("they are there"))
    again = states(course, tmp_path)
    assert torch.equal(everything(memory, course), everything(again, course))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".npy"]


def test_interrupted_states_go_on_behind_the_last_chunk(tmp_path, monkeypatch):
    course = finetune()
    monkeypatch.setattr("interplay.language.states.CHUNK", 60)
    lower, calls = Cut.lower, []

    def stops(cut, ids):
        calls.append(len(ids))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return lower(cut, ids)

    monkeypatch.setattr(Cut, "lower", stops)
    with pytest.raises(KeyboardInterrupt):
        states(course, tmp_path)
    done = json.loads((tmp_path / "states-key.json").read_text())["examples"]
    assert done == sum(calls[:2]) < len(course.examples)
    first = len(calls)
    found = everything(states(course, tmp_path), course)
    assert sum(calls[first:]) == len(course.examples) - done, "what was done is not done again"
    monkeypatch.setattr(Cut, "lower", lower)
    assert torch.equal(found, everything(states(course, None), course))


def test_a_second_process_takes_nothing_from_the_first(tmp_path, monkeypatch):
    course = finetune()
    monkeypatch.setattr("interplay.language.states.CHUNK", 60)
    lower, inside = Cut.lower, []

    def beside(cut, ids):
        if not inside:  # another process begins and ends while the first makes its first chunk
            inside.append(1)
            states(course, tmp_path)
        return lower(cut, ids)

    monkeypatch.setattr(Cut, "lower", beside)
    found = everything(states(course, tmp_path), course)
    assert torch.equal(found, everything(states(course, None), course))
    assert torch.equal(found, everything(states(course, tmp_path), course))


def test_states_that_were_removed_are_made_anew(tmp_path):
    course = finetune()
    found = everything(states(course, tmp_path), course)
    (tmp_path / "states-key.npy").unlink()
    assert torch.equal(everything(states(course, tmp_path), course), found)


def test_a_file_of_another_shape_is_refused(tmp_path):
    course = finetune()
    np.save(tmp_path / "states-key.npy", np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match=r"states-key.npy has shape \(3, 2\).*remove the file"):
        states(course, tmp_path)


# ---------------------------------------------------------------- gradients of single examples


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", TRAINED)
def test_reactions_are_those_of_one_example_at_a_time(kind, what):
    course = trains(kind, what)
    adapter, indices = course.adapter, np.array([3, 17, 0, 30])
    W = moved(course)
    found = course.reactions(W, indices, 3)
    assert adapter.by_layer == (what == "lora" or (kind == "llama" and what in ("linear", "head")))
    for e, i in enumerate(indices):
        loss = alone(course, course.examples, i)
        g = torch.cat([p.reshape(-1) for p in torch.autograd.grad(loss, adapter.parameters)])
        assert float(found.losses[e]) == pytest.approx(float(loss), rel=1e-5)
        torch.testing.assert_close(found.gradients[e], g, rtol=1e-4, atol=1e-6)
        for r, row in enumerate(outcome_gradients(course, i, 3)):
            torch.testing.assert_close(found.rows[e, r], row, rtol=1e-3, atol=1e-5)


def outcome_gradients(course, i, R):
    """Gradients of the R most uncertain log-odds of one example, by autograd over the whole model."""
    examples = course.examples
    where, _, _ = answer_tokens(examples, np.array([i]))
    logits = course.adapter.cut.inner(input_ids=torch.from_numpy(examples.ids[i])[None]).logits[0, where]
    p = logits.detach().softmax(-1)
    best = (p * (1 - p)).flatten().topk(R).indices
    pairs = [(int(b) // p.shape[1], int(b) % p.shape[1]) for b in best]
    for place, outcome in pairs:
        taken = [v for at, v in pairs if at == place]
        rest = torch.ones(p.shape[1], dtype=torch.bool)
        rest[taken] = False
        q = logits[place, outcome] - logits[place, rest].logsumexp(-1)
        grads = torch.autograd.grad(q, course.adapter.parameters, retain_graph=True)
        yield torch.cat([g.reshape(-1) for g in grads])


def test_without_outcomes_nothing_reacts_and_targets_come_in_chunks():
    course = finetune(targets={"one": language.rows(90), "two": language.rows(91)})
    W = moved(course)
    found = course.reactions(W, np.array([0, 1]), 0)
    assert found.rows.shape == (2, 0, len(W))
    assert torch.equal(found.gradients, course.reactions(W, np.array([0, 1]), 2).gradients)
    losses = {0: [], 1: []}
    for t, part in course.target_reactions(W, 0):
        losses[t] += part.losses.tolist()
    np.testing.assert_allclose([np.mean(losses[0]), np.mean(losses[1])], course.measure(W), rtol=1e-5)


def test_a_total_gradient_is_the_weighted_sum_and_survives_little_memory(monkeypatch):
    course = finetune()
    indices, weights, W = np.arange(7), np.linspace(0.1, 1, 7), moved(course)
    expected = torch.from_numpy(weights).float() @ course.reactions(W, indices, 0).gradients
    torch.testing.assert_close(course.gradient(W, indices, weights), expected, rtol=1e-4, atol=1e-6)
    measured, logits = course.measure(W), Cut.logits

    def small(cut, states, lengths, where):
        if len(lengths) > 3:
            raise torch.OutOfMemoryError("out of memory")
        return logits(cut, states, lengths, where)

    monkeypatch.setattr(Cut, "logits", small)
    torch.testing.assert_close(course.gradient(W, indices, weights), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(course.measure(W), measured, rtol=1e-5)


@pytest.mark.parametrize("R", [0, 2, 60])
def test_reactions_survive_little_memory(monkeypatch, R):
    course = finetune()
    indices, W = np.argsort(course.examples.lengths - course.examples.answer, kind="stable")[8:16], moved(course)
    moves = 0.1 * torch.randn(3, course.size, generator=torch.Generator().manual_seed(1))
    whole, logits, sizes = course.reactions(W, indices, R), Cut.logits, []

    def small(cut, states, lengths, where):
        if len(lengths) > 3:
            raise torch.OutOfMemoryError("out of memory")
        sizes.append(len(lengths))
        return logits(cut, states, lengths, where)

    monkeypatch.setattr(Cut, "logits", small)
    found = course.reactions(W, indices, R)
    assert sizes == [2, 2, 2, 2]
    assert not course.adapter.cut.head._forward_hooks
    torch.testing.assert_close(found.losses, whole.losses, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.gradients, whole.gradients, rtol=1e-4, atol=1e-6)
    assert found.rows.shape == (8, R, course.size)
    torch.testing.assert_close(found.moved(moves), whole.moved(moves), rtol=1e-4, atol=1e-4)
    shares = torch.rand(3, 8, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(found.pull(moves, shares), whole.pull(moves, shares), rtol=1e-3, atol=1e-4)
    measured = [float(part.losses.mean()) for _, part in course.target_reactions(W, R)]
    np.testing.assert_allclose(measured, course.measure(W), rtol=1e-5)


def test_one_example_that_does_not_fit_is_said(monkeypatch):
    course = finetune()

    def refuses(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Cut, "logits", refuses)
    with pytest.raises(MemoryError, match=r"one example of \d+ tokens; lower max_length, train fewer layers"):
        course.gradient(course.initial(0), np.arange(2), np.ones(2))
    with pytest.raises(MemoryError, match="lower max_length"):
        course.measure(course.initial(0))
    with pytest.raises(MemoryError, match="lower max_length"):
        course.reactions(course.initial(0), np.arange(3), 1)
