import pytest
from pydantic import ValidationError

from landscope.experiments import SweepConfig, example_config, read_config
from landscope.training import TrainConfig


def refusal(folder, text):
    (folder / "sweep.yaml").write_text(text)
    with pytest.raises(ValueError) as refused:
        read_config(folder / "sweep.yaml", SweepConfig)
    return str(refused.value).replace(f"{folder}/", "")


def test_the_grid_is_the_product_of_the_lists(tmp_path):
    text = "network: [fully_connected, small_cnn]\nseed: [3, 4]\nhyperplane: {dim: [null, 20]}\n"
    (tmp_path / "sweep.yaml").write_text(text)
    config = read_config(tmp_path / "sweep.yaml", SweepConfig)
    assert config.swept == ["network", "hyperplane.dim", "seed"]
    trainings = config.trainings()
    assert len(trainings) == 8
    assert trainings["small_cnn", "20", 4] == TrainConfig(
        network="small_cnn", hyperplane={"dim": 20}, seed=4
    )
    assert trainings["fully_connected", "none", 3] == TrainConfig(network="fully_connected", seed=3)


def test_without_lists_there_is_one_cell_of_the_defaults():
    assert SweepConfig().trainings() == {(0,): TrainConfig()}


def test_a_choice_that_is_a_list_itself_is_one_value_and_lists_of_it_several():
    assert list(SweepConfig(classes=[0, 1, 2]).trainings().values()) == [
        TrainConfig(classes=(0, 1, 2))
    ]
    several = SweepConfig(classes=[None, [0, 1]]).trainings()
    assert several == {
        ("none", 0): TrainConfig(),
        ("0,1", 0): TrainConfig(classes=(0, 1)),
    }


def test_what_is_written_is_read_again():
    config = SweepConfig(
        classes=[0, 1], train_examples=[None, 100], measure={"memory_limit": ["1GiB", "2GiB"]}
    )
    written = config.model_dump(mode="json")
    assert written["classes"] == [0, 1]
    assert written["seed"] == 0
    assert SweepConfig.model_validate(written) == config


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "network:\n  - small_cnn\n  - vgg\n",
            "line 3: network.1: 'vgg' is not known; accepted are fully_connected, resnet20, "
            "small_cnn",
        ),
        ("seed: [0, 1]\nlearning_rate: [0.1, 0]\n", "line 2: learning_rate.1 is 0; it must be"),
        ("seed: [1, 1]\n", "line 1: seed: 1 is given twice; keep one of the two"),
        ("seed: []\n", "line 1: seed: the list is empty; accepted is one value or a list"),
        ("\nlearning_rat: 0.1\n", "line 2: learning_rat is no key here; accepted are data, "),
        ("device: cuda\n", "line 1: device is no key here"),
        ("parts: [hesian]\n", "line 1: parts.0: 'hesian' is not known; accepted are probab"),
        (
            "steps: [10, 100]\nwarmup_steps: 50\n",
            "line 1: warmup_steps is 50; it must be at most steps, 10",
        ),
        (
            "optimizer: [sgd, lion]\n",
            "line 1: optimizer.1 is 'lion'; accepted are 'sgd' and 'adam'",
        ),
    ],
)
def test_an_error_is_a_sentence_with_line_and_what_is_accepted(tmp_path, text, sentence):
    assert refusal(tmp_path, text).startswith(f"sweep.yaml, {sentence}")


def test_every_choice_of_training_can_be_swept_but_where_to_compute():
    ours = set(SweepConfig.model_fields) - {"parts"}
    assert ours == set(TrainConfig.model_fields) - {"device", "data_root"}


def test_an_example_says_what_it_chooses(tmp_path):
    text = example_config(SweepConfig, seed=[0, 1], steps=5)
    assert "\nseed: [0, 1]\n" in text
    assert "\n#classes: [0, 1, 2]\n" in text
    (tmp_path / "sweep.yaml").write_text(text)
    read = read_config(tmp_path / "sweep.yaml", SweepConfig)
    assert read == SweepConfig(seed=[0, 1], steps=5)


def test_a_configuration_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        SweepConfig().seed = (1,)
