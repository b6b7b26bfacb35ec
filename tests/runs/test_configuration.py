from hypothesis import given
from hypothesis import strategies as st

from landscope.runs.configuration import differences, reason_to_refuse

configs = st.recursive(
    st.integers() | st.text(max_size=3) | st.none(),
    lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3),
).filter(lambda config: isinstance(config, dict))


@given(configs, configs)
def test_there_are_differences_exactly_where_configurations_differ(one, other):
    assert (differences(one, other) == []) == (one == other)


def test_each_differing_key_is_named_with_both_values():
    stored = {"seed": 0, "measure": {"k": 5, "probes": 8}, "old": 1}
    asked = {"seed": 1, "measure": {"k": 5, "probes": 9}, "new": None}
    assert sorted(differences(stored, asked)) == [
        "measure.probes is 8 there and 9 here",
        "new is absent there and None here",
        "old is 1 there and absent here",
        "seed is 0 there and 1 here",
    ]


def test_a_run_of_another_problem_is_refused_by_the_names_of_its_parts():
    problem = {"num_params": 3, "loss": "sha256:a", "data": "sha256:b"}
    stored = {"seed": 0, "problem": problem}
    assert reason_to_refuse(stored, stored) is None
    other = {"seed": 0, "problem": problem | {"loss": "sha256:c", "data": "sha256:d"}}
    assert reason_to_refuse(stored, other) == (
        "belongs to another problem: its loss and data differ; name another folder"
    )
    assert "seed is 0 there and 1 here" in reason_to_refuse(stored, stored | {"seed": 1})
