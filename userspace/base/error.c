/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

/* Append at *len; mark a text that did not fit. */
static void append(struct error *err, size_t *len, const char *fmt, va_list ap)
{
	size_t room = sizeof(err->text) - *len;
	int n = vsnprintf(err->text + *len, room, fmt, ap);

	if (n < 0)
		return;
	if ((size_t)n < room) {
		*len += (size_t)n;
		return;
	}
	*len = sizeof(err->text) - 1;
	memcpy(err->text + *len - 3, "...", 3);
}

__attribute__((format(printf, 3, 4))) static void appendf(struct error *err, size_t *len,
							  const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	append(err, len, fmt, ap);
	va_end(ap);
}

int error_set(struct error *err, int code, const char *fmt, ...)
{
	size_t len = 0;
	va_list ap;

	if (err) {
		err->code = code;
		err->of_system = false;
		va_start(ap, fmt);
		append(err, &len, fmt, ap);
		va_end(ap);
	}
	return -code;
}

int error_sys(struct error *err, int code, const char *fmt, ...)
{
	size_t len = 0;
	va_list ap;

	if (err) {
		err->code = code;
		err->of_system = true;
		va_start(ap, fmt);
		append(err, &len, fmt, ap);
		va_end(ap);
		appendf(err, &len, ": %s", strerror(code));
	}
	return -code;
}

int error_prefix(struct error *err, const char *fmt, ...)
{
	char old[sizeof(err->text)];
	size_t len = 0;
	va_list ap;

	if (!err)
		return 0;
	memcpy(old, err->text, sizeof(old));
	va_start(ap, fmt);
	append(err, &len, fmt, ap);
	va_end(ap);
	appendf(err, &len, ": %s", old);
	return -err->code;
}
