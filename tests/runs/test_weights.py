import argparse
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from landscope.runs import read_weights


class Malicious:
    """Unpickling it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.fixture
def weights():
    generator = torch.Generator().manual_seed(0)
    return {
        "body.weight": torch.randn(3, 2, generator=generator),
        "head.bias": torch.randn(2, generator=generator),
        "count": torch.tensor(7),
    }


def save(content, path):
    (save_file if path.suffix == ".safetensors" else torch.save)(content, path)
    return path


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".bin", ".ckpt"])
def test_a_state_dict_comes_back_from_every_kind_of_file(tmp_path, weights, suffix):
    assert_same(read_weights(save(weights, tmp_path / f"w{suffix}")), weights)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "module"])
def test_a_state_dict_is_found_under_the_usual_keys(tmp_path, weights, key):
    content = {"epoch": 3, "optimizer": {"state": {}}, key: weights}
    assert_same(read_weights(save(content, tmp_path / "w.ckpt")), weights)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.model."])
def test_prefixes_that_all_names_carry_are_taken_away(tmp_path, weights, prefix):
    wrapped = {f"{prefix}{name}": tensor for name, tensor in weights.items()}
    assert_same(read_weights(save({"state_dict": wrapped}, tmp_path / "w.ckpt")), weights)


def test_a_prefix_that_one_name_lacks_or_that_the_model_has_itself_stays(tmp_path, weights):
    own = {f"model.{name}": tensor for name, tensor in weights.items()}
    path = save(own | {"lm_head.weight": torch.ones(1)}, tmp_path / "a.safetensors")
    assert read_weights(path).keys() == {*own, "lm_head.weight"}
    compiled = {f"_orig_mod.{name}": tensor for name, tensor in own.items()}
    path = save(compiled, tmp_path / "b.safetensors")
    assert_same(read_weights(path, names=own), own)
    assert_same(read_weights(path), weights)


def test_of_a_training_checkpoint_only_the_model_is_read(tmp_path, weights):
    content = {f"model.{name}": tensor for name, tensor in weights.items()}
    content["optimizer.0.momentum_buffer"] = torch.zeros(2)
    assert_same(read_weights(save(content, tmp_path / "00000120.safetensors")), weights)


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_shards_are_joined_and_a_missing_one_is_named(tmp_path, weights, suffix):
    first, second = (tmp_path / f"model-0000{i}-of-00002{suffix}" for i in (1, 2))
    names = list(weights)
    save({names[0]: weights[names[0]]}, first)
    save({name: weights[name] for name in names[1:]}, second)
    assert_same(read_weights(first), weights)
    second.unlink()
    with pytest.raises(FileNotFoundError, match=r"model-00002-of-00002.* do not exist"):
        read_weights(first)


@pytest.mark.parametrize("write", [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x))])
def test_a_malicious_pickle_is_refused_and_not_executed(tmp_path, weights, write):
    harm, path = tmp_path / "harm", tmp_path / "w.pt"
    write({"state_dict": weights, "more": Malicious(harm)}, path)
    with pytest.raises(ValueError, match=r"w\.pt hold .*no plain weights; --trust .*trust=True"):
        read_weights(path)
    assert not harm.exists()


def test_what_a_pickle_holds_beside_weights_is_named_and_read_with_trust(tmp_path, weights):
    content = {"state_dict": weights, "args": argparse.Namespace(lr=0.1)}
    path = save(content, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w\.pt hold argparse\.Namespace, which is no plain"):
        read_weights(path)
    assert_same(read_weights(path, trust=True), weights)


def test_a_whole_pickled_module_is_read_with_trust(tmp_path):
    module = nn.Linear(2, 3)
    path = save(module, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"hold torch\.nn\.modules\.linear\.Linear"):
        read_weights(path)
    assert_same(read_weights(path, trust=True), dict(module.state_dict()))


@pytest.mark.parametrize(
    ("content", "holds"),
    [
        ({"epoch": 3, "weights": {"a": torch.ones(1)}}, "the keys epoch, weights"),
        ([torch.ones(2)], "a list"),
        (torch.ones(2), "a Tensor"),
        ({}, "no tensor"),
        ({"optimizer.step": torch.ones(1)}, "no tensor"),
    ],
)
def test_a_file_without_weights_by_name_is_refused_by_what_it_holds(tmp_path, content, holds):
    with pytest.raises(ValueError, match=rf"w\.pt hold {holds}"):
        read_weights(save(content, tmp_path / "w.pt"))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("trust", [False, True])
def test_a_damaged_file_is_one_sentence(tmp_path, weights, suffix, trust):
    path = save(weights, tmp_path / f"w{suffix}")
    whole = path.read_bytes()
    for part in (whole[: len(whole) // 2], b"", b"hello world, this is text"):
        path.write_bytes(part)
        with pytest.raises(ValueError, match="damaged") as refused:
            read_weights(path, trust)
        assert "\n" not in str(refused.value)


def test_absent_files_and_other_suffixes_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt do not exist"):
        read_weights(tmp_path / "nowhere.pt")
    with pytest.raises(ValueError, match=r"end in '\.h5'; accepted are \.safetensors, \.pt"):
        read_weights(tmp_path / "weights.h5")
