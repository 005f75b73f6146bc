# SPDX-License-Identifier: Apache-2.0
"""Stands in for systemd: starts `actiondfs serve`, keeps descriptors for it (sd_notify(3), FDSTORE=1) and its listening
socket, and starts it again when it was killed, with all of them."""
import array
import os
import select
import signal
import socket

from server import PROGRAM, Server

FIRST_FD = 3  # sd_listen_fds(3)
SOCKET_NAME = "actiondfs-serve.socket"


class Process:
    """What tests use of subprocess.Popen. A child that is to have given descriptors needs more than that class has."""

    def __init__(self, args, environment, descriptors, log):
        self.returncode = None
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.become(args, environment, descriptors, log)
            finally:
                os._exit(127)
        self.pidfd = os.pidfd_open(self.pid)

    @staticmethod
    def become(args, environment, descriptors, log):
        high = [os.dup(fd) for fd in descriptors]  # clear of where they are going
        while high and min(high) < FIRST_FD + len(high):
            high = [os.dup(fd) for fd in high]
        os.dup2(log, 2)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        for number, fd in enumerate(high):
            os.dup2(fd, FIRST_FD + number)
        os.closerange(FIRST_FD + len(high), 4096)
        os.execve(args[0], args, {**environment, "LISTEN_PID": str(os.getpid())})

    def send_signal(self, number):
        signal.pidfd_send_signal(self.pidfd, number)

    def poll(self):
        return self.returncode

    def wait(self):
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self.pidfd)
        return self.returncode


class ManagedServer(Server):
    def __init__(self, directory, *args, abstract=True):  # pylint: disable=super-init-not-called
        self.socket = os.path.join(directory, "sock")
        self.log_path = os.path.join(directory, "log")
        self.args = args
        self.stored = []  # (name, descriptor)
        self.starts = 0
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.socket)
        self.listener.listen(128)
        address = "actiondfs-test-%d-%s" % (os.getpid(), os.path.basename(directory))
        self.notify_path = "@" + address if abstract else os.path.join(directory, "notify")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind("\0" + address if abstract else self.notify_path)
        self.start()

    def start(self):
        names = [SOCKET_NAME] + [name for name, _ in self.stored]
        descriptors = [self.listener.fileno()] + [fd for _, fd in self.stored]
        environment = {**os.environ, "NOTIFY_SOCKET": self.notify_path, "LISTEN_FDS": str(len(names)),
                       "LISTEN_FDNAMES": ":".join(names)}
        args = [PROGRAM, "serve", "--foreground", "--socket", "/nonexistent/unused", *self.args]
        log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.process = Process(args, environment, descriptors, log)
        os.close(log)
        self.starts += 1
        ready = False
        while not ready:
            readable, _, _ = select.select([self.notify, self.process.pidfd], [], [])
            if self.notify not in readable:
                raise RuntimeError("the server ended with %d: %s" % (self.process.wait(), self.log()))
            ready = self.take_message()

    def take_message(self):
        """True: the service says that it is ready."""
        data, ancillary, _, _ = self.notify.recvmsg(4096, socket.CMSG_SPACE(4 * 16), socket.MSG_DONTWAIT)
        fields = dict(line.split("=", 1) for line in data.decode().split("\n") if line)
        descriptors = array.array("i")
        for _, _, content in ancillary:
            descriptors.frombytes(content)
        if fields.get("FDSTORE") == "1":
            # The latest comes first, as with systemd.
            self.stored[:0] = [(fields["FDNAME"], fd) for fd in descriptors]
        if fields.get("FDSTOREREMOVE") == "1":
            for name, fd in [entry for entry in self.stored if entry[0] == fields["FDNAME"]]:
                os.close(fd)
                self.stored.remove((name, fd))
        return fields.get("READY") == "1"

    def take_messages(self):
        while select.select([self.notify], [], [], 0)[0]:
            self.take_message()

    def stored_names(self):
        self.take_messages()
        return sorted({name for name, _ in self.stored})

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        if self.process.wait() != -signal.SIGKILL:
            raise RuntimeError("the server ended by itself: " + self.log())
        self.take_messages()  # it had sent them before

    def kill_and_restart(self):
        self.kill()
        self.start()

    def close(self):
        self.take_messages()
        for _, fd in self.stored:
            os.close(fd)
        self.stored = []
        self.listener.close()
        self.notify.close()

    def stop(self):
        status = super().stop()
        self.take_messages()
        return status
