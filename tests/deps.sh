#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Install what is missing of Debian's packages for the named groups: tests/deps.sh [build] [run] [test] [bench] [fuzz] [lint].
set -eu
PATH=$PATH:/usr/sbin:/sbin # dpkg insists, and plain su leaves them out

packages=
for group in "$@"; do
	case $group in
	build) packages="$packages gcc libc6-dev linux-libc-dev liburing-dev libssl-dev libyaml-dev
		libjansson-dev libncurses-dev libmaxminddb-dev clang llvm bpftool libbpf-dev libxdp-dev" ;;
	test) packages="$packages libcmocka-dev libmaxmind-db-writer-perl nginx-light curl python3-pytest python3-pytest-xdist python3-jwt
		python3-cryptography python3-prometheus-client iproute2 iputils-ping ethtool hping3 strace procps
		openssl clang-19 mandoc zsh tcpdump xdp-tools" ;;
	bench) packages="$packages wrk nginx-light haproxy python3-jwt python3-cryptography xdp-tools
		iproute2 ethtool" ;;
	run) packages="$packages python3 nginx-light curl iproute2 hping3 openssl procps" ;;
	fuzz) packages="$packages libclang-rt-14-dev" ;;
	lint) packages="$packages git clang-format clang-tidy cppcheck shellcheck" ;;
	*)
		echo "$0: no group '$group'" >&2
		exit 2
		;;
	esac
done

if ! command -v dpkg-query >/dev/null; then
	# shellcheck disable=SC2086 # a list of words
	echo "this is not Debian: packages can't be looked up; install yourself what Debian calls:" $packages >&2
	exit 1
fi
missing=
for p in $packages; do
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
	echo "missing packages; as root: apt-get install$missing" >&2
	exit 1
fi

# The tests start their own nginx and haproxy; the packages' services would take port 80 of this machine.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	trap 'rm -f $policy' EXIT
	trap 'exit 130' HUP INT TERM
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || echo "apt-get update failed: trying with the lists of packages that are here" >&2
# shellcheck disable=SC2086 # a list of words
if ! apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 $missing; then
	echo "could not install$missing; see above" >&2
	exit 1
fi
for service in nginx haproxy; do
	case $missing in
	*" $service"*) systemctl -q disable $service 2>/dev/null || true ;;
	esac
done
