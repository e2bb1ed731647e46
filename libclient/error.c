// SPDX-License-Identifier: MIT
/* Errors in words. Texts of a connection live in it; those of a failed neap_connect per thread. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libclient/internal.h"

static _Thread_local char connect_error[256];

int client_fail(struct neap *n, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (n)
		vsnprintf(n->error, sizeof(n->error), fmt, ap);
	else
		vsnprintf(connect_error, sizeof(connect_error), fmt, ap);
	va_end(ap);
	return error;
}

const char *neap_last_error(const struct neap *n)
{
	return n ? n->error : connect_error;
}

const char *neap_strerror(int error)
{
	static const struct {
		int code;
		const char *text;
	} texts[] = {
		{0, "success"},
		{EAGAIN, "the ring is full: take completions first"},
		{ETIME, "no level could have answered in time"},
		{ETIMEDOUT, "the daemon did not answer"},
		{ECANCELED, "cancelled before it was started"},
		{ECONNRESET, "the daemon went away and could not be reached again"},
		{ECONNREFUSED, "no daemon listens on the socket"},
		{ENOENT, "not found"},
		{EACCES, "no permission: the user is not in the group neap"},
		{EPERM, "not allowed for this user"},
		{EPROTO, "the other end speaks another version of the protocol"},
		{EBADMSG, "damaged, or not what the protocol allows"},
		{EDQUOT, "over the daemon's limit for buffers"},
		{ESTALE,
		 "the model was replaced by one with other inputs or outputs: open it again"},
		{ENODEV, "the daemon does not use the kernel module: make the buffer again"},
		{EINVAL, "invalid argument"},
		{ERANGE, "out of range"},
		{E2BIG, "too large"},
		{ENOMEM, "out of memory"},
		{EMFILE, "too many open files"},
		{ENFILE, "too many open files in the system"},
		{EINTR, "interrupted by a signal"},
		{ESHUTDOWN, "the daemon takes no new requests"},
	};
	static _Thread_local char other[64];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].code == -error)
			return texts[i].text;
	/* GNU's strerror_r may return a constant instead of filling the buffer. */
	return strerror_r(-error, other, sizeof(other));
}

const char *neap_reason_name(enum neap_reason r)
{
	static const char *const names[] = {
		[NEAP_REASON_FULL] = "full",     [NEAP_REASON_TIME] = "time",
		[NEAP_REASON_ENERGY] = "energy", [NEAP_REASON_CPU] = "cpu",
		[NEAP_REASON_CAP] = "cap",       [NEAP_REASON_CONFIDENCE] = "confidence",
	};

	if ((unsigned)r >= sizeof(names) / sizeof(names[0]))
		return "unknown";
	return names[r];
}

const char *neap_version(void)
{
	return NEAP_VERSION;
}
