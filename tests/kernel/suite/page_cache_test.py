#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Contents are in memory once: as the blob's own pages, whoever reads, maps or runs them."""
import mmap
import os
import shutil
import subprocess

from kit import (Executable, Guest, MNT_DETACH, drop_caches, drop_pages, main, memory, read_file, reapi, resident,
                 run, scaled, unmount, wait_until)

MIB = 1 << 20
LARGE = scaled(200 * MIB) // mmap.PAGESIZE * mmap.PAGESIZE


def read_all(path):
    buffer = bytearray(MIB)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def map_all(path):
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapping:
        return sum(mapping[at] for at in range(0, len(mapping), mmap.PAGESIZE))


class Memory(Guest):
    def setUp(self):
        super().setUp()
        # Nobody hashes files, so that the blob may be made without holding it.
        self.digest = ("%064x" % 0xb10b, LARGE)
        self.blob = self.store.blob_path(self.digest)
        os.makedirs(os.path.dirname(self.blob))
        with open(self.blob, "wb") as file:
            for i in range(0, LARGE, MIB):
                file.write(bytes([i // MIB & 255 or 1]) * min(MIB, LARGE - i))
        self.root = self.store.put(reapi.directory([(b"large", reapi.file_node(b"large", self.digest, False))], [], []))
        self.point = self.mount(self.root)
        drop_pages(self.blob)
        self.assertEqual(resident(self.blob), 0)

    def grown(self, *steps):
        """What each step adds to the page cache."""
        found, last = [], memory("Cached")
        for step in steps:
            step()
            now = memory("Cached")
            found.append(now - last)
            last = now
        return found

    def check(self, through):
        path = self.point + "/large"
        first, *others = self.grown(lambda: through(path), lambda: read_all(self.blob), lambda: map_all(self.blob),
                                    lambda: map_all(path), lambda: read_all(path))
        self.assertEqual(resident(self.blob), LARGE)
        self.assertGreater(first, LARGE * 9 // 10)
        self.assertLess(sum(others), LARGE // 10)

    def test_reading(self):
        self.check(read_all)

    def test_mapping(self):
        self.check(map_all)

    def test_copying_to_a_pipe(self):
        def copy(path):
            with open(path, "rb") as file, open("/dev/null", "wb") as null:
                while os.sendfile(null.fileno(), file.fileno(), None, MIB):
                    pass

        self.check(copy)

    def test_two_mounts(self):
        other = self.mount(self.root)
        first, second = self.grown(lambda: read_all(self.point + "/large"), lambda: map_all(other + "/large"))
        self.assertGreater(first, LARGE * 9 // 10)
        self.assertLess(second, LARGE // 10)

    def test_o_direct_too(self):
        """It would read past what all others share."""
        fd = os.open(self.point + "/large", os.O_RDONLY | os.O_DIRECT)
        with mmap.mmap(-1, MIB) as buffer:
            self.assertEqual(os.preadv(fd, [buffer], 0), MIB)
            self.assertEqual(buffer[:1], b"\1")
        os.close(fd)
        self.assertGreaterEqual(resident(self.blob), MIB)

    def test_advice_of_one_reader_is_not_everybody_s(self):
        read_all(self.point + "/large")
        fd = os.open(self.point + "/large", os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
        self.assertEqual(resident(self.blob), LARGE)

    def test_of_a_mount_that_is_gone(self):
        read_all(self.point + "/large")
        unmount(self.point)
        self.assertEqual(resident(self.blob), LARGE)


class Maps(Guest):
    """What runs from the mount shows paths in the mount, and has the blob's pages."""

    def maps(self, pid):
        with open("/proc/%d/maps" % pid, encoding="utf-8") as file:
            return [line.split(None, 5) for line in file]

    def test_programs_and_libraries(self):
        lines = run("ldd", "/bin/cat").splitlines()
        libraries = [words[words.index("=>") + 1] for words in (line.split() for line in lines) if "=>" in words]
        loader = [line.split()[0] for line in lines if line.strip().startswith("/")][0]
        tree = {"bin": {"cat": Executable(read_file("/bin/cat")), "loader": Executable(read_file(loader))},
                "lib": {os.path.basename(path): Executable(read_file(path)) for path in libraries}}
        point = self.mount(tree)
        blobs = {point + "/bin/cat": read_file("/bin/cat"), point + "/bin/loader": read_file(loader)}
        blobs.update({"%s/lib/%s" % (point, os.path.basename(path)): read_file(path) for path in libraries})
        for data in blobs.values():
            drop_pages(self.store.blob_path(reapi.digest_of(data)))
        command = [point + "/bin/loader", "--library-path", point + "/lib", point + "/bin/cat"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as running:
            running.stdin.write(b"x")
            self.assertEqual(running.stdout.read(1), b"x")
            seen = {line[5].strip() for line in self.maps(running.pid) if len(line) > 5 and "x" in line[1]}
            # All that is run is from the mount, by its path there.
            self.assertEqual({path for path in seen if not path.startswith("[")}, set(blobs))
            device = os.stat(point).st_dev
            for line in self.maps(running.pid):
                if len(line) > 5 and line[5].strip() in blobs:
                    self.assertEqual(int(line[4]), os.stat(line[5].strip()).st_ino)
                    self.assertEqual(line[3], "%02x:%02x" % (os.major(device), os.minor(device)))
            running.stdin.close()
        for path, data in blobs.items():
            self.assertGreater(resident(self.store.blob_path(reapi.digest_of(data))), 0, path)

    def test_a_running_program_holds_the_mount(self):
        point = self.mount({"sleep": Executable(read_file("/bin/sleep"))})
        with subprocess.Popen([point + "/sleep", "1000"]) as running:
            wait_until(lambda: os.readlink("/proc/%d/exe" % running.pid) == point + "/sleep", "it runs")
            self.answers("EBUSY", unmount, point)
            running.kill()
        unmount(point)

    def test_a_mapping_outlives_descriptor_blob_and_lazy_unmount(self):
        data = b"mapped" * 10000
        point = self.mount({"file": data})
        with open(point + "/file", "rb") as file:
            mapping = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        os.unlink(self.store.blob_path(reapi.digest_of(data)))
        unmount(point, MNT_DETACH)
        drop_caches()
        self.assertEqual(mapping[:], data)
        self.assertFalse(os.path.exists(point + "/file"))
        mapping.close()

    def test_writing_to_what_runs(self):
        stage = self.scratch("stage")
        point = self.mount({}, stage=stage)
        shutil.copy("/bin/sleep", point + "/sleep")
        with subprocess.Popen([point + "/sleep", "1000"]) as running:
            wait_until(lambda: os.readlink("/proc/%d/exe" % running.pid) == point + "/sleep", "it runs")
            self.answers("ETXTBSY", os.open, point + "/sleep", os.O_WRONLY)
            running.kill()
        os.close(os.open(point + "/sleep", os.O_WRONLY))


if __name__ == "__main__":
    main()
