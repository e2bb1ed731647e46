#!/bin/bash
# SPDX-License-Identifier: MIT
# make install into a DESTDIR: what lands where, that a program of ten lines builds with pkg-config
# against it and runs, and that the units name the right paths.
set -eu
cd "$(dirname "$0")/../.."
build=${NEAP_BUILD:-build}
dest=$(mktemp -d)
daemon=
trap '[ -z "$daemon" ] || kill $daemon 2>/dev/null; rm -rf "$dest"' EXIT
make -s O="$build" install DESTDIR="$dest" prefix=/usr >"$dest/log" 2>&1 || { cat "$dest/log"; exit 1; }

for f in bin/neap bin/neapctl sbin/neapd lib/libneap.a lib/libneap.so lib/libneap.so.0 \
	lib/pkgconfig/neap.pc include/neap/neap.h lib/systemd/system/neapd.service \
	lib/systemd/system/neapd.socket lib/sysusers.d/neap.conf lib/udev/rules.d/60-neap.rules \
	share/man/man1/neap.1 share/man/man1/neapctl.1 share/man/man3/libneap.3 \
	share/man/man8/neapd.8 share/neap/models/fashion.neap share/neap/models/kws.neap; do
	[ -e "$dest/usr/$f" ] || { echo "/usr/$f was not installed"; exit 1; }
done
grep -q '^ExecStart=/usr/sbin/neapd --models /usr/share/neap/models' \
	"$dest/usr/lib/systemd/system/neapd.service"
if grep -rq '@[a-z]*@' "$dest/usr/lib/systemd" "$dest/usr/lib/pkgconfig"; then
	echo "a substitution was left"
	exit 1
fi
if command -v systemd-analyze >/dev/null; then
	# The unit's program is not at its final place: look only at what is said of the unit itself.
	systemd-analyze verify "$dest/usr/lib/systemd/system/neapd.socket" 2>&1 |
		grep -E 'neapd\.(service|socket).*(Unknown|Invalid|Failed to parse)' && exit 1
fi

cat >"$dest/app.c" <<'C'
#include <neap/neap.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	struct neap_options opt = {.socket = argv[argc - 1]};
	struct neap *n;
	struct neap_model *m;
	struct neap_buffer *in, *out;
	struct neap_completion c;

	if (neap_connect(&opt, &n) || neap_model_open(n, "fashion", &m))
		return 1;
	neap_buffer_new(n, neap_model_info(m)->in_bytes, NEAP_BUFFER_INPUT, &in);
	neap_buffer_new(n, neap_model_info(m)->out_bytes, NEAP_BUFFER_OUTPUT, &out);
	memset(neap_buffer_data(in), 0, 784);
	if (neap_run(n, &(struct neap_request){.model = m, .in = in, .out = out}, &c))
		return 2;
	printf("class %u, level %u, because of %s\n", c.top_index, c.level,
	       neap_reason_name(c.reason));
	neap_buffer_free(in);
	neap_buffer_free(out);
	neap_model_close(m);
	neap_close(n);
	return 0;
}
C
export PKG_CONFIG_PATH=$dest/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$dest
gcc -Wall -Werror -o "$dest/app" "$dest/app.c" $(pkg-config --cflags --libs neap)
gcc -Wall -Werror -static -o "$dest/app-static" "$dest/app.c" $(pkg-config --static --cflags --libs neap)

mkdir "$dest/run"
"$dest/usr/sbin/neapd" --runtime-dir "$dest/run" --socket "$dest/run/s" \
	--models "$dest/usr/share/neap/models" 2>"$dest/daemon.log" &
daemon=$!
for _ in $(seq 600); do
	[ -S "$dest/run/s" ] && "$dest/usr/bin/neapctl" --socket "$dest/run/s" status >/dev/null 2>&1 && break
	kill -0 $daemon 2>/dev/null || { cat "$dest/daemon.log"; exit 1; }
	sleep 0.1
done
for app in app app-static; do
	LD_LIBRARY_PATH=$dest/usr/lib "$dest/$app" "$dest/run/s" | grep -E '^class [0-9], level [0-9]+, because of [a-z]+$'
done
kill $daemon
wait $daemon
daemon=
