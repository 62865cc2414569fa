"""How long a shell waits for completion: of commands, of every command's options, and of every option's values.

python -m pytest benchmarks/test_completion_speed.py -q -s
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from tests.cli.completed import asked_words

ROUNDS = 3
MOST = 0.150  # seconds
PROGRAM = "import sys; sys.argv[0] = 'layoutbridge'; from layoutbridge.cli import program; raise SystemExit(program())"


def completed(words: str) -> tuple[float, str]:
    """The seconds that it takes, and what comes."""
    told = {"_LAYOUTBRIDGE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()))}
    start = time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ | told, capture_output=True, check=True, text=True
    )
    return time.perf_counter() - start, process.stdout


def test_every_word_is_completed_at_once() -> None:
    asked = [words for words in asked_words() if completed(words)[1]]  # and compiles what is not yet
    found = {words: statistics.median(completed(words)[0] for _ in range(ROUNDS)) for words in asked}
    slowest = sorted(found, key=found.__getitem__, reverse=True)
    print(f"\n{len(found)} words, median {1000 * statistics.median(found.values()):.0f} ms; the slowest:")
    for words in slowest[:12]:
        print(f"{1000 * found[words]:5.0f} ms  {words}")
    assert found[slowest[0]] < MOST
