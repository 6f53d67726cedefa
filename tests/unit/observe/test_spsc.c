/* SPDX-License-Identifier: Apache-2.0 */
/* Messages come out as they went in, at every place of the ring, when it is full, and across threads. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "observe/spsc.h"

#define SIZE 4096

/* The oldest message, joined; false: there is none. */
static bool take(struct spsc *s, char *out, size_t *ret_len, void **ret_tag)
{
	struct spsc_message m;

	if (!spsc_get(s, &m))
		return false;
	if (m.parts[0].len)
		memcpy(out, m.parts[0].ptr, m.parts[0].len);
	if (m.parts[1].len)
		memcpy(out + m.parts[0].len, m.parts[1].ptr, m.parts[1].len);
	*ret_len = m.parts[0].len + m.parts[1].len;
	*ret_tag = m.tag;
	spsc_next(s);
	return true;
}

static void every_length_at_every_place(void **state)
{
	char text[SIZE], out[SIZE];
	struct spsc s;
	size_t len;
	void *tag;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)random();
	assert_int_equal(spsc_init(&s, SIZE), 0);
	for (size_t n = 0; n <= SIZE - 16; n++) {
		for (int again = 0; again < 3; again++) {
			assert_true(spsc_put(&s, text + n, slice_make(text, n)));
			assert_false(spsc_get(&s, &(struct spsc_message){0})); /* not looked yet */
			spsc_look(&s);
			assert_true(take(&s, out, &len, &tag));
			assert_ptr_equal(tag, text + n);
			assert_int_equal(len, n);
			assert_memory_equal(out, text, n);
			assert_false(take(&s, out, &len, &tag));
		}
	}
	spsc_fini(&s);
}

static void what_has_no_room_is_refused(void **state)
{
	char text[100], out[SIZE];
	struct spsc s;
	size_t len;
	void *tag;
	int n = 0;

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(spsc_init(&s, SIZE), 0);
	assert_false(spsc_put(&s, NULL, slice_make(out, SIZE)));
	assert_false(spsc_put(&s, NULL, slice_make(out, SIZE - 15)));
	for (int round = 0; round < 50; round++) {
		n = 0;
		while (spsc_put(&s, NULL, slice_make(text, sizeof(text)))) {
			n++;
			assert_int_equal(spsc_half_full(&s), n * 128 > SIZE / 2);
		}
		assert_int_equal(n, SIZE / 128);
		spsc_look(&s);
		/* One gone, one more fits. */
		assert_true(take(&s, out, &len, &tag));
		assert_true(spsc_put(&s, NULL, slice_make(text, sizeof(text))));
		assert_false(spsc_put(&s, NULL, slice_make(text, sizeof(text))));
		spsc_look(&s);
		while (take(&s, out, &len, &tag))
			n--;
		assert_int_equal(n, 0);
		assert_false(spsc_half_full(&s));
	}
	spsc_fini(&s);
}

#define MESSAGES 200000

static size_t length(uint32_t i)
{
	return 4 + (i * 2654435761U >> 16) % 300;
}

static void *produce(void *arg)
{
	struct spsc *s = arg;
	char text[512];

	for (uint32_t i = 0; i < MESSAGES; i++) {
		memset(text, (int)(i & 0x7f), sizeof(text));
		memcpy(text, &i, sizeof(i));
		while (!spsc_put(s, (void *)(uintptr_t)i, slice_make(text, length(i))))
			sched_yield();
		(void)spsc_half_full(s);
	}
	return NULL;
}

static void across_threads_in_order(void **state)
{
	char out[SIZE];
	pthread_t thread;
	struct spsc s;
	uint32_t next = 0;

	(void)state;
	assert_int_equal(spsc_init(&s, SIZE), 0);
	assert_int_equal(pthread_create(&thread, NULL, produce, &s), 0);
	while (next < MESSAGES) {
		size_t len;
		void *tag;

		spsc_look(&s);
		while (take(&s, out, &len, &tag)) {
			uint32_t i;

			memcpy(&i, out, sizeof(i));
			assert_int_equal(i, next);
			assert_int_equal((uintptr_t)tag, next);
			assert_int_equal(len, length(i));
			for (size_t k = sizeof(i); k < len; k++)
				assert_int_equal(out[k], i & 0x7f);
			next++;
		}
		sched_yield();
	}
	pthread_join(thread, NULL);
	spsc_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_at_every_place),
		cmocka_unit_test(what_has_no_room_is_refused),
		cmocka_unit_test(across_threads_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
