#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Many at once: mounts, lookups of what nobody has looked at, and changes that are compared with the stage afterwards."""
import errno
import mmap
import os
import random

from kit import (Counted, Guest, RENAME_EXCHANGE, RENAME_NOREPLACE, attach, children, drop_caches, errno_name,
                 in_parallel, main, mount_counters, mounts_below, read_file, reapi, renameat2, scaled, unmount,
                 write_file)

MOUNTS = scaled(500)
STEPS = scaled(1500)
PROCESSES = 8


class Mounts(Guest):
    def test_many(self):
        root = self.tree({"dir": {"file": b"many"}})
        points = []
        with Counted() as counted:
            for _ in range(MOUNTS):
                points.append(self.mount(root, stage=self.scratch("stage")))
            for i, point in enumerate(points):
                self.assertEqual(read_file(point + "/dir/file"), b"many")
                write_file(point + "/dir/new", b"%d" % i)
        self.assertEqual(counted["mounts"], MOUNTS)
        # Read once, for all.
        self.assertLessEqual(counted["directory_blob_reads"], 2)
        self.assertEqual(counted["blob_path_cache_inserts"], 1)
        for i, point in enumerate(points):
            self.assertEqual(read_file(point + "/dir/new"), b"%d" % i)

        def leave(process):
            for point in points[process::PROCESSES]:
                unmount(point)

        in_parallel(PROCESSES, leave)
        self.assertEqual([line for line in mounts_below(self.directory) if " actiondfs " in line], [])

    def test_coming_and_going(self):
        roots = [self.tree({"dir%d" % i: {"file": b"%d" % i}}) for i in range(4)]
        stages = [self.scratch("stage") for _ in range(PROCESSES)]
        points = [self.scratch("mnt") for _ in range(PROCESSES)]

        def work(process):
            choose = random.Random(process)
            for step in range(STEPS // 30):
                i = choose.randrange(len(roots))
                fd = self.detached(roots[i], stage=stages[process])
                attach(fd, points[process])
                os.close(fd)
                assert read_file("%s/dir%d/file" % (points[process], i)) == b"%d" % i
                write_file("%s/dir%d/new%d" % (points[process], i, step))
                unmount(points[process])

        in_parallel(PROCESSES, work)
        for stage in stages:
            self.assertEqual(sum(len(names) for _, _, names in os.walk(stage)), STEPS // 30)

    def test_unmounting_while_it_is_used(self):
        """EBUSY or done, nothing between."""
        root = self.tree({"dir": {"f%d" % i: b"x" * 10000 for i in range(20)}})
        point = self.mount(root)

        def work(process):
            for step in range(STEPS // 10):
                if process == 0:
                    if errno_name(unmount, point) == "OK":
                        fd = self.detached(root)
                        attach(fd, point)
                        os.close(fd)
                    drop_caches()
                else:
                    code = errno_name(read_file, "%s/dir/f%d" % (point, step % 20))
                    assert code in ("OK", "ENOENT"), code

        in_parallel(4, work)


class Lookups(Guest):
    def test_of_the_same_new_directory(self):
        for turn in range(scaled(15)):
            tree = {"dir": {"%d.%d" % (turn, i): b"x" for i in range(50)}}
            point = self.mount(tree, stage=self.scratch("stage"))
            reader, writer = os.pipe()
            results, result = os.pipe()

            def look(process, point=point, turn=turn, reader=reader, result=result, writer=writer):
                os.close(writer)
                os.read(reader, 1)  # until all are there
                numbers = [os.stat("%s/dir/%d.%d" % (point, turn, i)).st_ino for i in range(50)]
                names = sorted(os.listdir(point + "/dir"))
                assert len(names) == 50 and len(set(numbers)) == 50, process
                os.write(result, b"%d\n" % sum(numbers))

            with children(PROCESSES, look):
                os.close(writer)
                os.close(reader)
            found = os.read(results, 4096).split()
            os.close(results)
            os.close(result)
            self.assertEqual((len(found), len(set(found))), (PROCESSES, 1))
            counted = mount_counters(point)
            self.assertEqual((counted["dir_loads"], counted["directory_blob_reads"]), (2, 2))
            unmount(point)

    def test_of_an_open_file_while_it_is_first_mapped(self):
        data = b"mapped" * 1000
        point = self.mount({"file": data})
        fds = [os.open(point + "/file", os.O_RDONLY) for _ in range(500)]

        def work(process):
            for fd in fds:
                if process == 0:
                    with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as mapping:
                        assert mapping[:] == data
                else:
                    assert os.pread(fd, len(data), 0) == data

        in_parallel(4, work)
        for fd in fds:
            os.close(fd)

    def test_of_the_same_new_blob(self):
        for turn in range(scaled(15)):
            data = b"blob %d" % turn * 1000
            point = self.mount({"a": data, "b": data, "c": {"d": data}})

            def look(process, point=point, data=data):
                for name in ("a", "b", "c/d"):
                    assert read_file(os.path.join(point, name)) == data, process

            in_parallel(PROCESSES, look)
            # However many opened it at once, one was kept.
            counted = mount_counters(point)
            self.assertEqual(counted["blob_path_cache_inserts"], 1)
            self.assertEqual(counted["blob_open_attempts"], 3 * PROCESSES)
            unmount(point)

    def test_while_memory_is_short(self):
        """The caches give way all the time."""
        tree = {"d%d" % i: {"f%d" % j: b"%d %d" % (i, j) for j in range(20)} for i in range(20)}
        point = self.mount(tree, stage=self.scratch("stage"))

        def work(process):
            choose = random.Random(process)
            for _ in range(STEPS // 3):
                if process == 0:
                    drop_caches()
                    continue
                i, j = choose.randrange(20), choose.randrange(20)
                path = "%s/d%d/f%d" % (point, i, j)
                assert read_file(path) == b"%d %d" % (i, j)
                assert len(os.listdir("%s/d%d" % (point, i))) >= 20
                if process > 2:
                    own = "%s/d%d/own%d" % (point, i, process)
                    write_file(own, path.encode())
                    assert read_file(own) == path.encode()
                    os.unlink(own)

        in_parallel(6, work)
        for i in range(20):
            self.assertEqual(len(os.listdir("%s/d%d" % (point, i))), 20)

    def test_while_blobs_come_and_go(self):
        """The content or EIO, never something else."""
        names = ["f%d" % i for i in range(20)]
        tree = {name: name.encode() * 100 for name in names}
        point = self.mount(tree)

        def work(process):
            choose = random.Random(process)
            for step in range(STEPS // 2):
                data = tree[choose.choice(names)]
                path = self.store.blob_path(reapi.digest_of(data))
                if process == 0:
                    if step % 2:
                        self.store.lie(reapi.digest_of(data), data)
                    else:
                        errno_name(os.unlink, path)
                    continue
                name = choose.choice(names)
                try:
                    assert read_file(os.path.join(point, name)) == tree[name], name
                except OSError as error:
                    assert error.errno == errno.EIO, error

        in_parallel(5, work)
        for name in names:
            self.store.lie(reapi.digest_of(tree[name]), tree[name])
            self.assertEqual(read_file(os.path.join(point, name)), tree[name])


class Storm(Guest):
    """Everybody makes, moves and removes the same few names; afterwards the mount shows what the stage has."""

    TREE = {"in%d" % i: {"kept": b"input", "deep": {"kept": b"input"}} for i in range(3)}
    # EPERM: a second name for a directory.
    ACCEPTED = {"OK", "ENOENT", "EPERM", "EEXIST", "ENOTDIR", "EISDIR", "ENOTEMPTY", "EINVAL", "EROFS", "ELOOP"}

    def view(self, top, inputs):
        """{path: type and content} of what is staged."""
        found = {}
        for directory, directories, files in os.walk(top):
            for name in directories + files:
                path = os.path.join(directory, name)
                relative = os.path.relpath(path, top)
                if relative in inputs:
                    continue
                if os.path.islink(path):
                    found[relative] = os.readlink(path)
                elif os.path.isdir(path):
                    found[relative] = None
                else:
                    found[relative] = (read_file(path), os.stat(path).st_nlink)
        return found

    def work(self, point, process):
        choose = random.Random(process)
        names = ["n%d" % i for i in range(4)]
        directories = ["", "in0", "in1/deep", "in2", "n0", "in0/n1", "n0/n1"]

        def path():
            return os.path.join(point, choose.choice(directories), choose.choice(names))

        actions = (
            lambda: write_file(path(), b"%d" % process), lambda: os.mkdir(path()), lambda: os.rename(path(), path()),
            lambda: os.rename(path(), path()), lambda: renameat2(path(), path(), RENAME_EXCHANGE),
            lambda: renameat2(path(), path(), RENAME_NOREPLACE), lambda: os.unlink(path()), lambda: os.rmdir(path()),
            lambda: os.link(path(), path()), lambda: os.symlink("target", path()), lambda: os.listdir(os.path.dirname(path())),
            lambda: read_file(path()), lambda: os.stat(path()), lambda: os.truncate(path(), 1),
            lambda: os.unlink(os.path.join(point, "in0/kept")), lambda: os.rename(path(), os.path.join(point, "in1/kept")))
        for _ in range(STEPS):
            code = errno_name(choose.choice(actions))
            assert code in self.ACCEPTED, code

    def test_names(self):
        stage = self.scratch("stage")
        point = self.mount(self.TREE, stage=stage)
        inputs = {os.path.relpath(os.path.join(directory, name), point)
                  for directory, directories, files in os.walk(point) for name in directories + files}
        self.assertEqual(len(inputs), 12)
        in_parallel(PROCESSES, lambda process: self.work(point, process))
        shown = self.view(point, inputs)
        self.assertEqual(shown, self.view(stage, inputs))
        # Not only from the caches.
        drop_caches()
        self.assertEqual(self.view(point, inputs), shown)
        for i in range(3):
            self.assertEqual(read_file("%s/in%d/deep/kept" % (point, i)), b"input")
        unmount(point)
        point = self.mount(self.TREE, stage=stage)
        self.assertEqual(self.view(point, inputs), shown)

    def test_readers_see_every_name_that_stays(self):
        point = self.mount({"dir": {"i%d" % i: b"" for i in range(100)}}, stage=self.scratch("stage"))
        for i in range(100):
            write_file("%s/dir/s%d" % (point, i))
        stays = {"%s%d" % (kind, i) for kind in "is" for i in range(100)}

        def work(process):
            if process < 2:
                for step in range(STEPS):
                    name = "%s/dir/x%d.%d" % (point, process, step % 50)
                    write_file(name)
                    os.rename(name, name + "y")
                    os.unlink(name + "y")
                return
            for _ in range(STEPS // 15):
                found = os.listdir(point + "/dir")
                assert len(found) == len(set(found)), "twice"
                assert stays <= set(found), stays - set(found)

        in_parallel(5, work)
        self.assertEqual(set(os.listdir(point + "/dir")), stays)

    def test_one_file_by_many(self):
        point = self.mount({"dir": {}}, stage=self.scratch("stage"))

        def append(process):
            fd = os.open(point + "/dir/log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
            for step in range(STEPS // 3):
                os.write(fd, b"%d %06d\n" % (process, step))
            os.close(fd)

        in_parallel(PROCESSES, append)
        lines = read_file(point + "/dir/log").splitlines()
        self.assertEqual(len(lines), PROCESSES * (STEPS // 3))
        for process in range(PROCESSES):
            own = [line for line in lines if line.startswith(b"%d " % process)]
            self.assertEqual(own, [b"%d %06d" % (process, step) for step in range(STEPS // 3)])

    def test_one_mirror_by_many(self):
        """Who comes first to a directory of inputs makes its place in the stage; the others find it."""
        tree = {"x": {"y": {"z%d" % i: {"kept": b""} for i in range(scaled(100))}}}
        point = self.mount(tree, stage=self.scratch("stage"))

        def work(process):
            for i in range(scaled(100)):
                write_file("%s/x/y/z%d/p%d" % (point, i, process), b"%d" % process)

        in_parallel(PROCESSES, work)
        for i in range(scaled(100)):
            self.assertEqual(sorted(os.listdir("%s/x/y/z%d" % (point, i))), ["kept", *("p%d" % p for p in range(PROCESSES))])
        self.assertEqual(mount_counters(point)["stage_ensure_dir_created"], scaled(100) + 2)


if __name__ == "__main__":
    main()
