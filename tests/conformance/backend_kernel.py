# SPDX-License-Identifier: Apache-2.0
"""actiondfs.ko, by mount(8) alone; mode overlay is overlayfs above a read-only mount, as the hook makes it."""
import errno
import os
import subprocess

from backend import Backend, MountError, Unavailable


class KernelBackend(Backend):
    def start(self):
        with open("/proc/filesystems", encoding="utf-8") as file:
            if "\tactiondfs\n" not in file.read():
                raise Unavailable("this kernel does not have the filesystem actiondfs")
        self.kmsg = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self.kmsg, 0, os.SEEK_END)
        self.seen = ""

    def mount(self, digest, mode, point, stage, options):
        words = ["root=%s" % digest[0], "root_size=%d" % digest[1], "cas=%s" % self.store.path, "layout=sharded",
                 *("%s=%s" % item for item in options.items())]
        if mode == "strict":
            words.append("stage=%s" % stage)
        if mode != "overlay":
            self.mount_tree(words, point)
            return
        lower, upper, work = (os.path.join(stage, name) for name in ("lower", "upper", "work"))
        for path in (lower, upper, work):
            os.makedirs(path, exist_ok=True)
        self.mount_tree(words, lower)
        # The merged top shows the upper directory's own attributes: those of an input directory.
        top = os.lstat(lower)
        os.chown(upper, top.st_uid, top.st_gid)
        os.chmod(upper, top.st_mode & 0o777)
        os.utime(upper, ns=(top.st_atime_ns, top.st_mtime_ns))
        layers = "lowerdir=%s,upperdir=%s,workdir=%s,redirect_dir=on" % (lower, upper, work)
        try:
            self.run("mount", "-t", "overlay", "-o", layers + ",nosuid,nodev", "actiondfs", point)
        except MountError:
            subprocess.run(["umount", lower], check=True)
            raise

    def mount_tree(self, words, point):
        self.run("mount", "-t", "actiondfs", "-o", ",".join([*words, "nosuid", "nodev"]), "none", point)

    @staticmethod
    def run(*args):
        done = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise MountError(done.stderr)

    def unmount(self, point):
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            lines = [line.split(" ") for line in file]
        below = [line for line in lines if line[4] == point]
        super().unmount(point)
        for line in below:
            for option in line[-1].rstrip("\n").split(","):
                if option.startswith("lowerdir="):
                    subprocess.run(["umount", option[len("lowerdir="):]], check=True)

    def log(self):
        while True:
            try:
                record = os.read(self.kmsg, 8192)
            except OSError as error:
                if error.errno == errno.EPIPE:
                    continue  # records were lost to newer ones: the next read goes on after them
                if error.errno == errno.EAGAIN:
                    return self.seen
                raise
            self.seen += record.decode(errors="replace").split(";", 1)[1].split("\n", 1)[0] + "\n"
