#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: V4 files of the future, before the guest: a feature that is not known
# leaves it without the disk, or with one that it can only read, or is kept while
# the file is written, frozen and merged.
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole
need_moo

pattern base.img BASE 2048

# feature FILE WORD VALUE: set in the header in force
feature()
{
	perl "$boot_top/tests/fast/v4.pl" "$1" set "$2" "$3"
}

# has FILE WORD: what stands there
has()
{
	perl "$boot_top/tests/fast/v4.pl" "$1" get "$2"
}

for file in in ro co low; do
	moo create -V 4 $file.cow base.img
done
boot made ubd0=in.cow ubd1=ro.cow ubd2=co.cow ubd3=low.cow <<'EOF'
for d in a b c d; do sect put /dev/ubd$d AAAA 8 8; done
EOF
ended_well made "files of today"
feature in.cow incompatible 1024
feature ro.cow ro_compatible 4611686018427387904
feature co.cow compatible 9223372036854775809
feature low.cow ro_compatible 4
moo create -V 4 over.cow low.cow
cksum in.cow ro.cow low.cow >before

start one ubd0=in.cow ubd1=ro.cow ubd2=co.cow ubd3=over.cow <<'EOF'
disks
sect info /dev/ubdb
sect map /dev/ubdb 0 24
sect put /dev/ubdb BBBB 0 8 2>/dev/null || echo refused
sect put /dev/ubdc BBBB 16 8
sect put /dev/ubdd BBBB 16 8
sect trim /dev/ubdc 8 4
sect flush /dev/ubdc
point a
sect put /dev/ubdc CCCC 24 8
point b
for d in c d; do sect map /dev/ubd$d 0 40; done
EOF
await one a
is "$(out one | sed -n 1p)" "ubdb ubdc ubdd " "incompatible: no disk"
holds "and the host is told" host_says one \
	"in.cow: it uses a feature that this program does not know"
like "$(out one | sed -n 2p)" " ro=1 " "compatible for readers: read-only"
is "$(out one | sed -n 3p)" "0+8=BASE 8+8=AAAA 16+8=BASE" "its data is there"
is "$(out one | sed -n 4p)" refused "it is not written"
holds "and the host is told why" host_says one \
	"ro.cow is opened read-only: it has features that only a later version"
like "$(mconsole one snapshot ubdb=new.cow)" "^ERR .*read-only" \
	"nor can it be frozen"
like "$(mconsole one unsnapshot ubdd force)" \
	"^ERR .*low.cow: it has features that only a later version may write" \
	"nor merged into"
like "$(mconsole one snapshot ubdc=snap.cow)" "^OK " \
	"compatible: it is written and frozen"
go a
await one b
like "$(mconsole one unsnapshot ubdc delete)" "co.cow is the top again" "merged"
go b
ended_well one "the guest ended"
is "$(out one | sed -n 5,6p)" "0+8=BASE 8+4=zero 12+4=AAAA 16+8=BBBB 24+8=CCCC 32+8=BASE
0+8=BASE 8+8=AAAA 16+8=BBBB 24+16=BASE" "all data is there"
is "$(has co.cow compatible)" 9223372036854775809 "the feature is kept"
is "$(cksum in.cow ro.cow low.cow)" "$(cat before)" "the others did not change"
finish
