#include "app/commands.h"

#include "app/cli.h"

int cmd_init(int argc, char **argv)
{
    return cli_usage("init", "is not known");
}
