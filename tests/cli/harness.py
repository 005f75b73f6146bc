# SPDX-License-Identifier: Apache-2.0
"""What the tests of the command line share: the program, a scratch directory, and running the one in the other."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["ACTIONDFS"]
DIGEST = re.compile(r"[0-9a-f]{64}/[0-9]+")
NOBODY = 65534


class CliTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="actiondfs-cli-test.")
        os.chmod(self.dir, 0o755)
        # rm(1) and not rmtree: trees here are deeper than Python's stack.
        self.addCleanup(subprocess.run, ["rm", "-rf", self.dir], check=True)
        self.src = self.path("src")
        os.mkdir(self.src)
        self.cas = self.path("cas")

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def write(self, name, data=b"", mode=0o644):
        path = os.path.join(self.src, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, mode)
        return path

    def run_program(self, *args, **kwargs):
        return subprocess.run([PROGRAM, *args], stdin=subprocess.DEVNULL, capture_output=True, **kwargs)

    def succeed(self, *args, **kwargs):
        """Its stdout, as bytes."""
        done = self.run_program(*args, **kwargs)
        self.assertEqual(done.returncode, 0, done.stderr.decode(errors="replace"))
        return done.stdout

    def fail_with(self, code, *args, **kwargs):
        """Its lines on stderr. What fails must not print a digest."""
        done = self.run_program(*args, **kwargs)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertNotRegex(done.stdout.decode(), DIGEST)
        lines = done.stderr.decode().splitlines()
        self.assertTrue(lines)
        return lines

    def import_tree(self, *args):
        out = self.succeed("import", self.src, "--cas", self.cas, *args).decode()
        digest = out.splitlines()[-1]
        self.assertRegex(digest, DIGEST)
        return digest

    def run_as_nobody(self, *args):
        """The program with neither root's powers nor its groups; for others, as it is."""
        if os.geteuid() != 0:
            return self.run_program(*args)
        program = self.path("program")
        if not os.path.exists(program):
            shutil.copy(PROGRAM, program)
            os.chmod(program, 0o755)
        return subprocess.run([program, *args], stdin=subprocess.DEVNULL, capture_output=True,
                              user=NOBODY, group=NOBODY, extra_groups=[])

    def blob(self, digest):
        """The file of "<hash>/<size>" in the (sharded) store."""
        name = digest.split("/")[0]
        return os.path.join(self.cas, name[:2], name)
