"""`python -m tests.fuzzing`: the hunt over hostile inputs; `make fuzz` runs it.

python -m tests.fuzzing --seconds 600               every surface
python -m tests.fuzzing cfg weights --seconds 60    some of them
python -m tests.fuzzing cfg .fuzz/cfg-1a2b3c4d.cfg  one input again, with the whole trace
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
from pathlib import Path

from tests.fuzzing.hunt import hunt
from tests.fuzzing.surface import BESIDE, surfaces
from tests.fuzzing.worker import TOLD, read_again


def main() -> int:
    """Hunt, or read one input again; 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names", nargs="*", metavar="SURFACE", help="surfaces, by default all; a file behind one is read"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="for all of them together, beside their starts")
    parser.add_argument("--seed", type=int, default=None, help="by default another each time")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    parser.add_argument("--finds", type=Path, default=Path(".fuzz"), help="where finds are saved")
    parser.add_argument("--drawn", action="store_true", help="without atheris, the same inputs for the same seed")
    given = parser.parse_args()
    listed = surfaces()
    known = {surface.name: surface for surface in (*listed, *surfaces(BESIDE))}
    if len(given.names) == 2 and given.names[1] not in known:
        return read_again(known[given.names[0]], Path(given.names[1]))
    if unknown := [name for name in given.names if name not in known]:
        parser.error(f"no surface is called {unknown[0]}; there are {', '.join(known)}")
    chosen = [known[name] for name in given.names] or listed
    for surface in chosen:
        if surface.missing:
            print(f"{surface.name:14} left out: {surface.missing} is not installed")
    coverage = not given.drawn and importlib.util.find_spec("atheris") is not None
    if not coverage and not given.drawn:
        print("atheris is not installed: inputs are drawn and changed without looking at what they reach")
    seed = int(time.time()) if given.seed is None else given.seed
    ready = [surface for surface in chosen if surface.missing is None]
    done = []
    for each in hunt(ready, given.seconds, seed, given.finds, coverage=coverage, jobs=given.jobs):
        print(each, flush=True)
        done.append(each)
    print(f"{sum(each.inputs for each in done):,} inputs with seed {seed}")
    finds = [(each.name, path) for each in done for path in each.finds]
    for name, path in finds:
        told = path.with_name(f"{path.name}{TOLD}").read_text("utf-8")[:400]
        print(f"\n{path}\n  {told}\n  python -m tests.fuzzing {name} {path}")
    return 1 if finds else 0


if __name__ == "__main__":
    raise SystemExit(main())
