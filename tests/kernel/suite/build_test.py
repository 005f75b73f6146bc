#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A real build in a strict workspace: the objects are those of the same build on ext4, bit for bit."""
import os
import shutil
import subprocess

from kit import Guest, SCALE, main, read_file, run

GOOGLETEST = "/usr/src/googletest/googletest"
# All of GoogleTest in one translation unit takes long on an emulated processor.
SOURCES = ["src/gtest-all.cc", "src/gtest_main.cc"] if SCALE == 1 else ["src/gtest-printers.cc", "src/gtest_main.cc"]


class Build(Guest):
    def setUp(self):
        super().setUp()
        if not os.path.isdir(GOOGLETEST) or not shutil.which("g++"):
            self.skipTest("there is no GoogleTest source or no g++")

    def build(self, top):
        """{name: content} of what is made, next to the sources, by a makefile that is an input."""
        done = subprocess.run(["make", "-s", "-j2", "-f", "Makefile.test", "all"], cwd=top, capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return {name: read_file(os.path.join(top, "out", name)) for name in os.listdir(os.path.join(top, "out"))}

    def test_the_same_objects(self):
        plain = self.scratch("plain")
        run("cp", "-a", GOOGLETEST + "/.", plain)
        objects = ["out/%s.o" % os.path.basename(source) for source in SOURCES]
        rules = ["all: out/lib.a\n", "out/lib.a: %s\n\trm -f $@ && ar rcD $@ $^\n" % " ".join(objects)]
        for source, target in zip(SOURCES, objects):
            rules.append("%s: %s\n\tmkdir -p out && g++ -std=c++17 -g -fdebug-prefix-map=$(CURDIR)=. -I. -Iinclude "
                         "-MMD -c -o $@ $<\n" % (target, source))
        with open(plain + "/Makefile.test", "w", encoding="ascii") as file:
            file.write("\n".join(rules))
        root = self.import_directory(plain)
        point = self.mount(root, stage=self.scratch("stage"))
        there, here = self.build(point), self.build(plain)
        self.assertEqual(len(here), 2 * len(SOURCES) + 1)
        self.assertEqual(sorted(there), sorted(here))
        for name, data in here.items():
            self.assertEqual(there[name] == data, True, name + " differs")
        self.assertEqual(self.store.damaged(), [])

    def import_directory(self, top):
        def tree(directory):
            found = {}
            for entry in os.scandir(directory):
                found[entry.name] = tree(entry.path) if entry.is_dir() else read_file(entry.path)
            return found
        return self.store.make_tree(tree(top))


if __name__ == "__main__":
    main()
