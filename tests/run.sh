#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Run every group of tests: tests/run.sh BUILD... runs the style tests once and the others against each build
# directory; against one that is called tsan, those of what threads share. A runner that is killed or that runs
# nothing counts as a failure, and so does a skipped test.
# tests/run.sh --may only says what this process may not do that the tests have to.
set -u
cd "$(dirname "$0")/.." || exit 1
shopt -s nullglob
PATH=$PATH:/usr/sbin:/sbin

if [ "$(id -u)" -ne 0 ]; then
	echo "make test: network namespaces and packet programs need root: sudo make test" >&2
	exit 1
fi
if ! unshare --net true 2>/dev/null; then
	echo "make test: root may not make network namespaces here; a container needs all capabilities (--privileged)" >&2
	exit 1
fi
if [ "${1-}" = --may ]; then
	exit 0
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
all_passed=0
all_failed=0
prefix=()

# sum REGEX: of the numbers in what matches it in the log.
sum() {
	grep -oE "$1" "$log" | grep -oE '[0-9]+' | awk '{ n += $1 } END { print n + 0 }'
}

# run NAME PASSED FAILED PROGRAM...: add the program's own totals, found by two regexes, to the group's.
run() {
	local name=$1 passed_re=$2 failed_re=$3 status p f
	shift 3
	timeout 900 "${prefix[@]}" "$@" >"$log" 2>&1
	status=$?
	p=$(sum "$passed_re")
	f=$(sum "$failed_re")
	if [ "$f" -eq 0 ] && { [ "$status" -ne 0 ] || [ "$p" -eq 0 ]; }; then
		f=1
	fi
	if [ "$f" -ne 0 ]; then
		cat "$log"
		echo "FAILED: $name, exit status $status"
	fi
	echo "  $name: $p passed, $f failed"
	passed=$((passed + p))
	failed=$((failed + f))
}

# group NAME FUNCTION ARGUMENT...: a group that ran no tests has failed.
group() {
	local name=$1
	shift
	echo "$name"
	passed=0
	failed=0
	"$@"
	if [ $((passed + failed)) -eq 0 ]; then
		failed=1
	fi
	echo "$name: $passed passed, $failed failed"
	all_passed=$((all_passed + passed))
	all_failed=$((all_failed + failed))
}

# units BUILD SOURCE...
units() {
	local build=$1
	shift
	for source in "$@"; do
		run "$source" '^\[  PASSED  \] [0-9]+ test' '^\[  FAILED  \] [0-9]+ test' "$build/${source%.c}"
	done
}

unit() {
	units "$1" tests/unit/*/test_*.c
}

packet() {
	units "$1" tests/bpf/test_*.c
}

# With the guard as a newer clang compiles it, which needs no second run under the sanitizers.
packet_next() {
	for source in tests/bpf/test_*.c; do
		if [ "$source" != tests/bpf/test_load.c ]; then
			units "$1/clang-19" "$source"
		fi
	done
}

replay() {
	for source in tests/fuzz/fuzz_*.c; do
		local name
		name=$(basename "$source" .c)
		run "$source" '[0-9]+ passed' '[0-9]+ failed' \
			"$1/tests/fuzz/replay_$name" "tests/fuzz/corpus/${name#fuzz_}"
	done
}

# python TESTS OPTION...: Debian's interpreter, whatever PATH and PYTHONPATH say.
python() {
	run "$1" '[0-9]+ passed' '[0-9]+ (failed|errors?|skipped|xfailed|xpassed)' \
		/usr/bin/python3 -EsB -m pytest -q -p no:cacheprovider "$@"
}

# The first race ends a process, and so its test. ThreadSanitizer finds no room where addresses are very random.
threads() {
	export TSAN_OPTIONS=halt_on_error=1
	if [ "$(cat /proc/sys/vm/mmap_rnd_bits)" -gt 28 ]; then
		prefix=(setarch -R)
	fi
	units "$1" tests/unit/metrics/test_*.c tests/unit/observe/test_*.c
	for file in reload access_log admin; do
		python "tests/integration/test_$file.py"
	done
	prefix=()
}

group style python tests/style
for build in "$@"; do
	export SLUICE_BUILD=$build
	if [ "$(basename "$build")" = tsan ]; then
		group "threads, $build" threads "$build"
		continue
	fi
	group "unit, $build" unit "$build"
	group "packets, $build" packet "$build"
	if [ "$(basename "$build")" != san ]; then
		group "packets, $build, clang 19" packet_next "$build"
	fi
	group "fuzz replay, $build" replay "$build"
	# They wait more than they compute.
	group "network, $build" python tests/net -n 3
	group "integration, $build" python tests/integration
done
echo "$all_passed passed, $all_failed failed"
[ "$all_failed" -eq 0 ]
