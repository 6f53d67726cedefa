/* SPDX-License-Identifier: Apache-2.0 */
/* Packet captures as tcpdump and Wireshark read them: draft-ietf-opsawg-pcap, with nanoseconds, of Ethernet frames. */
#ifndef EDGE_PCAP_H
#define EDGE_PCAP_H

#include <stdint.h>

#define PCAP_FILE_HEADER   24 /* bytes */
#define PCAP_RECORD_HEADER 16

/* At the beginning of the file; snap: no record has more bytes. */
void pcap_file_header(uint8_t ret[PCAP_FILE_HEADER], uint32_t snap);

/* Before the captured bytes of each frame; time: CLOCK_REALTIME ns; bytes: of the whole frame. */
void pcap_record_header(uint8_t ret[PCAP_RECORD_HEADER], uint64_t time, uint32_t captured,
			uint32_t bytes);

#endif
