/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

#define FIRST_ROOM 16384u

static void append(struct writer *writer, const void *bytes, size_t length)
{
    uint8_t *grown;
    size_t room = writer->room;

    if (writer->failed || length > MESSAGE_BYTES_MAX - writer->length) {
        writer->failed = true;
        return;
    }
    while (room < writer->length + length) {
        room = room == 0 ? FIRST_ROOM : room * 2;
    }
    if (room != writer->room) {
        grown = realloc(writer->bytes, room);
        if (!grown) {
            writer->failed = true;
            return;
        }
        writer->bytes = grown;
        writer->room = room;
    }
    memcpy(writer->bytes + writer->length, bytes, length);
    writer->length += length;
}

void writer_begin(struct writer *writer)
{
    *writer = (struct writer){0};
    write_u32(writer, 0);
}

void write_u32(struct writer *writer, uint32_t value)
{
    const uint32_t network = htonl(value);

    append(writer, &network, sizeof(network));
}

void write_string(struct writer *writer, const char *text)
{
    append(writer, text, strlen(text) + 1);
}

bool writer_end(struct writer *writer)
{
    uint32_t network;

    if (writer->failed) {
        return false;
    }
    network = htonl((uint32_t)(writer->length - sizeof(network)));
    memcpy(writer->bytes, &network, sizeof(network));
    return true;
}

uint32_t read_u32(struct reader *reader)
{
    uint32_t network;

    if (reader->failed || reader->length - reader->at < sizeof(network)) {
        reader->failed = true;
        return 0;
    }
    memcpy(&network, reader->bytes + reader->at, sizeof(network));
    reader->at += sizeof(network);
    return ntohl(network);
}

char *read_string(struct reader *reader)
{
    char *text = reader->bytes + reader->at;
    const char *end;

    end = reader->failed ? NULL : memchr(text, '\0', reader->length - reader->at);
    if (!end) {
        reader->failed = true;
        return NULL;
    }
    reader->at = (size_t)(end - reader->bytes) + 1;
    return text;
}

char **read_strings(struct reader *reader, uint32_t count, size_t spare)
{
    char **strings;
    uint32_t i;

    if (reader->failed || count > STRINGS_MAX) {
        reader->failed = true;
        return NULL;
    }
    strings = calloc(spare + count + 1, sizeof(*strings));
    for (i = 0; strings && i < count; i++) {
        strings[spare + i] = read_string(reader);
    }
    if (!strings || reader->failed) {
        free(strings);
        reader->failed = true;
        return NULL;
    }
    return strings;
}

bool reader_done(const struct reader *reader)
{
    return !reader->failed && reader->at == reader->length;
}
