#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Install what is missing of Debian's packages for the named groups: tests/deps.sh [build] [run] [test] [bench] [lint].
set -eu

packages=
for group in "$@"; do
	case $group in
	build) packages="$packages gcc libc6-dev linux-libc-dev liburing-dev libssl-dev libyaml-dev
		libjansson-dev clang llvm bpftool libbpf-dev" ;;
	test) packages="$packages libcmocka-dev nginx-light curl python3-pytest python3-jwt
		python3-cryptography python3-prometheus-client iproute2 iputils-ping ethtool hping3 procps" ;;
	bench) packages="$packages wrk nginx-light haproxy python3-jwt python3-cryptography iproute2 iputils-ping ethtool hping3 procps" ;;
	run) packages="$packages python3 nginx-light curl iproute2 hping3 openssl procps" ;;
	lint) packages="$packages git clang-format clang-tidy cppcheck shellcheck" ;;
	*)
		echo "$0: no group '$group'" >&2
		exit 2
		;;
	esac
done

missing=
for p in $packages; do
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
	echo "missing packages; as root: apt-get install$missing" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of words
apt-get install -y -qq --no-install-recommends $missing
