/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "edge/pcap.h"

static uint32_t word(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint32_t half(const uint8_t *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* Field by field, in this machine's order: draft-ietf-opsawg-pcap, section 4. */
static void file_header(void **state)
{
	uint8_t h[PCAP_FILE_HEADER];

	(void)state;
	memset(h, 0xff, sizeof(h));
	pcap_file_header(h, 128);
	assert_int_equal(word(h), 0xa1b23c4d);
	assert_int_equal(half(h + 4), 2);
	assert_int_equal(half(h + 6), 4);
	assert_int_equal(word(h + 8), 0);
	assert_int_equal(word(h + 12), 0);
	assert_int_equal(word(h + 16), 128);
	assert_int_equal(word(h + 20), 1); /* Ethernet */
}

/* Section 5. */
static void record_header(void **state)
{
	uint8_t h[PCAP_RECORD_HEADER];

	(void)state;
	pcap_record_header(h, 1700000000999999999ULL, 128, 1514);
	assert_int_equal(word(h), 1700000000);
	assert_int_equal(word(h + 4), 999999999);
	assert_int_equal(word(h + 8), 128);
	assert_int_equal(word(h + 12), 1514);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_header),
		cmocka_unit_test(record_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
