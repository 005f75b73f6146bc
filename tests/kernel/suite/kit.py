# SPDX-License-Identifier: Apache-2.0
"""What the tests of the kernel module share. They run in a guest (vm.sh), as root, with the module loaded.

Stores, trees and most system calls are those of tests/conformance; here is what only a kernel has: mounts by
fsconfig(2), statistics, slab figures, file systems that can go away.
"""
import contextlib
import ctypes
import errno
import mmap
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent.parent / "conformance"))
from calls import (AT_FDCWD, LIBC, RENAME_EXCHANGE, RENAME_NOREPLACE, checked, errno_name, getdents, in_child,  # noqa: E402
                   mounts_below, read_file, renameat2, write_file)
from store import Executable, Link, Properties, Raw, Store, reapi  # noqa: E402
from workspace import say_skipped  # noqa: E402

MODULE = os.environ.get("ACTIONDFS_KO")
EXT4 = os.environ.get("ACTIONDFS_EXT4")
VEHICLE = os.environ.get("ACTIONDFS_VM", "")
# Emulated processors are ten times slower, and so are checkers: the large tests are that much smaller there.
# ACTIONDFS_SCALE=1: full size.
SCALE = int(os.environ.get("ACTIONDFS_SCALE") or (1 if VEHICLE == "uml" else 10))
# How long something may take that the module does by itself, such as closing a deleted blob.
PATIENCE = 60 * SCALE

SYS_OPEN_TREE, SYS_MOVE_MOUNT, SYS_FSOPEN, SYS_FSCONFIG, SYS_FSMOUNT, SYS_MOUNT_SETATTR = 428, 429, 430, 431, 432, 442
SET_FLAG, SET_STRING, SET_PATH, SET_PATH_EMPTY, SET_FD, CMD_CREATE, CMD_RECONFIGURE = 0, 1, 3, 4, 5, 6, 7
AT_EMPTY_PATH, AT_RECURSIVE = 0x1000, 0x8000
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_IDMAP = 1, 2, 4, 0x100000
MOVE_MOUNT_F_EMPTY_PATH = 4
MNT_DETACH = 2
EXT4_IOC_SHUTDOWN = 0x8004587D
SHUTDOWN_NOLOGFLUSH = 2
LIBC.mmap.restype = ctypes.c_void_p


def scaled(count):
    return max(count // SCALE, 1)


def run(*command, **options):
    """The command's output; fails with what it said."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise AssertionError("%s: %d: %s%s" % (" ".join(command), done.returncode, done.stdout, done.stderr))
    return done.stdout


def wait_until(condition, what):
    """Looks until it is so. There is no time that it may not take, but one after which nobody believes in it."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("still not: %s" % what)
        time.sleep(0.02)


# ---- mounts ----


def syscall(number, *args):
    return checked(LIBC.syscall(number, *args), "system call %d" % number)


class Refused(OSError):
    """A mount that was refused, with what its fs context had to say."""

    def __init__(self, code, messages):
        super().__init__(code, "%s: %s" % (os.strerror(code), "; ".join(messages)))
        self.messages = messages


class Context:
    """An fs context, of fsopen(2)."""

    def __init__(self, kind="actiondfs"):
        self.fd = syscall(SYS_FSOPEN, kind.encode(), 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def config(self, command, key=None, value=None, aux=0):
        key, value = (None if word is None else os.fsencode(word) for word in (key, value))
        try:
            syscall(SYS_FSCONFIG, self.fd, command, key, value, aux)
        except OSError as error:
            raise Refused(error.errno, self.messages()) from None

    def set(self, key, value):
        self.config(SET_STRING, key, value)

    def messages(self):
        found = []
        while True:
            try:
                found.append(os.read(self.fd, 4096).decode().strip())
            except OSError as error:
                if error.errno == errno.ENODATA:
                    return found
                raise

    def mount(self, attributes=MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV):
        """The descriptor of a mount that is not attached anywhere yet."""
        self.config(CMD_CREATE)
        try:
            return syscall(SYS_FSMOUNT, self.fd, 1, attributes)
        except OSError as error:
            raise Refused(error.errno, self.messages()) from None


def attach(fd, point):
    syscall(SYS_MOVE_MOUNT, fd, b"", AT_FDCWD, os.fsencode(point), MOVE_MOUNT_F_EMPTY_PATH)


def unmount(point, flags=0):
    checked(LIBC.umount2(os.fsencode(point), flags), "umount %s" % point)


def drop_caches():
    """Dentries and inodes that nobody uses, and what shrinkers give; twice, since what was used lately gets one round."""
    for _ in range(2):
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("2\n", encoding="ascii")


def drop_pages(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


# ---- figures ----


def resident(path):
    """How many bytes of the file are in memory, as mincore(2) has it."""
    size = os.stat(path).st_size
    fd = os.open(path, os.O_RDONLY)
    address = LIBC.mmap(None, ctypes.c_size_t(size), mmap.PROT_READ, mmap.MAP_SHARED, fd, ctypes.c_long(0))
    os.close(fd)
    pages = (ctypes.c_ubyte * ((size + mmap.PAGESIZE - 1) // mmap.PAGESIZE))()
    try:
        checked(LIBC.mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), pages), "mincore")
    finally:
        LIBC.munmap(ctypes.c_void_p(address), ctypes.c_size_t(size))
    return sum(page & 1 for page in pages) * mmap.PAGESIZE


def counters():
    """The module's statistics."""
    lines = pathlib.Path("/proc/actiondfs_stats").read_text(encoding="ascii").splitlines()
    return {name: int(value) for name, value in (line.split(" ") for line in lines)}


def mount_counters(point):
    """One mount's."""
    found, here = {}, False
    with open("/proc/self/mountstats", encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if words and words[0] == "device":
                here = words[4] == str(point).replace(" ", "\\040")
            elif here and len(words) == 2:
                found[words[0]] = int(words[1])
    return found


class Counted:
    """What the mounts (or, without any, the module) counted between `with` and its end; also before it ended."""

    def __init__(self, *points):
        self.points = points

    def read(self):
        if not self.points:
            return counters()
        each = [mount_counters(point) for point in self.points]
        return {name: sum(one[name] for one in each) for name in each[0]}

    def __enter__(self):
        self.before = self.read()
        self.after = None
        return self

    def __exit__(self, *_):
        self.after = self.read()

    def __getitem__(self, name):
        return (self.after or self.read())[name] - self.before[name]


def slab(name):
    """(objects, objects in one slab) of a cache of the kernel's allocator; (0, 1) if there is none."""
    with open("/proc/slabinfo", encoding="ascii") as file:
        for line in file:
            words = line.split()
            if words[0] == name:
                return int(words[2]), int(words[4])
    return 0, 1


def memory(name):
    """Bytes of a line of /proc/meminfo."""
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            words = line.split()
            if words[0] == name + ":":
                return int(words[1]) << 10
    raise KeyError(name)


# ---- a CAS in each layout ----


class LayoutStore(Store):
    def __init__(self, path, layout="sharded"):
        super().__init__(path)
        self.layout = layout

    def blob_path(self, digest):
        name, size = digest
        return os.path.join(self.path, {"sharded": "%s/%s" % (name[:2], name), "flat": name,
                                        "sharded-suffix": "%s/%s" % (name[:2], name[2:]),
                                        "hash-size": "%s-%d" % (name, size)}[self.layout])

    def lie(self, digest, data):
        """Another content for a digest that may be there."""
        path = self.blob_path(digest)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_file(path + ".new", data, mode=0o444)
        os.rename(path + ".new", path)


class Guest(unittest.TestCase):
    """Each test has a directory on ext4, and in it a CAS."""

    def setUp(self):
        if EXT4 is None:
            self.skipTest("this runs in a guest: vm.sh")
        self.directory = tempfile.mkdtemp(dir=EXT4)
        os.chmod(self.directory, 0o755)
        # Not shutil.rmtree(), which has its trouble with deep trees.
        self.addCleanup(run, "rm", "-rf", "--one-file-system", self.directory)
        self.store = self.new_store("cas")
        self.names = 0

    def new_store(self, name, layout="sharded"):
        return LayoutStore(os.path.join(self.directory, name), layout)

    def scratch(self, name):
        self.names += 1
        path = os.path.join(self.directory, "%s%d" % (name, self.names))
        os.mkdir(path)
        return path

    def tree(self, tree):
        return tree if isinstance(tree, tuple) else self.store.make_tree(tree)

    def options(self, tree, stage=None, store=None, **more):
        """What a mount is asked for; None leaves one out."""
        store = store or self.store
        digest = tree if isinstance(tree, tuple) else store.make_tree(tree)
        found = {"root": digest[0], "root_size": str(digest[1]), "cas": store.path, "stage": stage,
                 "layout": store.layout, **more}
        return {key: str(value) for key, value in found.items() if value is not None}

    def detached(self, tree, attributes=MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, **more):
        with Context() as context:
            for key, value in self.options(tree, **more).items():
                context.set(key, value)
            return context.mount(attributes)

    def mount(self, tree, point=None, attributes=MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, **more):
        """Where it is mounted."""
        point = point or self.scratch("mnt")
        fd = self.detached(tree, attributes, **more)
        try:
            attach(fd, point)
        finally:
            os.close(fd)
        self.addCleanup(self.unmount_if_there, point)
        return point

    def unmount_if_there(self, point):
        if any(line.split(" ")[4] == point.replace(" ", "\\040") for line in mounts_below("/")):
            unmount(point)

    def refused(self, code, text, tree, **more):
        """The mount is refused with the error, and a message in which the text is."""
        with self.assertRaises(Refused) as caught:
            os.close(self.detached(tree, **more))
        self.assertEqual(errno.errorcode[caught.exception.errno], code, caught.exception)
        self.assertRegex("\n".join(caught.exception.messages), text)

    def answers(self, expected, function, *args, **kwargs):
        self.assertEqual(errno_name(function, *args, **kwargs), expected, "%s%s" % (getattr(function, "__name__", ""), args))

    def tmpfs(self, options="size=64m"):
        point = self.scratch("tmpfs")
        run("mount", "-t", "tmpfs", "-o", options, "tmpfs", point)
        self.addCleanup(self.unmount_if_there, point)
        return point

    def loop(self, size="64m", kind="ext4", reserved=0):
        """A new ext4 (with so many percent for root alone) or xfs on a loop device: (where it is mounted, device)."""
        image = os.path.join(self.directory, "image%d" % self.names)
        run("truncate", "-s", size, image)
        run("mkfs." + kind, "-q", *(["-m", str(reserved)] if kind == "ext4" else []), image)
        device = run("losetup", "--find", "--show", image).strip()
        self.addCleanup(run, "losetup", "--detach", device)
        point = self.scratch("loop")
        run("mount", "-t", kind, device, point)
        self.addCleanup(self.unmount_if_there, point)
        return point, device


def shut_down(point, flags=SHUTDOWN_NOLOGFLUSH):
    """The ext4 there is as if its disk were gone."""
    fd = os.open(point, os.O_RDONLY)
    try:
        checked(LIBC.ioctl(fd, ctypes.c_ulong(EXT4_IOC_SHUTDOWN), struct.pack("=I", flags)), "EXT4_IOC_SHUTDOWN")
    finally:
        os.close(fd)


def user_namespace(test, inside=0, outside=100000, count=65536):
    """The descriptor of a user namespace with that mapping of users and groups."""
    hold, release = os.pipe()
    ready, done = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(release)
        LIBC.unshare(0x10000000)  # CLONE_NEWUSER
        os.write(done, b"x")
        os.read(hold, 1)
        os._exit(0)
    os.close(hold)
    try:
        os.read(ready, 1)
        for name in ("uid_map", "gid_map"):
            write_file("/proc/%d/%s" % (child, name), b"%d %d %d\n" % (inside, outside, count), os.O_WRONLY)
        fd = os.open("/proc/%d/ns/user" % child, os.O_RDONLY)
    finally:
        for end in (release, ready, done):
            os.close(end)
        os.waitpid(child, 0)
    test.addCleanup(os.close, fd)
    return fd


@contextlib.contextmanager
def children(count, function):
    """Runs function(i) in that many processes; at the end all must have ended well."""
    pids = []
    for i in range(count):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                function(i)
                code = 0
            except BaseException:  # pylint: disable=broad-except
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stderr.flush()
                os._exit(code)
        pids.append(pid)
    try:
        yield pids
    finally:
        ended = [os.waitpid(pid, 0)[1] for pid in pids]
    if any(ended):
        raise AssertionError("children ended with %s" % ended)


def in_parallel(count, function):
    with children(count, function):
        pass


def main():
    """Runs the tests of the file; whatever they did, the module can be unloaded afterwards."""
    if os.geteuid() != 0 or not os.path.exists("/proc/actiondfs_stats"):
        print("skipped: this needs root and actiondfs.ko loaded: tests/kernel/vm.sh")
        sys.exit(77)
    program = unittest.main(module="__main__", exit=False, verbosity=2)
    say_skipped(program.result)
    good = program.result.wasSuccessful()
    if MODULE and os.path.isdir("/sys/module/actiondfs"):
        done = subprocess.run(["rmmod", "actiondfs"], capture_output=True, text=True)
        if done.returncode != 0 or slab("actiondfs_inode")[0]:
            print("FAILED: rmmod: %s%s" % (done.stderr, slab("actiondfs_inode")), file=sys.stderr)
            good = False
        else:
            subprocess.run(["insmod", MODULE], check=True)
    if good and program.result.testsRun == len(program.result.skipped):
        sys.exit(77)
    sys.exit(0 if good else 1)
