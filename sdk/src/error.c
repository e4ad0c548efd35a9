#include "dure/dure.h"

static const struct {
    const char *name, *text;
    int status;
} errors[DURE_ERROR_COUNT] = {{"OK", "no error", 200},
#define X(name, status, text) {#name, text, status},
                              DURE_ERROR_TABLE(X)
#undef X
};

static int place(int err)
{
    if (err >= 0) return 0;
    return err > -DURE_ERROR_COUNT ? -err : DURE_ERROR_COUNT;
}

const char *dure_error_name(int err)
{
    int at = place(err);
    return at < DURE_ERROR_COUNT ? errors[at].name : "UNKNOWN";
}

const char *dure_error_text(int err)
{
    int at = place(err);
    return at < DURE_ERROR_COUNT ? errors[at].text : "unknown error";
}

int dure_error_status(int err)
{
    int at = place(err);
    return at < DURE_ERROR_COUNT ? errors[at].status : 500;
}
