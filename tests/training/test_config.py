import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from landscope.training import MeasureConfig, TrainConfig


def test_a_configuration_comes_back_from_json():
    config = TrainConfig(classes=(0, 3), optimizer="adam", schedule="cosine", warmup_steps=5)
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config


def test_where_a_run_is_computed_is_no_part_of_its_identity():
    here = TrainConfig(device="cpu", data_root=Path("a"))
    there = TrainConfig(device="cuda", data_root=Path("b"))
    assert here.identity() == there.identity()
    assert here.identity() != TrainConfig(seed=1).identity()
    json.dumps(here.identity())


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"network": "vgg"}, "'vgg' is not known; accepted are .*small_cnn"),
        ({"data": "imagenet"}, "'imagenet' is not known; accepted are .*digits"),
        ({"nonlinearity": "step"}, "'step' is not known"),
        ({"normalization": "spectral"}, "'spectral' is not known"),
        ({"num_measurements": 1}, "greater than or equal to 2"),
        ({"steps": 10, "warmup_steps": 11}, "warmup_steps is 11; it must be at most steps, 10"),
        ({"learning_rates": 0.1}, "Extra inputs are not permitted"),
        ({"momentum": 1.0}, "less than 1"),
    ],
)
def test_what_cannot_be_is_refused_by_name(choice, message):
    with pytest.raises(ValidationError, match=message) as refused:
        TrainConfig(**choice)
    assert refused.value.error_count() == 1


@pytest.mark.parametrize(("text", "size"), [(4096, 4096), ("512", 512), ("4GiB", 4 * 2**30)])
def test_a_memory_limit_is_bytes_or_a_size(text, size):
    config = MeasureConfig(memory_limit=text, method="linearized")
    assert config.model_dump(mode="json")["memory_limit"] == size
    assert MeasureConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"memory_limit": "lots"}, "byte"),
        ({"memory_limit": 0}, "greater"),
        ({"method": "x"}, "auto"),
    ],
)
def test_a_measurement_that_cannot_be_is_refused(choice, message):
    with pytest.raises(ValidationError, match=message) as refused:
        MeasureConfig(**choice)
    assert refused.value.error_count() == 1


def test_every_field_is_described():
    assert all(field.description for field in TrainConfig.model_fields.values())
