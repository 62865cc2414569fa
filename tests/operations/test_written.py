"""Values of parameters as people write them, with every kind of white space around them."""

import sys

import pytest

from layoutbridge.operations.parameters import Parameter
from layoutbridge.operations.written import written_number, written_value

SPACES = [char for code in range(sys.maxunicode + 1) if (char := chr(code)).isspace()]


@pytest.mark.parametrize("space", SPACES, ids=ascii)
def test_white_space_around_numbers_is_none_of_them(space):
    assert written_number(f"{space}2{space}", "the width") == 2
    assert written_value(Parameter("stride", 2), f"{space}2{space}x{space}4{space}", "--stride") == (2, 4)
