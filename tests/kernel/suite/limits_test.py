#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Where things get large: a million names, 4,000 levels, names of 255 bytes, a file of 1 TiB."""
import mmap
import os
import random

from kit import (Counted, Guest, Link, Raw, drop_caches, getdents, main, mount_counters, read_file, reapi, run,
                 scaled, unmount, write_file)

NAMES = scaled(1000000)
DEPTH = 4000
TIB = 1 << 40
LONG = "x" * 255


def read_names(fd, read):
    """Calls read(index, name, offset of the next) for each entry; how many calls to the kernel it took."""
    reads, index = 0, 0
    while entries := getdents(fd, 1 << 20):
        for _, offset, _, name in entries:
            read(index, name, offset)
            index += 1
        reads += 1
    return reads + 1


class Million(Guest):
    FILES = NAMES // 2

    def million(self):
        """Half files, half symlinks: a million files would be more than the 64 MiB that a Directory may have."""
        digest = self.store.put(b"same")
        file, link = (reapi.message(1, reapi.file_node(b"f%06d" % 0, digest, False)),
                      reapi.message(3, reapi.symlink_node(b"s%06d" % 0, b"x")))
        # All are alike but for the name.
        data = b"".join([file.replace(b"f000000", b"f%06d" % i) for i in range(self.FILES)] +
                        [link.replace(b"s000000", b"s%06d" % i) for i in range(NAMES - self.FILES)])
        self.assertLess(len(data), 64 << 20)
        return self.store.put(data)

    def name(self, index):
        return b"f%06d" % index if index < self.FILES else b"s%06d" % (index - self.FILES)

    def test_it(self):
        point = self.mount(self.million(), stage=self.scratch("stage"))
        for i in range(1000):
            os.mknod("%s/n%03d" % (point, i))
        choose = random.Random(1)
        places = sorted(choose.sample(range(NAMES), 50))
        offsets, staged = {}, set()
        wanted = set(places)

        def read(index, name, offset):
            index -= 2
            if index >= NAMES:
                staged.add(name)
            elif index >= 0 and name != self.name(index):
                raise AssertionError("%d is %s" % (index, name))
            # The next one is found there.
            if index + 1 in wanted:
                offsets[index + 1] = offset

        fd = os.open(point, os.O_RDONLY)
        with Counted(point) as counted:
            reads = read_names(fd, read)
        self.assertEqual(staged, {b"n%03d" % i for i in range(1000)})
        # Each entry was looked at once, however often the reader came back.
        self.assertEqual(counted["readdir_entries"], NAMES + 1000)
        self.assertEqual((counted["readdirs"], counted["stage_readdir_calls"]), (reads, 1))
        # From anywhere, without going through what is before.
        with Counted(point) as counted:
            for at in places:
                os.lseek(fd, offsets[at], os.SEEK_SET)
                self.assertEqual(getdents(fd, 256)[0][3], self.name(at))
        self.assertLessEqual(counted["readdir_entries"], 50 * 10)
        os.close(fd)
        # Lookups do not read it again.
        with Counted(point) as counted:
            for at in places:
                path = os.path.join(point, self.name(at).decode())
                os.lstat(path)
                self.answers("ENOENT", os.lstat, path + "x")
        self.assertEqual((counted["lookups"], counted["dir_loads"]), (100, 0))
        self.assertEqual(mount_counters(point)["dir_loads"], 1)

    def test_too_many(self):
        """Over 64 MiB it is refused, before anything is read."""
        digest = ("%064x" % 0x64, (64 << 20) + 1)
        path = self.store.blob_path(digest)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.truncate(digest[1])
        # Said by the Directory above, or by nobody.
        for point, name in ((self.mount({"large": Raw(digest)}), "large"), (self.mount(digest, root_size=None), "")):
            os.stat(point)
            with Counted(point) as counted:
                self.answers("EUCLEAN", os.listdir, os.path.join(point, name))
            self.assertEqual(counted["directory_blob_reads"], 0)

    def test_staged(self):
        point = self.mount({"dir": {"input": b""}}, stage=self.scratch("stage"))
        count = scaled(20000)
        for i in range(count):
            os.mknod("%s/dir/n%d" % (point, i))
        self.assertEqual(len(os.listdir(point + "/dir")), count + 1)
        for entry in os.scandir(point + "/dir"):
            if entry.name != "input":
                os.unlink(entry)
        self.assertEqual(os.listdir(point + "/dir"), ["input"])


class Deep(Guest):
    HALF = "/".join(["d"] * (DEPTH // 2))

    def input(self):
        digest = self.store.make_tree({"f": b"bottom"})
        for _ in range(DEPTH):
            digest = self.store.make_tree({"d": Raw(digest)})
        return digest

    def bottom(self, point):
        """The directory 4,000 below; a path of as many names is more than one call takes."""
        half = os.open(os.path.join(point, self.HALF), os.O_PATH)
        fd = os.open(self.HALF, os.O_RDONLY, dir_fd=half)
        os.close(half)
        return fd

    def test_an_input(self):
        stage = self.scratch("stage")
        point = self.mount(self.input(), stage=stage)
        fd = self.bottom(point)
        self.assertEqual(os.listdir(fd), ["f"])
        # Made by somebody who never looked at what is between.
        os.mkdir("made", dir_fd=fd)
        new = os.open("made/new", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
        os.write(new, b"new")
        os.close(new)
        self.assertEqual(mount_counters(point)["stage_ensure_dir_created"], DEPTH)
        os.rename("made/new", point + "/top", src_dir_fd=fd)
        self.assertEqual(read_file(point + "/top"), b"new")
        os.rename(point + "/top", "made/back", dst_dir_fd=fd)
        self.assertEqual(sorted(os.listdir(fd)), ["f", "made"])
        os.close(fd)
        drop_caches()
        self.assertEqual(run("sh", "-c", "find . -name f | wc -l", cwd=point).strip(), "1")
        unmount(point)
        # The stage has it all; another mount finds it.
        point = self.mount(self.input(), stage=stage)
        fd = self.bottom(point)
        self.assertEqual(sorted(os.listdir(fd)), ["f", "made"])
        os.close(fd)
        unmount(point)

    def test_staged(self):
        point = self.mount({"dir": {}}, stage=self.scratch("stage"))
        fd = os.open(point + "/dir", os.O_RDONLY)
        for _ in range(DEPTH):
            os.mkdir("d", dir_fd=fd)
            below = os.open("d", os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = below
        os.mkdir("bottom", dir_fd=fd)
        os.close(fd)
        # Moved as a whole, and nothing that is open or cached goes stale.
        os.rename(point + "/dir/d", point + "/moved")
        fd = self.bottom_of(point + "/moved", DEPTH - 1)
        self.assertEqual(os.listdir(fd), ["bottom"])
        os.close(fd)
        drop_caches()
        self.assertEqual(run("sh", "-c", "find . -name bottom | wc -l", cwd=point).strip(), "1")
        run("rm", "-rf", point + "/moved")
        self.assertEqual(os.listdir(point), ["dir"])

    @staticmethod
    def bottom_of(top, depth):
        fd = os.open(top, os.O_RDONLY)
        while depth:
            step = min(depth, 1000)
            below = os.open("/".join(["d"] * step), os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd, depth = below, depth - step
        return fd


class LongNames(Guest):
    def test_of_inputs_and_staged(self):
        wide = "ü" * 127 + "u"
        tree = {LONG: b"long", wide: {LONG: b"below"}, "link": Link("t" * 4095)}
        point = self.mount(tree, stage=self.scratch("stage"))
        self.assertEqual(sorted(os.listdir(point)), sorted(tree))
        self.assertEqual(read_file(os.path.join(point, LONG)), b"long")
        self.assertEqual(read_file(os.path.join(point, wide, LONG)), b"below")
        self.assertEqual(os.readlink(point + "/link"), "t" * 4095)
        new = "y" * 255
        write_file(os.path.join(point, wide, new), b"new")
        os.rename(os.path.join(point, wide, new), os.path.join(point, "z" * 255))
        self.assertEqual(read_file(os.path.join(point, "z" * 255)), b"new")
        for name in (LONG + "x", "y" * 256, "y" * 1000):
            path = os.path.join(point, name)
            self.answers("ENAMETOOLONG", os.stat, path)
            self.answers("ENAMETOOLONG", write_file, path)
            self.answers("ENAMETOOLONG", os.mkdir, path)
            self.answers("ENAMETOOLONG", os.rename, os.path.join(point, "z" * 255), path)
        self.assertEqual(os.statvfs(point).f_namemax, 255)


class HugeFile(Guest):
    def test_an_input_of_1_tib(self):
        digest = ("%064x" % 0xb16, TIB)
        path = self.store.blob_path(digest)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.truncate(TIB)
            os.pwrite(file.fileno(), b"start", 0)
            os.pwrite(file.fileno(), b"end", TIB - 3)
        point = self.mount(self.store.put(reapi.directory([(b"huge", reapi.file_node(b"huge", digest, False))], [], [])),
                           stage=self.scratch("stage"))
        found = os.stat(point + "/huge")
        self.assertEqual((found.st_size, found.st_blocks), (TIB, TIB // 512))
        with open(point + "/huge", "rb") as file:
            fd = file.fileno()
            self.assertEqual((os.pread(fd, 5, 0), os.pread(fd, 100, TIB - 3), os.pread(fd, 1, TIB)), (b"start", b"end", b""))
            self.assertEqual(os.lseek(fd, 0, os.SEEK_END), TIB)
            self.assertGreater(os.lseek(fd, 1 << 30, os.SEEK_DATA), TIB - (1 << 20))
            with mmap.mmap(fd, mmap.PAGESIZE, prot=mmap.PROT_READ, offset=TIB - mmap.PAGESIZE) as mapping:
                self.assertEqual(mapping[-4:], b"\0end")
            with open(point + "/copy", "wb") as copy:
                self.assertEqual(os.copy_file_range(fd, copy.fileno(), 100, TIB - 10), 10)
        self.assertEqual(read_file(point + "/copy"), b"\0" * 7 + b"end")

    def test_a_staged_file_of_1_tib(self):
        point = self.mount({}, stage=self.scratch("stage"))
        with open(point + "/huge", "w+b") as file:
            file.truncate(TIB)
            os.pwrite(file.fileno(), b"end", TIB - 3)
            with mmap.mmap(file.fileno(), mmap.PAGESIZE, offset=TIB - mmap.PAGESIZE) as mapping:
                self.assertEqual(mapping[-4:], b"\0end")
                mapping[-3:] = b"END"
            self.assertEqual(os.pread(file.fileno(), 100, TIB - 3), b"END")
        self.assertEqual(os.stat(point + "/huge").st_size, TIB)


if __name__ == "__main__":
    main()
