/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The lists of addresses: allow before deny. */
#ifndef BPF_ACL_BPF_H
#define BPF_ACL_BPF_H

#include "bpf/maps.bpf.h"
#include "bpf/parse.bpf.h"

static __always_inline bool acl_allowed(const struct packet *p)
{
	return (p->family == 4 ? bpf_map_lookup_elem(&allow4, &p->source4)
			       : bpf_map_lookup_elem(&allow6, &p->source6)) != NULL;
}

static __always_inline bool acl_denied(const struct packet *p)
{
	return (p->family == 4 ? bpf_map_lookup_elem(&deny4, &p->source4)
			       : bpf_map_lookup_elem(&deny6, &p->source6)) != NULL;
}

#endif
