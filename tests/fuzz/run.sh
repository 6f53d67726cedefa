#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Look for new faults: tests/fuzz/run.sh BUILD SECONDS. Inputs that reach new code gather in BUILD/corpus; the one
# that a fault was found with is named, and belongs into tests/fuzz/corpus with the fix.
set -u
cd "$(dirname "$0")/../.." || exit 1

build=$1
seconds=$2
failed=0
for source in tests/fuzz/fuzz_*.c; do
	target=$(basename "$source" .c)
	name=${target#fuzz_}
	log=$build/$target.log
	mkdir -p "$build/corpus/$name"
	if "$build/tests/fuzz/$target" -max_total_time="$seconds" -timeout=10 -print_final_stats=1 \
		-artifact_prefix="$build/$name-" "$build/corpus/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1; then
		echo "$name: $(awk '/number_of_executed_units/ { print $2 }' "$log") inputs in ${seconds}s, no fault"
	else
		tail -n 60 "$log"
		echo "$name: FAILED, see $log"
		failed=1
	fi
done
exit $failed
