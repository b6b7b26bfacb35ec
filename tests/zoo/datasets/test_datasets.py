import gzip
import socket
from urllib.error import URLError

import numpy as np
import pytest
import torch

from landscope.zoo import DATASETS, DataNotFoundError, gaussian_mixture, load_dataset
from landscope.zoo.datasets.classification_data import prepare
from landscope.zoo.datasets.source import Source


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    """Neither data folder nor cache nor network."""

    def refuse(*args, **kwargs):
        raise URLError("name or service not known")

    monkeypatch.delenv("LANDSCOPE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    return tmp_path


def write_mnist_like(raw, num_train=30, num_test=20):
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, num in (("train", num_train), ("t10k", num_test)):
        images = rng.integers(0, 256, (num, 28, 28), dtype=np.uint8)
        labels = (np.arange(num) % 10).astype(np.uint8)
        for name, array in ((f"{part}-images-idx3", images), (f"{part}-labels-idx1", labels)):
            header = b"\0\0\x08" + bytes([array.ndim])
            header += b"".join(size.to_bytes(4, "big") for size in array.shape)
            content = gzip.compress(header + array.tobytes())
            (raw / f"{name}-ubyte.gz").write_bytes(content)


def test_digits_are_the_default_standardised_and_split_by_class():
    data = load_dataset()
    assert data.input_shape == (1, 8, 8)
    assert data.num_classes == 10
    assert (data.train_inputs.dtype, data.train_targets.dtype) == (torch.float32, torch.int64)
    assert data.train_inputs.mean().item() == pytest.approx(0, abs=1e-6)
    assert data.train_inputs.std().item() == pytest.approx(1, abs=1e-3)
    assert len(data.train_targets) + len(data.test_targets) == 1797
    assert all(35 <= n <= 36 for n in data.test_targets.bincount()[[0, 1, 2, 3]])


def test_digits_can_be_restored_from_mean_and_std():
    from sklearn.datasets import load_digits

    data = load_dataset("digits")
    pixels = (data.train_inputs * data.std[0] + data.mean[0]) * 16
    torch.testing.assert_close(pixels, pixels.round(), atol=1e-4, rtol=0)
    test_pixels = (data.test_inputs * data.std[0] + data.mean[0]) * 16
    total = pixels.sum() + test_pixels.sum()
    assert total.item() == pytest.approx(load_digits().images.sum(), rel=1e-5)


def test_train_and_test_share_no_example():
    data = load_dataset("digits")
    train = {tuple(x) for x in data.train_inputs.flatten(1).tolist()}
    assert not train & {tuple(x) for x in data.test_inputs.flatten(1).tolist()}


def test_classes_are_relabelled_and_keep_the_standardisation():
    everything, some = load_dataset("digits"), load_dataset("digits", classes=[7, 2])
    assert some.class_names == ("7", "2")
    assert (some.mean, some.std) == (everything.mean, everything.std)
    assert torch.equal(
        some.train_inputs[some.train_targets == 0],
        everything.train_inputs[everything.train_targets == 7],
    )


def test_max_examples_is_balanced_and_seeded():
    first, again, other = (
        load_dataset("digits", max_examples=100, max_test_examples=20, seed=s) for s in (0, 0, 1)
    )
    assert first.train_targets.bincount().tolist() == [10] * 10
    assert first.test_targets.bincount().tolist() == [2] * 10
    assert torch.equal(first.train_inputs, again.train_inputs)
    assert not torch.equal(first.train_inputs, other.train_inputs)


def test_images_are_standardised_per_channel():
    rng = np.random.default_rng(0)
    images = rng.integers(0, [[[[100]], [[200]], [[256]]]], (50, 3, 4, 4)).astype(np.uint8)
    targets = np.arange(50) % 2
    data = prepare(Source("random", ("a", "b"), images, targets, images, targets))
    per_channel = data.train_inputs.double().transpose(0, 1).flatten(1)
    np.testing.assert_allclose(per_channel.mean(dim=1), 0, atol=1e-6)
    np.testing.assert_allclose(per_channel.std(dim=1, correction=0), 1, rtol=1e-6)
    np.testing.assert_allclose(data.mean, images.mean(axis=(0, 2, 3)) / 255)


def test_gaussian_mixture_has_the_separation_asked_for():
    data = gaussian_mixture(40, 50, separation=6.0, num_train=40_000, num_test=40, seed=0)
    raw = data.train_inputs.double() * data.std[0] + data.mean[0]
    means = torch.stack([raw[data.train_targets == c].mean(dim=0) for c in range(40)])
    distances = torch.pdist(means)
    # 1000 examples per class: the noise adds 2·50/1000 to the squared distance of two means.
    assert distances.square().mean().item() == pytest.approx(36 + 0.1, rel=0.05)
    noise = raw - means[data.train_targets]
    assert noise.std().item() == pytest.approx(1, rel=0.01)


def test_gaussian_mixture_by_name_is_the_one_of_its_seed():
    by_name = load_dataset("gaussian_mixture", seed=5)
    assert torch.equal(by_name.train_inputs, gaussian_mixture(seed=5).train_inputs)
    assert not torch.equal(by_name.train_inputs, gaussian_mixture(seed=6).train_inputs)


@pytest.mark.parametrize(
    "arguments",
    [{"num_classes": 1}, {"dim": 0}, {"separation": float("nan")}, {"num_train": 5}],
)
def test_gaussian_mixture_refuses_bad_arguments(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        gaussian_mixture(**arguments)


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        ({"name": "imagenet"}, "name is 'imagenet'"),
        ({"classes": [1]}, "classes"),
        ({"classes": [1, 1]}, "classes"),
        ({"classes": [0, 10]}, "classes"),
        ({"max_examples": 0}, "max_examples=0"),
        ({"max_test_examples": -3}, "max_test_examples=-3"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, culprit):
    with pytest.raises(ValueError, match=culprit):
        load_dataset(**arguments)


@pytest.mark.parametrize(
    "name", ["mnist", "fashion_mnist", "cifar10", "cifar100", "cifar10_subset"]
)
@pytest.mark.parametrize("download", [True, False])
def test_absent_data_give_one_sentence_that_says_what_and_where(no_data, name, download):
    with pytest.raises(DataNotFoundError) as caught:
        load_dataset(name, data_root=no_data / "elsewhere", download=download)
    message = str(caught.value)
    assert isinstance(caught.value, FileNotFoundError)
    assert "\n" not in message
    assert str(no_data / "elsewhere") in message
    assert str(no_data / "cache" / "landscope") in message
    assert "LANDSCOPE_DATA" in message
    if name != "cifar10_subset":
        assert ("name or service not known" in message) == download


def test_the_network_timeout_is_put_back(no_data):
    with pytest.raises(DataNotFoundError):
        load_dataset("mnist")
    assert socket.getdefaulttimeout() is None


def test_a_read_only_folder_is_read_without_writing(no_data, monkeypatch):
    root = no_data / "data"
    write_mnist_like(root / "MNIST" / "raw")
    for path in (root / "MNIST" / "raw", root / "MNIST", root):
        path.chmod(0o555)
    before = sorted(root.rglob("*"))
    monkeypatch.setenv("LANDSCOPE_DATA", str(root))
    data = load_dataset("mnist")
    assert (len(data.train_targets), len(data.test_targets)) == (30, 20)
    assert data.input_shape == (1, 28, 28)
    assert sorted(root.rglob("*")) == before
    assert not (no_data / "cache").exists()


def test_the_argument_goes_before_the_environment(no_data, monkeypatch):
    write_mnist_like(no_data / "first" / "MNIST" / "raw", num_train=10)
    write_mnist_like(no_data / "second" / "MNIST" / "raw", num_train=20)
    monkeypatch.setenv("LANDSCOPE_DATA", str(no_data / "second"))
    assert len(load_dataset("mnist").train_targets) == 20
    assert len(load_dataset("mnist", data_root=no_data / "first").train_targets) == 10


@pytest.mark.parametrize(
    ("name", "num_train", "num_test", "mean"),
    [
        pytest.param("mnist", 60_000, 10_000, (0.1307,), marks=pytest.mark.slow),
        ("fashion_mnist", 60_000, 10_000, (0.2860,)),
        # close to the whole set's (0.4914, 0.4822, 0.4465)
        ("cifar10_subset", 7_897, 932, (0.4914, 0.4822, 0.4465)),
    ],
)
def test_real_files(landscope_data, name, num_train, num_test, mean):
    data = load_dataset(name, landscope_data, download=False)
    assert (len(data.train_targets), len(data.test_targets)) == (num_train, num_test)
    tolerance = 0.005 if name == "cifar10_subset" else 5e-5
    assert data.mean == pytest.approx(mean, abs=tolerance)
    assert len(data.train_targets.unique()) == 10


def test_every_name_is_known():
    assert set(DATASETS) == {
        "digits",
        "mnist",
        "fashion_mnist",
        "cifar10",
        "cifar10_subset",
        "cifar100",
        "gaussian_mixture",
    }
