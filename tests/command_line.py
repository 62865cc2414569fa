"""Running the command line inside a test's process, or as a shell does. Not a test itself."""

import os
import subprocess
import sys
from pathlib import Path

from layoutbridge.cli import main
from layoutbridge.cli.process import without_notes

ROOT = Path(__file__).resolve().parents[1]


def run(capfd, *arguments):
    """Exit code, stdout and stderr of the command line, in this process.

    As in its own, without notes of C++ code: TensorFlow writes them where this is the first test that starts it.
    """
    code = main(list(arguments))
    captured = capfd.readouterr()
    return code, captured.out, b"".join(without_notes([captured.err.encode()])).decode()


def refused(capfd, *arguments):
    """The one line of an unusable call: exit code 2, nothing on stdout."""
    code, out, err = run(capfd, *arguments)
    assert (code, out) == (2, ""), (code, out, err)
    assert err.startswith("layoutbridge: ")
    assert err.count("\n") == 1, err
    return err


def completed(words):
    """How a shell completes these words, the last of which may be empty."""
    environment = {
        **os.environ,
        "_LAYOUTBRIDGE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - (not words.endswith(" "))),
    }
    script = "from layoutbridge.cli import main; import sys; sys.argv[0] = 'layoutbridge'; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.split()
