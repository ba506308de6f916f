/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "framing.h"

enum { HEADER_BYTES = 4 };

static void add_header_byte(struct framing *framing, uint8_t byte)
{
    framing->header = framing->header << 8 | byte;
    framing->header_bytes++;
    if (framing->header_bytes < HEADER_BYTES)
        return;
    framing->left = framing->header;
    framing->header = 0;
    framing->header_bytes = 0;
}

uint64_t framing_begun(struct framing *framing, const uint8_t *bytes, size_t count)
{
    uint64_t begun = 0;
    size_t at = 0;
    while (at < count) {
        if (framing->left > 0) {
            size_t rest = count - at;
            size_t skip = framing->left < rest ? framing->left : rest;
            framing->left -= (uint32_t)skip;
            at += skip;
            continue;
        }
        if (framing->header_bytes == 0)
            begun++;
        add_header_byte(framing, bytes[at++]);
    }
    return begun;
}
