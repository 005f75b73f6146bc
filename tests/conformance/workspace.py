# SPDX-License-Identifier: Apache-2.0
"""The frame of the suite: each class of tests runs once for each mode and each user that it is meant for.

    @variants("strict", "overlay", "plain")
    class Renaming(Workspace):
        tree = {"file": b"content"}
        def test_...(self): ...

Before each test `tree` is mounted at `point`, owned by the user of the variant: "root", or "user" (uid 1000), who
then runs the test in a process of their own. What the table says is stated with `answers`; where a backend is
allowed to say something else, that is in differences.py.
"""
import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import differences
from backend import MountError, Unavailable, make_backend
from calls import as_user, errno_name, mounts_below, touch, write_file
from store import Store

USER = 1000
EPOCH = 946684800


class Run:
    """The one run of this process: its directory, store and backend."""
    directory = None
    store = None
    backend = None
    count = 0


def variants(*modes, users=("root", "user")):
    """Makes TestCases of a class, one for each mode and user."""
    def decorate(cls):
        module = sys.modules[cls.__module__].__dict__
        for mode in modes:
            for user in users:
                name = "%s_%s_%s" % (cls.__name__, mode, user)
                body = {"mode": mode, "user": user, "uid": 0 if user == "root" else USER, "__module__": cls.__module__,
                        "__doc__": cls.__doc__}
                for attribute in dir(cls):
                    method = getattr(cls, attribute)
                    if attribute.startswith("test") and user == "user":
                        body[attribute] = None if hasattr(method, "by_root") else by_user(method)
                module[name] = type(name, (cls, unittest.TestCase), body)
        return cls

    return decorate


def by_root(method):
    """Marks a test that needs root's powers: it is not in the variant of another user."""
    method.by_root = True
    return method


def by_user(method):
    @functools.wraps(method)
    def run(self):
        def inside():
            # What is opened ends with the process; the parent undoes what it did itself.
            self.addCleanup = lambda *args, **kwargs: None
            method(self)

        as_user(inside, uid=self.uid)

    return run


class Workspace:
    tree = {}
    options = {}
    mode = user = uid = None  # of the variant

    def setUp(self):
        self.stage = self.lower = None
        self.point = self.mount(self.tree)
        self.prepare()

    def prepare(self):
        """What a class does, as root, in the mounted workspace before each test."""

    @contextlib.contextmanager
    def subTest(self, **parameters):
        """The first that fails ends the test: unittest's own would lose what fails in a child process."""
        try:
            yield
        except unittest.SkipTest:
            raise
        except Exception as error:
            error.add_note("in %s" % parameters)
            raise

    # ---- mounts ----

    def mount(self, tree, mode=None, stage=None, **options):
        """The mount point. `tree`: a dictionary, or a digest that is in the store (or is not)."""
        digest = tree if isinstance(tree, tuple) else Run.store.make_tree(tree)
        mode = mode or self.mode
        if mode in ("strict", "overlay"):
            stage = self.stage = stage or self.scratch("stage")
        point = self.scratch("mnt")
        options = {"uid": self.uid, "gid": self.uid, **self.options, **options}
        Run.backend.mount(digest, mode, point, stage, options)
        self.addCleanup(Run.backend.unmount, point)
        return point

    def unmount(self, point):
        Run.backend.unmount(point)

    def scratch(self, name):
        """A new directory of an ordinary file system, that of the store and the stages; it belongs to the user."""
        Run.count += 1
        path = os.path.join(Run.directory, "%s%d" % (name, Run.count))
        os.mkdir(path, 0o755)
        os.chown(path, self.uid, self.uid)
        return path

    def path(self, *names):
        return os.path.join(self.point, *names)

    def real(self, name):
        """The real file of something staged."""
        return os.path.join(Run.backend.real_root(self.mode, self.point, self.stage), name)

    def new(self, name, data=b"new\n", mode=0o644):
        write_file(self.path(name), data, mode=mode)
        return self.path(name)

    def fill(self, directory, count, name="f%d"):
        for i in range(count):
            touch(self.path(directory, name % i))

    def open(self, name, flags=os.O_RDONLY, mode=0o644):
        fd = os.open(self.path(name), flags, mode)
        self.addCleanup(os.close, fd)
        return fd

    # ---- what is expected ----

    def answers(self, expected, function, *args, differs=None, **kwargs):
        """The call's errno ("OK" if it succeeds) is `expected`, or what differences.py has under `differs`."""
        if differs is not None:
            expected = differences.answer(differs, self, expected)
        self.assertEqual(errno_name(function, *args, **kwargs), expected, "%s%s" % (getattr(function, "__name__", ""), args))

    def as_reference(self, function, *args, differs=None):
        """function(directory, *args) returns the same in the workspace as in an ordinary directory."""
        expected = function(self.reference, *args)
        if differs is not None:
            expected = differences.answer(differs, self, expected)
        self.assertEqual(function(self.point, *args), expected)

    @property
    def backend(self):
        return Run.backend

    @property
    def store(self):
        return Run.store

    def log(self):
        return Run.backend.log()


class WithReference(Workspace):
    """Has an ordinary directory of the stage's file system beside the workspace."""

    def setUp(self):
        super().setUp()
        self.reference = self.scratch("reference")
        self.addCleanup(shutil.rmtree, self.reference)


@contextlib.contextmanager
def prepared_run():
    """Everything the tests need; gives a list, to which problems that show at the end are added."""
    Run.directory = tempfile.mkdtemp(prefix="actiondfs-conformance.", dir=os.environ.get("ACTIONDFS_TEST_DIR", "/var/tmp"))
    problems = []
    try:
        os.chmod(Run.directory, 0o755)
        Run.store = Store(os.path.join(Run.directory, "cas"))
        Run.backend = make_backend(Run.directory, Run.store)
        Run.backend.start()
        try:
            yield problems
        finally:
            if not Run.backend.stop():
                problems.append("the backend did not end well")
        for line in reversed(mounts_below(Run.directory)):
            problems.append("this mount was left: " + line.strip())
            subprocess.run(["umount", "-l", line.split(" ")[4]], check=True)
        if Run.store.damaged():
            problems.append("blobs of the store were changed")
    finally:
        subprocess.run(["rm", "-rf", "--one-file-system", Run.directory], check=True)


def tests_of(suite):
    """The suite's tests that are for this backend."""
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests_of(item)
        elif getattr(item, "mode", None) in (None, *Run.backend.modes):
            yield item


def say_skipped(result):
    """Which tests of a run were skipped, and why; tests/kernel/guest/run_all.sh looks for these lines."""
    for test, reason in result.skipped:
        print("skipped: %s: %s" % (test.id().removeprefix("__main__."), reason))


def run(make_suite):
    """Runs the suite and ends the process: 0, 1, or 77 where nothing could run."""
    if os.geteuid() != 0:
        print("skipped: mounting needs root")
        sys.exit(77)
    try:
        with prepared_run() as problems:
            suite = unittest.TestSuite(tests_of(make_suite()))
            result = unittest.TextTestRunner(verbosity=2 if "-v" in sys.argv else 1).run(suite)
    except Unavailable as reason:
        print("skipped:", reason)
        sys.exit(77)
    say_skipped(result)
    for problem in problems:
        print("FAILED:", problem, file=sys.stderr)
    if result.testsRun == len(result.skipped):
        print("skipped: nothing here is for", Run.backend.name)
        sys.exit(77)
    sys.exit(0 if result.wasSuccessful() and not problems else 1)


def main():
    """For a file of tests that is run by itself; its arguments are names of tests, as unittest has them."""
    names = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    module = sys.modules["__main__"]
    loader = unittest.TestLoader()
    run(lambda: loader.loadTestsFromNames(names, module) if names else loader.loadTestsFromModule(module))


__all__ = ["EPOCH", "USER", "MountError", "Run", "WithReference", "Workspace", "by_root", "main", "run", "say_skipped",
           "variants"]
