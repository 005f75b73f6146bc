# SPDX-License-Identifier: Apache-2.0
"""`actiondfs serve`, started by a test, and its socket's protocol. ACTIONDFS is the program."""
import os
import signal
import socket
import subprocess
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import reapi  # noqa: E402  (the path comes first)
from wire import fields  # noqa: E402  (reapi knows the way)

PROGRAM = os.environ["ACTIONDFS"]


class Server:
    def __init__(self, directory, *args, wrapper=()):
        """`wrapper`: a program, and its arguments, that becomes the server."""
        self.socket = os.path.join(directory, "sock")
        self.log_path = os.path.join(directory, "log")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*wrapper, PROGRAM, "serve", "--foreground", "--socket", self.socket, *args],
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
                        raise RuntimeError(self.log()) from error
                    os.sched_yield()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

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

    def held(self, mount_id):
        """What a mount makes the server hold: {"nodes", "bytes", "descriptors"}."""
        reply = fields(self.ask(reapi.message(2, reapi.string(1, mount_id.encode())))[4])
        counters = [dict(fields(value)) for number, value in reply if number == 8]
        return {counter[1].decode(): counter.get(2, 0) for counter in counters}

    def resident(self):
        """Bytes."""
        with open("/proc/%d/statm" % self.process.pid, encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def threads(self):
        return len(os.listdir("/proc/%d/task" % self.process.pid))

    def descriptors(self):
        found = []
        for fd in os.listdir("/proc/%d/fd" % self.process.pid):
            try:
                found.append(os.readlink("/proc/%d/fd/%s" % (self.process.pid, fd)))
            except FileNotFoundError:
                pass  # closed since it was listed
        return sorted(found)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait()
