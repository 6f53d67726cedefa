# SPDX-License-Identifier: Apache-2.0
#
#   make            install the libraries that are missing (as root), build build/sluice and build/sluiced
#   make install    what make builds, with manual pages and completion, into PREFIX (/usr/local) and SYSCONFDIR (/etc)
#   make run        install what is missing, build, show the main job in network namespaces of its own
#   make test       install what is missing, build, pass every test
#   make bench      measure against nginx, haproxy and a bare relay; see bench/run.py
#   make bench-packet  measure the packet plane alone: nanoseconds a packet, and what clients get under a SYN flood
#   make lint       format, static analysis, shell scripts, style tests
#   make fuzz       run each fuzz target for FUZZ_SECONDS (60) with libFuzzer, then spoiled packets through the guard (as root);
#                   make test only replays the corpora, and has one seed of the packets
#   make bpf-limits record what the guard's programs cost, when they are meant to grow: tests/bpf/limits.txt
#   make SAN=1 ...  the same with AddressSanitizer and UBSan, in $(BUILD)/san
#
# BUILD=DIRECTORY puts all of it elsewhere.

BUILD := build
OUT := $(BUILD)
ifdef SAN
override BUILD := $(OUT)/san
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
endif
ifdef TSAN
override BUILD := $(OUT)/tsan
SANFLAGS := -fsanitize=thread
endif
ifdef FUZZ
override BUILD := $(OUT)/fuzz
SANFLAGS := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
endif

# What a root shell made by plain su lacks.
export PATH := $(PATH):/usr/sbin:/sbin

CLANG := clang
CLANG_NEXT := clang-19
CC := $(if $(FUZZ),$(CLANG),gcc)
BPFTOOL := /usr/sbin/bpftool

CPPFLAGS := -D_GNU_SOURCE -I. -Iuserspace -I$(BUILD)
CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	  -Wvla -fno-common -fno-strict-aliasing -pthread $(SANFLAGS)
LDFLAGS := -pthread $(SANFLAGS)
LDLIBS := -lxdp -lbpf -luring -lssl -lcrypto -lyaml -ljansson -lmaxminddb

LOADER_LIBS := -lncursesw

LIB_SRCS := $(filter-out userspace/daemon/main.c,$(wildcard userspace/*/*.c))
UNIT_SRCS := $(wildcard tests/unit/*/test_*.c)
FUZZ_SRCS := $(wildcard tests/fuzz/fuzz_*.c)
BPF_TEST_SRCS := $(wildcard tests/bpf/test_*.c)
BENCH_BINS := $(BUILD)/bench/origin $(BUILD)/bench/relay
C_FILES := $(wildcard bpf/*.[ch] loader/*.[ch] loader/*/*.[ch] userspace/*/*.[ch] bench/*.[ch] tests/*/*.[ch] tests/unit/*/*.[ch])

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB := $(BUILD)/libsluice.a
UNIT_BINS := $(patsubst %.c,$(BUILD)/%,$(UNIT_SRCS))
BPF_TEST_BINS := $(patsubst %.c,$(BUILD)/%,$(BPF_TEST_SRCS))
FUZZ_BINS := $(patsubst %.c,$(BUILD)/%,$(FUZZ_SRCS))
REPLAY_BINS := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/replay_%,$(FUZZ_SRCS))

DOCS := $(addprefix $(BUILD)/,man/sluice.8 man/sluiced.8 man/sluice.yaml.5 completion/sluice.bash completion/_sluice)

all: $(BUILD)/sluice $(BUILD)/sluiced $(DOCS)

$(BUILD)/sluice: $(call obj,$(wildcard loader/*.c)) $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(LOADER_LIBS)

$(BUILD)/sluiced: $(call obj,userspace/daemon/main.c) $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Manual pages and shell completion, of the tables that the programs read.
$(BUILD)/manual: $(call obj,$(wildcard loader/manual/*.c) $(filter-out loader/main.c,$(wildcard loader/*.c))) $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(LOADER_LIBS)

$(DOCS) &: $(BUILD)/manual
	$< $(BUILD)

$(LIB): $(call obj,$(LIB_SRCS))
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/obj/%.o: %.c | $(BUILD)/.deps
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# The packet programs, and the headers through which user space loads and finds them.
BPF_CFLAGS = -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -I. -I/usr/include/$(shell $(CC) -print-multiarch)
BENCH_SKELETONS := $(patsubst %.bpf.c,$(BUILD)/%.skel.h,$(wildcard bench/*.bpf.c))
SKELETONS := $(BUILD)/bpf/guard.skel.h $(BUILD)/tests/bpf/pass.skel.h $(BENCH_SKELETONS)

$(BUILD)/%.bpf.o: %.bpf.c | $(BUILD)/.deps
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/%.skel.h: $(BUILD)/%.bpf.o
	$(BPFTOOL) gen skeleton $< name $(notdir $*) >$@

PACKET_SRCS := $(addprefix bench/,packet.c ways.c filters.c entries.c)

$(call obj,$(wildcard userspace/edge/*.c) $(PACKET_SRCS) bench/flood.c) $(BPF_TEST_BINS): $(SKELETONS)

# Other versions of the guard, for what tests do with old and new: another program, and other layouts of a map, one of the
# same size with two members in each other's place.
$(BUILD)/variant-program/bpf/guard.bpf.o: VARIANT := -DREPLY_TTL=63
$(BUILD)/variant-layout/bpf/guard.bpf.o: VARIANT := -DBUCKET_SETS=8192
$(BUILD)/variant-grown/%: VARIANT := '-DABI_MORE=__u64 more[2];'
$(BUILD)/variant-swapped/%: VARIANT := -I$(BUILD)/variant-swapped
VARIANTS := $(addprefix $(BUILD)/variant-,program layout grown swapped)

$(BUILD)/variant-swapped/bpf/guard.bpf.o: $(BUILD)/variant-swapped/bpf/abi.h
$(BUILD)/variant-swapped/bpf/abi.h: bpf/abi.h
	@mkdir -p $(@D)
	sed -E '/^\t__u64 packets;/{N; s/(.*)\n(.*)/\2\n\1/}' $< >$@
	! cmp -s $< $@

$(BUILD)/variant-%/bpf/guard.bpf.o: bpf/guard.bpf.c | $(BUILD)/.deps
	@mkdir -p $(@D)
	$(CLANG) $(VARIANT) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<

# The guard as a newer compiler makes it; make bpf-limits keeps what it costs by both.
$(BUILD)/clang-19/bpf/guard.bpf.o: bpf/guard.bpf.c | $(BUILD)/.deps
	@mkdir -p $(@D)
	$(CLANG_NEXT) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<

# Its tests once more with that.
NEXT_BINS := $(patsubst %.c,$(BUILD)/clang-19/%,$(filter-out tests/bpf/test_load.c,$(BPF_TEST_SRCS)))

$(NEXT_BINS): $(BUILD)/clang-19/tests/bpf/test_%: tests/bpf/test_%.c $(BUILD)/clang-19/bpf/guard.skel.h $(LIB)
	@mkdir -p $(@D)
	$(CC) -I$(BUILD)/clang-19 $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -MF $@.d -o $@ $(filter %.c,$^) $(LIB) -lcmocka $(LDLIBS)

bpf-limits:
	tests/deps.sh build test
	$(MAKE) $(JOBS) $(BUILD)/tests/bpf/test_load $(BUILD)/bpf/guard.bpf.o $(BUILD)/clang-19/bpf/guard.bpf.o
	SLUICE_BUILD=$(BUILD) $(BUILD)/tests/bpf/test_load --record

bpf-bins: $(BUILD)/clang-19/bpf/guard.bpf.o

$(VARIANTS:%=%/sluice): $(BUILD)/variant-%/sluice: $(BUILD)/variant-%/bpf/guard.skel.h $(call obj,$(wildcard loader/*.c)) $(LIB)
	$(CC) -I$(BUILD)/variant-$* $(VARIANT) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $(wildcard userspace/edge/*.c) $(filter %.o %.a,$^) $(LDLIBS) $(LOADER_LIBS)

# Looked at once a build directory, and again when the list of packages changes.
$(BUILD)/.deps: tests/deps.sh
	@mkdir -p $(@D)
	tests/deps.sh build
	@touch $@

# Tests: one program a file, cmocka for unit tests.
$(BUILD)/tests/unit/%: tests/unit/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -MF $@.d -o $@ $< $(LIB) -lcmocka $(LDLIBS)

$(BUILD)/tests/bpf/test_%: tests/bpf/test_%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -MF $@.d -o $@ $(filter %.c,$^) $(LIB) -lcmocka $(LDLIBS)

$(BUILD)/tests/bpf/test_mutate $(BUILD)/clang-19/tests/bpf/test_mutate: tests/bpf/native.c tests/bpf/spoil.c

# Each fuzz target with a main that replays its corpus as an ordinary test.
$(BUILD)/tests/fuzz/replay_%: tests/fuzz/%.c tests/fuzz/replay.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -MF $@.d -o $@ $(filter %.c,$^) $(LIB) $(LDLIBS)

# The same as libFuzzer wants it; FUZZ=1.
$(BUILD)/tests/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -MMD -MP -MF $@.d -o $@ $(filter %.c,$^) $(LIB) $(LDLIBS)

$(BENCH_BINS): $(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(BUILD)/obj/bench/uring.o
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ -luring

unit-bins: $(UNIT_BINS)
fuzz-bins: $(REPLAY_BINS)
libfuzzer-bins: $(FUZZ_BINS)
tsan-bins: all $(filter $(addprefix $(BUILD)/tests/unit/,metrics/% observe/%),$(UNIT_BINS))
bpf-bins: $(BPF_TEST_BINS) $(VARIANTS:%=%/sluice) $(addprefix $(BUILD)/tests/bpf/,pass.bpf.o dispatcher.bpf.o second.bpf.o)
$(BUILD)/bench/flood: $(call obj,bench/flood.c userspace/edge/frame.c)
	$(CC) $(LDFLAGS) -o $@ $^ -lbpf

$(BUILD)/bench/packet: $(call obj,$(PACKET_SRCS)) $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

bench-bins: $(BENCH_BINS) $(BUILD)/bench/packet $(BUILD)/bench/flood $(BUILD)/bench/ideal.bpf.o $(BUILD)/bench/wire.bpf.o

next-bins: $(NEXT_BINS)

tests: all unit-bins fuzz-bins bpf-bins bench-bins $(if $(SAN),,next-bins)

# The main job in namespaces of its own, step by step; stays up until Ctrl-C, or ends after the tour with TOUR=1.
run:
	tests/deps.sh build run
	$(MAKE) $(JOBS) all $(BUILD)/tests/bpf/pass.bpf.o
	/usr/bin/python3 -EsB conf/tour.py --build $(BUILD) $(if $(TOUR),--once)

# On every CPU, unless the caller says how many.
JOBS = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

# Everything but the style tests twice: as shipped, and under AddressSanitizer and UBSan. Then what threads share
# under ThreadSanitizer.
test:
	@tests/run.sh --may
	tests/deps.sh build run test bench
	$(MAKE) $(JOBS) SAN= tests
	$(MAKE) $(JOBS) SAN=1 tests
	$(MAKE) $(JOBS) SAN= TSAN=1 tsan-bins
	tests/run.sh $(OUT) $(OUT)/san $(OUT)/tsan

FUZZ_SECONDS := 60

fuzz:
	tests/deps.sh build test fuzz
	$(MAKE) $(JOBS) FUZZ=1 libfuzzer-bins
	tests/fuzz/run.sh $(OUT)/fuzz $(FUZZ_SECONDS)
	$(MAKE) $(JOBS) $(OUT)/tests/bpf/test_mutate
	[ "$$(id -u)" -ne 0 ] || SLUICE_MUTATE_SECONDS=$(FUZZ_SECONDS) SLUICE_MUTATE_SEED=$$(date +%s) $(OUT)/tests/bpf/test_mutate

# SCENARIOS=plain-13,jwt-one ROUNDS=5 SECONDS=3 say less or more; the results are in $(BUILD)/bench/, too.
bench:
	tests/deps.sh build bench
	$(MAKE) $(JOBS) all bench-bins
	/usr/bin/python3 -EsB bench/run.py --build $(BUILD) $(if $(SCENARIOS),--scenarios $(SCENARIOS)) \
		$(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS))

# RATES=50000,300000 says which floods.
bench-packet:
	tests/deps.sh build bench
	$(MAKE) $(JOBS) all bench-bins
	/usr/bin/python3 -EsB bench/run.py packets goodput --build $(BUILD) $(if $(RATES),--rates $(RATES)) \
		$(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS))

# The sentence in .clang-tidy on _cleanup_ holds for cppcheck, too: it sees leaks where there are none.
lint: $(SKELETONS)
	tests/deps.sh build test bench lint
	clang-format --dry-run -Werror $(C_FILES)
	cppcheck -q -j$(shell nproc) --error-exitcode=1 --enable=warning,performance,portability -D_GNU_SOURCE \
		-I. -Iuserspace --suppress=missingIncludeSystem --suppress=memleak --suppress=resourceLeak \
		--suppress=internalAstError '--suppress=arithOperationsOnVoidPointer:*.bpf.*' '-DSEC(name)=' \
		'-DLIBBPF_OPTS(t,n,...)=struct t n={__VA_ARGS__}' bpf userspace loader bench tests
	printf '%s\n' $(filter-out %.bpf.c,$(filter %.c,$(C_FILES))) | xargs -P$(shell nproc) -n4 \
		sh -c 'clang-tidy --quiet "$$@" -- -std=gnu17 $(CPPFLAGS)' clang-tidy
	shellcheck tests/*.sh tests/*/*.sh .ci/run
	/usr/bin/python3 -EsB -m pytest -q -p no:cacheprovider tests/style

PREFIX := /usr/local
SYSCONFDIR := /etc
SHARE := $(DESTDIR)$(PREFIX)/share

# DESTDIR=DIRECTORY puts it aside, for packages. A configuration that is there stays.
install: all
	install -D -t $(DESTDIR)$(PREFIX)/sbin $(BUILD)/sluice $(BUILD)/sluiced
	install -D -m644 -t $(SHARE)/man/man8 $(BUILD)/man/sluice.8 $(BUILD)/man/sluiced.8
	install -D -m644 -t $(SHARE)/man/man5 $(BUILD)/man/sluice.yaml.5
	install -D -m644 $(BUILD)/completion/sluice.bash $(SHARE)/bash-completion/completions/sluice
	ln -sf sluice $(SHARE)/bash-completion/completions/sluiced
	install -D -m644 -t $(SHARE)/zsh/site-functions $(BUILD)/completion/_sluice
	install -D -m644 -t $(SHARE)/doc/sluice conf/sluice.yaml conf/minimal.yaml README.md LICENSE
	[ -e $(DESTDIR)$(SYSCONFDIR)/sluice/sluice.yaml ] || \
		install -D -m640 conf/minimal.yaml $(DESTDIR)$(SYSCONFDIR)/sluice/sluice.yaml

clean:
	rm -rf $(OUT)

-include $(shell find $(addprefix $(BUILD)/,obj bpf tests bench clang-19) $(VARIANTS) -name '*.d' 2>/dev/null)

.PHONY: all install run clean unit-bins fuzz-bins libfuzzer-bins tsan-bins bpf-bins next-bins bench-bins tests \
	bpf-limits test fuzz bench lint
.SECONDARY:
.DELETE_ON_ERROR:
