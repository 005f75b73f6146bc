# SPDX-License-Identifier: Apache-2.0
"""The server is killed at any time and started again by a service manager that keeps descriptors for it: whoever uses the
mounts waits meanwhile, and notices nothing else."""
import fcntl
import mmap
import os
import random
import re
import shutil
import subprocess
import sys
import unittest

from harness import PASSTHROUGH, FuseTest, main
from service_manager import ManagedServer
from calls import LIBC, RENAME_EXCHANGE, errno_name, getdents, link_descriptor, mounts_below, read_file, renameat2, write_file

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = 6


class SurviveTest(FuseTest):
    @classmethod
    def make_server(cls, *args):
        return ManagedServer(cls.dir, *args)

    @classmethod
    def stop_server(cls):
        super().stop_server()
        if cls.server.stored_names():
            raise AssertionError("still stored: %s" % cls.server.stored)
        cls.server.close()

    def restart(self):
        self.server.kill_and_restart()

    def kill_while(self, process, most):
        """Kills and restarts the server at random moments for as long as the process runs, `most` times; once at least."""
        for _ in range(most):
            self.restart()
            try:
                process.wait(timeout=random.uniform(0.001, 0.15))
                break
            except subprocess.TimeoutExpired:
                pass
        process.wait()


class Open(SurviveTest):
    """What is open, or in use otherwise, when the server is killed."""

    def setUp(self):
        self.data = bytes(range(256)) * 1024
        self.point = self.mount(self.store.make_tree({
            "input": self.data, "dir": {"deep": {"leaf": b"leaf"}}, "other": b"other",
            "many": {"i%04d" % i: b"" for i in range(3000)}}))

    def path(self, *names):
        return os.path.join(self.point, *names)

    def open(self, name, flags=os.O_RDONLY):
        fd = os.open(self.path(name), flags, 0o644)
        self.addCleanup(os.close, fd)
        return fd

    def test_files(self):
        fd, staged = self.open("input"), self.open("new", os.O_RDWR | os.O_CREAT)
        os.read(fd, 1000)
        os.write(staged, b"before ")
        for _ in range(3):
            self.restart()
        self.assertEqual(os.read(fd, len(self.data)), self.data[1000:])
        os.write(staged, b"after")
        self.assertEqual(os.pread(staged, 100, 0), b"before after")
        self.assertEqual(os.fstat(staged).st_size, 12)
        self.assertEqual(read_file(self.path("new")), b"before after")
        self.assertEqual(read_file(self.path("dir/deep/leaf")), b"leaf")

    def test_what_was_seen_stays_the_same(self):
        write_file(self.path("dir/deep/new"))
        names = ["", "input", "dir", "dir/deep", "dir/deep/leaf", "dir/deep/new", "other"]
        before = [os.stat(self.path(name)) for name in names]
        held = self.open("dir/deep", os.O_RDONLY | os.O_DIRECTORY)
        self.restart()
        self.assertEqual([os.stat(self.path(name)) for name in names], before)
        self.assertEqual(sorted(os.listdir(held)), ["leaf", "new"])
        write_file(os.path.join("/proc/self/fd/%d" % held, "newer"))
        self.assertEqual(sorted(os.listdir(self.path("dir/deep"))), ["leaf", "new", "newer"])

    def test_mapped_files(self):
        write_file(self.path("mapped"), self.data)
        with mmap.mmap(self.open("input"), 0, prot=mmap.PROT_READ) as inputs, \
                mmap.mmap(self.open("mapped", os.O_RDWR), 0) as staged:
            self.restart()
            self.assertEqual((inputs[:], staged[:]), (self.data, self.data))
            if PASSTHROUGH:
                staged[5000:5004] = b"heck"
        if PASSTHROUGH:
            self.assertEqual(read_file(self.path("mapped"))[4999:5005], self.data[4999:5000] + b"heck" + self.data[5004:5005])

    def test_files_without_a_name(self):
        gone = self.open("gone", os.O_RDWR | os.O_CREAT)
        over = self.open("over", os.O_RDWR | os.O_CREAT)
        unnamed = os.open(self.path("dir"), os.O_RDWR | os.O_TMPFILE, 0o600)
        self.addCleanup(os.close, unnamed)
        for fd in (gone, over, unnamed):
            os.write(fd, b"content %d" % fd)
        os.unlink(self.path("gone"))
        write_file(self.path("new"), b"new")
        os.rename(self.path("new"), self.path("over"))
        for _ in range(2):
            self.restart()
            for fd in (gone, over, unnamed):
                self.assertEqual((os.pread(fd, 100, 0), os.fstat(fd).st_nlink), (b"content %d" % fd, 0))
        os.ftruncate(gone, 3)
        self.assertEqual(os.fstat(gone).st_size, 3)
        self.assertEqual(read_file(self.path("over")), b"new")
        self.assertFalse(os.path.exists(self.path("gone")))
        link_descriptor(unnamed, self.path("dir/named"))
        self.restart()
        self.assertEqual(read_file(self.path("dir/named")), b"content %d" % unnamed)

    def test_many_files_without_a_name(self):
        # Beyond what is kept they are gone: the error says so, and nothing else suffers.
        write_file(self.path("name"), b"name")
        opened = []
        for i in range(400):
            opened.append(os.open(self.path("gone"), os.O_RDWR | os.O_CREAT | os.O_EXCL))
            os.write(opened[-1], b"%d" % i)
            os.unlink(self.path("gone"))
        self.restart()
        found = [errno_name(os.fchmod, fd, 0o600) for fd in opened]
        self.assertEqual(set(found), {"OK", "ESTALE"})
        self.assertGreaterEqual(found.count("OK"), 200)
        for i, fd in enumerate(opened):
            if found[i] == "OK":
                self.assertEqual(os.pread(fd, 10, 0), b"%d" % i)
            os.close(fd)
        self.assertEqual(read_file(self.path("name")), b"name")

    def test_a_directory_that_is_being_read(self):
        os.mkdir(self.path("staged"))
        for i in range(2000):
            write_file(self.path("many", "s%04d" % i), b"")
            write_file(self.path("staged", "s%04d" % i), b"")
        for name, inputs in (("many", 3000), ("staged", 0)):
            fd = self.open(name, os.O_RDONLY | os.O_DIRECTORY)
            seen, steps = [], 0
            while entries := getdents(fd, 8192):
                names = [entry[3].decode() for entry in entries]
                for entry in names:
                    if entry.startswith("s"):
                        os.unlink(self.path(name, entry))
                seen += names
                steps += 1
                if steps % 7 == 1:
                    self.restart()
            self.assertEqual(sorted(seen), sorted([".", ".."] + ["i%04d" % i for i in range(inputs)] +
                                                  ["s%04d" % i for i in range(2000)]))
        os.rmdir(self.path("staged"))

    def test_other_names_of_a_file(self):
        write_file(self.path("one"), b"content")
        os.link(self.path("one"), self.path("two"))
        os.unlink(self.path("two"))  # the name that the server knows it by
        write_file(self.path("three"), b"other")
        os.link(self.path("three"), self.path("four"))
        os.rename(self.path("one"), self.path("four"))  # the same, and one moves
        before = [os.stat(self.path(name)) for name in ("three", "four")]
        self.restart()
        self.assertEqual([os.stat(self.path(name)) for name in ("three", "four")], before)
        self.assertEqual((read_file(self.path("three")), read_file(self.path("four"))), (b"other", b"content"))
        os.rename(self.path("three"), self.path("dir/five"))
        self.restart()
        self.assertEqual(read_file(self.path("dir/five")), b"other")

    def test_locks(self):
        write_file(self.path("lock"), b"x" * 10)
        fd, other = self.open("lock", os.O_RDWR), self.open("lock", os.O_RDWR)
        fcntl.flock(fd, fcntl.LOCK_EX)
        fcntl.lockf(fd, fcntl.LOCK_EX, 5)
        self.restart()
        self.assertEqual(errno_name(fcntl.flock, other, fcntl.LOCK_EX | fcntl.LOCK_NB), "EAGAIN")
        check = "import fcntl,sys; f=open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 5)"
        self.assertNotEqual(subprocess.run([sys.executable, "-c", check, self.path("lock")], stderr=subprocess.DEVNULL,
                                           check=False).returncode, 0)
        fcntl.flock(fd, fcntl.LOCK_UN)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_changes_of_what_was_known(self):
        write_file(self.path("dir/a"), b"a")
        write_file(self.path("dir/b"), b"b")
        os.link(self.path("dir/a"), self.path("a2"))
        os.mkdir(self.path("d"))
        write_file(self.path("d/inside"), b"inside")
        self.restart()
        renameat2(self.path("dir/a"), self.path("dir/b"), RENAME_EXCHANGE)
        os.rename(self.path("d"), self.path("dir/deep/e"))
        self.restart()
        self.assertEqual((read_file(self.path("dir/a")), read_file(self.path("dir/b"))), (b"b", b"a"))
        self.assertEqual(os.stat(self.path("a2")).st_nlink, 2)
        self.assertEqual(read_file(self.path("dir/deep/e/inside")), b"inside")
        self.assertEqual(errno_name(os.unlink, self.path("other")), "EROFS")
        shutil.rmtree(self.path("dir/deep/e"))
        self.assertEqual(os.listdir(self.path("dir/deep")), ["leaf"])


class Life(SurviveTest):
    """Mounts begin and end around a restart."""

    def test_two_mounts_and_a_later_one(self):
        digest = self.store.make_tree({"f": b"content"})
        one, two = self.mount(digest), self.mount(digest, "readonly")
        write_file(os.path.join(one, "new"), b"new")
        self.assertEqual(len(self.server.stored_names()), 2)
        self.restart()
        self.assertEqual(len(self.server.mounts()), 2)
        three = self.mount(digest)
        self.unmount(one)
        self.assertEqual(len(self.server.stored_names()), 2)
        self.restart()
        for point in (two, three):
            self.assertEqual(read_file(os.path.join(point, "f")), b"content")
        for point in (two, three):
            self.unmount(point)
        self.assertEqual((self.server.stored_names(), self.server.mounts(), mounts_below(self.dir)), ([], [], []))
        self.assertFalse([path for path in self.server.descriptors() if path == "/dev/fuse" or "/stage" in path])

    def test_a_mount_that_ends_while_there_is_no_server(self):
        point = self.mount(self.store.make_tree({"f": b"content"}))
        self.server.kill()
        # umount(8) would ask the file system first.
        self.assertEqual(LIBC.umount2(os.fsencode(point), 0), 0)
        self.server.start()
        self.assertEqual((self.server.mounts(), self.server.stored_names()), ([], []))

    def test_who_comes_meanwhile_waits(self):
        digest = self.store.make_tree({"f": b"content", "g": b"more"})
        point = self.mount(digest)
        self.server.kill()
        reader = subprocess.Popen(["cat", os.path.join(point, "f"), os.path.join(point, "g")], stdout=subprocess.PIPE)
        self.addCleanup(reader.stdout.close)
        self.server.start()
        self.assertEqual((reader.communicate()[0], reader.returncode), (b"contentmore", 0))

    def test_a_clean_stop_ends_it(self):
        point = self.mount(self.store.make_tree({"f": b"content"}))
        self.assertEqual(self.server.stop(), 0)
        self.assertEqual(self.server.stored_names(), [])
        self.assertEqual(errno_name(os.listdir, point), "ENOTCONN")
        subprocess.run(["umount", point], check=True)
        self.server.start()

    def test_a_tree_that_is_gone_cuts_its_mount_off(self):
        digest = self.store.make_tree({"lost": {"file": b"x"}, "f": b"content"})
        point, other = self.mount(digest), self.mount(self.store.make_tree({"f": b"content"}))
        self.of_others = (point,)  # no more this server's in the end
        os.stat(os.path.join(point, "lost/file"))
        self.server.kill()
        root = self.store.blob_path(digest)
        os.rename(root, root + ".away")
        self.server.start()
        os.rename(root + ".away", root)
        self.assertEqual(errno_name(os.listdir, os.path.join(point, "lost")), "ENOTCONN")
        self.assertIn("could not be taken up again", self.server.log())
        self.assertEqual((read_file(os.path.join(other, "f")), len(self.server.stored_names())), (b"content", 1))

    def test_a_state_that_makes_no_sense_is_refused(self):
        point = self.mount(self.store.make_tree({"f": b"content"}))
        self.of_others = (point,)
        self.server.kill()
        memory = [fd for _, fd in self.server.stored if "memfd:" in os.readlink("/proc/self/fd/%d" % fd)]
        os.pwrite(memory[0], b"nonsense", 0)
        self.server.start()
        self.assertEqual(errno_name(os.listdir, point), "ENOTCONN")
        self.assertEqual(self.server.stored_names(), [])

    def test_overlay(self):
        point = self.mount(self.store.make_tree({"f": b"content", "dir": {"deep": b"x", "more": b"y"}}), "overlay")
        kept = os.open(os.path.join(point, "f"), os.O_RDONLY)
        self.addCleanup(os.close, kept)
        write_file(os.path.join(point, "dir/new"), b"new")
        self.restart()
        self.assertEqual(os.read(kept, 100), b"content")
        write_file(os.path.join(point, "f"), b"changed")
        os.unlink(os.path.join(point, "dir/deep"))
        os.rename(os.path.join(point, "dir"), os.path.join(point, "moved"))
        self.restart()
        self.assertEqual((read_file(os.path.join(point, "f")), sorted(os.listdir(os.path.join(point, "moved")))),
                         (b"changed", ["more", "new"]))
        self.assertEqual(self.store.damaged(), [])


class Unit(unittest.TestCase):
    """What systemd is told of the server."""

    def setUp(self):
        top = os.path.join(HERE, "..", "..")
        with open(os.path.join(top, "packaging/systemd/actiondfs-serve.service"), encoding="utf-8") as file:
            self.unit = dict(line.strip().split("=", 1) for line in file if "=" in line and not line.startswith("#"))
        with open(os.path.join(top, "hook/fuse/fd_store.h"), encoding="utf-8") as file:
            self.most = int(re.search(r"kMost = (\d+);", file.read())[1])

    def test_it_is_given_the_time_that_it_needs(self):
        self.assertEqual(self.unit["TimeoutStartSec"], "infinity")

    def test_what_the_server_stores_is_kept_and_handed_on(self):
        self.assertEqual(int(self.unit["FileDescriptorStoreMax"]), self.most)
        names = ":".join(["mount-12345678"] * self.most + ["actiondfs-serve.socket"])
        subprocess.run(["true"], env={**os.environ, "LISTEN_FDNAMES": names}, check=True)


class Work(SurviveTest):
    """Work goes on while the server is killed again and again."""

    def test_a_build(self):
        tree = {"m%d.c" % i: b"#include \"lib.h\"\nint f%d(int x) { return x * %d + K; }\n" % (i, i) for i in range(SOURCES)}
        calls = "".join("extern int f%d(int);\n" % i for i in range(SOURCES))
        calls += "int main(void) { return %s; }\n" % " + ".join("f%d(1)" % i for i in range(SOURCES))
        tree.update({"main.c": calls.encode(), "lib.h": b"#define K 7\n", "Makefile": MAKEFILE})
        digest = self.store.make_tree(tree)
        plain = self.scratch("plain")
        for name, data in tree.items():
            write_file(os.path.join(plain, name), data)
        subprocess.run(["make", "-s", "-C", plain], check=True)
        for _ in range(2):
            point = self.mount(digest)
            with subprocess.Popen(["make", "-s", "-j2", "-C", point], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as make:
                self.kill_while(make, 20)
                self.assertEqual((make.stdout.read(), make.returncode), (b"", 0))
            built = set(os.listdir(point)) - set(tree)
            self.assertEqual(built, set(os.listdir(plain)) - set(tree))
            for name in built:
                self.assertEqual(read_file(os.path.join(point, name)), read_file(os.path.join(plain, name)), name)
            self.unmount(point)
        self.assertEqual(self.store.damaged(), [])

    def test_changes_are_made_once(self):
        point = self.mount(self.store.make_tree({"in": {"put": b"input"}, "f": b"content"}))
        storms = [subprocess.Popen([sys.executable, os.path.join(HERE, "survive_storm.py"), point, str(number)])
                  for number in range(2)]
        self.kill_while(storms[0], 40)
        self.assertEqual([storm.wait() for storm in storms], [0, 0])
        self.assertEqual(sorted(os.listdir(point)), ["f", "in"])
        self.assertEqual(os.listdir(os.path.join(point, "in")), ["put"])

    def test_tar(self):
        digest = self.store.make_tree({"d%d" % i: {"f%d" % j: os.urandom(100 + 1000 * j) for j in range(15)} for i in range(15)})
        point = self.mount(digest)
        command = "tar -cf - d* | (mkdir copy && tar -xf - -C copy) && tar -cf copy.tar copy && diff -r d3 copy/d3"
        with subprocess.Popen(["sh", "-ec", command], cwd=point, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as tar:
            self.kill_while(tar, 30)
            self.assertEqual((tar.stdout.read(), tar.returncode), (b"", 0))
        for directory in os.listdir(os.path.join(point, "copy")):
            done = subprocess.run(["diff", "-r", directory, "copy/" + directory], cwd=point, capture_output=True, check=False)
            self.assertEqual((done.stdout, done.returncode), (b"", 0))


MAKEFILE = b"""\
OBJECTS = $(patsubst %.c,%.o,$(wildcard *.c))
program: $(OBJECTS)
\tcc -o $@.tmp $(sort $^) && mv $@.tmp $@
%.o: %.c lib.h
\tcc -O1 -c -o $@.tmp $< && mv $@.tmp $@
"""

if __name__ == "__main__":
    main()
