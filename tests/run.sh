#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Run the test groups against one build directory: tests/run.sh BUILD. Each runner prints its own totals.
set -u

build=$1
passed=0
failed=0

# group NAME PROGRAM...: every program is one test of the summary; a group without programs fails.
group() {
	local name=$1 count=0
	shift
	for program in "$@"; do
		[ -x "$program" ] || continue
		count=$((count + 1))
		if "$program"; then
			passed=$((passed + 1))
		else
			failed=$((failed + 1))
			echo "FAILED: $program"
		fi
	done
	if [ "$count" -eq 0 ]; then
		failed=$((failed + 1))
		echo "FAILED: $name: there is no test"
	fi
	echo "$name ($build): $count programs"
}

replay() {
	local found=0
	for target in tests/fuzz/fuzz_*.c; do
		local name
		name=$(basename "$target" .c)
		found=$((found + 1))
		if "$build/tests/fuzz/replay_$name" "tests/fuzz/corpus/${name#fuzz_}"; then
			passed=$((passed + 1))
		else
			failed=$((failed + 1))
			echo "FAILED: replay of $name"
		fi
	done
	[ "$found" -gt 0 ] || failed=$((failed + 1))
}

shopt -s nullglob globstar
programs=()
for source in tests/unit/*/test_*.c; do
	programs+=("$build/${source%.c}")
done
group unit "${programs[@]}"
replay
if SLUICE_BUILD=$build /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/integration; then
	passed=$((passed + 1))
else
	failed=$((failed + 1))
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
