"""Parameters of any entry on the command line: what an entry declares can be asked for, and nothing else."""

import json

import numpy as np
import pytest
from typer.core import TyperGroup
from typer.main import get_command

import layoutbridge as lb
from layoutbridge.cli.commands import application
from layoutbridge.cli.shared.parameters import WithParameters, own_options
from layoutbridge.operations.entry import CatalogEntry
from layoutbridge.operations.parameters import Form, Parameter
from tests.command_line import refused, run

GROUP = get_command(application())
assert isinstance(GROUP, TyperGroup)
COMMANDS = {name: command for name, command in GROUP.commands.items() if isinstance(command, WithParameters)}


@pytest.fixture
def patches(monkeypatch):
    """An entry with a number, a word and a name of two words, that is nobody's."""
    from types import MappingProxyType

    from layoutbridge.operations import catalog

    def form(pattern, order):
        letters = MappingProxyType({"patch_size": ("k",)})
        return Form(pattern, letters, MappingProxyType({"order": order}))

    entry = CatalogEntry(
        "test_patches",
        (form("c (h p:k) (w q:k) -> (h w) (p q c)", "pqc"), form("c (h p:k) (w q:k) -> (h w) (c p q)", "cpq")),
        "patches",
        "here",
        MappingProxyType({"patch_size": Parameter("patch_size", 4), "order": Parameter("order", "pqc")}),
    )
    monkeypatch.setitem(catalog._registry, entry.name, entry)
    return entry


def tabled(capfd, *arguments):
    code, out, err = run(capfd, "table", *arguments, "--json")
    assert code == 0, err
    return np.array(json.loads(out)["table"])


@pytest.mark.sample(3, slow=2)
@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        (["--stride", "2x4"], {"stride": (2, 4)}),
        (["--stride", "2,4"], {"stride": (2, 4)}),
        (["--stride", "2×4"], {"stride": (2, 4)}),
        (["--stride=2x4"], {"stride": (2, 4)}),
        (["--stride", "4"], {"stride": 4}),
        (["--stride", "4x4"], {"stride": 4}),
        (["--spatial", "2", "--stride=4"], {"stride": 4}),
        ([], {}),
    ],
)
def test_sizes_as_people_write_them(capfd, arguments, parameters):
    expected = lb.op("focus", **parameters).table((3, 8, 8))
    assert np.array_equal(tabled(capfd, "focus", "--shape", "3,8,8", *arguments), expected)
    assert np.array_equal(tabled(capfd, *arguments, "--shape", "3,8,8", "focus"), expected)  # in any order


def test_a_line_and_a_volume(capfd):
    for shape, spatial in (((4, 6), 1), ((2, 4, 4, 4), 3)):
        asked = ["--shape", ",".join(map(str, shape)), "--spatial", str(spatial)]
        assert np.array_equal(tabled(capfd, "focus", *asked), lb.op("focus", spatial=spatial).table(shape))


def test_words_stay_words_and_names_may_have_dashes(capfd, patches):
    for spelled in ("--patch-size", "--patch_size"):
        found = tabled(capfd, "test_patches", "--shape", "3,4,4", spelled, "2", "--order", "cpq")
        assert np.array_equal(found, patches.build(patch_size=2, order="cpq").table((3, 4, 4)))
    assert not np.array_equal(found, patches.build(patch_size=2).table((3, 4, 4)))
    assert "no form for order=qqq" in refused(capfd, "table", "test_patches", "--shape", "3,4,4", "--order", "qqq")
    assert "whole number, not 'cpq'" in refused(capfd, "table", "test_patches", "--shape", "3,4,4", "--patch-size=cpq")


@pytest.mark.sample(7)
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["darknet_reorg", "--strid", "2"], "darknet_reorg takes no --strid; it takes --stride"),
        (["darknet_reorg", "--spatial", "2"], "darknet_reorg takes no --spatial; it takes --stride"),
        (["darknet_flatten", "--stride", "2"], "darknet_flatten takes no --stride, nor any other parameter"),
        (["focus", "--jsn"], "no such option: --jsn; did you mean --json?"),
        (["focus", "--shpe", "4,4,4"], "no such option: --shpe; did you mean --shape?"),
        (["focus", "--stride"], "--stride needs a value"),
        (["focus", "--stride", "--json"], "--stride needs a value"),
        (["focus", "--stride", "2", "--stride", "3"], "--stride is given twice, as 2 and as 3"),
        (["focus", "--stride", "2x"], "each number in --stride 2x must be a whole number, not ''"),
        (["focus", "--stride", "2x0"], "must be between 1"),
        (["focus", "--stride", "2x2x2x2"], "no form for stride=2×2×2×2"),
        (["focus", "--stride", "-2"], "--stride must be between 1 and 2^63 - 1, not -2"),
        (["focus", "-stride", "2"], "-s"),
        (["focus", "--", "--stride"], "unexpected extra argument"),
    ],
)
def test_what_is_refused(capfd, arguments, says):
    assert says in refused(capfd, "table", "--shape", "4,4,4", *arguments)


def test_prove_and_export_take_them_too(capfd, tmp_path):
    assert run(capfd, "prove", "focus", "(c p:2 q:4) h w -> c (h p) (w q)", "--stride", "2x4")[0] == 1
    assert run(capfd, "prove", "pixel_shuffle", "depth_to_space_crd", "--spatial", "3", "--stride", "2")[0] == 0
    assert "neither focus nor pixel_shuffle takes --groups" in refused(
        capfd, "prove", "focus", "pixel_shuffle", "--groups", "2"
    )
    path = tmp_path / "focus.npy"
    assert run(capfd, "export", "focus", "--shape", "3,4,8", "--stride", "2x4", "-o", str(path))[0] == 0
    assert "focus takes no --strde; it takes --stride" in refused(
        capfd, "export", "focus", "--strde", "2", "-o", str(path)
    )


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--stride=2", "--stride is for an operation, not for a network"),
        ("--strde=2", "no such option: --strde; did you mean --stride?"),
        ("--flavr=alexey", "no such option: --flavr; did you mean --flavor?"),
        ("--nonsense=2", "no such option: --nonsense"),
    ],
)
def test_no_option_of_a_networks_export_is_swallowed(capfd, tmp_path, option, says):
    output = str(tmp_path / "o.onnx")
    assert says in refused(capfd, "export", "net.cfg", "net.weights", "-o", output, option)


def test_no_parameter_has_the_name_of_a_commands_own_option():
    assert {"table", "prove", "export"} <= set(COMMANDS)
    for command in COMMANDS.values():
        own = own_options(command.params)
        assert own  # it has some at all
        declared = {f"--{name.replace('_', '-')}" for entry in lb.catalog().values() for name in entry.parameters}
        assert not declared & set(own), command.name


def test_help_says_where_the_parameters_are_listed(capfd):
    for command in COMMANDS:
        told = " ".join(run(capfd, command, "--help")[1].replace("│", " ").split())
        assert "--stride" in told and "layoutbridge list NAME" in told


WITH_ARGUMENTS = ("summary", "check", "detect", "export", "table", "code", "prove", "identify", "checkpoint", "scan")


@pytest.mark.parametrize("command", WITH_ARGUMENTS)
def test_a_command_alone_is_refused_in_a_line(capfd, command):
    assert "issing" in refused(capfd, command)
