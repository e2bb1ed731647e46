#!/bin/bash
# SPDX-License-Identifier: MIT
# libneap.so exports what neap.h declares and nothing else, under the version node NEAP_0.1.
cd "$(dirname "$0")/../.." || exit 1
build=${NEAP_BUILD:-build}
so=$build/lib/libneap.so
if [ ! -e "$so" ]; then
	echo "$so is not built"
	exit 1
fi
declared=$(${CC:-gcc} -E -P -Iinclude -xc include/neap/neap.h | tr '\n' ' ' |
	grep -oE '\bneap_[a-z_]+ *\(' | tr -d ' (' | sort -u)
exported=$(nm -D --defined-only "$so" | awk '$2 == "T" {print $3}')
if [ "$(wc -l <<<"$declared")" -lt 20 ]; then
	echo "neap.h could not be read: only $(wc -l <<<"$declared") functions found"
	exit 1
fi
diff <(sed 's/$/@@NEAP_0.1/' <<<"$declared") <(sort -u <<<"$exported") || {
	echo "left: declared in neap.h; right: exported by $so"
	exit 1
}
# No data, no version node besides.
others=$(nm -D --defined-only "$so" | awk '$2 != "T" {print $3}' | grep -v '^NEAP_0\.1')
if [ -n "$others" ]; then
	echo "exported besides functions: $others"
	exit 1
fi
readelf -d "$so" | grep -q 'SONAME.*\[libneap\.so\.0\]' || { echo "wrong soname"; exit 1; }
# It stands alone: libc, libm and the loader (thread-local data).
if readelf -d "$so" | grep NEEDED | grep -vE '\[(libc\.so\.6|libm\.so\.6|ld-linux[^]]*)\]'; then
	echo "libneap.so needs more than libc and libm"
	exit 1
fi
