"""A short seed of the campaign of `make torture`: the first cases of each kind of input."""

import pytest
from torture.fuzz import campaigns, faults, try_cases

CASES = {"Python": 150, "configuration files": 60, "commands": 40}


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.usefixtures("unchecked")
def test_senseless_input_is_refused_in_a_sentence_and_sensible_input_is_not(kind):
    outcomes = try_cases(campaigns(sensible_commands=False)[kind], CASES[kind])
    assert faults(outcomes) == []
    assert len(outcomes) == CASES[kind]
