/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/pcap.h"

#include <string.h>

#include "base/clock.h"

#define MAGIC_NANOSECONDS 0xa1b23c4dU
#define LINK_ETHERNET	  1U

/* Readers learn the order of bytes from the magic number: this machine's will do. */
static void put(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

void pcap_file_header(uint8_t ret[PCAP_FILE_HEADER], uint32_t snap)
{
	static const uint16_t version[] = {2, 4};

	memset(ret, 0, PCAP_FILE_HEADER);
	put(ret, MAGIC_NANOSECONDS);
	memcpy(ret + 4, version, sizeof(version));
	put(ret + 16, snap);
	put(ret + 20, LINK_ETHERNET);
}

void pcap_record_header(uint8_t ret[PCAP_RECORD_HEADER], uint64_t time, uint32_t captured,
			uint32_t bytes)
{
	put(ret, (uint32_t)(time / NSEC_PER_SEC));
	put(ret + 4, (uint32_t)(time % NSEC_PER_SEC));
	put(ret + 8, captured);
	put(ret + 12, bytes);
}
