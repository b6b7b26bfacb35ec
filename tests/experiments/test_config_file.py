import re
from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict, Field

from landscope.experiments import PointConfig, SweepConfig, example_config, read_config
from landscope.experiments.point_config import DataConfig, NetworkConfig
from landscope.training import MeasureConfig


class Cell(BaseModel):
    """One cell of a grid."""

    model_config = ConfigDict(extra="forbid")

    width: Annotated[float, Field(gt=0)]


class Grid(BaseModel):
    """A schema with a list of others."""

    model_config = ConfigDict(extra="forbid")

    cells: list[Cell]


def read(folder, text, schema=PointConfig, name="point.yaml"):
    (folder / name).write_text(text)
    return read_config(folder / name, schema)


def refusal(folder, *arguments, **options):
    with pytest.raises(ValueError) as refused:
        read(folder, *arguments, **options)
    return str(refused.value).replace(f"{folder}/", "")


def test_a_file_gives_what_it_says_and_the_defaults(tmp_path):
    text = "# mine\ndata:\n  classes: [0, 3]\nmeasure: {tol: 1e-3, memory_limit: 4GiB}\n"
    config = read(tmp_path, text)
    assert config.data.classes == (0, 3)
    assert (config.measure.tol, config.measure.memory_limit) == (1e-3, 4 * 2**30)
    assert config.network == PointConfig().network
    assert read(tmp_path, "") == read(tmp_path, "# nothing\n") == PointConfig()
    json = '{\n\t"data": {"classes": [0, 3]},\n\t"measure": {"tol": 1e-3, "memory_limit": "4GiB"}}'
    assert read(tmp_path, json, name="point.json") == config


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "network:\n  name: small_cnn\ndata:\n  split: tset\n",
            "line 4: data.split is 'tset'; accepted are 'train' and 'test'",
        ),
        (
            "network:\n  nonlinearity: tanh\n  nam: small_cnn\n",
            "line 3: network.nam is no key here; accepted are name, nonlinearity, normalization, "
            "width; did you mean name?",
        ),
        (
            "\n\nzebra: 1\n",
            "line 3: zebra is no key here; accepted are problem, network, data, loss, weights, "
            "checkpoints, measure",
        ),
        (
            "data: {split: test}\nnetwork: {name: vgg}",
            "line 2: network.name: 'vgg' is not known; accepted are fully_connected, resnet20, "
            "small_cnn",
        ),
        (
            "data:\n  max_examples: 0",
            "line 2: data.max_examples is 0; it must be greater than 0",
        ),
        (
            "data:\n  classes:\n    - 1\n    - one",
            "line 4: data.classes.1 is 'one'; it must be a valid integer, unable to parse string "
            "as an integer",
        ),
        ("data:\n  classes: 3", "line 2: data.classes is 3; it must be a valid list"),
        (
            "network: 3",
            "line 1: network is 3; accepted is a mapping with any of the keys name, nonlinearity, "
            "normalization, width",
        ),
        (
            "# mine\n- network",
            "line 2: the file is ['network']; accepted is a mapping with any of the keys problem, "
            "network, data, loss, weights, checkpoints, measure",
        ),
        (
            "problem: mine\n",
            "line 1: problem: 'mine' names no function; accepted is package.module:function",
        ),
        (
            "loss: mse\nproblem: mine:make\n",
            "line 1: loss: cannot stand beside problem, which has a network, data and loss",
        ),
        (
            "weights: a.pt\ncheckpoints: folder\n",
            "line 2: checkpoints: cannot stand beside weights: measure one point or all of a "
            "folder",
        ),
        (
            "loss: mse\ndata: {}\nloss: cross_entropy\n",
            "line 3: 'loss' was given before, in line 1; keep one of the two",
        ),
        (
            "data:\n  classes: [0, 1\nnetwork: {}\n",
            "line 3: this is no YAML: ",
        ),
        ("data: !!python/name:os.system\n", "line 1: this is no YAML: could not determine"),
    ],
)
def test_an_error_is_a_sentence_with_file_line_key_and_what_is_accepted(tmp_path, text, sentence):
    assert refusal(tmp_path, text).startswith(f"point.yaml, {sentence}")


def test_each_error_is_a_sentence_of_its_own(tmp_path):
    said = refusal(tmp_path, "data:\n  split: tset\n  max_examples: -3\nloss: l1\n")
    assert said == (
        "point.yaml, line 2: data.split is 'tset'; accepted are 'train' and 'test'.\n"
        "point.yaml, line 3: data.max_examples is -3; it must be greater than 0.\n"
        "point.yaml, line 4: loss is 'l1'; accepted are 'cross_entropy' and 'mse'"
    )


def test_lines_of_json_are_known_too(tmp_path):
    said = refusal(tmp_path, '{\n\t"loss": "mse",\n\t"data": {\n\t"split": 3}}', name="p.json")
    assert said == "p.json, line 4: data.split is 3; accepted are 'train' and 'test'"


def test_any_schema_is_read_and_errors_within_lists_are_found(tmp_path):
    assert read(tmp_path, "cells: [{width: 2}]", Grid) == Grid(cells=[Cell(width=2)])
    said = refusal(tmp_path, "cells:\n- width: 1\n- widht: 2\n  width: -1\n- {}\n", Grid)
    assert said.split(".\n") == [
        "point.yaml, line 4: cells.1.width is -1; it must be greater than 0",
        "point.yaml, line 3: cells.1.widht is no key here; accepted are width; did you mean width?",
        "point.yaml, line 5: cells.2.width is missing",
    ]
    assert refusal(tmp_path, "", Grid) == "point.yaml, line 1: cells is missing"


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "point.yaml").write_bytes(b"loss: \xff\xfe")
    with pytest.raises(ValueError, match=r"point\.yaml cannot be read as text"):
        read_config(tmp_path / "point.yaml", PointConfig)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.yaml does not exist"):
        read_config(tmp_path / "nowhere.yaml", PointConfig)


_LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{of}'] * 10)}]\n"
    for of, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (_LAUGHS, "line 5: this comes to more than 20,000 values"),
        ("a: &a [*a]", "line 1: *a contains itself"),
        ("a0: &a0 []\n" + "".join(f"a{i + 1}: &a{i + 1} [*a{i}]\n" for i in range(99)), "deep"),
        ("[" * 10_000, "line 1: this is nested more than 20 deep"),
        ("- " * 10_000 + "a", "line 1: this is nested more than 20 deep"),
        ("{a: " * 10_000, "line 1: this is nested more than 20 deep"),
        ("- 1\n" * 24_000, "this comes to more than 20,000 values"),
        ("a" * 100_001, "is larger than 100,000 bytes"),
        ("loss: " + "x" * 90_000, "…; accepted are"),
        ("".join(f"k{i}: 1\n" for i in range(999)), "989 more of the kind are left out here"),
        ("loss: \0", "cannot be read as text"),
        ("loss: \x07", "cannot be read as text"),
        ("loss: 2024-13-45", "a value is not what it is marked as"),
        ("loss: !!timestamp x", "a value is not what it is marked as"),
        ("loss: !!bool maybe", "a value is not what it is marked as"),
        ("loss: " + "9" * 5000, "a value is not what it is marked as"),
        ("loss: 0x" + "f" * 50_000, "loss is a number of thousands of digits"),
        ("loss: *nowhere", "found undefined alias"),
        ("? [a, b]\n: c", "found unhashable key"),
        ("---\na: 1\n---\nb: 2\n", "found another document"),
    ],
    ids=range(20),
)
def test_a_file_of_any_size_depth_or_content_ends_in_a_short_sentence(tmp_path, text, said):
    refused = refusal(tmp_path, text)
    assert refused.startswith("point.yaml")
    assert said in refused
    assert len(refused) < 2000


def test_aliases_and_merges_of_reasonable_size_are_read(tmp_path):
    text = "cells:\n- &first {width: 2}\n- *first\n- {<<: *first, width: 3}\n"
    assert [cell.width for cell in read(tmp_path, text, Grid).cells] == [2, 2, 3]


def test_a_grid_too_large_to_train_is_refused_before_it_is_laid_out(tmp_path):
    tenths = ", ".join(f"0.{digit}" for digit in range(1, 10))
    names = ("learning_rate", "momentum", "width", "radius", "weight_decay")
    text = "".join(f"{name}: [{tenths}]\n" for name in names)
    assert "the grid has 59,049 cells; at most 10,000" in refusal(tmp_path, text, SweepConfig)


def test_the_example_says_the_defaults_and_describes_every_key(tmp_path):
    text = example_config(PointConfig)
    assert read(tmp_path, text) == PointConfig()
    flat = " ".join(text.replace("#", " ").split())
    for schema in (PointConfig, NetworkConfig, DataConfig, MeasureConfig):
        for name, field in schema.model_fields.items():
            assert f"{name}:" in text
            assert field.description in flat
    assert all(len(line) <= 100 for line in text.splitlines())


def test_each_optional_key_of_the_example_is_right_where_it_is_uncommented(tmp_path):
    lines = example_config(PointConfig).splitlines()
    optional = [i for i, line in enumerate(lines) if re.match(r" *#\w", line)]
    assert len(optional) == 7
    for index in optional:
        text = "\n".join([*lines[:index], lines[index].replace("#", "", 1), *lines[index + 1 :]])
        if "problem:" in lines[index]:
            assert "network: cannot stand beside problem" in refusal(tmp_path, text)
        else:
            assert read(tmp_path, text) != PointConfig()


@pytest.mark.parametrize("schema", [PointConfig, SweepConfig])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("true", "measure.num_eigenvalues: True is a yes or no; accepted are numbers"),
        (str(10**300), "must be less than or equal to 1000000000000"),
        ("null", None),
    ],
)
def test_no_count_is_a_yes_or_beyond_all_computers(tmp_path, schema, value, said):
    text = f"measure:\n  num_eigenvalues: {value}\n"
    if said is None:
        read(tmp_path, text, schema)
    else:
        assert said in refusal(tmp_path, text, schema)


def test_one_value_of_a_sweep_has_no_number_and_one_of_a_list_has(tmp_path):
    said = refusal(tmp_path, "seed: a\nmomentum:\n- 0.5\n- 2\n", SweepConfig).split(".\n")
    assert said[0].startswith("point.yaml, line 4: momentum.1 is 2; ")
    assert said[1].startswith("point.yaml, line 1: seed is 'a'; ")
