# SPDX-License-Identifier: Apache-2.0
"""Several processes at once in one workspace, and in two on one root: nothing is lost, nothing is seen twice."""
import os
import random

from calls import RENAME_EXCHANGE, errno_name, read_file, renameat2, touch, write_file
from rename_test import snapshot
from workspace import Workspace, main, variants

TREE = {"dir": {"i%d" % i: b"%d" % i for i in range(50)}, "other": {"sub": {"x": b"x"}}, "big": b"b" * 300000}
PROCESSES = 4


def at_once(*functions):
    """Runs each in a process of its own, all at the same time; fails if one does."""
    reader, writer = os.pipe()
    children = []
    for function in functions:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(writer)
                os.read(reader, 1)  # until all are there: the end of the pipe
                function()
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    os.close(reader)
    os.close(writer)
    failed = [child for child in children if os.waitpid(child, 0)[1] != 0]
    if failed:
        raise AssertionError("%d of %d processes failed" % (len(failed), len(children)))


@variants("strict", "overlay", "plain")
class OneWorkspace(Workspace):
    tree = TREE

    def each(self, function):
        at_once(*(lambda i=i: function(i) for i in range(PROCESSES)))

    def test_making_and_removing(self):
        def work(me):
            for i in range(150):
                name = self.path("dir/p%d_%d" % (me, i))
                write_file(name, b"%d" % i)
                assert read_file(name) == b"%d" % i
                if i % 3:
                    os.unlink(name)

        self.each(work)
        expected = {*TREE["dir"], *("p%d_%d" % (me, i) for me in range(PROCESSES) for i in range(0, 150, 3))}
        self.assertEqual(set(os.listdir(self.path("dir"))), expected)

    def test_one_name_for_many(self):
        """O_EXCL: one of all gets it."""
        def work(me):
            for i in range(60):
                if errno_name(os.open, self.path("dir/once%d" % i), os.O_CREAT | os.O_EXCL | os.O_WRONLY) == "OK":
                    touch(self.path("other/won_%d_%d" % (i, me)))

        self.each(work)
        won = sorted(int(name.split("_")[1]) for name in os.listdir(self.path("other")) if name.startswith("won"))
        self.assertEqual(won, list(range(60)))

    def test_a_directory_below_an_input_is_made_once(self):
        def work(me):
            for i in range(30):
                os.makedirs(self.path("other/sub/a%d/b" % i), exist_ok=True)
                touch(self.path("other/sub/a%d/b/%d" % (i, me)))

        self.each(work)
        for i in range(30):
            self.assertEqual(sorted(os.listdir(self.path("other/sub/a%d/b" % i))), [str(me) for me in range(PROCESSES)])

    def test_renaming_to_one_name(self):
        self.new("target", b"start" * 20)

        def work(me):
            for _ in range(100):
                write_file(self.path("tmp%d" % me), b"%d" % me * 100)
                os.rename(self.path("tmp%d" % me), self.path("target"))
                content = read_file(self.path("target"))
                assert len(content) == 100 and len(set(content)) == 1, content[:10]

        self.each(work)
        self.assertEqual(sorted(os.listdir(self.point)), sorted([*TREE, "target"]))

    def test_directories_that_change_places(self):
        for i in range(PROCESSES):
            os.makedirs(self.path("d%d/deep" % i))
            write_file(self.path("d%d/deep/f" % i), b"%d" % i)

        def work(me):
            choose = random.Random(me)
            for _ in range(100):
                one, two = choose.sample(range(PROCESSES), 2)
                renameat2(self.path("d%d" % one), self.path("d%d" % two), RENAME_EXCHANGE)
                assert len(read_file(self.path("d%d/deep/f" % choose.randrange(PROCESSES)))) == 1

        self.each(work)
        contents = sorted(read_file(self.path("d%d/deep/f" % i)) for i in range(PROCESSES))
        self.assertEqual(contents, [b"%d" % i for i in range(PROCESSES)])

    def test_a_lister_beside_makers(self):
        def lister():
            for _ in range(30):
                found = os.listdir(self.path("dir"))
                assert len(found) == len(set(found)) and set(TREE["dir"]) <= set(found)

        def maker(me):
            for i in range(200):
                touch(self.path("dir/m%d_%d" % (me, i % 20)))
                os.unlink(self.path("dir/m%d_%d" % (me, i % 20)))

        at_once(lister, lister, lambda: maker(0), lambda: maker(1))
        self.assertEqual(sorted(os.listdir(self.path("dir"))), sorted(TREE["dir"]))

    def test_appending_together(self):
        touch(self.path("log"))

        def work(me):
            fd = os.open(self.path("log"), os.O_WRONLY | os.O_APPEND)
            for i in range(100):
                os.write(fd, b"%d %3d\n" % (me, i))

        self.each(work)
        lines = read_file(self.path("log")).splitlines()
        self.assertEqual(sorted(lines), sorted(b"%d %3d" % (me, i) for me in range(PROCESSES) for i in range(100)))


@variants("readonly", "strict", "overlay")
class TwoWorkspaces(Workspace):
    tree = TREE

    def setUp(self):
        super().setUp()
        self.other = self.mount(TREE)

    def test_both_at_once(self):
        def work(point, mark):
            for i in range(50):
                assert read_file(os.path.join(point, "dir/i%d" % i)) == b"%d" % i
                assert read_file(os.path.join(point, "big")) == TREE["big"]
                if self.mode != "readonly":
                    write_file(os.path.join(point, "dir/mine%d" % i), mark)

        at_once(lambda: work(self.point, b"one"), lambda: work(self.other, b"two"))
        for point, mark in ((self.point, b"one"), (self.other, b"two")):
            found = {name: content for name, content in snapshot(point).items() if name.startswith("dir/mine")}
            self.assertEqual(set(found.values()), {mark} if self.mode != "readonly" else set())


if __name__ == "__main__":
    main()
