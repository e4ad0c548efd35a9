#include "proxy/outlier.h"

static const uint64_t base_ns = (uint64_t)OUTLIER_BASE_MS * 1000000;

bool outlier_ejected(const struct outlier *outlier, uint64_t now_ns)
{
    return now_ns < outlier->until_ns;
}

static void forgive(struct outlier *outlier, uint64_t now_ns)
{
    if (now_ns < outlier->until_ns) return;
    uint64_t times = (now_ns - outlier->until_ns) / base_ns;
    outlier->ejections = times < outlier->ejections ? outlier->ejections - (uint32_t)times : 0;
}

bool outlier_failure(struct outlier *outlier, uint64_t now_ns, uint32_t usable, uint32_t out)
{
    if (outlier_ejected(outlier, now_ns)) return false;
    if (outlier->failures < OUTLIER_FAILURES) outlier->failures++;
    if (outlier->failures < OUTLIER_FAILURES) return false;

    uint32_t most = (uint32_t)((uint64_t)(usable + out) * OUTLIER_PERCENT / 100);
    if (most < 1) most = 1;
    if (usable < 2 || out >= most) return false;

    forgive(outlier, now_ns);
    uint32_t most_times = OUTLIER_MAX_MS / OUTLIER_BASE_MS;
    if (outlier->ejections < most_times) outlier->ejections++;
    outlier->until_ns = now_ns + outlier->ejections * base_ns;
    outlier->failures = 0;
    return true;
}

void outlier_success(struct outlier *outlier)
{
    outlier->failures = 0;
}

bool outlier_status(int status)
{
    return status == 500 || status == 502 || status == 503 || status == 504;
}
