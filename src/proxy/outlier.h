/* outlier: takes an endpoint out for a while when its requests fail one after the other, whatever
 * its health check says. 5 failures in a row: out for 30 s, the next time for 60 s, up to 300 s;
 * each 30 s that it behaves forgives one time. Never more than a tenth of a cluster (but one may
 * always go), and never the last that is usable. Pure. */
#ifndef DURE_PROXY_OUTLIER_H
#define DURE_PROXY_OUTLIER_H

#include <stdbool.h>
#include <stdint.h>

enum {
    OUTLIER_FAILURES = 5,
    OUTLIER_BASE_MS = 30000,
    OUTLIER_MAX_MS = 300000,
    OUTLIER_PERCENT = 10
};

struct outlier {
    uint32_t failures;  /* in a row */
    uint32_t ejections; /* not forgiven yet */
    uint64_t until_ns;  /* the end of the latest ejection; 0: never ejected */
};

/* `usable`: endpoints of the cluster that get requests now, this one included; `out`: those of the
 * cluster that are ejected now. True when this failure ejects it. Failures of requests that were
 * under way when it was ejected change nothing. */
bool outlier_failure(struct outlier *outlier, uint64_t now_ns, uint32_t usable, uint32_t out);

void outlier_success(struct outlier *outlier);

bool outlier_ejected(const struct outlier *outlier, uint64_t now_ns);

/* Whether a response status tells that the endpoint is broken: 500, 502, 503, 504. */
bool outlier_status(int status);

#endif
