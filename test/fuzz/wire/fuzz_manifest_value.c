/* Commands, versions, durations and sizes; and that the words of a command, quoted, are the command
 * again. */
#include <assert.h>

#include "wire/manifest.h"

/* 'word', with each ' in it as '\''. */
static void quote(struct buf *out, const char *word)
{
    buf_append_char(out, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            buf_append_str(out, "'\\''");
        else
            buf_append_char(out, *word);
    }
    buf_append_str(out, "' ");
}

static void check_command(struct bytes text)
{
    struct arena arena;
    struct manifest_command command = {0}, again = {0};
    struct error error = {0};
    struct buf quoted;
    arena_init(&arena, 1 << 20);
    buf_init(&quoted, 1 << 20);
    int err = manifest_command_parse(text, &arena, &command, &error);
    assert(err == 0 || error.message[0]);
    for (size_t i = 0; i < command.argc; i++) quote(&quoted, command.argv[i]);
    if (!err && buf_len(&quoted) < 16 * 1024) {
        assert(manifest_command_parse(buf_bytes(&quoted), &arena, &again, NULL) == 0);
        assert(again.argc == command.argc);
        for (size_t i = 0; i < command.argc; i++)
            assert(strcmp(again.argv[i], command.argv[i]) == 0);
    }
    buf_release(&quoted);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_make(data, size);
    struct manifest_version version;
    struct error error = {0};
    uint32_t ms;
    uint64_t count;
    if (manifest_version_parse(text, &version, &error) == 0)
        assert(manifest_version_compare(&version, &version) == 0);
    else
        assert(error.message[0] && error.remedy[0]);
    yaml_duration_parse(text, &ms);
    yaml_bytes_parse(text, &count);
    check_command(text);
    return 0;
}
