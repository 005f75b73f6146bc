#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the whole suite on one backend: 0 all good, 1 not, 77 the host cannot.

usage: run.py [-v] [--backend fuse|fuse-no-passthrough|kernel|plain] [PATTERN...]

A PATTERN selects tests of which the name contains it (`rename_test`, `strict_user`, `test_flags`), also with wildcards
(`errors_test.*_strict_root`). The environment: ACTIONDFS_BACKEND, the same as --backend; ACTIONDFS, the program (for
FUSE); ACTIONDFS_TEST_DIR (default /var/tmp), where store and stages go: a file system that a stage can be on.
"""
import fnmatch
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "-v"]
    if "--backend" in arguments:
        at = arguments.index("--backend")
        if at + 1 == len(arguments):
            sys.exit(__doc__)
        os.environ["ACTIONDFS_BACKEND"] = arguments[at + 1]
        del arguments[at:at + 2]
    if any(argument.startswith("-") for argument in arguments):
        sys.exit(__doc__)
    sys.path.insert(0, HERE)
    import workspace

    def make_suite():
        found = unittest.TestLoader().discover(HERE, pattern="*_test.py", top_level_dir=HERE)
        return unittest.TestSuite(test for test in workspace.tests_of(found) if not arguments or any(
            fnmatch.fnmatchcase(test.id(), "*%s*" % pattern) for pattern in arguments))

    workspace.run(make_suite)


if __name__ == "__main__":
    main()
