#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Everything at once, for as long as ACTIONDFS_ENDURANCE_SECONDS says: rounds of parallel mounts, walks, staged writes,
renames, unmounts, shrinkers at work, blobs that go and come back; after each round everything is compared, and the
module is unloaded and loaded again."""
import contextlib
import errno
import mmap
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

from handles_test import content as content_of_handle, handle_of
from kit import (AT_EMPTY_PATH, Guest, MODULE, RENAME_EXCHANGE, SCALE, SYS_MOUNT_SETATTR, VEHICLE, attach, counters,
                 errno_name, in_parallel, main, mount_counters, read_file, reapi, renameat2, run, slab, syscall,
                 unmount, user_namespace, write_file)

SECONDS = int(os.environ.get("ACTIONDFS_ENDURANCE_SECONDS", "20"))
ROUND_SECONDS = min(SECONDS, 60)
SEED = int(os.environ.get("ACTIONDFS_ENDURANCE_SEED") or time.time())
DIRECTORIES, FILES = 12, 12
# What a name may answer while others change it.
MOVING = {"OK", "ENOENT", "EPERM", "EEXIST", "ENOTDIR", "EISDIR", "ENOTEMPTY", "EINVAL", "EROFS", "ELOOP", "EXDEV",
          "EBUSY", "ETXTBSY"}


def content(directory, file):
    return b"%d/%d " % (directory, file) * (1 + 500 * (file % 4))


class Round:
    """What one round works on: two shared mounts of one root (one with a stage), and places for private ones."""

    def __init__(self, test, seed):
        self.test = test
        self.seed = seed
        self.end = time.monotonic() + ROUND_SECONDS
        self.tree = {"d%d" % i: {"f%d" % j: content(i, j) for j in range(FILES)} for i in range(DIRECTORIES)}
        self.tree["d0"]["deep"] = {"er": {"f": b"deep"}}
        # Of these the blobs come and go.
        self.tree["fleeting"] = {"f%d" % j: b"fleeting %d" % j * 50 for j in range(FILES)}
        self.root = test.store.make_tree(self.tree)
        self.stage = test.scratch("stage")
        self.shared = test.mount(self.root, stage=self.stage)
        self.readonly = test.mount(self.root)
        self.places = [(test.scratch("mnt"), test.scratch("stage"), test.scratch("upper"), test.scratch("work"))
                       for _ in range(3)]
        self.users = user_namespace(test)

    def steps(self, worker):
        """Random choices, until the time is over."""
        choose = random.Random("%d %s" % (self.seed, worker))
        while time.monotonic() < self.end:
            yield choose

    # ---- workers ----

    def check(self, point, choose):
        i, j = choose.randrange(DIRECTORIES), choose.randrange(FILES)
        path = "%s/d%d/f%d" % (point, i, j)
        assert read_file(path) == content(i, j), path
        return path

    def read(self, worker):
        for choose in self.steps(worker):
            point = choose.choice([self.shared, self.readonly])
            path = self.check(point, choose)
            action = choose.randrange(6)
            if action == 0:
                with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapping:
                    assert mapping[:] == read_file(path)
            elif action == 1:
                names = os.listdir(os.path.dirname(path))
                assert {"f%d" % j for j in range(FILES)} <= set(names), names
            elif action == 2:
                with contextlib.suppress(FileNotFoundError):
                    for _ in os.walk(point):
                        pass
            elif action == 3:
                handle = handle_of(path)
                assert content_of_handle(point, handle) == read_file(path)
            elif action == 4:
                reader, writer = os.pipe()
                with open(path, "rb", buffering=0) as file:
                    count = os.splice(file.fileno(), writer, 1000)
                assert os.read(reader, 1000) == read_file(path)[:count]
                os.close(reader)
                os.close(writer)
            else:
                os.stat(path)
                assert errno_name(os.stat, path + "not") == "ENOENT"

    def fleeting(self, worker):
        for choose in self.steps(worker):
            data = self.tree["fleeting"]["f%d" % choose.randrange(FILES)]
            digest = reapi.digest_of(data)
            if choose.random() < 0.5:
                errno_name(os.unlink, self.test.store.blob_path(digest))
            else:
                self.test.store.lie(digest, data)
            name = "f%d" % choose.randrange(FILES)
            try:
                assert read_file(self.readonly + "/fleeting/" + name) == self.tree["fleeting"][name], name
            except OSError as error:
                assert error.errno == errno.EIO, error

    def own(self, worker):
        """Changes in a directory of its own: what comes out is known."""
        top = "%s/d%d/own-%s" % (self.shared, len(worker), worker)
        os.mkdir(top)
        known = {}
        for choose in self.steps(worker):
            name, other = ("%s/n%d" % (top, choose.randrange(30)) for _ in range(2))
            action = choose.randrange(6)
            if action <= 1:
                data = os.urandom(choose.randrange(20000))
                write_file(name, data, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                known[name] = data
            elif action == 2 and name in known and name != other:
                os.rename(name, other)
                known[other] = known.pop(name)
            elif action == 3 and name in known:
                os.unlink(name)
                del known[name]
            elif action == 4 and name in known and other in known and name != other:
                renameat2(name, other, RENAME_EXCHANGE)
                known[name], known[other] = known[other], known[name]
            elif name in known:
                assert read_file(name) == known[name], name
                assert os.stat(name).st_size == len(known[name]), name
            if choose.random() < 0.02:
                assert {os.path.join(top, entry) for entry in os.listdir(top)} == set(known)
        for name, data in known.items():
            assert read_file(name) == data, name

    def storm(self, worker):
        """The same few names as others, in every way."""
        for choose in self.steps(worker):
            def path(choose=choose):
                place = choose.choice(["", "d1", "d2", "d0/deep/er", "s0", "d1/s1", "s0/s1"])
                return os.path.join(self.shared, place, "s%d" % choose.randrange(3))

            def open_and_remove(path=path):
                name = path()
                fd = os.open(name, os.O_RDWR | os.O_CREAT)
                try:
                    os.write(fd, b"open")
                    os.unlink(name)
                    os.pread(fd, 10, 0)
                finally:
                    os.close(fd)

            code = errno_name(choose.choice((
                lambda: write_file(path(), b"storm"), lambda: os.mkdir(path()), lambda: os.rename(path(), path()),
                lambda: renameat2(path(), path(), RENAME_EXCHANGE), lambda: os.unlink(path()),
                lambda: os.rmdir(path()), lambda: shutil.rmtree(path(), ignore_errors=True),
                lambda: os.link(path(), path()), lambda: os.symlink("d1", path()), lambda: os.truncate(path(), 5),
                lambda: os.listdir(os.path.dirname(path())), lambda: read_file(path()),
                lambda: os.chmod(path(), 0o755), lambda: os.utime(path()), open_and_remove,
                lambda: os.rename(os.path.join(self.shared, "d1/f0"), path()))))
            assert code in MOVING, code

    def mounts(self, worker, place):
        point, stage, upper, work = place
        for step, choose in enumerate(self.steps(worker)):
            kind = choose.randrange(4)
            fd = self.test.detached(self.root, stage=stage if kind != 1 else None)
            if kind == 3:
                # (set, cleared, propagation, user namespace)
                attributes = b"".join(n.to_bytes(8, sys.byteorder) for n in (0x100000, 0, 0, self.users))
                syscall(SYS_MOUNT_SETATTR, fd, b"", AT_EMPTY_PATH, attributes, len(attributes))
            attach(fd, point)
            os.close(fd)
            self.check(point, choose)
            if kind == 0:
                name = "%s/d%d/new%d" % (point, choose.randrange(DIRECTORIES), step)
                write_file(name, b"new")
                assert read_file(name) == b"new"
                mount_counters(point)
            elif kind == 1:
                run("mount", "-t", "overlay", "-o", "lowerdir=%s,upperdir=%s,workdir=%s" % (point, upper, work),
                    "overlay", point)
                write_file(point + "/d1/f1", b"changed", os.O_WRONLY | os.O_TRUNC)
                assert read_file(point + "/d1/f1") == b"changed"
                shutil.rmtree(point + "/d2", ignore_errors=True)
                unmount(point)
                run("rm", "-rf", upper + "/d1", upper + "/d2")
            # With a file open it is busy; lazily it goes all the same.
            if choose.random() < 0.3:
                with open(point + "/d3/f3", "rb") as file:
                    assert errno_name(unmount, point) == "EBUSY"
                    unmount(point, 2)
                    assert file.read() == content(3, 3)
            else:
                unmount(point)

    def pressure(self, worker):
        for choose in self.steps(worker):
            pathlib.Path("/proc/sys/vm/drop_caches").write_text(choose.choice(["1\n", "2\n", "3\n"]), encoding="ascii")
            before = counters()
            after = counters()
            assert all(after[name] >= value for name, value in before.items())
            time.sleep(choose.random() / 5)

    def workers(self):
        yield from ((self.read, "read%d" % i) for i in range(3))
        yield from ((self.own, "own%d" % i) for i in range(2))
        yield from ((self.storm, "storm%d" % i) for i in range(3))
        yield from ((self.mounts, "mounts%d" % i, place) for i, place in enumerate(self.places))
        yield self.fleeting, "fleeting"
        yield self.pressure, "pressure"

    # ---- afterwards ----

    def compare(self):
        """The inputs are what they were, the rest is what the stage has."""
        for directory, names in self.tree.items():
            if directory == "fleeting":
                continue
            for name, data in names.items():
                for point in (self.shared, self.readonly):
                    path = os.path.join(point, directory, name)
                    assert isinstance(data, dict) or read_file(path) == data, path
        for directory, directories, files in os.walk(self.stage):
            relative = os.path.relpath(directory, self.stage)
            shown = os.listdir(os.path.normpath(os.path.join(self.shared, relative)))
            assert set(directories + files) <= set(shown), relative
            for name in files:
                path = os.path.join(directory, name)
                if not os.path.islink(path):
                    assert read_file(path) == read_file(os.path.join(self.shared, relative, name)), path
        damaged = self.test.store.damaged()
        assert not damaged, damaged


class Endurance(Guest):
    def reload(self):
        if not MODULE:
            return
        subprocess.run(["rmmod", "actiondfs"], check=True)
        self.assertEqual(slab("actiondfs_inode")[0], 0)
        subprocess.run(["insmod", MODULE], check=True)

    def one_round(self, seed):
        work = Round(self, seed)
        workers = list(work.workers())
        in_parallel(len(workers), lambda i: workers[i][0](*workers[i][1:]))
        work.compare()
        for point in (work.shared, work.readonly):
            unmount(point)
        self.reload()
        run("rm", "-rf", work.stage, self.store.path)
        self.store = self.new_store(os.path.basename(self.store.path))

    def test_rounds(self):
        end = time.monotonic() + SECONDS
        rounds = 0
        while rounds == 0 or time.monotonic() + ROUND_SECONDS <= end:
            print("round %d: seed %d" % (rounds, SEED + rounds), file=sys.stderr, flush=True)
            self.one_round(SEED + rounds)
            rounds += 1
        print("%d rounds of %d s (%s, 1/%d)" % (rounds, ROUND_SECONDS, VEHICLE, SCALE), file=sys.stderr)


if __name__ == "__main__":
    main()
