import pytest
import torch
from safetensors.torch import save_file

from landscope.runs.checkpoint import read_tensors, write_tensors
from landscope.runs.seal import DamagedFileError, Seal

SEAL = Seal("0123", 5)


def test_tensors_and_strings_come_back_bit_identical(tmp_path):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 4, generator=generator)
    tensors = {
        "weight": weight,
        "tied": weight,
        "transposed": weight.T,
        "half": weight.to(torch.bfloat16),
        "count": torch.tensor(7),
        "empty": torch.empty(0, 2),
        "needs_grad": weight.clone().requires_grad_(),
    }
    write_tensors(tmp_path / "a.safetensors", tensors, {"optimizer": '{"lr": 0.1}'}, SEAL)
    back, metadata = read_tensors(tmp_path / "a.safetensors")
    assert metadata == {"optimizer": '{"lr": 0.1}'}
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor)


def test_a_damaged_file_is_refused(tmp_path):
    write_tensors(tmp_path / "a.safetensors", {"w": torch.ones(100)}, {}, SEAL)
    whole = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedFileError, match="is damaged"):
        read_tensors(tmp_path / "a.safetensors")


def test_any_changed_byte_is_found(tmp_path):
    path = tmp_path / "a.safetensors"
    tensors = {"w": torch.arange(40.0), "b": torch.tensor(True)}
    write_tensors(path, tensors, {"note": "x"}, SEAL)
    whole = path.read_bytes()
    for at in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[at] ^= 1
        path.write_bytes(changed)
        try:  # a space for padding may be another one
            back, metadata = read_tensors(path, SEAL)
        except DamagedFileError:
            continue
        assert metadata == {"note": "x"}
        assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())


def test_tensors_of_another_run_or_step_are_named(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"w": torch.ones(2)}, {}, SEAL)
    with pytest.raises(DamagedFileError, match="belongs to another run"):
        read_tensors(path, Seal("4567", 5))
    with pytest.raises(DamagedFileError, match="holds step 5"):
        read_tensors(path, Seal("0123", 6))
    save_file({"w": torch.ones(2)}, path)
    with pytest.raises(DamagedFileError, match="without the seal of its run"):
        read_tensors(path, SEAL)
    assert torch.equal(read_tensors(path, Seal(None, 5))[0]["w"], torch.ones(2))
