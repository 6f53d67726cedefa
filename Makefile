# SPDX-License-Identifier: Apache-2.0
#
#   make            build/sluice and build/sluiced
#   make test       install what is missing, build, pass every test (as root)
#   make lint       format of the code
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

CPPFLAGS := -D_GNU_SOURCE -I. -Iuserspace -I$(BUILD)
CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	  -Wvla -fno-common -fno-strict-aliasing -pthread $(SANFLAGS)
LDFLAGS := -pthread $(SANFLAGS)
LDLIBS := -luring -lssl -lcrypto -lyaml -ljansson

LIB_SRCS := $(filter-out userspace/daemon/main.c,$(wildcard userspace/*/*.c))
UNIT_SRCS := $(wildcard tests/unit/*/test_*.c)
FUZZ_SRCS := $(wildcard tests/fuzz/fuzz_*.c)

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB := $(BUILD)/libsluice.a
UNIT_BINS := $(patsubst %.c,$(BUILD)/%,$(UNIT_SRCS))
REPLAY_BINS := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/replay_%,$(FUZZ_SRCS))

all: $(BUILD)/sluiced

$(BUILD)/sluiced: $(call obj,userspace/daemon/main.c) $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(LIB): $(call obj,$(LIB_SRCS))
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# Tests: one program a file, cmocka for unit and packet tests.
$(BUILD)/tests/unit/%: tests/unit/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -MF $@.d -o $@ $< $(LIB) -lcmocka $(LDLIBS)

# Each fuzz target twice: as a libFuzzer binary, and with a main that replays its corpus as an ordinary test.
$(BUILD)/tests/fuzz/replay_%: tests/fuzz/%.c tests/fuzz/replay.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -MF $@.d -o $@ $(filter %.c,$^) $(LIB) $(LDLIBS)

unit-bins: $(UNIT_BINS)
fuzz-bins: $(REPLAY_BINS)

tests: all unit-bins fuzz-bins

# Twice: as shipped, and under AddressSanitizer and UBSan.
test:
	tests/deps.sh
	$(MAKE) tests
	tests/run.sh build
	$(MAKE) SAN=1 tests
	tests/run.sh build/san

lint:
	clang-format --dry-run -Werror $(shell git ls-files '*.c' '*.h')
	shellcheck tests/*.sh .ci/run

clean:
	rm -rf build

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

.PHONY: all clean unit-bins fuzz-bins tests test lint
.SECONDARY:
.DELETE_ON_ERROR:
