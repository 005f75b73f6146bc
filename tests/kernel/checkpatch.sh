#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/kernel/checkpatch.sh: the kernel's own style checker, from Debian's linux-source, over the module. Lines may
# have 100 columns, as checkpatch has it by default for code.
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need perl

# Only the checker and its word lists, unless the whole source is there.
fill_checkpatch() {
  need apt-get dpkg-deb xz
  download linux-source-6.12 "$1"
  dpkg-deb --fsys-tarfile ./linux-source-*.deb | tar -x --to-stdout --wildcards '*.tar.xz' |
    tar -xJ --strip-components=1 --wildcards '*/scripts/checkpatch.pl' '*/scripts/spelling.txt' \
      '*/scripts/const_structs.checkpatch'
  rm ./*.deb
}

version="$(source_version)"
if [ -e "$cache/kernel-source-$version/.complete" ]; then
  tools="$cache/kernel-source-$version/scripts"
else
  tools="$(in_cache "checkpatch-$version" fill_checkpatch "$version")/scripts"
fi

# What it takes for a mistake, and is none.
ignored() {
  case "$1" in
    # Its macros stand for types that differ between kernels.
    */compat.h) echo NEW_TYPEDEFS,MACRO_ARG_UNUSED ;;
    # Another of those macros.
    */actiondfs.h) echo FUNCTION_ARGUMENTS ;;
    # Lists of X(...), and what is done with them: no expressions.
    */stats.[ch] | */uapi/actiondfs_stats.h) echo COMPLEX_MACRO,MACRO_ARG_UNUSED ;;
    */shared/directory_proto.*) echo COMPLEX_MACRO,MACRO_ARG_UNUSED,BRACKET_SPACE ;;
    *) echo NONE ;;
  esac
}

failed=0
for file in "$module_sources"/*.[ch] "$module_sources"/{probes,shared,uapi}/*.[ch]; do
  [ -e "$file" ] || continue
  "$tools/checkpatch.pl" --no-tree --terse --show-types --no-summary --max-line-length=100 \
    --ignore "$(ignored "$file"),FILE_PATH_CHANGES" --file "$file" || failed=1
done
# Nobody waits for a grace period with a lock held if nobody waits for one.
if grep -nE '\bsynchronize_(s?rcu|rcu_expedited)\b' "$module_sources"/*.c; then
  fail "synchronize_rcu() where others may be kept waiting: use call_rcu() or kfree_rcu()"
fi
[ $failed -eq 0 ] || fail "see above"
echo "clean"
