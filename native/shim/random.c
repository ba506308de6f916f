/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * random.c - how many random bytes a guest gets at once.
 *
 * A guest asks virtio-rng for as much as its descriptors say, up to 4 GiB; QEMU makes one event of
 * it. An event has a bound (FTLOG_RANDOM_BYTES_MAX), so a guest could halt its VM, first the
 * primary, then the backup. So no more than the bound is requested of the random device: the guest
 * is given less than it asked for, which the device may do at any time (it does when a rate limit
 * is set), and virtio-rng asks for the next buffer. The same on both sides, and in no log.
 *
 * QEMU's rng_backend_request_entropy is replaced by one that does what it does. Caller has the BQL.
 */
#include <stdlib.h>
#include <string.h>

#include "hook.h"
#include "shim.h"
#include "symbols.h"
#include "version.h"

typedef void (*receive_entropy)(void *opaque, const void *bytes, size_t count);

/* struct RngRequest (include/system/rng.h); QEMU frees it and its data. */
struct request {
    receive_entropy receive;
    uint8_t *data;
    void *opaque;
    size_t offset;
    size_t size;
    struct request *next;
};

/* QSIMPLEQ_HEAD */
struct requests {
    struct request *first;
    struct request **last;
};

typedef void (*class_request)(void *backend, struct request *request);

static class_request request_of_class(void *backend)
{
    class_request function;
    const uint8_t *class = qemu.object_get_class(backend);
    memcpy(&function, class + release->rng_class_request, sizeof(function));
    return function;
}

static void append(void *backend, struct request *request)
{
    struct requests *requests = (void *)((uint8_t *)backend + release->rng_requests);
    *requests->last = request;
    requests->last = &request->next;
}

/* QEMU gives it back by g_free, which is the C library's free (GLib 2.46 and later). */
static void *allocate(size_t size)
{
    void *memory = malloc(size);
    if (memory == NULL && size > 0)
        abort(); /* as g_malloc does */
    return memory;
}

static void request_entropy(void *backend, size_t size, receive_entropy receive, void *opaque)
{
    class_request function = request_of_class(backend);
    if (function == NULL)
        return;
    size = size < FTLOG_RANDOM_BYTES_MAX ? size : FTLOG_RANDOM_BYTES_MAX;
    struct request *request = allocate(sizeof(*request));
    *request = (struct request){.receive = receive, .opaque = opaque, .size = size};
    request->data = allocate(size);
    function(backend, request);
    append(backend, request);
}

void random_install(void)
{
    hook_replace((void *)qemu.rng_backend_request_entropy, (void (*)(void))request_entropy,
                 "rng_backend_request_entropy");
}
