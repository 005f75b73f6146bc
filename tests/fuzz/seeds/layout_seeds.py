#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seeds of layout_fuzz: directories of each layout, of two, and of none."""
import sys

import seed_corpus


def seeds():
    yield "sharded.one", "01/#"
    yield "sharded.among-others", "README\nab/nothing\n01/#\n.tmp-actiondfs/x\nac"
    yield "flat.one", "#"
    yield "sharded-suffix.one", "01/$\nff/$"
    yield "hash-size.two", "#-0\n#-9223372036854775807"
    yield "none.empty", ""
    yield "none.other-names", "cas\nac/0123\n0g/#\nAB/#\n#x\n#-\n#--1\n#-01\n#-9223372036854775808"
    yield "none.another-shard", "02/#"
    yield "none.shard-is-a-file", "01"
    yield "none.directories", "#/x\n#-7/x"
    yield "refused.two-in-one-shard", "01/#\n01/$"
    yield "refused.flat-and-sharded", "01/#\n#"
    yield "refused.flat-and-sized", "#\n#-7"
    yield "sharded.names-that-cannot-be", "..\n../#\n01/..\n/\n01/#\na/b/c"


def files():
    return {name: text.encode() for name, text in seeds()}


if __name__ == "__main__":
    sys.exit(seed_corpus.main(files()))
