"""Running the command line inside a test's process. Not a test itself."""

from layoutbridge.cli import main


def run(capfd, *arguments):
    """Exit code, stdout and stderr of the command line, in this process."""
    code = main(list(arguments))
    captured = capfd.readouterr()
    return code, captured.out, captured.err


def refused(capfd, *arguments):
    """The one line of an unusable call: exit code 2, nothing on stdout."""
    code, out, err = run(capfd, *arguments)
    assert (code, out) == (2, ""), (code, out, err)
    assert err.startswith("layoutbridge: ")
    assert err.count("\n") == 1, err
    return err
