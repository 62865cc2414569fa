"""The examples in each command's help: they are there, their options exist, and those that need no file run."""

import re
from shlex import split

import pytest
import typer.main

from layoutbridge.cli.commands import COMMANDS, application
from tests.command_line import run

NAMES = [name for names in COMMANDS.values() for name in names]


def examples_of(command):
    """Each example behind `layoutbridge`, from what the help is made of."""
    text = typer.main.get_command(application([command])).commands[command].help
    return re.findall(r"^layoutbridge (.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("command", NAMES)
def test_every_help_has_an_example_that_the_command_takes(capfd, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    lines = [line.strip() for line in run(capfd, command, "--help")[1].splitlines()]
    examples = examples_of(command)
    assert examples
    for example in examples:
        assert f"layoutbridge {example}" in lines, "a line that is broken cannot be pasted"
        first, *words = split(example)
        assert first == {"predict": "detect"}.get(command, command)
        typer.main.get_command(application([first])).commands[first].make_context(first, words)


@pytest.mark.parametrize("command", ["list", "prove", "code", "table", "show", "explore", "port"])
def test_examples_that_need_no_file_run_as_they_are_printed(capfd, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    for words in map(split, examples_of(command)):
        code, _, err = run(capfd, *words)
        assert code == (words[:2] == ["prove", "darknet_reorg"]), err
        assert "-o" not in words or (tmp_path / words[words.index("-o") + 1]).stat().st_size
