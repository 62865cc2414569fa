"""cfg files with several errors: all of them are told, in order, and nothing that only follows from one of them."""

import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.reading.cfg import parse_cfg
from layoutbridge.errors import CfgError
from tests.command_line import run
from tests.darknet_files import built

NET = "[net]\nwidth=8\nheight=6\nchannels=4\n"  # the next section stands in line 5
CONV = "[conv]\nfilters=4\n"


def problems(text, folder=None, flavor="alexey"):
    """The errors of a whole file, without the file's name."""
    (folder / "net.cfg").write_text(text)
    with pytest.raises(CfgError) as caught:
        load(folder / "net.cfg", flavor=flavor)
    assert all(line.startswith("net.cfg, line ") and line.isprintable() for line in caught.value.problems)
    return [line.removeprefix("net.cfg, ") for line in caught.value.problems]


def starts(lines):
    """Each line up to its ninth word."""
    return [" ".join(line.split(" ")[:6]) for line in lines]


def test_every_kind_of_error_is_told(tmp_path):
    text = (
        "size=1\n[net]\nwidth=8\nheight=6\nchannels=4\n[conv]\nfilters=4\nactivation=leeky\n[foo]\nfilters=x\n"
        "[conv]\nfilters=many\nsize=0\nactivation=silu\n[lrn]\nalpha=x\nsize=99999999999\n[net]\n[conv\nstride=-1\n"
        "[iseg]\n[route]\nlayers=0,x\n[route]\n[shortcut]\nfrom=90\nweights_type=some\n"
    )
    assert starts(problems(text, tmp_path)) == [
        "line 1: 'size=1' stands before any",
        "line 8: [conv] activation 'leeky' is",
        "line 9: unknown section '[foo]'",
        "line 12: [conv] filters=many must be",
        "line 13: [conv] size=0 must be",
        "line 14: [conv] activation 'silu' is",
        "line 16: [lrn] alpha=x must be",
        "line 17: [lrn] size=99999999999 must be",
        "line 18: a second [net]; a",
        "line 19: '[conv' lacks its closing",
        "line 20: [conv] stride=-1 must be",
        "line 21: [iseg] exists only in",
        "line 23: [route] layers=x must be",
        "line 24: [route] needs layers=: the",
        "line 26: [shortcut] from=90 is layer",
        "line 27: [shortcut] weights_type='some' must be",
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (NET + "[conv]\nsize=x\n[connected]\noutput=3\n[conv]\n[yolo]\n", [6]),  # what comes out is not known
        (NET + "[conv]\nsize=9\n[max]\nsize=99\nstride=2\n[sam]\nfrom=0\n", [5]),
        (NET + f"{CONV}[route]\nlayers=7\n[crop]\ncrop_width=99\n", [8]),
        (NET + f"{CONV}[foo]\n[yolo]\n[shortcut]\nfrom=1\n[shortcut]\nfrom=0\n", [7]),
        (NET + f"{CONV}share_index=x\n{CONV}share_index=0\n", [7]),
        (NET.replace("8", "x") + "[conv]\nsize=9\n[reorg]\nstride=5\n", [2]),
        ("[conv]\nsize=9\n[route]\nlayers=-1\n", [1]),
        ("[nte]\nwidth=8\n[conv]\nsize=9\n", [1]),
        (NET + "[conv]\nfilters=x\ngroups=3\n", [6]),
        (NET + "[conv]\nfilters=12\n[yolo]\nclasses=1\nnum=2\nmask=0,x\nanchors=1,2\n", [10]),
        (NET + "[conv]\nfilters=7\n[yolo]\nclasses=1\nnum=2\nanchors=1,2,y,4\n", [7, 10]),
    ],
)
def test_what_only_follows_is_not_told(text, lines, tmp_path):
    assert [int(line.split(":")[0].split()[1]) for line in problems(text, tmp_path)] == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (NET + f"[conv]\nfilters=x\n[route]\nlayers=5\n{CONV}activation=foo\n", [6, 8, 11]),
        (NET + f"[conv]\nfilters=4\nactivation=foo\n{CONV}groups=3\n", [7, 10]),  # an activation changes no shape
        (NET + f"{CONV}{CONV}[conv]\nsize=99\n[route]\nlayers=0\n[sam]\nfrom=1\n{CONV}groups=3\n[route]\nlayers=0\n"
         "[reorg]\nstride=5\n", [9, 17, 21]),  # the second route takes layers that are known
        (NET + f"{CONV}groups=3\nactivation=foo\n", [7, 8]),
        (NET + "[softmax]\n[conv]\nactivation=foo\nsize=x\n", [6, 7, 8]),
        (NET + "[conv]\nfilters=7\n[yolo]\nclasses=1\nnum=2\nanchors=1,2\n", [7, 10]),
        (NET + f"{CONV}[sam]\nactivation=foo\n[scale_channels]\nfrom=9\nactivation=bar\n", [7, 8, 10, 11]),
        ("[net]\n[conv]\nactivation=foo\n[lstm]\noutput=0\n", [1, 3, 5]),
    ],
)  # fmt: skip
def test_what_does_not_follow_is_told(text, lines, tmp_path):
    assert [int(line.split(":")[0].split()[1]) for line in problems(text, tmp_path)] == lines


def test_the_reader_alone_tells_all_sections_that_it_does_not_know():
    with pytest.raises(CfgError) as caught:
        parse_cfg("[net]\n[deconv]\n[conv]x\n[convv]\n[conv\n")
    assert [line[:12] for line in caught.value.problems] == [f"cfg, line {n}: "[:12] for n in (2, 3, 4, 5)]
    assert str(caught.value).split("\n") == list(caught.value.problems)


def test_long_lists_of_errors_are_cut():
    with pytest.raises(CfgError) as caught:
        built(NET + "".join(f"[conv]\nfilters={letter}{letter}\n" for letter in "abcdefghijklmnopqrstuvwxyz"))
    assert len(caught.value.problems) == 26
    told = str(caught.value).split("\n")
    assert (len(told), told[0][:20], told[-1]) == (21, "net.cfg, line 6: [co", "and 6 more")
    with pytest.raises(CfgError) as caught:
        built(NET + f"{CONV}activation=silu\n" * 100)
    told = str(caught.value).split("\n")
    assert [line[:16] for line in told] == ["net.cfg, line 7:", "net.cfg, line 10", "net.cfg, line 13", "and 97 more"]


def test_one_error_is_one_line():
    with pytest.raises(CfgError) as caught:
        built(NET + "[conv]\nfilters=x\n")
    assert str(caught.value) == "net.cfg, line 6: [conv] filters=x must be a whole number"


def test_the_cutoff_leaves_out_layers_but_not_sections_that_nobody_knows(tmp_path):
    text = NET + f"{CONV}[conv]\nfilters=x\n[foo]\n"
    with pytest.raises(CfgError, match=r"line 9: unknown section '\[foo\]'") as caught:
        (tmp_path / "net.cfg").write_text(text)
        load(tmp_path / "net.cfg", upto=1)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("command", ["summary", "check", "export"])
def test_the_command_line_tells_each_in_a_line(command, capfd, tmp_path):
    cfg = tmp_path / "net.cfg"
    cfg.write_text(NET + "[conv]\nfilters=x\n[foo]\n[conv]\nactivation=leeky\n")
    rest = {"summary": [], "check": ["w"], "export": ["w", "--to", "onnx", "-o", str(tmp_path / "x.onnx")]}[command]
    code, out, err = run(capfd, command, str(cfg), *rest)
    assert (code, out) == (2, "")
    assert [line[:34] for line in err.splitlines()] == [
        "layoutbridge: net.cfg, line 6: [co",
        "layoutbridge: net.cfg, line 7: unk",
        "layoutbridge: net.cfg, line 9: [co",
    ]
