/* What the tables of manifest_bus.c cannot say of a bus. */
#include "wire/manifest_bus.h"

#include "wire/manifest_value.h"

/* What is being checked, for all the functions here. */
struct check {
    const struct yaml_source *source;
    struct errors *errors;
    bool clean; /* the table has found no mistake: what is missing was not just misspelt */
};

static struct error *mistake(const struct check *check, const void *member)
{
    return yaml_error(check->source, member, check->errors);
}

/* ---- permissions ---- */

static void settle_permissions(const struct check *check, struct manifest_bus_permissions *p)
{
    p->publish.allow_given = yaml_given(check->source, &p->publish.allow);
    p->subscribe.allow_given = yaml_given(check->source, &p->subscribe.allow);
    p->given = yaml_given(check->source, p);
    p->responses.given = yaml_given(check->source, &p->responses);
    p->rules = (struct nats_permissions){.publish = p->publish,
                                         .subscribe = p->subscribe,
                                         .responses = p->responses.given,
                                         .max_responses = p->responses.max,
                                         .response_ttl_ms = p->responses.ttl_ms};
    if (!p->responses.max) p->rules.max_responses = -1;
    if (!p->responses.ttl_ms) p->rules.response_ttl_ms = -1;
    if (p->responses.given) p->rules.publish.allow_given = true;
}

/* ---- accounts ---- */

static void check_accounts(const struct check *check, struct manifest_bus *bus)
{
    for (size_t i = 0; i < bus->account_count; i++) {
        const struct manifest_bus_account *account = &bus->accounts[i];
        for (size_t j = 0; j < i && account->name.len; j++) {
            if (!bytes_eq(account->name, bus->accounts[j].name)) continue;
            struct error *error = mistake(check, &account->name);
            error_set(error, ERR_INVALID, "there are two accounts `%.*s`",
                      BYTES_ARG(yaml_shown(account->name)));
            error_remedy(error, "Give one of them another name.");
            break;
        }
        if (!account->jwt.len || bus->auth.operator_count) continue;
        struct error *error = mistake(check, &account->jwt);
        error_set(error, ERR_INVALID,
                  "the account `%.*s` has a JWT, but no operator is trusted to have signed it",
                  BYTES_ARG(yaml_shown(account->name)));
        error_remedy(error, "Name its operator: `auth: {operators: [O...]}`.");
    }
}

static void find_account(const struct check *check, const struct manifest_bus *bus,
                         struct manifest_bus_user *user)
{
    const char *names[MANIFEST_BUS_ACCOUNTS_MAX];
    user->account_index = SIZE_MAX;
    if (!user->account.len) return;
    for (size_t i = 0; i < bus->account_count; i++) {
        names[i] = bus->accounts[i].name.data;
        if (bytes_eq(user->account, bus->accounts[i].name)) user->account_index = i;
    }
    if (user->account_index != SIZE_MAX) return;
    struct error *error = mistake(check, &user->account);
    const char *near = bytes_nearest(user->account, names, bus->account_count);
    error_set(error, ERR_INVALID, "no account of this bus is called `%.*s`",
              BYTES_ARG(yaml_shown(user->account)));
    if (near)
        error_remedy(error, "Did you mean `%s`?", near);
    else
        error_remedy(error, "Add it: `accounts: [{name: %.*s}]`.",
                     BYTES_ARG(yaml_shown(user->account)));
}

/* ---- users ---- */

static struct bytes key_of(const struct manifest_bus_user *user)
{
    return user->nkey.len ? user->nkey : user->user;
}

static void check_user(const struct check *check, const struct manifest_bus *bus,
                       struct manifest_bus_user *user)
{
    settle_permissions(check, &user->permissions);
    find_account(check, bus, user);
    if (user->nkey.len && user->password.len) {
        struct error *error = mistake(check, &user->password);
        error_set(error, ERR_INVALID, "a user with an nkey has no password: it signs instead");
        error_remedy(error, "Remove `password`, or write `user:` instead of `nkey:`.");
    }
    if (check->clean && user->user.len && !user->password.len &&
        bus->tls.clients != MANIFEST_BUS_TLS_MAP && !bytes_eq(user->user, bus->auth.no_auth_user)) {
        struct error *error = mistake(check, &user->user);
        error_set(error, ERR_INVALID, "the user `%.*s` has no password and so could not come in",
                  BYTES_ARG(yaml_shown(user->user)));
        error_remedy(error, "Give it a `password`, or let certificates say who clients are: "
                            "`tls: {clients: map}`.");
    }
}

static void check_users(const struct check *check, struct manifest_bus *bus)
{
    struct manifest_bus_auth *auth = &bus->auth;
    for (size_t i = 0; i < auth->user_count; i++) {
        check_user(check, bus, &auth->users[i]);
        struct bytes key = key_of(&auth->users[i]);
        for (size_t j = 0; j < i && key.len; j++) {
            if (!bytes_eq(key, key_of(&auth->users[j]))) continue;
            const struct bytes *place =
                auth->users[i].nkey.len ? &auth->users[i].nkey : &auth->users[i].user;
            struct error *error = mistake(check, place);
            error_set(error, ERR_INVALID, "there are two users `%.*s`", BYTES_ARG(yaml_shown(key)));
            error_remedy(error, "Remove one of the two.");
            break;
        }
    }
}

static void check_no_auth_user(const struct check *check, const struct manifest_bus_auth *auth)
{
    if (!auth->no_auth_user.len) return;
    for (size_t i = 0; i < auth->user_count; i++)
        if (bytes_eq(auth->no_auth_user, key_of(&auth->users[i]))) return;
    struct error *error = mistake(check, &auth->no_auth_user);
    error_set(error, ERR_INVALID, "no user of this bus is called `%.*s`",
              BYTES_ARG(yaml_shown(auth->no_auth_user)));
    error_remedy(error, "Add it to `users`, with the permissions of those who come without "
                        "credentials.");
}

/* They come with a URL, so with a name and a password as it is. */
static void find_services_user(const struct check *check, struct manifest_bus_auth *auth)
{
    auth->services_index = SIZE_MAX;
    if (!auth->services.len) return;
    for (size_t i = 0; i < auth->user_count; i++)
        if (bytes_eq(auth->services, auth->users[i].user)) auth->services_index = i;
    if (auth->services_index == SIZE_MAX) {
        struct error *error = mistake(check, &auth->services);
        error_set(error, ERR_INVALID, "no user of this bus is called `%.*s`",
                  BYTES_ARG(yaml_shown(auth->services)));
        error_remedy(error, "Add it to `users`, with a password.");
        return;
    }
    const struct manifest_bus_user *user = &auth->users[auth->services_index];
    if (user->password.len && !bytes_starts(user->password, BYTES("$2"))) return;
    struct error *error = mistake(check, &auth->services);
    error_set(error, ERR_INVALID,
              "services cannot come as `%.*s`: its password is not written here",
              BYTES_ARG(yaml_shown(auth->services)));
    error_remedy(error, "Give that user a password as it is, not a hash.");
}

static void check_auth(const struct check *check, struct manifest_bus *bus)
{
    struct manifest_bus_auth *auth = &bus->auth;
    auth->given = yaml_given(check->source, auth);
    settle_permissions(check, &auth->default_permissions);
    check_users(check, bus);
    check_no_auth_user(check, auth);
    find_services_user(check, auth);
    if (!auth->given || auth->token.len || auth->user_count || auth->operator_count) return;
    struct error *error = mistake(check, auth);
    error_set(error, ERR_INVALID, "`auth` names nobody, so nobody could come in");
    error_remedy(error, "Add `token`, `users` or `operators`, or remove `auth`.");
}

/* ---- TLS ---- */

static void check_tls(const struct check *check, struct manifest_bus_tls *tls)
{
    tls->given = yaml_given(check->source, tls);
    if (!tls->given || tls->clients == MANIFEST_BUS_TLS_ANY) return;
    if (tls->optional) {
        struct error *error = mistake(check, &tls->optional);
        error_set(error, ERR_INVALID,
                  "with `optional: true` clients need not show the certificate that `clients` "
                  "demands");
        error_remedy(error, "Remove one of the two.");
    }
}

void manifest_bus_check(struct manifest_bus *bus, const struct yaml_source *source,
                        struct errors *errors)
{
    struct check check = {source, errors, errors_total(errors) == 0};
    bus->source = source;
    bus->websocket.given = yaml_given(source, &bus->websocket);
    check_tls(&check, &bus->tls);
    check_auth(&check, bus);
    check_accounts(&check, bus);
}

/* A file of its own is for a bus of its own. */
static void refuse_cluster(const struct manifest_bus *bus, const struct yaml_source *source,
                           struct errors *errors)
{
    const struct bytes *const of_cluster[] = {&bus->url,   &bus->user, &bus->password, &bus->token,
                                              &bus->creds, &bus->ca,   &bus->cert,     &bus->key};
    for (size_t i = 0; i < sizeof of_cluster / sizeof *of_cluster; i++) {
        if (!of_cluster[i]->len) continue;
        struct error *error = yaml_error(source, of_cluster[i], errors);
        error_set(error, ERR_INVALID, "this is for a system that uses a NATS cluster instead");
        error_remedy(error, "Remove it; who may come in here is said in `auth`.");
    }
}

int manifest_bus_parse(struct bytes text, const char *name, struct arena *arena,
                       struct errors *errors, struct manifest_bus **ret_bus)
{
    size_t before = errors_total(errors);
    const struct yaml_source *source;
    void *value;
    int r = yaml_bind(&manifest_bus_schema, text, name, arena, errors, &value, &source);
    *ret_bus = value;
    if (!value) return r;
    manifest_bus_check(*ret_bus, source, errors);
    refuse_cluster(*ret_bus, source, errors);
    if (errors_total(errors) == before) return 0;
    return before < errors->count ? errors->items[before].code : ERR_INVALID;
}
