#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the format of every C and C++ source, with the .clang-format nearest to each, and names those that differ."""

import re
import subprocess
import sys

from sources import TOP, sources


def main():
    result = subprocess.run(["clang-format-19", "--dry-run", "-Werror", *sources((".c", ".cc", ".h"))], cwd=TOP,
                            capture_output=True, text=True)
    if result.returncode == 0:
        return 0
    files = sorted(set(re.findall(r"^([^\s:]+):\d+:\d+: error", result.stderr, re.MULTILINE)))
    print("clang-format-19 -i " + " ".join(files) if files else result.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
