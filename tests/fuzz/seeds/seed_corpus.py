# SPDX-License-Identifier: Apache-2.0
"""What the scripts of this folder have in common: each has a function that gives {name: bytes}, and is called as
`TARGET_seeds.py [--check] DIR`. With --check it says what differs and writes nothing. Files named regression.* are what fuzzing
found, and are left alone."""
import os
import pathlib
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
import wire  # noqa: E402,F401  (the path comes first; the scripts take it from here)


def check(directory, files):
    present = {p.name for p in directory.iterdir() if not p.name.startswith("regression.")}
    wrong = sorted(present ^ files.keys())
    wrong += [n for n in sorted(present & files.keys()) if (directory / n).read_bytes() != files[n]]
    for name in wrong:
        print(f"{directory / name}: not as {os.path.basename(sys.argv[0])} writes it", file=sys.stderr)
    return 1 if wrong else 0


def write(directory, files):
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.iterdir():
        if not path.name.startswith("regression.") and path.name not in files:
            path.unlink()
    for name, data in files.items():
        (directory / name).write_bytes(data)


def main(files):
    arguments = sys.argv[1:]
    checking = "--check" in arguments
    directories = [pathlib.Path(a) for a in arguments if a != "--check"]
    if len(directories) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    if checking:
        return check(directories[0], files)
    write(directories[0], files)
    return 0
