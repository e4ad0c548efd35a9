/* file_replace: a file that was written beside its place takes it, or goes. */
#ifndef DURE_APP_FILE_REPLACE_H
#define DURE_APP_FILE_REPLACE_H

/* Forces `part` to the disk and makes it `path`, so that after a power cut there is the old file or
 * all of the new. 0 or a negative enum err. */
int file_replace(const char *part, const char *path);
void file_discard(const char *part);

#endif
