#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the format of every C and C++ source, with the .clang-format nearest to each, and names those that differ. The
module's own sources are left out: theirs is the kernel's style, which clang-format cannot tell in full."""

import re
import subprocess
import sys

from sources import TOP, sources


MODULE = re.compile(r"kernel/(probes/)?[^/]+$")


def main():
    files = [path for path in sources((".c", ".cc", ".h")) if not MODULE.match(path)]
    result = subprocess.run(["clang-format-19", "--dry-run", "-Werror", *files], cwd=TOP,
                            capture_output=True, text=True)
    if result.returncode == 0:
        return 0
    files = sorted(set(re.findall(r"^([^\s:]+):\d+:\d+: error", result.stderr, re.MULTILINE)))
    print("clang-format-19 -i " + " ".join(files) if files else result.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
