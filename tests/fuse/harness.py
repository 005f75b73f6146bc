# SPDX-License-Identifier: Apache-2.0
"""What the tests of the FUSE backend share: a server, a store, trees described as dictionaries, mounts.

ACTIONDFS is the program; ACTIONDFS_PASSTHROUGH=0 has files read and written by the server instead of the kernel.
"""
import ctypes
import errno
import hashlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import reapi  # noqa: E402  (the path comes first)

PROGRAM = os.environ["ACTIONDFS"]
PASSTHROUGH = os.environ.get("ACTIONDFS_PASSTHROUGH", "1") == "1"
USER = 1000
LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
EPOCH = 946684800


def skip_all(reason):
    print("skipped:", reason)
    sys.exit(77)


class Executable(bytes):
    """A file's content, of one with is_executable."""


class Link(str):
    """A symlink's target."""


class Missing(bytes):
    """A file's content that is not put into the store."""


def errno_name(function, *args, **kwargs):
    """"OK", or the name of the errno that the call failed with."""
    try:
        function(*args, **kwargs)
    except OSError as error:
        # One number has two names; the table of the design says EOPNOTSUPP.
        return "EOPNOTSUPP" if error.errno == errno.EOPNOTSUPP else errno.errorcode[error.errno]
    return "OK"


def renameat2(old, new, flags):
    if LIBC.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def write_file(path, data=b"x", flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode=0o644):
    fd = os.open(path, flags, mode)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def as_user(function, *args, uid=USER):
    """function(*args) in a child that has only `uid`; its result or exception comes back."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            result = (True, function(*args))
        except BaseException as error:  # pylint: disable=broad-except
            result = (False, error)
        with os.fdopen(write_end, "wb") as pipe:
            pickle.dump(result, pipe)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        good, value = pickle.load(pipe)
    os.waitpid(child, 0)
    if not good:
        raise value
    return value


def fields(data):
    """The fields of a protocol buffers message: [(number, integer or bytes)]."""
    position, found = 0, []

    def varint():
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(data):
        key = varint()
        value = varint()
        if key & 7 == 2:
            value, position = data[position:position + value], position + value
        found.append((key >> 3, value))
    return found


def mounts_below(path):
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return [line for line in file if line.split(" ")[4].startswith(path)]


class Server:
    def __init__(self, directory, *args):
        self.socket = os.path.join(directory, "sock")
        self.log_path = os.path.join(directory, "log")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([PROGRAM, "serve", "--foreground", "--socket", self.socket, *args],
                                            stdin=subprocess.DEVNULL, stderr=log)
        self.wait_until_it_listens()

    def wait_until_it_listens(self):
        # Nothing tells of the socket's birth but the socket: ask for it, and give up when the server does.
        while True:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
                try:
                    probe.connect(self.socket)
                    return
                except OSError as error:
                    if self.process.poll() is not None:
                        raise RuntimeError(read_file(self.log_path).decode()) from error
                    os.sched_yield()

    def log(self):
        return read_file(self.log_path).decode()

    def ask(self, request):
        """One request of proto/actiondfs/serve.proto; the reply's fields."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.connect(self.socket)
            client.send(request)
            return dict(fields(client.recv(1 << 20)))

    def mounts(self):
        """The ids of the mounts that live."""
        listed = self.ask(reapi.message(3, b"")).get(5, b"")
        return [dict(fields(info))[1].decode() for number, info in fields(listed) if number == 1]

    def counters(self, mount_id):
        """Statistics by name, and stage_error."""
        reply = fields(self.ask(reapi.message(2, reapi.string(1, mount_id.encode())))[4])
        counters = {}
        for number, value in reply:
            if number == 1:
                counter = dict(fields(value))
                counters[counter[1].decode()] = counter.get(2, 0)
        return counters, dict(reply).get(2, 0)

    def threads(self):
        return len(os.listdir("/proc/%d/task" % self.process.pid))

    def descriptors(self):
        return sorted(os.readlink("/proc/%d/fd/%s" % (self.process.pid, fd))
                      for fd in os.listdir("/proc/%d/fd" % self.process.pid))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait()


class FuseTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="actiondfs-fuse-test.", dir=os.environ.get("ACTIONDFS_TEST_DIR", "/var/tmp"))
        os.chmod(cls.dir, 0o755)
        cls.addClassCleanup(subprocess.run, ["rm", "-rf", cls.dir], check=True)
        cls.cas = os.path.join(cls.dir, "cas")
        os.mkdir(cls.cas)
        cls.server = Server(cls.dir, *([] if PASSTHROUGH else ["--no-passthrough"]))
        cls.addClassCleanup(cls.stop_server)
        cls.count = 0

    @classmethod
    def stop_server(cls):
        status = cls.server.stop()
        if status != 0:
            raise AssertionError("the server ended with %d: %s" % (status, cls.server.log()))

    # ---- the store ----

    def put(self, data):
        digest = reapi.digest_of(data)
        path = self.blob_path(digest)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not os.path.exists(path):
            write_file(path, data, mode=0o444)
        return digest

    def blob_path(self, digest):
        return os.path.join(self.cas, digest[0][:2], digest[0])

    def make_tree(self, tree):
        """Stores {name: bytes, Executable, Missing, Link or dict}; returns the root's digest."""
        files, directories, symlinks = [], [], []
        for name, value in tree.items():
            encoded = os.fsencode(name)
            if isinstance(value, dict):
                directories.append((encoded, reapi.directory_node(encoded, self.make_tree(value))))
            elif isinstance(value, Link):
                symlinks.append((encoded, reapi.symlink_node(encoded, os.fsencode(value))))
            else:
                digest = reapi.digest_of(value) if isinstance(value, Missing) else self.put(value)
                files.append((encoded, reapi.file_node(encoded, digest, isinstance(value, Executable))))
        return self.put(reapi.directory(files, directories, symlinks))

    def check_store(self):
        """Every blob still has its hash."""
        for directory, _, names in os.walk(self.cas):
            for name in names:
                self.assertEqual(hashlib.sha256(read_file(os.path.join(directory, name))).hexdigest(), name)

    # ---- mounts ----

    def run_program(self, *args):
        return subprocess.run([PROGRAM, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def scratch(self, name):
        type(self).count += 1
        path = os.path.join(self.dir, "%s%d" % (name, self.count))
        os.mkdir(path)
        return path

    def try_mount(self, *args):
        """The finished process, and the mount point."""
        point = self.scratch("mnt")
        done = self.run_program("mount", *args, point, "--cas", self.cas, "--layout", "sharded", "--socket",
                                self.server.socket, *([] if PASSTHROUGH else ["--no-passthrough"]))
        return done, point

    def mount(self, digest, mode="strict", stage=None, options=(), more=()):
        """The mount point; `digest` None: many roots."""
        args = ["--roots"] if digest is None else [reapi.text(digest), "--mode", mode]
        if digest is not None and mode != "readonly":
            self.stage = stage or self.scratch("stage")
            args += ["--stage", self.stage]
        for option in options:
            args += ["-o", option]
        # The mount point comes last: the program takes DIGEST MOUNTPOINT in this order.
        done, point = self.try_mount(*args, *more)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.addCleanup(self.unmount, point)
        return point

    def unmount(self, point):
        if mounts_below(point):
            done = self.run_program("umount", point)
            self.assertEqual(done.returncode, 0, done.stderr)


def main():
    if os.geteuid() != 0:
        skip_all("mounting needs root")
    if not os.path.exists("/dev/fuse"):
        skip_all("this host has no /dev/fuse")
    unittest.main()
