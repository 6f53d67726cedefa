/* SPDX-License-Identifier: Apache-2.0 */
#include "observe/spsc.h"

#include <errno.h>
#include <sys/mman.h>

/* Before each message; messages start at multiples of its size, so that it is never torn. */
struct header {
	void *tag;
	size_t len;
};

static size_t space(size_t len)
{
	size_t unit = sizeof(struct header);

	return unit + (len + unit - 1) / unit * unit;
}

static struct header *header_at(const struct spsc *s, size_t position)
{
	return (struct header *)(s->data + (position & (s->size - 1)));
}

int spsc_init(struct spsc *s, size_t size)
{
	*s = (struct spsc){.size = size};
	s->data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->data != MAP_FAILED)
		return 0;
	s->data = NULL;
	return -ENOMEM;
}

void spsc_fini(struct spsc *s)
{
	if (s->data)
		munmap(s->data, s->size);
	s->data = NULL;
}

bool spsc_put(struct spsc *s, void *tag, struct slice message)
{
	size_t need = space(message.len);
	size_t at = s->tail + sizeof(struct header);
	struct slice first;
	size_t place;

	if (need > s->size - (s->tail - s->head_seen)) {
		s->head_seen = __atomic_load_n(&s->head, __ATOMIC_ACQUIRE);
		if (need > s->size - (s->tail - s->head_seen))
			return false;
	}
	*header_at(s, s->tail) = (struct header){.tag = tag, .len = message.len};
	place = at & (s->size - 1);
	first = slice_first(message, s->size - place);
	memcpy(s->data + place, first.ptr, first.len);
	if (first.len < message.len)
		memcpy(s->data, message.ptr + first.len, message.len - first.len);
	__atomic_store_n(&s->tail, s->tail + need, __ATOMIC_RELEASE);
	return true;
}

bool spsc_half_full(struct spsc *s)
{
	if (s->tail - s->head_seen <= s->size / 2)
		return false;
	s->head_seen = __atomic_load_n(&s->head, __ATOMIC_ACQUIRE);
	return s->tail - s->head_seen > s->size / 2;
}

void spsc_look(struct spsc *s)
{
	s->tail_seen = __atomic_load_n(&s->tail, __ATOMIC_ACQUIRE);
}

bool spsc_get(const struct spsc *s, struct spsc_message *ret)
{
	const struct header *h;
	size_t place;

	if (s->head == s->tail_seen)
		return false;
	h = header_at(s, s->head);
	place = (s->head + sizeof(*h)) & (s->size - 1);
	ret->tag = h->tag;
	ret->parts[0] = slice_first(slice_make(s->data + place, h->len), s->size - place);
	ret->parts[1] = slice_make(s->data, h->len - ret->parts[0].len);
	return true;
}

void spsc_next(struct spsc *s)
{
	size_t used = space(header_at(s, s->head)->len);

	__atomic_store_n(&s->head, s->head + used, __ATOMIC_RELEASE);
}
