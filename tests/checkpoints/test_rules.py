"""What rules say, and what is told of those that say nothing usable. Names are compared with fnmatch and with re."""

import fnmatch
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import layoutbridge as lb
from layoutbridge.checkpoints.names import matches_glob
from layoutbridge.checkpoints.rules import read_rules
from layoutbridge.errors import LayoutBridgeError

Q = "(h e r:2) d -> (h r e) d"


@given(st.text("ab*.", max_size=8), st.text("ab.", max_size=10))
def test_stars_are_as_in_fnmatch(glob, name):
    assert matches_glob(glob)(name) == fnmatch.fnmatchcase(name, glob)


@given(st.lists(st.text("ab*,", max_size=4), min_size=1, max_size=3), st.text("ab,", max_size=8))
def test_braces_are_alternatives(inner, name):
    glob = "a" + "".join(f"{{{text}}}" for text in inner)
    expression = re.escape("a") + "".join(
        f"({'|'.join(re.escape(part) for part in text.split(','))})" for text in inner
    )
    assert matches_glob(glob)(name) == bool(re.fullmatch(expression.replace(r"\*", ".*"), name))


def test_braces_within_braces_and_those_that_do_not_fit():
    of = matches_glob("{a,b{c,d}}.[0]?")
    assert [of(name) for name in ("a.[0]?", "bc.[0]?", "bd.[0]?", "b.[0]?", "a.00")] == [True, True, True, False, False]
    for wrong in ("{a", "a}", "}{", "{a,b}}", "{a,{b}", "{a,b}" * 11):
        with pytest.raises(LayoutBridgeError):
            matches_glob(wrong)


def test_a_glob_of_many_stars_takes_no_time():
    assert not matches_glob("*a" * 40 + "b")("a" * 100_000)


def archive(folder, **arrays):
    np.savez(folder / "in.npz", **arrays)
    return folder / "in.npz"


def rearranged(folder, rules, source=None, **options):
    source = source or archive(folder, q=np.arange(96).reshape(24, 4), k=np.zeros((24, 4)), b=np.arange(24))
    lb.rearrange_checkpoint(source, folder / "out.npz", rules, **options)
    return np.load(folder / "out.npz")


def test_names_of_the_catalogue_with_parameters_and_several_steps(tmp_path):
    x = np.arange(2 * 8 * 2 * 2).reshape(2, 8, 2, 2)
    source = archive(tmp_path, x=x)
    shuffled, shuffle = lb.op("channel_shuffle", groups=4)(x), lb.op("pixel_shuffle", stride=2)
    both = shuffle(shuffled)
    for rule, expected in (
        ({"apply": "channel_shuffle", "groups": 4}, shuffled),
        ({"apply": ["channel_shuffle", "pixel_shuffle"], "groups": 4, "stride": 2}, both),
        ({"apply": "channel_shuffle then pixel_shuffle", "groups": 4}, both),
        ({"apply": ["channel_shuffle", "(c p:2 q:2) h w -> c (h p) (w q)"], "groups": 4}, both),
        ({"apply": "inverse(channel_shuffle(groups=2)) then pixel_shuffle"}, both),
        ({"apply": "channel_shuffle", "groups": 2, "inverse": True}, lb.op("channel_shuffle", groups=4)(x)),
        ({"pattern": "c h w -> h w c"}, x.transpose(0, 2, 3, 1)),
        ({"pattern": "n c h w -> c n h w then c n h w -> w h n c"}, x.transpose(3, 2, 0, 1)),
    ):
        assert np.array_equal(rearranged(tmp_path, [{"tensors": "x", **rule}], source)["x"], expected)
        again = lb.rearrange_checkpoint(tmp_path / "out.npz", tmp_path / "b.npz", [{"regex": ".", **rule}], undo=True)
        assert np.array_equal(np.load(tmp_path / "b.npz")["x"], x)
        assert again.changes[0].operation.label.startswith("inverse of ")


def test_a_file_of_rules(tmp_path):
    rules = tmp_path / "rules.toml"
    rules.write_text(f'[[rule]]\ntensors = "{{q,k}}"\npattern = "{Q}"\nh = 3\n\n[[rule]]\nregex = "b$"\napply = '
                     '["(h e:2) -> (e h)"]\n')  # fmt: skip
    found = rearranged(tmp_path, rules)
    assert found["q"][:, 0].tolist() == [4 * (8 * h + 2 * e + r) for h in range(3) for r in range(2) for e in range(4)]
    assert found["b"].tolist() == [*range(0, 24, 2), *range(1, 24, 2)]


BAD = {
    "nothing": ("", "there is no rule"),
    "no TOML": ("[[rule", "no TOML"),
    "no text": (b"\xff\xfe", "no TOML"),
    "nested deep": ("a = " + "[" * 20_000, "no TOML"),
    "another key": ("rules = 1", "'rules' means nothing here"),
    "a table": ('[rule]\ntensors = "q"', "there is no rule"),
    "a number": ("rule = 1", "there is no rule"),
    "numbers": ("rule = [1]", "there is no rule"),
    "no names": (f'[[rule]]\npattern = "{Q}"\nh = 3', "rule 1: it has one of tensors and regex"),
    "names twice": (f'[[rule]]\ntensors = "q"\nregex = "q"\npattern = "{Q}"\nh = 3', "one of tensors and regex"),
    "names that are a list": (f'[[rule]]\ntensors = ["q"]\npattern = "{Q}"\nh = 3', "one of tensors and regex"),
    "no regex": (f'[[rule]]\nregex = "("\npattern = "{Q}"\nh = 3', "no regular expression"),
    "nothing to apply": ('[[rule]]\ntensors = "q"', "one of apply and pattern"),
    "both": (f'[[rule]]\ntensors = "q"\napply = "focus"\npattern = "{Q}"\nh = 3', "one of apply and pattern"),
    "an empty list": ('[[rule]]\ntensors = "q"\napply = []', "one of apply and pattern"),
    "no pattern": ('[[rule]]\ntensors = "q"\npattern = "a b"', "rule 1: "),
    "no permutation": ('[[rule]]\ntensors = "q"\npattern = "a b -> a"', "missing on the right"),
    "a length of another kind": (f'[[rule]]\ntensors = "q"\npattern = "{Q}"\nh = 1.5', "rule 1: "),
    "a length that means nothing": (f'[[rule]]\ntensors = "q"\npattern = "{Q}"\nx = 3', "rule 1: "),
    "a length that is a table": (f'[[rule]]\ntensors = "q"\npattern = "{Q}"\nh = {{a = 1}}', "rule 1: "),
    "an unknown name": ('[[rule]]\ntensors = "q"\napply = "fokus"', "rule 1: no operation is called 'fokus'"),
    "an unknown parameter": ('[[rule]]\ntensors = "q"\napply = "focus"\nheads = 3', "'heads' is neither"),
    "steps that do not fit": ('[[rule]]\ntensors = "q"\napply = ["a b -> b a", "focus"]', "rule 1: "),
    "no truth value": (f'[[rule]]\ntensors = "q"\npattern = "{Q}"\nh = 3\ninverse = "no"', "inverse is true or false"),
    "nothing matched": (f'[[rule]]\ntensors = "w*"\npattern = "{Q}"\nh = 3', "rule 1 matches none of the 3"),
    "matched twice": (f'[[rule]]\ntensors = "q"\npattern = "{Q}"\nh = 3\n' * 2, "rule 1 and rule 2 both match"),
    "heads that do not divide": (f'[[rule]]\ntensors = "q"\npattern = "{Q}"\nh = 5', "not a multiple of 10"),
    "other axes": ('[[rule]]\ntensors = "b"\npattern = "a b c -> c b a"', "tensor 'b': .* takes 3 axes"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_rules_that_say_nothing_usable_are_told_and_nothing_is_written(name, tmp_path):
    text, told = BAD[name]
    rules = tmp_path / "rules.toml"
    rules.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(LayoutBridgeError, match=told) as error:
        rearranged(tmp_path, rules)
    assert "rules.toml" in str(error.value)
    assert "\n" not in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.npz", "rules.toml"]


def test_a_rule_that_cannot_be_undone_says_what_it_needs(tmp_path):
    source = archive(tmp_path, w=np.arange(24).reshape(4, 3, 2))
    flat = {"tensors": "w", "pattern": "o i k -> (k i) o"}
    out = rearranged(tmp_path, [flat], source)["w"]
    with pytest.raises(LayoutBridgeError, match=r"rule 1 cannot be undone: .* give the length of one"):
        lb.rearrange_checkpoint(tmp_path / "out.npz", tmp_path / "b.npz", [flat], undo=True)
    lb.rearrange_checkpoint(tmp_path / "out.npz", tmp_path / "b.npz", [{**flat, "k": 2}], undo=True)
    assert np.array_equal(np.load(tmp_path / "b.npz")["w"], np.arange(24).reshape(4, 3, 2))
    assert out.shape == (6, 4)


def test_what_has_no_batch_takes_none(tmp_path):
    found = lb.catalog()["oihw_to_hwio"]
    assert not found.has_batch
    (rule,) = read_rules([{"tensors": "*", "apply": found.name}])
    assert not rule.has_batch
    source = archive(tmp_path, w=np.zeros((2,) * (found.build().rank + 1)))
    with pytest.raises(LayoutBridgeError):
        rearranged(tmp_path, [{"tensors": "w", "apply": found.name}], source)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"apply": "rotary_pairs_to_halves"}, "takes heads"),
        ({"apply": "qkv_rows_grouped", "heads": 12}, "takes groups"),
        ({"apply": "qkv_rows_grouped", "groups": 3}, "takes heads"),
        ({"apply": "inverse(dense_chw_to_hwc(height=7))"}, "takes width"),
        ({"apply": "window_reverse", "window": 2, "spatial": 3, "height": 8, "width": 8}, "takes depth"),
    ],
)
def test_what_the_network_alone_knows_must_be_said(rule, told):
    with pytest.raises(LayoutBridgeError, match=f"{told} .*which no shape tells"):
        read_rules([{"tensors": "*", **rule}])


def test_no_depth_is_asked_for_where_there_is_none():
    (rule,) = read_rules([{"tensors": "*", "apply": "window_reverse", "window": 2, "height": 8, "width": 8}])
    assert rule.operation.out_shape((16, 2, 2, 3)) == (1, 8, 8, 3)
