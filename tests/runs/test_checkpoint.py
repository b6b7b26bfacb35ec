import pytest
import torch
from safetensors import SafetensorError

from landscope.runs.checkpoint import read_tensors, write_tensors


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
    write_tensors(tmp_path / "a.safetensors", tensors, {"optimizer": '{"lr": 0.1}'})
    back, metadata = read_tensors(tmp_path / "a.safetensors")
    assert metadata == {"optimizer": '{"lr": 0.1}'}
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor)


def test_a_damaged_file_is_refused(tmp_path):
    write_tensors(tmp_path / "a.safetensors", {"w": torch.ones(100)}, {})
    whole = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SafetensorError):
        read_tensors(tmp_path / "a.safetensors")
