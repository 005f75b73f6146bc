# SPDX-License-Identifier: Apache-2.0
"""Two containers on one server, one of them hostile: the other has no failure of it, and gets on.

Nothing is timed. While the victim does its rounds, those of the hostile processes are counted: as many processes as
they are they may well get as many turns, but not so many that the victim was left waiting.
"""
import errno
import mmap
import os
import signal
import struct
import traceback

from harness import FuseTest, main
from calls import errno_name, read_file, write_file
from store import Raw

ROUNDS = 300
WIDTH = 40
LARGE = 5000
PROCESSES_OF_EACH = 2
# A hostile round is about as much work as a victim's, or less.
MOST_TURNS = 20
# What the hostile container is refused with, in all that it does: it has more than its share of everything.
REFUSALS = (errno.ENOMEM, errno.ENFILE)


def path_of(point, i):
    return os.path.join(point, "entry%04d" % (i // WIDTH ** 2 % WIDTH), "entry%04d" % (i // WIDTH % WIDTH),
                        "entry%04d" % (i % WIDTH))


class Holder:
    """Opens more and more; beyond what it gets, one is closed for the next."""

    def __init__(self, open_next, most):
        self.open_next, self.most = open_next, most
        self.held, self.count, self.refused = [], 0, False

    def __call__(self):
        self.count += 1
        try:
            self.held.append(self.open_next(self.count))
        except OSError as error:
            if error.errno not in REFUSALS:
                raise
            self.refused = True
        if self.refused or len(self.held) >= self.most:
            if self.held:
                os.close(self.held.pop(0))
            return True
        return False


def removed_while_open(point, name):
    def open_next(i):
        path = os.path.join(point, "%s.%d" % (name, i))
        fd = os.open(path, os.O_CREAT | os.O_RDWR)
        try:
            os.unlink(path)
        except OSError:
            os.close(fd)
            raise
        return fd
    return Holder(open_next, 5000)


def names_in_use(point, name):
    first = int(name[-1]) * WIDTH ** 3 // PROCESSES_OF_EACH
    return Holder(lambda i: os.open(path_of(point, first + i), os.O_PATH), 15000)


def directory_streams(point, _):
    directory = os.path.join(point, "many")

    def open_next(_):
        fd = os.open(directory, os.O_RDONLY)
        os.listdir(fd)
        return fd
    return Holder(open_next, 200)


def large_directories(point, _):
    def step():
        os.listdir(os.path.join(point, "large"))
        return True
    return step


def absent_names(point, name):
    count = 0

    def step():
        nonlocal count
        for _ in range(10):
            count += 1
            assert not os.path.exists(os.path.join(point, "%s.absent.%d" % (name, count)))
        return True
    return step


def changes(point, name):
    count = 0

    def step():
        nonlocal count
        count += 1
        path = os.path.join(point, "%s.changed.%d" % (name, count))
        write_file(path, b"x" * 100)
        os.rename(path, path + ".new")
        os.mkdir(path)
        os.rmdir(path)
        os.unlink(path + ".new")
        return True
    return step


HOSTILE = (removed_while_open, names_in_use, directory_streams, large_directories, absent_names, changes)


class Fairness(FuseTest):
    server_args = ("--nodes", "1000")
    server_wrapper = ("prlimit", "--nofile=2048:2048")

    def setUp(self):
        names = ["entry%04d" % i for i in range(WIDTH)]
        low = self.store.make_tree({name: b"content" for name in names})
        middle = self.store.make_tree({name: Raw(low) for name in names})
        large = self.store.make_tree({"a large directory's %d" % i: b"" for i in range(LARGE)})
        digest = self.store.make_tree({"large": Raw(large), **{name: Raw(middle) for name in names}})
        self.victim, self.hostile = self.mount(digest), self.mount(digest)
        os.mkdir(os.path.join(self.hostile, "many"))
        for i in range(500):
            write_file(os.path.join(self.hostile, "many", "a name that is not short %d" % i), b"")
        self.count = HOSTILE * PROCESSES_OF_EACH
        self.turns = mmap.mmap(-1, 8 * len(self.count))

    def start_hostile_processes(self):
        ready, begun = os.pipe()
        children = []
        for i, make in enumerate(self.count):
            child = os.fork()
            if child == 0:
                self.be_hostile(make, i, begun)
            children.append(child)
            self.addCleanup(self.end, child)
        os.close(begun)
        with os.fdopen(ready, "rb") as pipe:
            # Each has what it can get before the victim begins.
            self.assertEqual(len(pipe.read(len(children))), len(children), "a hostile process failed")
        return children

    def be_hostile(self, make, i, begun):
        try:
            step, turns = make(self.hostile, "%s-%d" % (make.__name__, i // len(HOSTILE))), 0
            while True:
                try:
                    done = step()
                except OSError as error:
                    if error.errno not in REFUSALS:
                        raise
                    done = True
                if done:
                    if turns == 0:
                        os.write(begun, b".")
                        os.close(begun)
                    turns += 1
                    struct.pack_into("Q", self.turns, 8 * i, turns)
        finally:
            traceback.print_exc()
            os._exit(1)

    @staticmethod
    def end(child):
        if os.waitpid(child, os.WNOHANG) == (0, 0):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    def turns_of_all(self):
        return struct.unpack("%dQ" % len(self.count), self.turns[:])

    def victims_round(self, i, held):
        for j in range(10):
            self.assertEqual(os.stat(path_of(self.victim, 10 * i + j)).st_size, 7)
        self.assertEqual(read_file(path_of(self.victim, 10 * i)), b"content")
        name = os.path.join(self.victim, "file%d" % i)
        write_file(name, b"%d" % i)
        self.assertEqual(read_file(name), b"%d" % i)
        os.rename(name, name + ".new")
        held.append(os.open(name + ".new", os.O_RDONLY))
        os.unlink(name + ".new")
        if len(held) > 40:
            os.close(held.pop(0))
        self.assertEqual(len(os.listdir(os.path.dirname(path_of(self.victim, 10 * i)))), WIDTH)
        self.assertEqual(errno_name(os.stat, name), "ENOENT")

    def test_the_victim_gets_on(self):
        children, held = self.start_hostile_processes(), []
        self.addCleanup(lambda: [os.close(fd) for fd in held])
        before = self.turns_of_all()
        for i in range(ROUNDS):
            self.victims_round(i, held)
        turns = [after - start for start, after in zip(before, self.turns_of_all())]
        shown = ", ".join("%s %d" % (make.__name__, count) for make, count in zip(self.count, turns))
        print("%d rounds of the victim; of each hostile process: %s" % (ROUNDS, shown))
        self.assertEqual([os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) for child in children],
                         [None] * len(children))
        self.assertGreater(sum(turns), 0)
        self.assertLess(max(turns), MOST_TURNS * ROUNDS, shown)


if __name__ == "__main__":
    main()
