#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The seed corpus of the Directory parser: valid messages, and one or more for each fault. The outcome in a file's name is
the parser's name of the fault, or "none"."""
import sys

import seed_corpus

msg, num, tag = seed_corpus.wire.msg, seed_corpus.wire.num, seed_corpus.wire.tag

FILES, DIRECTORIES, SYMLINKS, PROPERTIES = 1, 2, 3, 5
NAME, DIGEST, TARGET, EXECUTABLE = 1, 2, 2, 4
FILE_PROPERTIES, SYMLINK_PROPERTIES = 6, 4
HASH = b"0123456789abcdef" * 4


def digest(hash_=HASH, size=7):
    return msg(DIGEST, msg(1, hash_) + num(2, size))


def node(name, extra=b""):
    return msg(NAME, name) + digest() + extra


def file(name, extra=b""):
    return msg(FILES, node(name, extra))


def directory(name, extra=b""):
    return msg(DIRECTORIES, node(name, extra))


def link(name, target=b"t", extra=b""):
    return msg(SYMLINKS, msg(NAME, name) + msg(TARGET, target) + extra)


def bare(*fields):
    """A file without anything but these fields."""
    return msg(FILES, b"".join(fields))


def mtime(seconds, nanos):
    return msg(2, num(1, seconds) + num(2, nanos))


def mode(value):
    return msg(3, num(1, value))


def unknown():
    return num(100, 1) + tag(101, 1) + b"8 bytes." + msg(102, b"\xff\x00") + tag(103, 5) + b"4 b."


def properties():
    return msg(1, msg(1, b"key") + msg(2, b"value")) + mtime(1234567890, 999999999) + mode(0o755)


def valid():
    name = msg(NAME, b"n")
    yield "empty", b""
    yield "file", file(b"f")
    yield "executable", file(b"f", num(EXECUTABLE, 1))
    yield "executable-is-any-number", file(b"f", num(EXECUTABLE, 1 << 40))
    yield "directory", directory(b"d")
    yield "symlink", link(b"l", b"../target")
    yield "all", file(b"b") + file(b"c") + directory(b"a") + directory(b"d") + link(b"e") + link(b"f")
    yield "interleaved", link(b"a") + file(b"b") + directory(b"c") + file(b"d") + link(b"e")
    yield "file-properties", file(b"f", msg(FILE_PROPERTIES, properties()))
    yield "symlink-properties", link(b"l", b"t", msg(SYMLINK_PROPERTIES, properties()))
    yield "own-properties", msg(PROPERTIES, properties())
    yield "empty-properties", file(b"f", msg(FILE_PROPERTIES, msg(2, b"") + msg(3, b"")))
    yield "first-second", file(b"f", msg(FILE_PROPERTIES, mtime(-62135596800, 0)))
    yield "last-second", file(b"f", msg(FILE_PROPERTIES, mtime(253402300799, 999999999)))
    yield "mode-of-64-bits", file(b"f", msg(FILE_PROPERTIES, mode(1 << 40 | 0o644)))
    yield "nanos-of-64-bits", file(b"f", msg(FILE_PROPERTIES, mtime(0, 1 << 32 | 5)))
    yield "unknown-fields", unknown() + file(b"f", unknown()) + unknown()
    yield "unknown-in-digest", bare(name, msg(DIGEST, unknown() + msg(1, HASH)))
    yield "unknown-in-properties", file(
        b"f", msg(FILE_PROPERTIES, unknown() + msg(1, unknown()) + msg(2, unknown()) + msg(3, unknown())))
    yield "name-of-255-bytes", file(b"x" * 255)
    yield "target-of-4095-bytes", link(b"l", b"t" * 4095)
    yield "utf8-names", b"".join(
        file(n.encode()) for n in ("\x01", "\x7f", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff",
                                   "\U00010000", "\U0010ffff"))
    yield "size-0", bare(name, digest(size=0))
    yield "size-max", bare(name, digest(size=(1 << 63) - 1))
    yield "name-twice-last-counts", bare(msg(NAME, b".."), node(b"n"))
    yield "hash-twice-last-counts", bare(name, msg(DIGEST, msg(1, b"x") + msg(1, HASH)))
    yield "digest-in-two-parts", bare(name, msg(DIGEST, msg(1, HASH)), msg(DIGEST, num(2, 9)))
    yield "properties-in-two-parts", file(
        b"f", msg(FILE_PROPERTIES, msg(2, num(1, 5))) + msg(FILE_PROPERTIES, msg(2, num(2, 6)) + mode(1)))
    yield "own-properties-in-two-parts", msg(PROPERTIES, mtime(1, 2)) + file(b"f") + msg(PROPERTIES, mode(0o700))
    yield "long-varints", (b"\x8a\x80\x80\x80\x00" + bytes([len(node(b"n")) | 0x80]) + b"\x80\x80\x80\x00" +
                           node(b"n"))
    yield "value-of-10-bytes", num(100, -1)
    yield "highest-field-number", num((1 << 29) - 1, 0)


def wire_faults():
    name = msg(NAME, b"n")
    yield "truncated-field.tag", b"\x80"
    yield "truncated-field.length", tag(FILES, 2)
    yield "truncated-field.varint", tag(100, 0) + b"\xff"
    yield "truncated-field.fixed64", tag(100, 1) + b"1234567"
    yield "truncated-field.fixed32", tag(100, 5) + b"123"
    yield "overlong-varint.11-bytes", tag(100, 0) + b"\x80" * 10 + b"\x00"
    yield "overlong-varint.65-bits", tag(100, 0) + b"\xff" * 9 + b"\x02"
    yield "overlong-varint.tag-of-6-bytes", b"\x8a\x80\x80\x80\x80\x00\x00"
    yield "overlong-varint.tag-of-33-bits", b"\x8a\x80\x80\x80\x10\x00"
    yield "overlong-varint.length-of-6-bytes", tag(FILES, 2) + b"\x80\x80\x80\x80\x80\x00"
    yield "length-past-end.by-one", file(b"f")[:-1]
    yield "length-past-end.4-gib", tag(FILES, 2) + b"\xff\xff\xff\xff\x0f"
    yield "length-past-end.of-its-node", bare(tag(NAME, 2) + b"\x09") + file(b"after")
    yield "field-number-zero.number", num(0, 1)
    yield "field-number-zero.in-node", file(b"f", msg(0, b"x"))
    yield "group.start-and-end", tag(100, 3) + num(1, 1) + tag(100, 4)
    yield "group.start", tag(100, 3)
    yield "group.end", tag(100, 4)
    yield "group.for-files", tag(FILES, 3) + tag(FILES, 4)
    yield "unknown-wire-type.6", tag(100, 6)
    yield "unknown-wire-type.7", tag(FILES, 7)
    yield "wrong-wire-type.files", num(FILES, 1)
    yield "wrong-wire-type.own-properties", num(PROPERTIES, 1)
    yield "wrong-wire-type.name", bare(num(NAME, 1), node(b"n"))
    yield "wrong-wire-type.digest", file(b"n", num(DIGEST, 1))
    yield "wrong-wire-type.size", bare(name, msg(DIGEST, msg(1, HASH) + msg(2, b"7")))
    yield "wrong-wire-type.executable", file(b"n", tag(EXECUTABLE, 5) + b"\x01\x00\x00\x00")
    yield "wrong-wire-type.target", msg(SYMLINKS, name + num(TARGET, 1))
    yield "wrong-wire-type.mtime", file(b"n", msg(FILE_PROPERTIES, num(2, 1)))
    yield "wrong-wire-type.mode", file(b"n", msg(FILE_PROPERTIES, num(3, 0o644)))
    yield "string-not-utf8.overlong", file(b"\xc0\xaf")
    yield "string-not-utf8.surrogate", file(b"\xed\xa0\x80")
    yield "string-not-utf8.past-last", file(b"\xf4\x90\x80\x80")
    yield "string-not-utf8.cut", file(b"\xf0\x9f\x98")
    yield "string-not-utf8.target", link(b"l", b"\xff")
    yield "string-not-utf8.hash", bare(name, digest(b"\xff" * 64))
    yield "string-not-utf8.property", msg(PROPERTIES, msg(1, msg(2, b"\x80")))
    yield "string-not-utf8.name-given-before-another", bare(msg(NAME, b"\xff"), node(b"n"))


def name_faults():
    yield "empty-name.given", file(b"")
    yield "empty-name.missing", bare(digest())
    yield "empty-name.empty-node", bare()
    yield "dot-name.file", file(b".")
    yield "dot-dot-name.directory", directory(b"..")
    yield "slash-in-name.middle", file(b"a/b")
    yield "slash-in-name.alone", link(b"/")
    yield "nul-in-name.end", file(b"a\x00")
    yield "name-over-255-bytes.256", file(b"x" * 256)
    yield "duplicate-name.file-file", file(b"a") + file(b"a")
    yield "duplicate-name.file-directory", file(b"a") + file(b"b") + directory(b"b")
    yield "duplicate-name.file-symlink", file(b"a") + link(b"a")
    yield "duplicate-name.directory-symlink", directory(b"a") + directory(b"c") + link(b"b") + link(b"c")
    yield "duplicate-name.interleaved", file(b"a") + directory(b"b") + file(b"b")
    yield "unsorted-names.files", file(b"b") + file(b"a")
    yield "unsorted-names.prefix", file(b"ab") + file(b"a")
    yield "unsorted-names.apart", directory(b"b") + file(b"c") + directory(b"a")
    yield "unsorted-names.bytes-are-unsigned", file("\u00e9".encode()) + file(b"z")


def entry_faults():
    name = msg(NAME, b"n")
    yield "missing-digest.file", bare(name)
    yield "missing-digest.directory", msg(DIRECTORIES, name)
    yield "malformed-hash.empty-digest", bare(name, msg(DIGEST, b""))
    yield "malformed-hash.uppercase", bare(name, digest(HASH.upper()))
    yield "malformed-hash.not-hex", bare(name, digest(HASH[:-1] + b"g"))
    yield "malformed-hash.63-digits", bare(name, digest(HASH[1:]))
    yield "malformed-hash.65-digits", bare(name, digest(HASH + b"0"))
    yield "negative-size.file", bare(name, digest(size=-1))
    yield "negative-size.directory", msg(DIRECTORIES, name + digest(size=-(1 << 63)))
    yield "empty-target.given", link(b"l", b"")
    yield "empty-target.missing", msg(SYMLINKS, name)
    yield "nul-in-target.middle", link(b"l", b"a\x00b")
    yield "target-over-4095-bytes.4096", link(b"l", b"t" * 4096)
    yield "mtime-seconds-out-of-range.year-0", file(b"n", msg(FILE_PROPERTIES, mtime(-62135596801, 0)))
    yield "mtime-seconds-out-of-range.year-10000", msg(PROPERTIES, mtime(253402300800, 0))
    yield "mtime-nanos-out-of-range.negative", link(b"n", b"t", msg(SYMLINK_PROPERTIES, mtime(0, -1)))
    yield "mtime-nanos-out-of-range.a-second", file(b"n", msg(FILE_PROPERTIES, mtime(0, 1000000000)))


def files():
    found = {"none." + name: data for name, data in valid()}
    for faults in (wire_faults, name_faults, entry_faults):
        found.update(faults())
    return found


if __name__ == "__main__":
    sys.exit(seed_corpus.main(files()))
