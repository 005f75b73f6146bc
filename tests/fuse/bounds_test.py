# SPDX-License-Identifier: Apache-2.0
"""What one mount can make the server hold is bounded, and what is beyond fails for that mount alone.

ACTIONDFS_BOUNDS_ENTRIES walks a tree of about so many entries instead (10000000: some ten minutes), with the limits
that the server has by itself.
"""
import contextlib
import os
import resource
import socket
import time
import unittest

from harness import FuseTest, main, reapi
from calls import errno_name, in_child, name_of, read_file, write_file
from store import Raw

MANY = int(os.environ.get("ACTIONDFS_BOUNDS_ENTRIES", "0"))
SANITIZED = bool(os.environ.get("ACTIONDFS_SANITIZE"))
NODES = 128 << 10 if MANY else 8192
ENTRIES = MANY or 60000
MIB = 1 << 20


def walk(point):
    """Looks at everything below, a directory before what is in it; yields a count of entries now and then."""
    count, directories = 0, [point]
    while directories:
        with os.scandir(directories.pop()) as entries:
            for entry in entries:
                count += 1
                entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    directories.append(entry.path)
                if count % 2000 == 0:
                    yield count
    yield count


class BoundsTest(FuseTest):
    server_args = ("--nodes", str(NODES))

    def uniform_tree(self, width):
        """`width` cubed files below as many directories; three Directories in the store."""
        names = ["entry%04d" % i for i in range(width)]
        low = self.store.make_tree({name: b"content" for name in names})
        middle = self.store.make_tree({name: Raw(low) for name in names})
        return self.store.make_tree({name: Raw(middle) for name in names})

    def mount_id(self):
        return self.server.mounts()[-1]

    def held(self, what):
        return self.server.held(self.mount_id())[what]


class Walk(BoundsTest):
    """A container that looks at everything."""

    def test_the_server_forgets_what_nobody_uses(self):
        width = round(ENTRIES ** (1 / 3))
        point = self.mount(self.uniform_tree(width))
        mount_id, started = self.mount_id(), time.monotonic()
        at_share = None
        for count in walk(point):
            nodes, resident = self.server.held(mount_id)["nodes"], self.server.resident()
            self.assertLess(nodes, NODES * 2)
            if at_share is None and count >= NODES:
                at_share = resident
            if MANY and count % 500000 == 0:
                print("%8d entries %4.0f s: %d nodes, %d MiB resident" %
                      (count, time.monotonic() - started, nodes, resident // MIB), flush=True)
        self.assertEqual(count, width + width ** 2 + width ** 3)
        if not SANITIZED:  # which keep what was freed
            self.assertLess(self.server.resident(), at_share + NODES * 128 + 4 * MIB)

    def test_what_is_in_use_stays(self):
        point = self.mount(self.uniform_tree(30))
        directory = os.path.join(point, "entry0003", "entry0004")
        write_file(os.path.join(directory, "staged"), b"staged")

        def use():
            os.chdir(directory)
            held = [os.open(name, os.O_RDONLY) for name in ("entry0000", "staged", ".")]
            before = [os.fstat(fd) for fd in held]
            for _ in walk(point):
                pass
            assert os.getcwd() == directory
            assert [os.fstat(fd) for fd in held] == before
            assert [os.stat(name) for name in ("entry0000", "staged", ".")] == before
            assert os.readlink("/proc/self/fd/%d" % held[0]) == os.path.join(directory, "entry0000")
            assert [os.pread(fd, 9, 0) for fd in held[:2]] == [b"content", b"staged"]
        in_child(use)
        self.assertLess(self.held("nodes"), NODES * 2)

    def test_numbers_and_staged_names_outlast_their_nodes(self):
        point = self.mount(self.uniform_tree(30))
        names = [os.path.join(point, "entry%04d" % i, "entry0001", "entry0002") for i in range(30)]
        os.mkdir(os.path.join(point, "made"))
        for i in range(100):
            write_file(os.path.join(point, "made", str(i)), b"%d" % i)
        before = [os.stat(name) for name in names]
        for _ in walk(point):
            pass
        self.assertEqual([os.stat(name) for name in names], before)
        self.assertEqual([read_file(os.path.join(point, "made", str(i))) for i in range(100)],
                         [b"%d" % i for i in range(100)])


class OlderKernel(Walk):
    server_args = (*Walk.server_args, "--no-prune")


@unittest.skipIf(MANY, "a long walk only")
class Greedy(BoundsTest):
    """A container that lets go of nothing. A mount has 500 nodes, and 16000 are for all: 8000 for a greedy one."""
    server_args = ("--nodes", "500")

    def test_nodes(self):
        digest = self.uniform_tree(30)
        other = self.mount(digest)
        point = self.mount(digest)
        with contextlib.ExitStack() as held:
            error, count = None, 0
            for name in (os.path.join(point, "entry%04d/entry%04d/entry%04d" % (i // 900, i // 30 % 30, i % 30))
                         for i in range(27000)):
                try:
                    held.callback(os.close, os.open(name, os.O_PATH))
                    count += 1
                except OSError as refused:
                    error = refused
                    break
            self.assertEqual(errno_name(os.stat, name), "ENOMEM")
            self.assertEqual(error.strerror, os.strerror(12))
            self.assertGreater(count, 7000)
            self.assertLess(count, 8001)
            self.assertEqual(errno_name(write_file, os.path.join(point, "new")), "ENOMEM")
            self.assertEqual(sorted(os.listdir(point))[-1], "entry0029")
            # Its neighbour has its share, and more.
            for i in range(1000):
                os.stat(os.path.join(other, "entry%04d" % (i // 900), "entry%04d" % (i // 30 % 30), "entry%04d" % (i % 30)))
            write_file(os.path.join(other, "new"))
        self.settle_by(lambda: errno_name(os.stat, name), "OK")
        write_file(os.path.join(point, "new"))

    def settle_by(self, attempt, wanted):
        """FORGETs come when the kernel sends them; each attempt is a request, and makes the server ask for some."""
        deadline = time.monotonic() + 30
        while (got := attempt()) != wanted and time.monotonic() < deadline:
            pass
        self.assertEqual(got, wanted)

    def test_listings_count_while_they_are_open(self):
        point = self.mount(self.store.make_tree({}))
        for i in range(400):
            write_file(os.path.join(point, "a name that is not short %d" % i))
        before = self.held("bytes")
        streams = []
        for _ in range(100):
            stream = os.scandir(point)
            next(stream)
            streams.append(stream)
        self.assertGreater(self.held("bytes"), before + 100 * 400 * 48)
        for stream in streams:
            stream.close()
        self.settle(lambda: self.held("bytes") == before)


@unittest.skipIf(MANY, "a long walk only")
class DeepTree(BoundsTest):
    """Deeper than a path can say: one goes there by descriptors."""

    def test_the_log_shows_the_end_of_a_path(self):
        digest, depth = reapi.digest_of(b"no such Directory"), 2000
        for _ in range(depth):
            digest = self.store.make_tree({"directory": Raw(digest)})
        point = self.mount(digest)
        here = os.open(point, os.O_PATH)
        for _ in range(depth):
            here, above = os.open("directory", os.O_PATH, dir_fd=here), here
            os.close(above)
        self.assertEqual(errno_name(os.stat, "x", dir_fd=here), "EIO")
        os.close(here)
        line = self.server.log().splitlines()[-1]
        self.assertIn("input '.../directory/", line)
        self.assertLess(len(line), 2000)


@unittest.skipIf(MANY, "a long walk only")
class Descriptors(BoundsTest):
    """A server with 1024 descriptors: 512 for what containers keep open, 256 for a greedy one."""
    server_wrapper = ("prlimit", "--nofile=1024:1024")

    def hold(self, point, most):
        """Descriptors of staged files that have no name any more, and with what that ended."""
        held = []
        for i in range(most):
            name = os.path.join(point, "file%d" % i)
            held.append(os.open(name, os.O_CREAT | os.O_RDWR))
            if (error := errno_name(os.unlink, name)) != "OK":
                break
        return held, error

    def test_what_was_removed_while_in_use(self):
        digest = self.store.make_tree({"input": b"content"})
        other, point = self.mount(digest), self.mount(digest)
        held, error = self.hold(point, 400)
        self.assertEqual(error, "ENFILE")
        self.assertGreater(len(held), 100)
        # Nothing was done where it failed, and the rest works.
        write_file(os.path.join(point, "file%d" % (len(held) - 1)), b"there")
        self.assertEqual(read_file(os.path.join(point, "input")), b"content")
        neighbours, error = self.hold(other, 60)
        self.assertEqual(error, "OK")
        self.assertEqual(read_file(os.path.join(other, "input")), b"content")
        for fd in held + neighbours:
            os.close(fd)
        self.settle(lambda: self.held("descriptors") == 0)
        held, error = self.hold(point, 50)
        self.assertEqual(error, "OK")
        for fd in held:
            os.close(fd)

    def test_mounts(self):
        digest = self.store.make_tree({"input": b"content"})
        points = [self.mount(digest) for _ in range(16)]
        done, _ = self.try_mount("%s/%d" % digest, "--mode", "readonly")
        self.assertEqual(done.returncode, 1)
        self.assertIn("the server has 16 mounts", done.stderr)
        self.unmount(points.pop())
        self.mount(digest)

    def test_clients(self):
        with contextlib.ExitStack() as clients:
            for _ in range(200):
                client = clients.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
                client.connect(self.server.socket)
            self.assertEqual(self.server.mounts(), [])
            self.assertLess(len(self.server.descriptors()), 100)


@unittest.skipIf(MANY, "a long walk only")
class OpenFiles(BoundsTest):
    """The same where the server reads and writes: each open file is a descriptor of its own."""
    server_args = ("--no-passthrough",)
    server_wrapper = Descriptors.server_wrapper

    def hold(self, held, point, most):
        """Opens an input as often as it may; with what that ended."""
        for _ in range(most):
            try:
                held.callback(os.close, os.open(os.path.join(point, "input"), os.O_RDONLY))
            except OSError as error:
                return name_of(error.errno)
        return "OK"

    def test_open_files(self):
        digest = self.store.make_tree({"input": b"content"})
        other, point = self.mount(digest), self.mount(digest)
        with contextlib.ExitStack() as held:
            self.assertEqual(self.hold(held, point, 400), "ENFILE")
            self.assertGreater(self.held("descriptors"), 100)
            self.assertEqual(errno_name(write_file, os.path.join(point, "new")), "ENFILE")
            self.assertEqual(os.listdir(point), ["input"])
            self.assertEqual(self.hold(held, other, 60), "OK")
            self.assertEqual(read_file(os.path.join(other, "input")), b"content")
        self.settle(lambda: self.held("descriptors") == 0)
        self.assertEqual(read_file(os.path.join(point, "input")), b"content")


@unittest.skipIf(MANY, "a long walk only")
@unittest.skipIf(SANITIZED, "a sanitizer's own allocations do not stand it")
class OutOfMemory(BoundsTest):
    # One heap, that grows by asking for more: others are reserved beforehand.
    server_wrapper = ("env", "MALLOC_ARENA_MAX=1")

    @contextlib.contextmanager
    def short_of_memory(self):
        with open("/proc/%d/statm" % self.server.process.pid, encoding="ascii") as file:
            now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        before = resource.prlimit(self.server.process.pid, resource.RLIMIT_AS, (now + MIB, resource.RLIM_INFINITY))
        try:
            yield
        finally:
            resource.prlimit(self.server.process.pid, resource.RLIMIT_AS, before)

    def test_only_the_request_fails(self):
        large = {"a name of some length %06d" % i: b"" for i in range(60000)}
        point = self.mount(self.store.make_tree({"large": large, "small": {"file": b"content"}, "stage": {}}))
        os.mkdir(os.path.join(point, "made"))
        for name in list(large)[:20000]:
            write_file(os.path.join(point, "made", name), b"")
        with self.short_of_memory():
            self.assertEqual(errno_name(os.stat, os.path.join(point, "large", "x")), "ENOMEM")
            self.assertEqual(errno_name(os.listdir, os.path.join(point, "made")), "ENOMEM")
            self.assertEqual(read_file(os.path.join(point, "small", "file")), b"content")
            write_file(os.path.join(point, "stage", "new"), b"new")
        self.assertEqual(len(os.listdir(os.path.join(point, "large"))), 60000)
        self.assertEqual(len(os.listdir(os.path.join(point, "made"))), 20000)


if __name__ == "__main__":
    main()
