#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# checkpatch --strict over every C file, from the kernel tree that we build.
set -eu

checkpatch=build/kernel-src/scripts/checkpatch.pl

if [ ! -f "$checkpatch" ]; then
	echo "1..0 # SKIP no $checkpatch: make patches"
	exit 0
fi

# Code for the host has no kernel header, and so none of the kernel's types and
# macros; but it does see ENOSYS, and messages that name a verb like a function.
host=PREFER_KERNEL_TYPES,PREFER_DEFINED_ATTRIBUTE_MACRO,ARRAY_SIZE,BIT_MACRO
host=$host,CAMELCASE,ENOSYS,EMBEDDED_FUNCTION_NAME,STRCPY
# Boot arguments are documented in Documentation/ here.
kernel=UNDOCUMENTED_SETUP
# MISSING_SIGN_OFF and FILE_PATH_CHANGES are about mails; LEADING_SPACE finds
# the help text of mconsole, which is indented by spaces.
patch=MISSING_SIGN_OFF,FILE_PATH_CHANGES,LEADING_SPACE

# ignored FILE: the types of complaint that do not apply to it.
ignored() {
	case $1 in
	*.patch) echo "$patch" ;;
	*/ubd_host.c | */ubd_parse.[ch] | */ubd_json.[ch]) echo "$host" ;;
	*/drivers/ubd_*.[ch] | tests/kunit/*) echo "$kernel" ;;
	*) echo "$host" ;;
	esac
}

# check FILE ARGUMENT...: complaints about FILE, to be read as the arguments say.
check() {
	n=$((n + 1))
	file=$1
	ignore=$(ignored "$file")
	shift
	if out=$(perl "$checkpatch" --no-tree --strict --terse --no-summary \
		--show-types --ignore "$ignore" "$@" <"$file")
	then
		echo "ok $n - $file"
	else
		echo "$out" | sed 's/^/# /'
		echo "not ok $n - $file"
	fi
}

n=0
list=$(mktemp)
trap 'rm -f "$list"' EXIT
find arch tools tests -name '*.[ch]' | sort >"$list"
while read -r file; do
	check "$file" -f "$file"
done <"$list"
# A patch comes on standard input: one that git knows, given by its name, would
# be taken for a source file.
for file in patches/*.patch; do
	check "$file" -
done
echo "1..$n"
