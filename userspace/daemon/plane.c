/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/plane.h"

#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "edge/edge.h"

static int sync_interface(const char *name, enum conf_xdp_mode mode, const struct config *cfg,
			  struct error *err)
{
	struct edge_status status = {0};
	struct edge e;
	int rc = edge_open(name, &e, err);

	if (rc == 0) {
		rc = edge_status(&e, &status, err);
		if (rc == 0 && status.attached)
			rc = edge_apply(&e, cfg, err);
		edge_close(&e);
	}
	if (rc == -ENOENT || (rc == 0 && !status.attached))
		rc = edge_attach(name, mode, cfg, err);
	return rc;
}

void plane_sync(const struct config *cfg)
{
	_cleanup_close_ int lock = -1;
	struct error err = {0};

	if (!cfg->edge.present)
		return;
	if (cfg->edge.n_interfaces == 0) {
		log_warn("packet plane: edge.interfaces names none, so nothing was attached");
		return;
	}
	lock = edge_lock(&err);
	if (lock < 0) {
		log_warn("packet plane off: %s; serving without it", err.text);
		return;
	}
	for (size_t i = 0; i < cfg->edge.n_interfaces; i++) {
		const struct conf_interface *in = &cfg->edge.interfaces[i];
		char name[IF_NAMESIZE];

		snprintf(name, sizeof(name), "%.*s", SLICE_FMT(in->name));
		if (sync_interface(name, in->mode, cfg, &err) < 0)
			log_warn("packet plane off: %s; serving without it", err.text);
		else
			log_info("packet plane: %s follows %.*s", name, SLICE_FMT(cfg->path));
	}
}
