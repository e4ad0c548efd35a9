/* commands: one function for each command of `dure`; see main.c for what they take. */
#ifndef DURE_APP_COMMANDS_H
#define DURE_APP_COMMANDS_H

int cmd_apply(int argc, char **argv);
int cmd_ask(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_build(int argc, char **argv);
int cmd_bus(int argc, char **argv);
int cmd_bus_move(int argc, char **argv);
int cmd_call(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_down(int argc, char **argv);
int cmd_gateway(int argc, char **argv);
int cmd_help(int argc, char **argv);
int cmd_host(int argc, char **argv);
int cmd_init(int argc, char **argv);
int cmd_kv(int argc, char **argv);
int cmd_logs(int argc, char **argv);
int cmd_obj(int argc, char **argv);
int cmd_pub(int argc, char **argv);
int cmd_queue(int argc, char **argv);
int cmd_req(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_stream(int argc, char **argv);
int cmd_sub(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_up(int argc, char **argv);
int cmd_version(int argc, char **argv);

#endif
