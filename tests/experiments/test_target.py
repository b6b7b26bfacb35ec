import json
import sys
import textwrap

import pytest
import torch
from safetensors.torch import save_file

from landscope.experiments import resolve_target, zone_of
from landscope.zoo import load_dataset, make_network


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


CONFIG = {
    "network": {"name": "small_cnn", "nonlinearity": "tanh", "width": 0.25},
    "data": {"name": "digits", "classes": [0, 1, 2], "max_examples": 12},
    "measure": {"num_eigenvalues": 5},
}


def write_json(folder, **changes):
    path = folder / "point.json"
    path.write_text(json.dumps({**CONFIG, **changes}))
    return str(path)


def tanh_network(seed):
    return make_network("small_cnn", (1, 8, 8), 3, nonlinearity="tanh", width=0.25, seed=seed)


def vector(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_json_file_gives_network_data_and_options(in_folder):
    target = resolve_target(write_json(in_folder), seed=3)
    problem = target.problem
    assert (problem.num_examples, problem.num_classes) == (12, 3)
    assert target.measure.num_eigenvalues == 5
    assert torch.equal(problem.parameters_vector(), vector(tanh_network(seed=3)))
    inputs = load_dataset("digits", classes=[0, 1, 2], max_examples=12, seed=3).train_inputs
    torch.testing.assert_close(problem.logits(), tanh_network(seed=3)(inputs))


def test_test_split_is_measured_where_asked_for(in_folder):
    data = {**CONFIG["data"], "split": "test"}
    target = resolve_target(write_json(in_folder, data=data))
    inputs = load_dataset("digits", classes=[0, 1, 2], max_test_examples=12).test_inputs
    torch.testing.assert_close(target.problem.logits(), tanh_network(seed=0)(inputs))


def test_yaml_says_the_same_as_json(in_folder):
    (in_folder / "point.yaml").write_text(
        "network: {name: small_cnn, nonlinearity: tanh, width: 0.25}\n"
        "data: {name: digits, classes: [0, 1, 2], max_examples: 12}\n"
        "measure: {num_eigenvalues: 5}\n"
    )
    from_yaml = resolve_target("point.yaml")
    assert from_yaml.description == resolve_target(write_json(in_folder)).description


def test_an_empty_file_is_the_default_point(in_folder):
    (in_folder / "point.yaml").write_text("")
    problem = resolve_target("point.yaml").problem
    assert (problem.num_examples, problem.num_classes) == (300, 10)


@pytest.mark.parametrize("prefix", ["", "model."])
def test_weights_are_a_state_dict_or_a_checkpoint(in_folder, prefix):
    trained = tanh_network(seed=9)
    tensors = {f"{prefix}{name}": value for name, value in trained.state_dict().items()}
    if prefix:
        tensors["optimizer.0.momentum_buffer"] = torch.zeros(2)
    (in_folder / "kept").mkdir()
    save_file(tensors, in_folder / "kept" / "w.safetensors")
    target = resolve_target(write_json(in_folder, weights="kept/w.safetensors"))
    assert torch.equal(target.problem.parameters_vector(), vector(trained))


def test_weights_of_another_network_are_refused(in_folder):
    save_file({"layers.0.weight": torch.zeros(3)}, in_folder / "w.safetensors")
    with pytest.raises(ValueError, match=r"w\.safetensors do not fit the network"):
        resolve_target(write_json(in_folder, weights="w.safetensors"))


def test_function_returns_the_problem_and_gets_the_options_it_has(in_folder):
    (in_folder / "mine_for_test.py").write_text(
        textwrap.dedent(
            """
            import torch
            from landscope.problem import Problem

            def make(seed):
                model = torch.nn.Linear(2, 3)
                torch.nn.init.constant_(model.weight, seed)
                return Problem(model, (torch.eye(2), torch.tensor([0, 1])))

            def wrong():
                return 3
            """
        )
    )
    target = resolve_target("mine_for_test:make", seed=7)
    assert (target.problem.parameters_vector() == 7).sum() == 6
    with pytest.raises(TypeError, match="returned a int; it must return"):
        resolve_target("mine_for_test:wrong")
    assert resolve_target("mine_for_test:make", device="cpu").problem.device.type == "cpu"
    with pytest.raises(ValueError, match="is on cpu; give the function a parameter `device`"):
        resolve_target("mine_for_test:make", device="meta")


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ("nothing", ValueError, "neither a configuration file"),
        ("absent.yaml", FileNotFoundError, "absent.yaml does not exist"),
        ("no_such_module:make", ImportError, "No module named 'no_such_module'"),
        ("json:no_such_function", ImportError, "no function 'no_such_function'"),
    ],
)
def test_what_is_no_target_is_refused(in_folder, target, error, message):
    with pytest.raises(error, match=message):
        resolve_target(target)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("network: {nam: small_cnn}", "nam"),
        ("network: {name: vgg}", "network.name: 'vgg' is not known"),
        ("data: {name: digits, max_examples: 0}", "max_examples is 0"),
        ("data: [", "no YAML"),
        ("weights: nowhere.safetensors", "nowhere.safetensors do not exist"),
    ],
)
def test_a_bad_file_is_refused_by_the_culprit(in_folder, text, message):
    (in_folder / "point.yaml").write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        resolve_target("point.yaml")


def test_what_is_about_one_point_refuses_a_folder_of_checkpoints(tmp_path):
    (tmp_path / "point.yaml").write_text("checkpoints: weights\n")
    target = resolve_target(str(tmp_path / "point.yaml"))
    with pytest.raises(
        ValueError, match=r"checkpoints, .*weights, which landscope measure follows"
    ):
        zone_of(target, tmp_path / "zone", radii=[1.0])
