#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the module says in the kernel's log: one line for each fault, and no more than a log can bear."""
import os
import sys
import time

from kit import Guest, HERE, Raw, main, read_file, reapi
from backend_kernel import KernelBackend

sys.path.append(str(HERE.parent.parent / "fuzz" / "seeds"))
import directory_proto_seeds  # noqa: E402  (the path comes first)

# Of a mount, in each interval that begins with a line: params.c, and the kernel's DEFAULT_RATELIMIT_INTERVAL.
BURST, INTERVAL = 20, 5


class Log(Guest):
    def setUp(self):
        super().setUp()
        self.backend = KernelBackend("kernel", self.directory, self.store)
        self.backend.start()
        self.addCleanup(lambda: os.close(self.backend.kmsg))

    def lines(self, digest):
        """What was said of that blob since the test began."""
        return [line for line in self.backend.log().splitlines() if reapi.text(digest) in line]

    def test_each_refused_directory_once(self):
        corpus = directory_proto_seeds.files()
        self.assertGreater(len(corpus), BURST)
        for name, data in corpus.items():
            fault, digest = name.split(".")[0], self.store.put(data)
            # As the root, and below one. A mount each: what one may say has a bound.
            for tree, path in ((digest, ""), ({"bad": Raw(digest)}, "/bad")):
                with self.subTest(directory=name, path=path):
                    point, before = self.mount(tree), len(self.lines(digest))
                    self.answers("OK" if fault == "none" else "EUCLEAN", os.listdir, point + path)
                    found = self.lines(digest)[before:]
                    self.assertEqual(len(found), 0 if fault == "none" else 1, found)
                    for line in found:
                        self.assertIn("actiondfs: Directory %s: %s at byte " % (reapi.text(digest), fault), line)

    def test_the_name(self):
        """It lies in the Directory that is refused; a long one where the allocator writes if that is freed first."""
        for name in ("a/b", "x" * 254 + "/"):
            with self.subTest(name=name):
                digest = self.store.put(directory_proto_seeds.file(name.encode()))
                self.answers("EUCLEAN", os.listdir, self.mount(digest))
                self.assertTrue(self.lines(digest)[0].endswith(', name "%s"' % name), self.lines(digest))

    def test_what_is_no_fault_of_the_parser(self):
        missing, short, lying = (reapi.digest_of(data) for data in (b"nowhere", b"this is cut", b"this is a lie"))
        self.store.lie(short, b"this is")
        self.store.lie(lying, b"that is a lie")
        for digest, code, said in ((missing, "EIO", "blob %s: missing from the CAS (error -2)"),
                                   (short, "EIO", "blob %s: short (error -22)"),
                                   (lying, "EUCLEAN", "Directory %s: content has another hash")):
            with self.subTest(said=said):
                self.answers(code, os.listdir, self.mount({"bad": Raw(digest)}) + "/bad")
                self.assertEqual(self.lines(digest), ["actiondfs: " + said % reapi.text(digest)])

    def test_many_lines(self):
        digest = self.store.put(b"this is no Directory, and many look")
        tree = {"bad": Raw(digest), "good": b"good"}
        point, other = self.mount(tree), self.mount(tree)
        begin = time.monotonic()
        for _ in range(1000):
            self.answers("EUCLEAN", os.listdir, point + "/bad")
        intervals = int((time.monotonic() - begin) / INTERVAL) + 1
        found = len(self.lines(digest))
        self.assertLessEqual(found, BURST * intervals)
        self.assertGreaterEqual(found, BURST)
        # That the one has said enough is not the other's, nor for ever.
        self.answers("EUCLEAN", os.listdir, other + "/bad")
        self.assertEqual(len(self.lines(digest)), found + 1)
        time.sleep(INTERVAL + 1)
        self.answers("EUCLEAN", os.listdir, point + "/bad")
        self.assertEqual(len(self.lines(digest)), found + 2)
        self.assertEqual(read_file(point + "/good"), b"good")


if __name__ == "__main__":
    main()
