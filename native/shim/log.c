/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.c - QEMU writes and reads its replay log through stdio; these stand in the way. Any FILE
 * that is not the log goes straight to the C library.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "real.h"
#include "shim.h"

#undef putc
#undef getc
#undef feof
#undef ferror

static const char log_suffix[] = ".ftlog";

static bool is_log_name(const char *path)
{
    size_t length = strlen(path);
    size_t suffix = sizeof(log_suffix) - 1;
    return length >= suffix && strcmp(path + length - suffix, log_suffix) == 0;
}

static inline bool is_log(FILE *file)
{
    return __builtin_expect(file == shim.log_file && file != NULL, 0);
}

static FILE *open_file(const char *path, const char *mode)
{
    if (shim_ring_path() == NULL || shim.log_file != NULL || !is_log_name(path))
        return real()->fopen64(path, mode);
    FILE *stand_in = real()->fopen64("/dev/null", mode);
    if (stand_in == NULL)
        shim_refuse(FTLOG_ERR_CONTRACT, "can't open /dev/null");
    shim_start(stand_in, mode);
    return stand_in;
}

SHIM_EXPORT FILE *fopen64(const char *path, const char *mode)
{
    return open_file(path, mode);
}

SHIM_EXPORT FILE *fopen(const char *path, const char *mode)
{
    return open_file(path, mode);
}

SHIM_EXPORT int fclose(FILE *file)
{
    if (is_log(file))
        shim.log_file = NULL;
    return real()->fclose(file);
}

SHIM_EXPORT int putc(int byte, FILE *file)
{
    if (!is_log(file))
        return real()->putc(byte, file);
    uint8_t value = (uint8_t)byte;
    record_append(&value, 1);
    return value;
}

SHIM_EXPORT size_t fwrite(const void *bytes, size_t size, size_t count, FILE *file)
{
    if (!is_log(file))
        return real()->fwrite(bytes, size, count, file);
    record_append(bytes, size * count);
    return count;
}

SHIM_EXPORT int getc(FILE *file)
{
    if (!is_log(file))
        return real()->getc(file);
    return replay_next_byte();
}

SHIM_EXPORT size_t fread(void *to, size_t size, size_t count, FILE *file)
{
    if (!is_log(file))
        return real()->fread(to, size, count, file);
    return size == 0 ? 0 : replay_read(to, size * count) / size;
}

SHIM_EXPORT int fseek(FILE *file, long offset, int whence)
{
    if (!is_log(file))
        return real()->fseek(file, offset, whence);
    /* Recording, QEMU only skips the header, or returns to it at exit. */
    if (shim_role() != ROLE_RECORD)
        replay_seek((uint64_t)offset);
    return 0;
}

SHIM_EXPORT long ftell(FILE *file)
{
    if (!is_log(file))
        return real()->ftell(file);
    if (shim_role() != ROLE_RECORD)
        return (long)replay_position();
    return (long)record_position();
}

/* The log has neither an end nor errors: it waits, or the shim halts. */
SHIM_EXPORT int feof(FILE *file)
{
    return is_log(file) ? 0 : real()->feof(file);
}

SHIM_EXPORT int ferror(FILE *file)
{
    return is_log(file) ? 0 : real()->ferror(file);
}
