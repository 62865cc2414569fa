"""Other people's errors told in one line."""

import pytest

from layoutbridge.errors import class_and_first_line, first_line


@pytest.mark.parametrize(
    ("error", "line", "with_class"),
    [
        (ValueError("one"), "one", "ValueError: one"),
        (ValueError("\n\n  one  \ntwo"), "one", "ValueError: one"),
        (ValueError(), "ValueError", "ValueError"),
        (ValueError(" \n "), "ValueError", "ValueError"),
        (SystemExit(3), "3", "SystemExit: 3"),
        (ValueError("x" * 1000), "x" * 300, f"ValueError: {'x' * 300}"),
    ],
)
def test_the_first_line_that_says_something(error, line, with_class):
    assert (first_line(error), class_and_first_line(error)) == (line, with_class)
