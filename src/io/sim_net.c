#include "io/sim_world.h"

void sim_net_die(struct sim_io *io, bool power_failed)
{
}

void sim_net_resume(struct sim *sim)
{
}

void sim_net_free(struct sim *sim)
{
}
