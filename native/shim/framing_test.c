/* SPDX-License-Identifier: GPL-2.0-or-later */
/* framing_test.c - the count does not depend on how the stream is cut. */
#include "check.h"
#include "framing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 40, STREAM_BYTES_MAX = FRAMES * (4 + 300) };

static uint8_t stream[STREAM_BYTES_MAX];
static size_t starts[FRAMES];

static size_t make_stream(unsigned seed)
{
    size_t at = 0;
    srand(seed);
    for (int i = 0; i < FRAMES; i++) {
        uint32_t length = (uint32_t)(rand() % 300);
        starts[i] = at;
        const uint8_t header[4] = {(uint8_t)(length >> 24), (uint8_t)(length >> 16),
                                   (uint8_t)(length >> 8), (uint8_t)length};
        memcpy(stream + at, header, 4);
        memset(stream + at + 4, 0xff, length);
        at += 4 + length;
    }
    return at;
}

static uint64_t begun_before(size_t at)
{
    uint64_t count = 0;
    while (count < FRAMES && starts[count] < at)
        count++;
    return count;
}

static void check_cuts(unsigned seed, size_t piece_max)
{
    struct framing framing = {0, 0, 0};
    size_t total = make_stream(seed), at = 0;
    uint64_t begun = 0;
    while (at < total) {
        size_t piece = 1 + (size_t)rand() % piece_max;
        piece = piece < total - at ? piece : total - at;
        begun += framing_begun(&framing, stream + at, piece);
        at += piece;
        CHECK(begun == begun_before(at));
    }
    CHECK(begun == FRAMES);
}

int main(void)
{
    const size_t pieces[] = {1, 3, 4, 5, 100, 1000, STREAM_BYTES_MAX};
    for (unsigned seed = 1; seed <= 50; seed++) {
        for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
            check_cuts(seed, pieces[i]);
    }
    struct framing none = {0, 0, 0};
    CHECK(framing_begun(&none, stream, 0) == 0);
    puts("framing: 350 streams counted");
    return 0;
}
