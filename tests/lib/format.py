#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the format of every C and C++ source, with the .clang-format nearest to each."""

import subprocess
import sys

from sources import TOP, sources

sys.exit(subprocess.run(["clang-format-19", "--dry-run", "-Werror", *sources((".c", ".cc", ".h"))],
                        cwd=TOP).returncode)
