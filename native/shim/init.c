/* SPDX-License-Identifier: GPL-2.0-or-later */
/* init.c - asked or not, and the way from "asked" to a role. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "real.h"
#include "shim.h"
#include "symbols.h"
#include "version.h"

struct shim shim;
_Thread_local bool shim_in_main_thread;

static char *ring_path;
static char *net_path;
static char *clone_path;
static char *disk_paths[SHIM_DISKS_MAX];
static bool marker_wanted = true;

const char *shim_ring_path(void)
{
    return ring_path;
}
const char *shim_net_path(void)
{
    return net_path;
}
const char *shim_clone_path(void)
{
    return clone_path;
}
const char *shim_disk_path(int disk)
{
    return disk_paths[disk];
}
bool shim_marker_wanted(void)
{
    return marker_wanted;
}

uint64_t shim_log_position(void)
{
    return shim_role() == ROLE_RECORD ? record_position() : replay_position();
}

static char *copy_of(const char *text)
{
    char *copy = text == NULL ? NULL : strdup(text);
    if (text != NULL && copy == NULL)
        abort();
    return copy;
}

static void read_disk_paths(void)
{
    for (int i = 0; i < SHIM_DISKS_MAX; i++) {
        char name[32];
        snprintf(name, sizeof(name), "LOCKSTEP_DISK%d", i);
        disk_paths[i] = copy_of(getenv(name));
        unsetenv(name);
    }
}

/*
 * Reads the environment, and takes it away from children: helpers that QEMU starts are not QEMU,
 * and must neither load the shim nor hold the ring.
 */
__attribute__((constructor)) static void read_environment(void)
{
    real();
    if (getenv("LOCKSTEP_RING") == NULL || !symbols_is_qemu())
        return;
    ring_path = copy_of(getenv("LOCKSTEP_RING"));
    net_path = copy_of(getenv("LOCKSTEP_NET"));
    clone_path = copy_of(getenv("LOCKSTEP_CLONE"));
    read_disk_paths();
    const char *marker = getenv("LOCKSTEP_MARKER");
    marker_wanted = marker == NULL || strcmp(marker, "0") != 0;
    unsetenv("LD_PRELOAD");
    unsetenv("LOCKSTEP_RING");
    unsetenv("LOCKSTEP_NET");
    unsetenv("LOCKSTEP_CLONE");
    unsetenv("LOCKSTEP_MARKER");
    output_init();
    disks_init();
}

static void become_inert_in_child(void)
{
    atomic_store(&shim.role, ROLE_INERT);
    shim.log_file = NULL;
}

static void map_ring(void)
{
    char why[128];
    enum ftlog_error error = ring_map(&shim.ring, ring_path, why, sizeof(why));
    if (error != FTLOG_OK)
        shim_refuse(error, "%s", why);
}

/* The command line and the control page must agree on what this QEMU is for. */
static enum role check_mode(const char *mode)
{
    bool writes = mode[0] == 'w';
    uint32_t start = shim_control()->start;
    if (start != (writes ? FTLOG_START_RECORD : FTLOG_START_REPLAY))
        shim_refuse(FTLOG_ERR_CONTRACT, "ring is for start %u, but QEMU was started to %s", start,
                    writes ? "record" : "replay");
    return writes ? ROLE_RECORD : ROLE_REPLAY;
}

static void start_log(enum role role)
{
    blocks_reset(0);
    if (role == ROLE_RECORD) {
        record_start(FTLOG_HEADER_BYTES);
        ring_store32(&shim_control()->state, FTLOG_STATE_RECORDING);
    } else {
        replay_start();
        ring_store32(&shim_control()->state, FTLOG_STATE_WAITING);
    }
}

void shim_start(FILE *stand_in, const char *mode)
{
    map_ring();
    symbols_resolve();
    version_check();
    enum role role = check_mode(mode);
    ring_store32(&shim_control()->qemu_pid, (uint32_t)getpid());
    shim_in_main_thread = true;
    shim.log_file = stand_in;
    pthread_atfork(NULL, NULL, become_inert_in_child);
    /* QEMU registered its own end-of-log handler just before it opened the log; ours runs first. */
    atexit(record_close);
    advance_install();
    notify_install();
    demand_install();
    clock_install();
    timer_install();
    pace_install();
    warp_install();
    pause_install();
    clone_install();
    tracking_install();
    devices_install();
    random_install();
    reset_install();
    start_log(role);
    atomic_store(&shim.role, role);
    ring_notify_sidecar(&shim.ring);
    control_start();
}
