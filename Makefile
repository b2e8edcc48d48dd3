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
CPPFLAGS := -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Iarch/um/drivers/cow
CFLAGS   := -std=gnu11 -O2 -g $(WARNINGS)
FRAME    := -Wframe-larger-than=2048
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all \
	    -fno-omit-frame-pointer
LDLIBS   := -luring -lpthread

# As in the kernel's build: one short line for each step, all of it with V=1.
ifeq ($(V),)
Q := @
step = @printf '  %-7s %s\n' $(1) $@
endif

all: moo kernel
.DEFAULT_GOAL := help

# Tools: build/moo, and the names of the old tools for it.

ENGINE_SRC := $(wildcard arch/um/drivers/cow/*.c)
MOO_SRC    := $(wildcard tools/moo/*.c)
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

TEST_DIRS   := tests/engine tests/crash tests/fuzz
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
$(foreach f,$(TEST_MAIN),$(eval $(call test_program,$f)))

$(TEST_PROG):
	@mkdir -p $(@D)
	$(call step,LD)
	$(Q)$(CC) $(SANITIZE) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/san/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call step,CC)
	$(Q)$(CC) $(CPPFLAGS) -Itests/engine $(CFLAGS) $(SANITIZE) -MMD -MP -c -o $@ $<

-include $(patsubst %.c,$(BUILD)/obj/%.d,$(ENGINE_SRC) $(MOO_SRC))
-include $(patsubst %.c,$(BUILD)/san/%.d,$(ENGINE_SRC) $(TEST_SRC))

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

FAST_TESTS  := $(sort $(TEST_PROG)) \
	       $(sort $(wildcard tests/fast/*.t tests/golden/*.t))
STYLE_TESTS := $(sort $(wildcard tests/style/*.t))
GUEST_TESTS := $(sort $(wildcard tests/kunit/*.t tests/boot/*.t))

check-fast: moo $(TEST_PROG)
	$(Q)tests/run -j $(JOBS) $(FAST_TESTS)

check: moo kernel $(TEST_PROG)
	$(Q)SEQUENCES=10000 tests/run -j $(JOBS) $(FAST_TESTS) $(STYLE_TESTS) -j 1 $(GUEST_TESTS)

check-style: patches
	$(Q)tests/run -j $(JOBS) $(STYLE_TESTS)

check-boot: moo kernel
	$(Q)tests/run $(GUEST_TESTS)

demo: moo kernel
	$(Q)scripts/demo.sh

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
	@echo '  patches      lay files and patches over the kernel tree, and verify'
	@echo '  install      moo and man pages to PREFIX, under DESTDIR'
	@echo '  clean        remove build/'
	@echo
	@echo './bootstrap TARGET installs the Debian packages that are missing first.'

.PHONY: all moo kernel $(BUILD)/linux patches
.PHONY: check-fast check check-style check-boot demo install clean help
