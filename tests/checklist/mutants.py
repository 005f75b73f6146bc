#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Takes the defences out, one at a time, and sees that a test fails: mutant_table.py is the list. README.md says more.

usage: mutants.py [--work DIR] [NAME...]   as root; without names, all of them
       mutants.py --list
       mutants.py --check                  only that each row still fits the sources

What is mutated is a copy of the committed tree below DIR (a temporary directory), which is built there, with ccache where
there is one. A DIR of one's own is kept, and the next run builds only what differs."""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from mutant_table import MUTANTS

TOP = pathlib.Path(__file__).resolve().parents[2]
PRESET = "dev"


class Copy:
    """A work tree of HEAD and its build."""

    def __init__(self, directory):
        self.top = pathlib.Path(directory, "tree")
        self.build = self.top / "build" / PRESET
        head = subprocess.run(["git", "-C", TOP, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
        if self.top.exists():
            self.git("reset", "--quiet", "--hard")
            self.git("checkout", "--quiet", "--detach", head)
        else:
            subprocess.run(["git", "-C", TOP, "worktree", "add", "--quiet", "--detach", self.top, head], check=True)
        self.environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", CCACHE_BASEDIR=str(self.top), CCACHE_NOHASHDIR="1",
                                ACTIONDFS=str(self.build / "bin/actiondfs"), ACTIONDFS_HOOK=str(self.build / "bin/actiondfs-hook"),
                                ACTIONDFS_HOSTILE=str(self.build / "tests/checklist/hostile"))
        if shutil.which("ccache"):
            self.environment.update(CMAKE_C_COMPILER_LAUNCHER="ccache", CMAKE_CXX_COMPILER_LAUNCHER="ccache")

    def git(self, *arguments):
        subprocess.run(["git", "-C", self.top, *arguments], check=True)

    def remove(self):
        subprocess.run(["git", "-C", TOP, "worktree", "remove", "--force", self.top], check=True)

    def run(self, command, log):
        with open(log, "wb") as out:
            return subprocess.run(command, cwd=self.top, env=self.environment, stdin=subprocess.DEVNULL, stdout=out,
                                  stderr=subprocess.STDOUT, check=False).returncode

    def make(self, targets, log):
        if not (self.build / "build.ninja").exists():
            # Precompiled headers are what ccache does not keep.
            code = self.run(["cmake", "--preset", PRESET, "-DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON"], log)
            if code != 0:
                return code
        return self.run(["ninja", "-C", self.build, "-j", str(os.cpu_count()), *targets], log)


def faults_of(mutant, top):
    """What in the sources does not fit the row."""
    for edit in mutant.edits:
        count = (top / edit.file).read_text().count(edit.old)
        if count != 1:
            yield f"{mutant.name}: {edit.file} has this {count} times, not once: {edit.old!r}"


def apply(mutant, top):
    for edit in mutant.edits:
        path = top / edit.file
        path.write_text(path.read_text().replace(edit.old, edit.new))


def test_of(mutant, build):
    program, *arguments = mutant.test
    if program.endswith(".py"):
        return ["/usr/bin/python3", "tests/" + program, *arguments]
    # A program of GoogleTest: its room, and a filter.
    return [build / f"tests/unit/{program.removesuffix('_test')}/{program}", "--gtest_filter=" + arguments[0]]


class Trial:
    def __init__(self, copy, logs):
        self.copy = copy
        self.logs = logs
        self.sound = set()

    def log(self, mutant, what):
        return os.path.join(self.logs, f"{mutant.name}.{what}.log")

    def passes_without(self, mutant):
        """Whether the row's test passes as long as the defence is there: one that always fails shows nothing."""
        if mutant.test in self.sound:
            return True
        log = self.log(mutant, "sound")
        if self.copy.make(mutant.targets, log) != 0 or self.copy.run(test_of(mutant, self.copy.build), log) != 0:
            return False
        self.sound.add(mutant.test)
        return True

    def run(self, mutant):
        """"noticed", or what went wrong."""
        if not self.passes_without(mutant):
            return "the test does not pass with the defence in place"
        apply(mutant, self.copy.top)
        try:
            if self.copy.make(mutant.targets, self.log(mutant, "build")) != 0:
                return "does not build"
            code = self.copy.run(test_of(mutant, self.copy.build), self.log(mutant, "test"))
        finally:
            self.copy.git("checkout", "--quiet", "--", *{edit.file for edit in mutant.edits})
        return {0: "NOT NOTICED", 77: "the test was skipped"}.get(code, "noticed")


def run_all(mutants, directory):
    logs = os.path.join(directory, "logs")
    os.makedirs(logs, exist_ok=True)
    trial = Trial(Copy(directory), logs)
    bad = 0
    for mutant in mutants:
        begin = time.monotonic()
        verdict = trial.run(mutant)
        bad += verdict != "noticed"
        print(f"{mutant.name:24} {verdict} ({time.monotonic() - begin:.0f} s) by {' '.join(mutant.test)}", flush=True)
    print(f"{len(mutants) - bad} of {len(mutants)} noticed" + (f"; logs in {logs}" if bad else ""))
    return trial.copy, bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--work", metavar="DIR")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    unknown = set(options.names) - {mutant.name for mutant in MUTANTS}
    if unknown:
        parser.error("no such mutant: " + ", ".join(sorted(unknown)))
    mutants = [mutant for mutant in MUTANTS if mutant.name in options.names or not options.names]
    if options.list:
        for mutant in mutants:
            print(f"{mutant.name:24} {mutant.defence}: {' '.join(mutant.test)}")
        return 0
    faults = [fault for mutant in mutants for fault in faults_of(mutant, TOP)]
    print("\n".join(faults) or f"{len(mutants)} rows fit")
    if options.check or faults:
        return 1 if faults else 0
    directory = options.work or tempfile.mkdtemp(prefix="actiondfs-mutants.", dir="/var/tmp")
    copy, bad = run_all(mutants, os.path.abspath(directory))
    if not options.work and not bad:
        copy.remove()
        shutil.rmtree(directory)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
