#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
#	damage.pl --list	the kinds of damage, with what files have them
#	damage.pl KIND FILE	make that damage in a sound file
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Damage;

if (@ARGV == 1 && $ARGV[0] eq '--list') {
	print "$_\n" for Damage::kinds();
	exit;
}
die "Usage: damage.pl --list | KIND FILE\n" if @ARGV != 2;
Damage::make(@ARGV);
