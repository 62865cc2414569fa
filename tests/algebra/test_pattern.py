"""The pattern notation: what it accepts, and one clear line for everything that it does not."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutbridge import LayoutBridgeError, Rearrangement
from layoutbridge.algebra.rearrangement import written_pattern
from layoutbridge.errors import ParameterError, PatternError

DARKNET = "C H W | c:C/s^2 h:H p:s w:W q:s -> p q c h w | C*s^2 H/s W/s"

MALFORMED = [
    ("", "arrow"),
    ("   ", "arrow"),
    ("->", "empty"),
    ("a ->", "empty"),
    ("-> a", "empty"),
    ("a b", "arrow"),
    ("a -> b -> a", "there are 2"),
    ("a -> -> a", "there are 2"),
    ("a -> a ->", "there are 2"),
    ("a = a", "arrow"),
    ("a > a", "arrow"),
    ("(a b -> a b", "never closed"),
    ("a b) -> a b", "closes nothing"),
    ("a b -> (a b", "never closed"),
    ("a b -> a b)", "closes nothing"),
    (")a( -> a", "closes nothing"),
    ("((a b)) -> a b", "nested"),
    ("a b -> ((a) b)", "nested"),
    ("a a -> a", "a is repeated on the left"),
    ("(a a) -> a", "a"),
    ("a b -> a a b", "a is repeated on the right"),
    ("a b -> a b c", "c on the right is unknown"),
    ("a b -> a", "b on the left is missing"),
    ("a b c -> b", "a, c on the left is missing"),
    ("... a b -> ... b a", "ellipsis"),
    ("a b ... -> b a ...", "ellipsis"),
    ("… a -> a …", "ellipsis"),
    ("2 a -> a 2", "'2' is not a name"),
    ("a (b 3) -> a b 3", "'3' is not a name"),
    ("2a b -> b 2a", "'2a' is not a name"),
    ("a-b c -> c a-b", "'a-b' is not a name"),
    ("a.b -> a.b", "is not a name"),
    ("a* b -> b a*", "is not a name"),
    ("_ b. -> b. _", "is not a name"),
    ("'a' b -> b 'a'", "is not a name"),
    ("(a b) -> b a", "give a length for all but one"),
    ("a (b c d) -> a b c d", "3 digits of unknown size"),
    ("a (b:2 c -> a b c", "never closed"),
    ("a (b: c) -> a b c", "a size is missing"),
    ("a :2 -> a", "is not a name"),
    ("a (b c:0) -> a b c", "the number 0"),
    ("a (b c:-1) -> a b c", "is not a product or quotient"),
    ("a (b c:2.5) -> a b c", "is not a product or quotient"),
    ("a (b c:2**2) -> a b c", "is not a product or quotient"),
    ("a (b c:2/) -> a b c", "is not a product or quotient"),
    ("a (b c:/2) -> a b c", "is not a product or quotient"),
    ("a (b c:2^) -> a b c", "is not a product or quotient"),
    ("a (b c:^2) -> a b c", "is not a product or quotient"),
    ("a (b c:2:3) -> a b c", "is not a product or quotient"),
    ("a (b c:2+3) -> a b c", "is not a product or quotient"),
    ("a (b c:z) -> a b c", "the name z has no size"),
    ("a (b c:3/2) -> a b c", "which is not a whole number"),
    ("a (b c:9223372036854775808) -> a b c", "2^63"),
    (f"a (b c:{10**30}) -> a b c", "2^63"),
    (f"a (b c:{'9' * 3000}) -> a b c", "2^63"),
    ("a (b c:٣) -> a b c", "has no size"),
    ("a (b c:²) -> a b c", "has no size"),
    ("a (b c:2^99999) -> a b c", "exponent"),
    ("a (b c:2^65) -> a b c", "exponent"),
    ("a (b c:2^9999999999999999999999) -> a b c", "2^63"),
    ("a (b c:2^a) -> a b c", "exponent"),
    ("a (b c:2^0) -> a b c", "the number 0"),
    ("a b -> (a:2 b)", "is not a name"),
    ("| a -> a |", "axes before the bar are missing"),
    ("1 -> 1 |", "axes behind the bar are missing"),
    ("A | a | b -> a b | A", "at most one bar"),
    ("A | a:A -> a | A | A", "at most one bar"),
    ("A | a:A -> a | ", "axes behind the bar are missing"),
    ("A B | -> a | A B", "the digits on the left hold 1 elements"),
    ("A B | a:A b:B -> | A B", "a side of the arrow is empty"),
    ("A B | a:A b:B -> a b | A", "the axes on the right hold A elements and the axes on the left A*B"),
    ("A B | a:A -> a | A B", "the digits on the left hold A elements and the axes on the left A*B"),
    ("A B | a:A b:A -> a b | A B", "hold A^2 elements"),
    ("A B | (a:A b:B) -> a b | A B", "brackets have no place"),
    ("(A B) | a:A b:B -> a b | A B", "brackets have no place"),
    ("A B | a:A b:B -> a b | (A B)", "brackets have no place"),
    ("A A | a:A b:A -> a b | A A", "A is repeated"),
    ("A B | a:A a:B -> a | A B", "the digit a is repeated"),
    ("A B | x y -> x y | A B", "the sizes of x and y are both unknown"),
    ("A B | A:B B:A -> A B | A B", "names both an axis and a digit"),
    ("A 1 | a:A -> a | A 1", "'1' is not a name"),
    ("A 2 | a:A b:2 -> b a | 2 A", "'2' is not a name"),
    ("A B | a:A b:B -> a b | A*3 B/2", "the axes on the right hold 3*A*B/2"),
    ("A B | 5:A b:B -> b 5 | A B", "'5' is not a name"),
    ("a b -> b a, ", "not of the form name=length"),
    ("a b -> b a, a", "not of the form name=length"),
    ("a b -> b a, a=", "not of the form name=length"),
    ("a b -> b a, =2", "not of the form name=length"),
    ("a b -> b a, a=x", "not of the form name=length"),
    ("a b -> b a, a=-2", "not of the form name=length"),
    ("a b -> b a, a=2.0", "not of the form name=length"),
    ("a b -> b a, a=²", "not of the form name=length"),
    ("a b -> b a, a=2=3", "not of the form name=length"),
    ("a b -> b a, 2=2", "not of the form name=length"),
    ("a b -> b a, a b=2", "not of the form name=length"),
    (f"a b -> b a, a={'9' * 50}", "not of the form name=length"),
    ("a\x00 b -> b a\x00", "is not a name"),
    ("a\x1b[31m b -> b a", "is not a name"),
    ("\ud800 b -> b \ud800", "is not a name"),
    ("🙂 b -> b 🙂", "is not a name"),
    ("a b\n-> b\nc", "unknown on the left"),
]


def one_line(error):
    text = str(error.value)
    assert text and len(text.splitlines()) == 1, text
    assert text.isprintable(), ascii(text)
    assert len(text) < 700, len(text)
    return text


@pytest.mark.parametrize(("pattern", "what"), MALFORMED, ids=lambda value: ascii(value)[:40])
def test_a_malformed_pattern_ends_in_one_line_that_says_what_is_wrong(pattern, what):
    with pytest.raises(PatternError) as error:
        Rearrangement(pattern)
    assert what in one_line(error)


@pytest.mark.parametrize("pattern", [None, 5, b"a b -> b a", ["a", "->", "a"], object, 2.5, ("a -> a",)])
def test_a_pattern_that_is_no_text_is_refused(pattern):
    with pytest.raises(PatternError, match="a pattern is text"):
        Rearrangement(pattern)


@pytest.mark.parametrize(
    ("pattern", "lengths", "what"),
    [
        ("a (b c) -> c a b", {"c": 0}, "between 1 and 2^63 - 1, not 0"),
        ("a (b c) -> c a b", {"c": -3}, "between 1 and 2^63 - 1, not -3"),
        ("a (b c) -> c a b", {"c": 2**63}, "between 1 and 2^63 - 1, not 9223372036854775808"),
        ("a (b c) -> c a b", {"c": 10**30}, "between 1 and 2^63 - 1"),
        ("a (b c) -> c a b", {"c": 10**5000}, "between 1 and 2^63 - 1"),
        ("a (b c) -> c a b", {"c": 2.0}, "whole number, not 2.0"),
        ("a (b c) -> c a b", {"c": "2"}, "whole number, not '2'"),
        ("a (b c) -> c a b", {"c": None}, "whole number, not None"),
        ("a (b c) -> c a b", {"c": True}, "not True"),
        ("a (b c) -> c a b", {"c": [2]}, "whole number, not [2]"),
        ("a (b c) -> c a b", {"c": float("nan")}, "whole number, not nan"),
        ("a (b c) -> c a b", {"c": "x" * 10**5}, "whole number"),
        ("a (b c) -> c a b", {"c": 2, "z": 3}, "a length is given for z"),
        ("a b -> b a", {"self": 3}, "a length is given for self"),
        ("a b -> b a", {"pattern": 3}, "a length is given for pattern"),
        ("a b -> b a, z=2", {}, "a length is given for z"),
        ("a b -> b a, a=0", {}, "between 1 and 2^63 - 1, not 0"),
        ("a b -> b a, a=2, a=3", {}, "a is given twice"),
        ("a b -> b a, a=2", {"a": 3}, "a is given twice"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_an_unusable_length_is_refused_in_one_line(pattern, lengths, what):
    with pytest.raises(ParameterError) as error:
        Rearrangement(pattern, **lengths)
    assert what in one_line(error)


NAMES = [f"a{k}" for k in range(20_000)]


@pytest.mark.parametrize(
    "pattern",
    [
        "x" * 10**5,
        " " * 10**5,
        "(" * 10**5,
        ")" * 10**5,
        "()" * 50_000 + "-> a",
        "->" * 50_000,
        "-" * 10**5,
        "|" * 10**5,
        "x " * 50_000 + "-> x",
        "x" * 10**5 + " -> " + "x" * 10**5 + "?",
        " ".join(NAMES) + " -> " + " ".join(reversed(NAMES)),
        "A | " + " ".join(f"{name}:2" for name in NAMES) + " -> " + " ".join(NAMES) + " | A",
        "a (b c:" + "2*" * 50_000 + "2) -> a b c",
        "a (b c:" + "*".join(["9223372036854775807^64"] * 150) + ") -> a b c",
        "a b -> b a" + ", a=2" * 20_000,
        "a b -> b a, " + "x" * 10**5,
        "a b -> b a, a=" + "1" * 10**5,
        "a b -> b " + "z" * 4000,
        "\n" * 10**5,
        "\x00" * 10**5,
    ],
    ids=lambda pattern: ascii(pattern[:20]),
)
def test_absurdly_long_patterns_are_refused_at_once(pattern):
    start = time.monotonic()
    with pytest.raises(LayoutBridgeError) as error:
        Rearrangement(pattern)
    one_line(error)
    assert time.monotonic() - start < 30, "far more than it should take: it must not hang"


def test_the_longest_patterns_that_make_sense_are_read():
    names = [f"axis_number_{k}" for k in range(60)]
    made = Rearrangement(" ".join(names) + " -> " + " ".join(reversed(names)))
    assert made.out_shape(tuple([1] * 58 + [2, 3])) == tuple([3, 2] + [1] * 58)


@given(st.text(alphabet="abcHW ()|->:*/^=,12.…\n", max_size=60))
@settings(max_examples=400)
def test_no_text_makes_the_parser_fail_in_another_way(text):
    check_fuzzed(text)


@given(st.text(max_size=60))
@settings(max_examples=150)
def test_no_unicode_makes_the_parser_fail_in_another_way(text):
    check_fuzzed(text)


@given(st.lists(st.sampled_from([*DARKNET.split(), "1", "()", "(", ")", "p:2", ", s=2", ", s=3"]), max_size=25))
@settings(max_examples=400)
def test_no_shuffled_pattern_makes_the_parser_fail_in_another_way(tokens):
    check_fuzzed(" ".join(tokens))


@given(st.integers(0, len(DARKNET) - 1), st.text(max_size=3), st.integers(0, 4))
@settings(max_examples=400)
def test_no_typing_error_makes_the_parser_fail_in_another_way(position, inserted, removed):
    check_fuzzed(DARKNET[:position] + inserted + DARKNET[position + removed :] + ", s=2")


def check_fuzzed(text):
    try:
        made = Rearrangement(text)
    except LayoutBridgeError as error:
        assert len(str(error).splitlines()) == 1
        assert len(str(error)) < 700
        return
    assert Rearrangement(made.pattern) == made
    assert Rearrangement(written_pattern(made)) == made
    check_inverse(made)


def check_inverse(made):
    try:
        undone = made.inverse()
    except PatternError as error:
        assert len(str(error).splitlines()) == 1
        return
    assert undone.inverse() == made
    assert made.then(undone).is_identity
    assert Rearrangement(undone.pattern) == undone


# ---------------------------------------------------------------------------------- what it accepts


@pytest.mark.parametrize(
    "spelling",
    [
        "c (h p) (w q) -> (p q c) h w, p=2, q=2",
        "c (h p:2) (w q:2) -> (p q c) h w",
        "  c(h p:2)(w q:2)->(p q c)h w ",
        "c (h p:s) (w q:s) -> (p q c) h w, s=2",
        "c\t(h p:s)\n(w q:s) -> (p q c) h w,s=2",
        "canal (höhe p) (breite q) -> (p q canal) höhe breite, p=2, q=2",
        "C H W | c:C h:H/2 p:2 w:W/2 q:2 -> p q c h w | C*4 H/2 W/2",
        "C H W | c:C h p:2 w:W/s q:s -> p q c h w | s^2*C H/s W/s, s=2",
        "C H W | c:C h:H/2 p:2 w:W/2 q:2 -> (p q c) h w",
    ],
)
def test_one_map_has_many_spellings(spelling):
    made = Rearrangement(spelling)
    assert made == Rearrangement("a (x i) (y j) -> (i j a) x y", i=2, j=2)
    assert hash(made) == hash(Rearrangement("a (x i) (y j) -> (i j a) x y", i=2, j=2))


def test_a_side_of_groups_names_no_axis_that_a_bar_could_speak_of():
    with pytest.raises(PatternError, match="the name C has no size"):
        Rearrangement("c (h p:2) (w q:2) -> p q c h w | C*4 H/2 W/2")


def test_lengths_may_be_any_kind_of_integer():
    class Two:
        def __index__(self):
            return 2

    plain = Rearrangement("c (h p) -> c p h", p=2)
    for two in (np.int8(2), np.uint64(2), Two(), np.array(2)):
        made = Rearrangement("c (h p) -> c p h", p=two)
        assert made == plain
        assert Rearrangement(made.pattern) == made


def test_axes_of_length_one_may_be_written_as_one_or_empty():
    add = Rearrangement("a -> a 1")
    assert add.out_shape((5,)) == (5, 1)
    assert add == Rearrangement("a -> a ()")
    assert add.inverse().out_shape((5, 1)) == (5,)
    assert add.inverse().out_shape((7, 5, 1)) == (7, 5)
    assert Rearrangement("1 -> 1").table((1,)).tolist() == [0]


def test_a_digit_of_length_one_changes_nothing():
    assert Rearrangement("c (h p) -> c p h", p=1).out_shape((2, 3)) == (2, 1, 3)
    assert Rearrangement("c (h p) -> (p c) h", p=1).is_identity


def test_axes_are_named_after_what_is_unknown_in_them():
    assert Rearrangement("(p:2 q:2 c) h w -> c (h p) (w q)").axes == ("C", "H", "W")
    assert Rearrangement("(k:2 c) h w -> (c k) h w").axes == ("C", "H", "W")
    assert Rearrangement("c (h p:2) (w q:2) -> c h w p q").axes == ("C", "H", "W")


@pytest.mark.parametrize(
    "pattern",
    ["(a b:2) a_b -> a_b b a", "h H -> H h", "a (b:2 A) 1 one2 -> a b A one2", "(x:2) axis0 y -> y x axis0"],
)
def test_axis_names_are_distinct_however_digits_are_called(pattern):
    made = Rearrangement(pattern)
    for one in (made, made.inverse(), made.inverse().inverse()):
        assert len(set(one.axes)) == one.rank
        assert Rearrangement(Rearrangement.inverse(one).inverse().pattern) == one


def test_sizes_may_be_quotients_of_axes():
    made = Rearrangement("A B | k:A/B b:B c:B -> k c b | A B")
    assert made.table((4, 2)).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    with pytest.raises(LayoutBridgeError, match=r"A/B = 1\.5 must be a whole number"):
        made.table((3, 2))


@given(st.integers(1, 2**63 - 1))
def test_any_length_that_is_counted_in_63_bits_is_taken(length):
    made = Rearrangement("c (h p) -> (p c) h", p=length)
    assert made.out_shape((1, length)) == (length, 1)
