#!/bin/bash
# SPDX-License-Identifier: MIT
# One binary on every instruction set, and on a CPU that has none of them: the same bytes from every
# level of an integer model.
set -eu
cd "$(dirname "$0")/../.."
neap=${NEAP_BUILD:-build}/bin/neap
model=models/fashion.neap
[ -e $model ] || { echo "$model is not there"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Eight images of noise: an npy header of 64 bytes, then u8 [8,28,28,1].
header="{'descr': '|u1', 'fortran_order': False, 'shape': (8, 28, 28, 1), }"
{
	printf '\x93NUMPY\x01\x00\x76\x00%-117s\n' "$header"
	head -c 6272 models/fashion.neap
} >"$work/x.npy"

last=$("$neap" inspect $model --json | grep -c '"macs"')
run() { # name of the output, then the command
	local out=$1 level
	shift
	for level in $(seq 0 $((last - 1))); do
		"$@" run $model --input "$work/x.npy" --output "$work/$out.$level.npy" --level "$level" \
			>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
	done
}
same() {
	local level
	for level in $(seq 0 $((last - 1))); do
		cmp "$work/c.$level.npy" "$work/$1.$level.npy" || { echo "$1 differs at level $level"; exit 1; }
	done
	echo "$1: the same bytes at $last levels"
}

NEAP_CPU=c run c "$neap"
for cpu in sse41 avx2 avxvnni avx512vnni amx; do
	NEAP_CPU=$cpu run $cpu "$neap"
	same $cpu
done
run native "$neap"
same native
if command -v qemu-x86_64-static >/dev/null && [ "$(uname -m)" = x86_64 ]; then
	run plain qemu-x86_64-static -cpu qemu64,-sse4.1,-sse4.2,-ssse3 "$neap"
	same plain
fi
if NEAP_CPU=nonsense "$neap" bench $model --runs 1 >/dev/null 2>"$work/err"; then
	echo "an unknown NEAP_CPU was accepted"
	exit 1
fi
grep -q nonsense "$work/err"
