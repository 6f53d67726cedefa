/* SPDX-License-Identifier: Apache-2.0 */
/* A file of its own: what the kernel offers programs has the names of what libbpf offers us. */
#include "tests/bpf/native.h"

#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wunknown-pragmas" /* unroll, which is for clang's BPF */
#include "bpf/parse.bpf.h"

struct native native_parse(const uint8_t *bytes, size_t len)
{
	/* Memory that ends with the frame, whose IP header is aligned, as drivers do it. */
	uint8_t *memory = malloc(len + 2);
	struct native n;
	struct packet p = {.bytes = (uint32_t)len};

	if (!memory)
		abort();
	p.data = p.cursor = memory + 2;
	p.end = memory + 2 + len;
	memcpy(p.data, bytes, len);
	n.addresses = parse_ethernet(&p);
	if (n.addresses == REASON_PASSED)
		n.addresses = p.family == 4 ? parse_ip4(&p) : parse_ip6(&p);
	n.ports = n.addresses == REASON_PASSED ? parse_l4(&p) : n.addresses;
	n.ip = p.ip;
	n.l4 = p.l4;
	n.l4_len = p.l4_len;
	n.family = p.family;
	n.protocol = p.protocol;
	n.tcp_flags = p.tcp_flags;
	free(memory);
	return n;
}
