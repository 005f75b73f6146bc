#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds docs/bounds.md to the sources: each constant that it names is defined where it says, and each test is there."""

import pathlib
import re
import unittest

TOP = pathlib.Path(__file__).resolve().parent.parent
ROOMS = ("hook", "kernel")


def file_of(path):
    """The source that the table calls `path`: below hook/, or from the top."""
    found = [TOP / folder / path for folder in ("", "hook") if (TOP / folder / path).is_file()]
    return found[0] if found else None


def test_text_of(name):
    """Of `folder/name`, which is somewhere below tests/."""
    return "".join(path.read_text() for suffix in (".cc", ".py") for path in TOP.glob("tests/**/%s%s" % (name, suffix)))


def rows(text):
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("|") and len(cells) >= 4 and not set(line) <= set("|- "):
            yield cells


def sources():
    return "".join(path.read_text() for room in ROOMS for path in (TOP / room).glob("**/*") if path.suffix in (".h", ".cc", ".c"))


def mistakes(text, code):
    """Constants that no source defines or mentions, files and tests that are not there."""
    found = []
    for cells in rows(text):
        for cell in cells:
            found += [name for name in re.findall(r"`(k[A-Z]\w+|A(?:CTION)?DFS_\w+|\w+\(\)|[A-Z]\w+(?:::\w+)?)`", cell)
                      if name.rstrip("()") not in code]
            found += [path for path in re.findall(r"[a-z_]+/[\w/]+\.(?:cc|h|c)\b", cell) if file_of(path) is None]
        found += missing_tests(cells[-1])
    return found


def missing_tests(cell):
    missing = []
    for name, inside in re.findall(r"\b(\w+/\w+_test)(?:: (\w+(?:, \w+)*)(?![\w/]))?", cell):
        text = test_text_of(name)
        wanted = inside.split(", ") if inside else []
        missing += [name] * (not text) + [word for word in wanted if not re.search(r"\b%s\b" % word, text)]
    return missing


class BoundsTable(unittest.TestCase):
    def test_it_fits_the_sources(self):
        text = (TOP / "docs/bounds.md").read_text()
        self.assertGreater(len(list(rows(text))), 40)
        self.assertEqual(mistakes(text, sources()), [])

    def test_what_is_wrong_is_found(self):
        for cells in ("| a | 1 | `kNoSuchBound`, base/files.h | b | |", "| a | 1 | `kMaxDepth`, base/no_such.h | b | |",
                      "| a | 1 | `kMaxDepth` | b | base/no_such_test |", "| a | 1 | `kMaxDepth` | b | base/files_test: NoSuchTest |"):
            self.assertEqual(len(mistakes(cells, "kMaxDepth")), 1, cells)


if __name__ == "__main__":
    unittest.main()
