"""Weights from a file: what is read, and that nothing in a file is ever run."""

import os
import pickle

import pytest

pytest.importorskip("torch", reason="needs the torch extra")

import torch

from interplay.evaluators.checkpoint import load_state


class Trap:
    """What a malicious pickle holds: reading it creates a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


STATE = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.zeros(2, dtype=torch.bfloat16)}


def same(found):
    return list(found) == list(STATE) and all(torch.equal(found[name], tensor) for name, tensor in STATE.items())


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3},
        {"model_state_dict": STATE, "optimizer": {"lr": 0.1}},
        {"epoch": 1, "model": STATE},
    ],
)
def test_states_are_read_also_one_level_down(tmp_path, content):
    torch.save(content, tmp_path / "W0.pt")
    assert same(load_state(tmp_path / "W0.pt"))
    assert same(load_state(str(tmp_path / "W0.pt")))


def test_states_of_older_versions_of_torch(tmp_path):
    torch.save(STATE, tmp_path / "W0.pt", _use_new_zipfile_serialization=False)
    assert same(load_state(tmp_path / "W0.pt"))


@pytest.mark.parametrize("name", ["W0.safetensors", "W0.bin"])
def test_safetensors_are_known_by_their_content(tmp_path, name):
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file(STATE, tmp_path / name)
    found = load_state(tmp_path / name)
    assert same({key: found[key] for key in STATE})


@pytest.mark.parametrize("wrap", [lambda trap: trap, lambda trap: {"state_dict": STATE, "extra": trap}])
@pytest.mark.parametrize("write", ["torch", "torch before 1.6", "pickle"])
def test_a_pickle_is_refused_and_never_run(tmp_path, monkeypatch, wrap, write):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    trap, file = tmp_path / "trap", tmp_path / "model.pt"
    if write == "pickle":
        file.write_bytes(pickle.dumps(wrap(Trap(trap))))
    else:
        torch.save(wrap(Trap(trap)), file, _use_new_zipfile_serialization=write == "torch")
    with pytest.raises(ValueError, match=r"model\.pt is refused: .*would run code .*torch\.save\(model\.state_dict"):
        load_state(file)
    assert not trap.exists()


def test_a_whole_model_is_refused_with_the_reason(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"refused: it holds more than tensors .*Linear"):
        load_state(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"lr": 0.1, "steps": 3}, "holds no state dict .* but the keys lr, steps"),
        ([1, 2], "but a list"),
        ({}, "holds no state dict"),
    ],
)
def test_what_is_no_state_is_said(tmp_path, content, message):
    torch.save(content, tmp_path / "W0.pt")
    with pytest.raises(ValueError, match=message):
        load_state(tmp_path / "W0.pt")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 torn", b"\x08" + bytes(7) + b"{torn"])
def test_other_files_are_refused(tmp_path, content):
    pytest.importorskip("safetensors")
    (tmp_path / "W0.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"W0\.pt (cannot be read as|is refused)"):
        load_state(tmp_path / "W0.pt")


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*W0\.pt"):
        load_state(tmp_path / "W0.pt")
    with pytest.raises(FileNotFoundError):
        load_state(tmp_path)


def test_safetensors_that_is_not_installed(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    (tmp_path / "W0.safetensors").write_bytes(b"x")
    with pytest.raises(ImportError, match="pip install safetensors"):
        load_state(tmp_path / "W0.safetensors")
