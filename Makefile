# SPDX-License-Identifier: GPL-2.0-only
#
# Everything that is made ends up below build/.  The kernel's own build is
# called as a whole and knows by itself what has changed; the rest is one
# graph without recursion.

JOBS   ?= $(shell nproc)
BUILD  := build
PREFIX ?= /usr/local
KDIR   ?=

MAKEFLAGS += --no-builtin-rules
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(JOBS)
endif

# Debian's tarball, unless KDIR names a source directory.
KSRC := $(or $(KDIR),/usr/src/linux-source-6.12.tar.xz)

CC       := gcc
WARNINGS := -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes \
	    -Wdeclaration-after-statement -Wvla
CPPFLAGS := -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Iarch/um/drivers/cow \
	    -Iarch/um/drivers
CFLAGS   := -std=gnu11 -O2 -g $(WARNINGS)
FRAME    := -Wframe-larger-than=2048
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all \
	    -fno-omit-frame-pointer
LDLIBS   := -luring -laio -lpthread

# As in the kernel's build: one short line for each step, all of it with V=1.
ifeq ($(V),)
Q := @
step = @printf '  %-7s %s\n' $(1) $@
endif

all: moo kernel
.DEFAULT_GOAL := help

# Tools: build/moo, and the names of the old tools for it.

ENGINE_SRC := $(wildcard arch/um/drivers/cow/*.c)
MOO_SRC    := $(wildcard tools/moo/*.c) arch/um/drivers/ubd_json.c
ENGINE_OBJ := $(ENGINE_SRC:%.c=$(BUILD)/obj/%.o)
MOO_OBJ    := $(MOO_SRC:%.c=$(BUILD)/obj/%.o)

moo: $(BUILD)/moo $(BUILD)/uml_moo $(BUILD)/uml_mkcow

$(BUILD)/moo: $(MOO_OBJ) $(ENGINE_OBJ)
	$(call step,LD)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/uml_moo $(BUILD)/uml_mkcow: | $(BUILD)/moo
	$(Q)ln -sf moo $@

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call step,CC)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(FRAME) -MMD -MP -c -o $@ $<

# Tests in userspace: each tests/DIR/test_NAME.c is a program, linked with the
# helpers of tests/engine, those of its own directory, and the engine, all of
# them under the sanitizers.  ASan widens frames, so FRAME is not asked here.

TEST_DIRS   := tests/engine tests/crash tests/fault
TEST_SRC    := $(wildcard $(TEST_DIRS:%=%/*.c))
TEST_MAIN   := $(foreach f,$(TEST_SRC),$(if $(filter test_%,$(notdir $f)),$f))
TEST_HELPER := $(filter-out $(TEST_MAIN),$(TEST_SRC))
TEST_PROG   := $(TEST_MAIN:%.c=$(BUILD)/%)
SAN_ENGINE  := $(ENGINE_SRC:%.c=$(BUILD)/san/%.o)

define test_program
$(BUILD)/$(1:%.c=%): $(1:%.c=$(BUILD)/san/%.o) $(SAN_ENGINE) \
	$(patsubst %.c,$(BUILD)/san/%.o,$(filter tests/engine/% $(dir $(1))%,\
	$(TEST_HELPER)))
endef
$(foreach f,$(filter-out %/test_sequences.c,$(TEST_MAIN)),\
	$(eval $(call test_program,$f)))

# Those of tests/fault look at files as "moo check" does.
SAN_MOO     := $(patsubst %.c,$(BUILD)/san/%.o,$(filter-out %/moo.c,$(MOO_SRC)))
$(filter $(BUILD)/tests/fault/%,$(TEST_PROG)): $(SAN_MOO)

# What the driver is told in words needs nothing else of it.
PARSE_SRC   := arch/um/drivers/ubd_parse.c
$(BUILD)/tests/engine/test_parse: $(PARSE_SRC:%.c=$(BUILD)/san/%.o)

# The long search for bad crash states: millions of them, so without sanitizers,
# which watch the same engine in the other tests.
SEARCH      := $(BUILD)/tests/crash/test_sequences
SEARCH_SRC  := $(filter-out %/test_crash.c %/test_group.c %/test_discard.c,\
	       $(wildcard tests/crash/*.c)) tests/engine/rig.c
SAN_PROG    := $(filter-out $(SEARCH),$(TEST_PROG))

$(BUILD)/obj/tests/%.o: CPPFLAGS += -Itests/engine
$(BUILD)/obj/tests/%.o: FRAME :=

$(SEARCH): $(SEARCH_SRC:%.c=$(BUILD)/obj/%.o) $(ENGINE_OBJ)
	@mkdir -p $(@D)
	$(call step,LD)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(SAN_PROG):
	@mkdir -p $(@D)
	$(call step,LD)
	$(Q)$(CC) $(SANITIZE) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/san/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call step,CC)
	$(Q)$(CC) $(CPPFLAGS) -Itests/engine $(CFLAGS) $(SANITIZE) -MMD -MP -c -o $@ $<

-include $(patsubst %.c,$(BUILD)/obj/%.d,$(ENGINE_SRC) $(MOO_SRC) $(SEARCH_SRC))
-include $(patsubst %.c,$(BUILD)/san/%.d,$(ENGINE_SRC) $(MOO_SRC) $(TEST_SRC) \
	   $(PARSE_SRC))

# The kernel: build/linux.

KTREE  := $(BUILD)/kernel-src
KBUILD := $(BUILD)/kernel

kernel: $(BUILD)/linux

$(BUILD)/linux: patches
	$(Q)kernel/configure.sh $(KTREE) $(KBUILD)
	$(Q)$(MAKE) --no-print-directory -C $(KTREE) O=$(CURDIR)/$(KBUILD) ARCH=um linux
	@cmp -s $(KBUILD)/linux $@ || ln -f $(KBUILD)/linux $@

# Also what answers the question whether the patches fit a given kernel.
patches:
	@mkdir -p $(BUILD)
	$(Q)kernel/unpack.sh $(KSRC) $(KTREE)
	$(Q)kernel/overlay.sh $(KTREE) $(BUILD)/overlay

# Checks.  tests/run ends with one line, "N passed, N failed, N skipped".

FAULT_TESTS := $(sort $(filter $(BUILD)/tests/fault/%,$(SAN_PROG)) \
	       $(wildcard tests/fault/*.t))
FAST_TESTS  := $(sort $(filter-out $(FAULT_TESTS),$(SAN_PROG))) \
	       $(sort $(wildcard tests/fast/*.t tests/golden/*.t))
CRASH_TESTS := $(SEARCH) tests/crash/mutants.t
FUZZ_TESTS  := tests/fuzz/fuzz.t
STYLE_TESTS := $(sort $(wildcard tests/style/*.t))
GUEST_TESTS := $(sort $(wildcard tests/kunit/*.t tests/boot/*.t))

# Millions of crash states in some minutes, also where the machine is slow.
SEARCH_SHORT := PAIRS=16 SUBSETS=8 ORDERS=4 SEARCH_SECONDS=420

check-fast: moo $(SAN_PROG)
	$(Q)tests/run -j $(JOBS) $(FAST_TESTS)

check: moo kernel $(TEST_PROG)
	$(Q)SEQUENCES=10000 $(SEARCH_SHORT) tests/run -j $(JOBS) \
		$(FAST_TESTS) $(FAULT_TESTS) $(STYLE_TESTS) -j 1 $(CRASH_TESTS) \
		$(FUZZ_TESTS) $(GUEST_TESTS)

# For hours: the long forms of the tests that search.
check-long: moo kernel $(TEST_PROG)
	$(Q)MOO_TEST_TIMEOUT=86400 SEQUENCES=200000 STATES=$(STATES) KILLS=200 \
		FLOOD=60 FUZZ_SECONDS=3600 tests/run -j 1 $(BUILD)/tests/engine/test_twin \
		$(CRASH_TESTS) $(FUZZ_TESTS) tests/boot/kill-loop.t tests/boot/d16-mconsole.t
	$(Q)MOO_TEST_TIMEOUT=86400 FUZZER=afl FUZZ_SECONDS=3600 tests/run $(FUZZ_TESTS)
STATES ?= 100000000

check-style: patches
	$(Q)tests/run -j $(JOBS) $(STYLE_TESTS)

check-boot: moo kernel
	$(Q)tests/run $(GUEST_TESTS)

demo: moo kernel
	$(Q)scripts/demo.sh

# The benchmark.  Its rival is the stock driver of the same kernel in the same
# configuration.

STOCK  := $(BUILD)/bench/linux-stock
STREE  := $(BUILD)/bench/stock-src
SBUILD := $(BUILD)/bench/stock-kernel

bench: moo kernel bench-kernel
	$(Q)bench/run

bench-quick: moo kernel bench-kernel
	$(Q)bench/run --quick

bench-kernel: $(STOCK)

$(STOCK):
	@mkdir -p $(@D)
	$(Q)kernel/unpack.sh $(KSRC) $(STREE)
	$(Q)kernel/configure.sh $(STREE) $(SBUILD)
	$(Q)$(MAKE) --no-print-directory -C $(STREE) O=$(CURDIR)/$(SBUILD) ARCH=um linux
	@cmp -s $(SBUILD)/linux $@ || ln -f $(SBUILD)/linux $@

# Installation

MAN_PAGES := $(wildcard Documentation/*.1)

install: moo
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1
	install $(BUILD)/moo $(DESTDIR)$(PREFIX)/bin/moo
	ln -sf moo $(DESTDIR)$(PREFIX)/bin/uml_moo
	ln -sf moo $(DESTDIR)$(PREFIX)/bin/uml_mkcow
	$(if $(MAN_PAGES),install -m 644 $(MAN_PAGES) \
		$(DESTDIR)$(PREFIX)/share/man/man1)

clean:
	rm -rf $(BUILD)

help:
	@echo 'make TARGET [JOBS=n] [V=1] [KDIR=kernel source instead of the package]'
	@echo
	@echo '  all          kernel and moo'
	@echo '  kernel       build/linux: UML with the block device'
	@echo '  moo          build/moo, uml_moo, uml_mkcow: the offline tool'
	@echo '  demo         snapshots and merges of a live machine, with a verdict'
	@echo '  check        every test'
	@echo '  check-fast   those that need no kernel and no root'
	@echo '  check-style  checkpatch, cppcheck, shellcheck'
	@echo '  check-boot   those that run a guest'
	@echo '  bench        compare the speed with rivals: 20 minutes'
	@echo '  bench-quick  the same in two minutes, roughly'
	@echo '  bench-kernel build/bench/linux-stock: UML with the driver of stock'
	@echo '  patches      lay files and patches over the kernel tree, and verify'
	@echo '  install      moo and man pages to PREFIX, under DESTDIR'
	@echo '  clean        remove build/'
	@echo
	@echo './bootstrap TARGET installs the Debian packages that are missing first.'

.PHONY: all moo kernel $(BUILD)/linux patches
.PHONY: bench bench-quick bench-kernel $(STOCK)
.PHONY: check-fast check check-style check-boot demo install clean help
