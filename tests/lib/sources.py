# SPDX-License-Identifier: Apache-2.0
"""The sources that are checked: those under version control, or all of them where there is none."""

import os
import pathlib
import subprocess

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDERS = ("hook", "kernel", "tests")


def sources(suffixes):
    """Paths relative to the top of the tree, sorted."""
    listing = subprocess.run(["git", "-c", f"safe.directory={TOP}", "ls-files", "-z", "--", *FOLDERS], cwd=TOP,
                             capture_output=True, text=True)
    if listing.returncode == 0:
        paths = listing.stdout.split("\0")
    else:
        paths = [os.path.relpath(os.path.join(folder, name), TOP)
                 for top in FOLDERS for folder, _, names in os.walk(TOP / top) for name in names]
    return sorted(p for p in paths if p.endswith(suffixes) and (TOP / p).exists())
