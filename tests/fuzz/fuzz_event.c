/* SPDX-License-Identifier: Apache-2.0 */
/* Events of the guard, whose frames are anybody's: addresses and ports are read from what was captured, and from nothing else. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "edge/events.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Family, offset of the IP header, then the frame. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
	/* So short that what lies behind the frame's captured bytes is not the event's: the sanitizer would see it. */
	size_t captured = size < 2 ? 0 : size - 2 > EVENT_FRAME ? EVENT_FRAME : size - 2;
	struct event *event;
	struct edge_ports ports;

	if (size < 2)
		return 0;
	event = malloc(offsetof(struct event, frame) + captured);
	if (!event)
		return 0;
	memset(event, 0, offsetof(struct event, frame));
	event->head.family = data[0] & 1 ? 4 : data[0] & 2 ? 6 : 0;
	event->head.ip = data[1];
	event->captured = (uint16_t)captured;
	memcpy(event->frame, data + 2, captured);
	if (edge_event_addresses(event, source, destination) != (*source != '\0'))
		abort();
	if (edge_event_ports(event, &ports) && !event->head.family)
		abort();
	free(event);
	return 0;
}
