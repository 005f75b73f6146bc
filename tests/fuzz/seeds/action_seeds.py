#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seeds of action_fuzz: an Action and its Command."""
import sys

import seed_corpus

msg, num = seed_corpus.wire.msg, seed_corpus.wire.num

HASH = "0123456789abcdef" * 4
COMMAND_DIGEST, INPUT_ROOT_DIGEST, ACTION_PLATFORM = 1, 2, 10
ARGUMENTS, COMMAND_PLATFORM, WORKING_DIRECTORY = 1, 5, 6


def digest(field, hash_=HASH, size=7):
    return msg(field, msg(1, hash_) + num(2, size))


def platform(field, *values, name="mutates_inputs"):
    return msg(field, b"".join(msg(1, msg(1, name) + msg(2, value)) for value in values))


ACTION = digest(COMMAND_DIGEST) + digest(INPUT_ROOT_DIGEST)
COMMAND = msg(ARGUMENTS, "make") + msg(WORKING_DIRECTORY, "src/a")


def seed(action=ACTION, command=COMMAND):
    return len(action).to_bytes(2, "little") + action + command


def seeds():
    yield "accepted.plain", seed()
    yield "accepted.empty-command", seed(command=b"")
    yield "accepted.unknown-fields", seed(num(99, 1) + ACTION + msg(98, b"\xff"), COMMAND + num(77, 1))
    yield "accepted.action-mutates", seed(ACTION + platform(ACTION_PLATFORM, "true", "1"))
    yield "accepted.command-does-not", seed(command=COMMAND + platform(COMMAND_PLATFORM, "no"))
    yield "accepted.other-property", seed(ACTION + platform(ACTION_PLATFORM, "x", name="OSFamily"))
    yield "action.empty", b""
    yield "action.no-input-root", seed(digest(COMMAND_DIGEST))
    yield "action.no-command", seed(digest(INPUT_ROOT_DIGEST))
    yield "action.hash-upper", seed(digest(COMMAND_DIGEST, HASH.upper()) + digest(INPUT_ROOT_DIGEST))
    yield "action.hash-control", seed(digest(COMMAND_DIGEST) + digest(INPUT_ROOT_DIGEST, "\x1b[2J" * 16))
    yield "action.size-negative", seed(digest(COMMAND_DIGEST) + digest(INPUT_ROOT_DIGEST, size=-1))
    yield "action.malformed", seed(b"\x0a\xff\xff")
    yield "action.flag", seed(ACTION + platform(ACTION_PLATFORM, "perhaps"))
    yield "action.flags-differ", seed(ACTION + platform(ACTION_PLATFORM, "1", "0"))
    yield "command.malformed", seed(command=b"\x32\x05a")
    yield "command.not-utf8", seed(command=msg(WORKING_DIRECTORY, b"\xff"))
    for name, path in (("absolute", "/src"), ("above", "../src"), ("dot", "a/./b"), ("empty-part", "a//b"),
                       ("control", "a\nb"), ("long", "a/" * 2047 + "abc")):
        yield "command.directory-" + name, seed(command=msg(WORKING_DIRECTORY, path))


def files():
    return dict(seeds())


if __name__ == "__main__":
    sys.exit(seed_corpus.main(files()))
