/* SPDX-License-Identifier: Apache-2.0 */
/* message.h - building and reading messages: every read is bounded, and nothing that was sent is
 * trusted. */
#ifndef LOCKSTEP_DOOR_MESSAGE_H
#define LOCKSTEP_DOOR_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Grows as it is written; `failed` once it is too long or memory is short, and then takes no more.
 */
struct writer {
    uint8_t *bytes;
    size_t length;
    size_t room;
    bool failed;
};

/* Begins a message: the place of its length is left free. */
void writer_begin(struct writer *writer);
void write_u32(struct writer *writer, uint32_t value);
void write_string(struct writer *writer, const char *text);
/* Fills the length in. False when the message could not be built. */
bool writer_end(struct writer *writer);

/* Reads what came without its length; `failed` once more was asked than there is. */
struct reader {
    char *bytes;
    size_t length;
    size_t at;
    bool failed;
};

uint32_t read_u32(struct reader *reader);
/* Points into the message. NULL when it has no more strings. */
char *read_string(struct reader *reader);
/* `count` strings, with room for `spare` pointers before them and a NULL behind. NULL when they are
 * not all there. */
char **read_strings(struct reader *reader, uint32_t count, size_t spare);
bool reader_done(const struct reader *reader);

#endif
