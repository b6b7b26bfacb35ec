import numpy as np
import pytest

import landscope as ls


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("num_classes", 1, "whole number of at least 2"),
        ("num_examples", 0, "whole number of at least 1"),
        ("num_params", 0, "whole number of at least 1"),
        ("num_params", 2.5, "whole number"),
        ("num_params", float("nan"), "whole number"),
        ("num_params", float("inf"), "whole number"),
        ("num_params", True, "whole number"),
        ("num_classes", 10**400, "whole number"),
        ("sigma_c", -1.0, "number in"),
        ("sigma_c", 10**400, "number in"),
        ("sigma_e", float("nan"), "number in"),
        ("sigma_z", float("inf"), "number in"),
        ("sigma_z", 1e-200, "it must be 0, or from"),
        ("labels", "true", "uniform, sampled"),
        ("class_centroids", "none", "full, own, shared"),
        ("lengths", [1.0, 2.0], "one for each of the 10 classes"),
        ("lengths", [-1.0] * 10, "number in"),
    ],
)
def test_refuses_what_is_out_of_range_in_one_sentence(name, value, says):
    with pytest.raises(ValueError, match=says) as refusal:
        ls.RandomModel(**{name: value})
    assert str(refusal.value).startswith(name)
    assert "\n" not in str(refusal.value)


def test_numbers_of_parameters_may_be_written_as_floats():
    assert ls.RandomModel(num_params=1e12).num_params == 10**12


def test_centroids_have_the_lengths_asked_for():
    lengths = np.linspace(0.3, 3, 10)
    land = ls.RandomModel(num_params=10**10, num_examples=1, lengths=lengths).sample()
    assert np.linalg.norm(land.centroids, axis=1) == pytest.approx(lengths, rel=1e-3)


@pytest.mark.parametrize(
    ("kind", "inner_products"),
    [
        ("full", lambda k, a, m, b: (k == m) + 4.0 * (k == m and a == b)),
        ("own", lambda k, a, m, b: (k == m) + 4.0 * (k == a == m == b)),
        ("shared", lambda k, a, m, b: (k == m) + 4.0 * (a == b)),
    ],
)
def test_class_centroids_have_their_gram_matrix(kind, inner_products):
    model = ls.RandomModel(3, 2, 10**12, sigma_class=2.0, class_centroids=kind)
    c = model.sample().centroids.reshape(3, 3, -1)  # [a, k]
    for a, k, b, m in np.ndindex(3, 3, 3, 3):
        assert c[a, k] @ c[b, m] == pytest.approx(inner_products(k, a, m, b), abs=1e-4)
