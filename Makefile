# SPDX-License-Identifier: Apache-2.0
#
#   make            build/sluice and build/sluiced
#   make run        install what is missing, build, run the main job (as root)
#   make test       install what is missing, build, pass every test (as root)
#   make bench      side by side with nginx and haproxy
#   make lint       format, static analysis, include direction
#   make SAN=1 ...  the same with AddressSanitizer and UBSan, in build/san

BUILD := build
ifdef SAN
BUILD := build/san
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
endif
ifdef TSAN
BUILD := build/tsan
SANFLAGS := -fsanitize=thread
endif

CC := gcc
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)

CPPFLAGS := -D_GNU_SOURCE -I. -Iuserspace -I$(BUILD)
CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	  -Wvla -fno-common -fno-strict-aliasing -pthread $(SANFLAGS)
LDFLAGS := -pthread $(SANFLAGS)
LDLIBS := -luring -lssl -lcrypto -lyaml -ljansson

LIB_SRCS := $(filter-out userspace/daemon/main.c,$(wildcard userspace/*/*.c))
LOADER_SRCS := $(wildcard loader/*.c)
UNIT_SRCS := $(wildcard tests/unit/*/test_*.c)
BPFTEST_SRCS := $(wildcard tests/bpf/test_*.c)
FUZZ_SRCS := $(wildcard tests/fuzz/fuzz_*.c)

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB := $(BUILD)/libsluice.a
GUARD_SKEL := $(BUILD)/bpf/guard.skel.h
UNIT_BINS := $(patsubst %.c,$(BUILD)/%,$(UNIT_SRCS))
BPFTEST_BINS := $(patsubst %.c,$(BUILD)/%,$(BPFTEST_SRCS))
REPLAY_BINS := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/replay_%,$(FUZZ_SRCS))

all: $(BUILD)/sluice $(BUILD)/sluiced

$(BUILD)/sluice: $(call obj,$(LOADER_SRCS)) $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/sluiced: $(call obj,userspace/daemon/main.c) $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(LIB): $(call obj,$(LIB_SRCS))
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# The packet program: UAPI headers only, so it builds anywhere; the skeleton embeds it into the binaries.
$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c
	@mkdir -p $(@D)
	$(CLANG) -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -I. \
		-idirafter /usr/include/$(shell gcc -dumpmachine) -MMD -MP -c -o $@ $<

$(BUILD)/bpf/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(BPFTOOL) gen skeleton $< name $* > $@.tmp
	mv $@.tmp $@

$(call obj,$(wildcard userspace/edge/*.c)): | $(GUARD_SKEL)

# Tests: one program a file, cmocka for unit and packet tests.
$(BUILD)/tests/unit/%: tests/unit/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -MF $@.d -o $@ $< $(LIB) -lcmocka $(LDLIBS)

$(BUILD)/tests/bpf/%: tests/bpf/%.c $(LIB) $(GUARD_SKEL)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -MF $@.d -o $@ $(filter %.c,$^) $(LIB) -lcmocka $(LDLIBS)

# Each fuzz target twice: as a libFuzzer binary, and with a main that replays its corpus as an ordinary test.
$(BUILD)/tests/fuzz/replay_%: tests/fuzz/%.c tests/fuzz/replay.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -MF $@.d -o $@ $(filter %.c,$^) $(LIB) $(LDLIBS)

unit-bins: $(UNIT_BINS)
bpf-bins: $(BPFTEST_BINS)
fuzz-bins: $(REPLAY_BINS)

clean:
	rm -rf build

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

.PHONY: all clean unit-bins bpf-bins fuzz-bins
.SECONDARY:
.DELETE_ON_ERROR:
