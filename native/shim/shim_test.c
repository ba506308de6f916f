/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shim_test.c - the whole shim in a fake QEMU (fake_qemu.c), each case in a child of its own: what
 * it writes, what it hands out, where it goes live, and that it refuses or halts by name.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../ftlog/parse.h"
#include "check.h"
#include "fake_qemu.h"
#include "ring.h"
#include "shim.h"
#include "version.h"

enum {
    CASE_SECONDS = 20,
    REFUSED = 78,
    CLONE_LSN = 1000,
    INSTRUCTIONS_BYTES = 5,
    CLOCK_BYTES = 9,
    WARP_BYTES = 17,
};
static const int64_t MS = 1000000, SECOND = 1000000000;

static char directory[] = "/tmp/lockstep-shim-test-XXXXXX";
static struct ring ring; /* the sidecar's view */

static void in_directory(char *path, size_t bytes, const char *name)
{
    CHECK(snprintf(path, bytes, "%s/%s", directory, name) < (int)bytes);
}

static void make_ring(enum ftlog_start start)
{
    char path[128], why[128];
    struct ftlog_control control = {
        .magic = FTLOG_MAGIC,
        .contract_version = FTLOG_CONTRACT_VERSION,
        .start = start,
        .ring_bytes = FTLOG_RING_BYTES_MIN,
        .quiesce_ms_max = 100,
    };
    in_directory(path, sizeof(path), "ring");
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && ftruncate(fd, FTLOG_CONTROL_BYTES + FTLOG_RING_BYTES_MIN) == 0);
    CHECK(pwrite(fd, &control, sizeof(control), 0) == (ssize_t)sizeof(control));
    close(fd);
    CHECK(ring_map(&ring, path, why, sizeof(why)) == FTLOG_OK);
}

/* Waits until another process or thread has put `value` there; the case's alarm bounds it. */
static void await32(const uint32_t *word, uint32_t value)
{
    while (ring_load32(word) != value)
        usleep(100);
}
static void await64(const uint64_t *word, uint64_t value)
{
    while (ring_load64(word) != value)
        usleep(100);
}

static void sidecar_appends(const void *bytes, size_t count)
{
    uint64_t produced = ring_load64(&ring.control->produced);
    memcpy(ring_at(&ring, produced), bytes, count);
    ring_store64(&ring.control->produced, produced + count);
    __atomic_fetch_add(&ring.control->to_qemu_seq, 1, __ATOMIC_SEQ_CST);
}

/* fake_qemu.c; the shim jumps in at its entry. */
void timer_init_full(void *timer, void *group, int clock, int scale, int attributes, void *callback,
                     void *opaque);

static void start_recording(void)
{
    make_ring(FTLOG_START_RECORD);
    CHECK(fake_open_log("vm.ftlog", true));
    CHECK(ring.control->state == FTLOG_STATE_RECORDING);
}

static void skip_made_up_log(void)
{
    CHECK(fake_get_dword() == FTLOG_LOG_VERSION_10_0);
    fake_seek(FTLOG_HEADER_BYTES);
    CHECK(fake_get_byte() == 37 && fake_get_byte() == FTLOG_KIND_CLOCK_HOST);
    CHECK(fake_get_qword() > 0);
    CHECK(fake_get_byte() == 38 && fake_get_byte() == FTLOG_KIND_INSTRUCTIONS);
    CHECK(fake_get_dword() == INT32_MAX);
}

static void start_waiting(void)
{
    make_ring(FTLOG_START_REPLAY);
    CHECK(fake_open_log("vm.ftlog", false));
    CHECK(ring.control->state == FTLOG_STATE_WAITING);
    skip_made_up_log();
    CHECK(fake_add_filter() == 1);
}

static void load_at(uint64_t lsn)
{
    ring.control->produced = CLONE_LSN;
    ring.control->reclaimed = CLONE_LSN;
    sidecar_appends("\2\2\2\2", 4);
    fake_seek(lsn);
}

static void load(void)
{
    ring.control->produced = CLONE_LSN;
    ring.control->reclaimed = CLONE_LSN;
    fake_seek(CLONE_LSN);
    CHECK(ring.control->state == FTLOG_STATE_REPLAYING);
}

static void start_replaying(void)
{
    start_waiting();
    load();
}

static void events_become_visible_whole(void)
{
    start_recording();
    struct ftlog_control *c = ring.control;
    CHECK(c->produced == FTLOG_HEADER_BYTES);
    CHECK(c->log_version == (FTLOG_LOG_VERSION_10_0 | 1u << 24) &&
          c->qemu_pid == (uint32_t)getpid());
    CHECK(strncmp(c->qemu_version, "10.0.2", 6) == 0);
    uint64_t before = c->produced;
    fake_put_byte(FTLOG_KIND_NET);
    fake_put_byte(0);
    for (int i = 0; i < 4; i++)
        fake_put_byte(0);
    CHECK(c->produced == before);
    fake_put_array("packet", 6);
    CHECK(c->produced == before + 16);
    fake_put_byte(FTLOG_KIND_EXCEPTION);
    CHECK(c->produced == before + 17);
    fake_put_byte(FTLOG_KIND_NET);
    for (int i = 0; i < 5; i++)
        fake_put_byte(0);
    fake_put_array("", 0); /* an empty packet is whole with its length */
    CHECK(c->produced == before + 27);
}

static void a_shutdown_by_the_host_ends_the_log_before_it(void)
{
    start_recording();
    uint64_t before = ring.control->produced;
    fake_put_byte(FTLOG_KIND_SHUTDOWN_HOST_SIGNAL);
    fake_put_byte(FTLOG_KIND_END);
    CHECK(ring.control->produced == before);
}

static void put_packet(void)
{
    fake_put_byte(FTLOG_KIND_NET);
    for (int i = 0; i < 5; i++)
        fake_put_byte(0);
    fake_put_array("packet", 6);
}

/* Also the order of the two words: a count is never ahead of the position that covers it. */
static void packets_are_counted_behind_their_position(void)
{
    enum { PACKETS = 20000, PACKET_EVENT_BYTES = 16 };
    start_recording();
    struct ftlog_control *c = ring.control;
    CHECK(c->net_logged == 0);
    put_packet();
    fake_put_byte(FTLOG_KIND_EXCEPTION);
    CHECK(c->net_logged == 1);
    fake_put_byte(FTLOG_KIND_NET);
    CHECK(c->net_logged == 1); /* begun is not logged */
    for (int i = 0; i < 5; i++)
        fake_put_byte(0);
    fake_put_array("", 0);
    CHECK(c->net_logged == 2);
    uint64_t from = c->produced;
    pid_t sidecar = fork();
    CHECK(sidecar >= 0);
    if (sidecar == 0) {
        for (uint64_t seen = 0; seen < PACKETS + 2;) {
            seen = ring_load64(&c->net_logged);
            CHECK(ring_load64(&c->produced) >= from + (seen - 2) * PACKET_EVENT_BYTES);
        }
        _exit(0);
    }
    for (int i = 0; i < PACKETS; i++)
        put_packet();
    int status;
    CHECK(waitpid(sidecar, &status, 0) == sidecar && status == 0);
}

/* A backup counts what it logs itself: what it replayed was counted by another. */
static void packets_are_counted_from_going_live_on(void)
{
    start_replaying();
    sidecar_appends("\x09\0\0\0\0\0\0\0\0\1x", 11);
    ring.control->promote = 1;
    CHECK(fake_get_byte() == FTLOG_KIND_NET && fake_get_byte() == 0 && fake_get_dword() == 0);
    CHECK(fake_get_dword() == 1 && fake_get_byte() == 'x');
    CHECK(fake_get_byte() == FTLOG_KIND_END);
    CHECK(ring.control->state == FTLOG_STATE_LIVE && ring.control->net_logged == 0);
    put_packet();
    CHECK(ring.control->net_logged == 1);
}

static void instructions_and_clocks_are_logged(void)
{
    start_recording();
    uint64_t at = ring.control->produced;
    fake_advance_icount(0x1234);
    CHECK(ring.control->produced == at + INSTRUCTIONS_BYTES);
    CHECK(memcmp(ring_at(&ring, at), "\0\0\0\x12\x34", 5) == 0);
    fake_advance_icount(0x1234);
    CHECK(ring.control->produced == at + INSTRUCTIONS_BYTES);
    at += INSTRUCTIONS_BYTES;
    CHECK(fake_save_clock(1, 0x0102030405060708) == 0x0102030405060708);
    CHECK(ring.control->produced == at + CLOCK_BYTES);
    CHECK(memcmp(ring_at(&ring, at), "\x1d\1\2\3\4\5\6\7\10", 9) == 0);
    /* virtual-rt never goes back; without the lock a reading is not the guest's */
    CHECK(fake_save_clock(1, 5) == 0x0102030405060708);
    at = ring.control->produced;
    fake_set_locked(false);
    CHECK(fake_save_clock(0, 77) == 77);
    CHECK(ring.control->produced == at);
}

static void fill_ring(uint64_t bytes)
{
    static const uint8_t packet[1000];
    while (bytes >= sizeof(packet) + 10) {
        fake_put_byte(FTLOG_KIND_NET);
        for (int i = 0; i < 5; i++)
            fake_put_byte(0);
        fake_put_array(packet, sizeof(packet));
        bytes -= sizeof(packet) + 10;
    }
    while (bytes-- > 0)
        fake_put_byte(FTLOG_KIND_INTERRUPT);
}

static void a_full_ring_makes_the_producer_wait(void)
{
    start_recording();
    fill_ring(3 * ring.bytes); /* nothing retained: no wait */
    CHECK(ring.control->ring_waits == 0);
    uint64_t retained = ring.control->produced;
    ring.control->reclaimed = retained;
    ring.control->retain = 1;
    fill_ring(ring.bytes);
    CHECK(ring.control->ring_waits == 0);
    pid_t sidecar = fork();
    CHECK(sidecar >= 0);
    if (sidecar == 0) {
        await64(&ring.control->ring_waits, 1);
        CHECK(ring_load64(&ring.control->produced) == retained + ring.bytes);
        ring_store64(&ring.control->reclaimed, retained + 1);
        __atomic_fetch_add(&ring.control->to_qemu_seq, 1, __ATOMIC_SEQ_CST);
        _exit(0);
    }
    fill_ring(1);
    CHECK(ring.control->produced == retained + ring.bytes + 1);
    int status;
    CHECK(waitpid(sidecar, &status, 0) == sidecar && status == 0);
}

static void replay_hands_out_events_and_waits(void)
{
    start_replaying();
    sidecar_appends("\x03\0\0\0\0\0\0\0\x2a", 9);
    CHECK(fake_get_byte() == FTLOG_KIND_BH);
    CHECK(ring.control->consumed == CLONE_LSN);
    CHECK(fake_get_qword() == 42);
    pid_t sidecar = fork();
    CHECK(sidecar >= 0);
    if (sidecar == 0) {
        await64(&ring.control->consumed, CLONE_LSN + 9);
        sidecar_appends("\x03\0\0\0", 4); /* half an event is no event */
        usleep(20000);
        sidecar_appends("\0\0\0\0\x2b", 5);
        _exit(0);
    }
    CHECK(fake_get_byte() == FTLOG_KIND_BH && fake_get_qword() == 43);
    CHECK(waitpid(sidecar, NULL, 0) == sidecar);
}

static void goes_live_at_the_last_whole_event(void)
{
    start_replaying();
    sidecar_appends("\x1d\0\0\0\0\0\0\x10\0\x02\x03\0\0",
                    13); /* clock 4096, exception, half a BH */
    ring.control->promote = 1;
    CHECK(fake_get_byte() == FTLOG_KIND_CLOCK_VIRTUAL_RT && fake_get_qword() == 4096);
    CHECK(fake_get_byte() == FTLOG_KIND_EXCEPTION);
    CHECK(ring.control->state == FTLOG_STATE_REPLAYING);
    CHECK(fake_get_byte() == FTLOG_KIND_END);
    uint64_t live = CLONE_LSN + 10;
    CHECK(ring.control->state == FTLOG_STATE_LIVE && ring.control->live_lsn == live);
    CHECK(ring.control->produced == live && ring.control->consumed == live);
    CHECK(ring.control->live_time_ns != 0);
    /* This host's clock is far behind the log's: time goes on from there, at this host's pace. What
     * has passed since that value was taken up has passed for the guest. */
    int64_t first = fake_save_clock(1, 100);
    CHECK(first >= 4096 && first < 4096 + CASE_SECONDS * SECOND);
    CHECK(fake_save_clock(1, 130) == first + 30);
    CHECK(ring.control->produced == live + 2 * CLOCK_BYTES);
    CHECK(*ring_at(&ring, live) == FTLOG_KIND_CLOCK_VIRTUAL_RT);
    CHECK(fake_save_clock(0, 500) == 500);
}

static void put_big_endian(char *to, int64_t value)
{
    uint64_t swapped = __builtin_bswap64((uint64_t)value);
    memcpy(to, &swapped, sizeof(swapped));
}

static void take_up_clock(int64_t ns)
{
    char event[CLOCK_BYTES] = {FTLOG_KIND_CLOCK_VIRTUAL_RT};
    put_big_endian(event + 1, ns);
    sidecar_appends(event, sizeof(event));
    CHECK(fake_get_byte() == FTLOG_KIND_CLOCK_VIRTUAL_RT && fake_get_qword() == (uint64_t)ns);
}

/* A value that waited in the log does not tell what the primary's clock says now; one that came
 * soon does, also when it is not the last. */
static void what_passed_before_going_live_has_passed_for_the_guest(void)
{
    enum { GAP_US = 30000 };
    start_replaying();
    take_up_clock(100 * MS);
    usleep(GAP_US);
    take_up_clock(101 * MS);
    ring.control->promote = 1;
    CHECK(fake_get_byte() == FTLOG_KIND_END);
    CHECK(fake_save_clock(1, 7) >= 100 * MS + GAP_US * 1000);
}

/* However late it is taken up: the control thread has seen it come. */
static void what_waited_in_the_log_is_no_lag(void)
{
    enum { WAITED_US = 200000, LOOK_US = 100000 };
    char event[CLOCK_BYTES] = {FTLOG_KIND_CLOCK_VIRTUAL_RT};
    start_replaying();
    put_big_endian(event + 1, 100 * MS);
    sidecar_appends(event, sizeof(event));
    usleep(WAITED_US);
    CHECK(fake_get_byte() == FTLOG_KIND_CLOCK_VIRTUAL_RT && fake_get_qword() == 100000000u);
    ring.control->promote = 1;
    CHECK(fake_get_byte() == FTLOG_KIND_END);
    CHECK(fake_save_clock(1, 7) >= 100 * MS + (WAITED_US - LOOK_US) * 1000);
}

static int64_t fake_behind(void)
{
    return fake_real_ns - fake_guest_time();
}

/* A fourth of the instructions that the clock would take. */
static void run_busy_turn(int64_t real_ns)
{
    fake_icount += (uint64_t)real_ns / 8;
    fake_real_ns += real_ns;
    fake_turn();
}

static void a_busy_guest_keeps_real_time(void)
{
    start_recording();
    for (int i = 0; i < 1000; i++) {
        int64_t before = fake_guest_time();
        run_busy_turn(2 * MS);
        CHECK(fake_behind() == 0 && fake_guest_time() > before);
    }
    CHECK(fake_turn_budget() == 250000);
    /* What is not worth an event waits. */
    uint64_t at = ring.control->produced;
    run_busy_turn(MS);
    CHECK(fake_behind() == MS * 3 / 4 && ring.control->produced == at);
    run_busy_turn(MS);
    CHECK(fake_behind() == 0 && ring.control->produced == at + WARP_BYTES);
}

static void a_guest_that_was_kept_from_running_catches_up_gently(void)
{
    enum { STALL_S = 10 };
    start_recording();
    run_busy_turn(2 * MS);
    int64_t worst = 0, turns = 0;
    fake_real_ns += STALL_S * SECOND;
    while (fake_behind() > 0) {
        int64_t before = fake_guest_time();
        run_busy_turn(MS / 4);
        CHECK(fake_behind() < MS || fake_turn_budget() == 50000); /* steps come often, then */
        worst = fake_guest_time() - before > worst ? fake_guest_time() - before : worst;
        turns++;
    }
    CHECK(worst <= 4 * MS + MS / 10);
    CHECK(turns * MS / 4 < STALL_S * SECOND / 2); /* four times as fast as real time */
    CHECK(fake_turn_budget() == 250000);
}

/* Two million instructions a second: small steps would bring a tick each to a guest that has no
 * time for as many. Not while it boots. */
static void a_guest_on_a_very_slow_host_keeps_real_time_and_gets_on(void)
{
    enum { TURN = 250000, TURN_MS = 125, BOOT_S = 20, CATCH_UP_MIN = 50000 };
    start_recording();
    fake_icount = (uint64_t)(BOOT_S * SECOND) / 2;
    fake_real_ns = fake_guest_time();
    uint64_t from = fake_icount, log = ring.control->produced;
    for (int i = 0; i < 1000; i++) {
        fake_icount += (uint64_t)fake_turn_budget();
        fake_real_ns += fake_turn_budget() * TURN_MS * MS / TURN;
        fake_turn();
        CHECK(fake_behind() < SECOND);
    }
    uint64_t steps = (ring.control->produced - log) / WARP_BYTES;
    CHECK((fake_icount - from) / steps > CATCH_UP_MIN);
}

static void a_held_guest_waits_for_its_release_to_catch_up(void)
{
    start_recording();
    run_busy_turn(2 * MS);
    int64_t at = fake_guest_time();
    fake_real_ns += SECOND;
    fake_turn(); /* no instruction since */
    CHECK(fake_guest_time() == at);
    run_busy_turn(MS);
    CHECK(fake_guest_time() >= at + 4 * MS);
}

static void poll_as_the_main_loop(void)
{
    struct timespec no_time = {0, 0};
    struct pollfd none;
    fake_set_locked(false);
    ppoll(&none, 0, &no_time, NULL);
    fake_set_locked(true);
}

static void an_idle_guest_catches_up(void)
{
    start_recording();
    run_busy_turn(2 * MS);
    fake_real_ns += 100 * MS;
    fake_set_idle_since(-1); /* it runs: its next turn will do it */
    poll_as_the_main_loop();
    CHECK(fake_behind() == 100 * MS);
    fake_idle = true;
    for (int turns = 0; turns < 20; turns++) {
        fake_real_ns += 2 * MS;
        fake_set_idle_since(fake_real_ns - 2 * MS);
        poll_as_the_main_loop();
    }
    CHECK(fake_behind() < 10 * MS);
}

static void a_guest_ahead_of_real_time_is_not_set_back(void)
{
    start_recording();
    fake_real_ns = SECOND;
    fake_turn();
    fake_icount += (uint64_t)SECOND;
    int64_t at = fake_guest_time();
    uint64_t log = ring.control->produced;
    fake_turn();
    CHECK(fake_guest_time() == at && ring.control->produced == log);
    CHECK(strcmp(fake_calls, "w") == 0); /* it waits */
}

static void put_warp(int64_t guest_ns, int64_t real_ns)
{
    char event[WARP_BYTES] = {FTLOG_KIND_WARP};
    put_big_endian(event + 1, guest_ns);
    put_big_endian(event + 9, real_ns);
    sidecar_appends(event, sizeof(event));
}

/* QEMU sees the events around it; the step is made in the turn whose checkpoint it stands behind.
 */
static void a_backup_makes_the_same_steps(void)
{
    start_replaying();
    fake_icount = 1000;
    sidecar_appends("\x1f", 1);
    put_warp(5 * MS, 6 * MS);
    sidecar_appends("\x02", 1);
    CHECK(fake_get_byte() == FTLOG_KIND_CHECKPOINT_FIRST + 1);
    CHECK(fake_get_byte() == FTLOG_KIND_EXCEPTION);
    CHECK(fake_guest_time() == 2000);
    fake_real_ns = SECOND;
    fake_turn();
    CHECK(fake_guest_time() == 5 * MS);
    fake_icount += 1000;
    fake_turn();
    CHECK(fake_guest_time() == 5 * MS + 2000); /* its own clock decides nothing */
    CHECK(fake_turn_budget() == INT32_MAX);
}

static void a_step_that_was_logged_is_made_also_when_live(void)
{
    start_replaying();
    sidecar_appends("\x1f", 1);
    put_warp(5 * MS, 6 * MS);
    ring.control->promote = 1;
    CHECK(fake_get_byte() == FTLOG_KIND_CHECKPOINT_FIRST + 1);
    CHECK(fake_get_byte() == FTLOG_KIND_END);
    CHECK(ring.control->live_lsn == CLONE_LSN + 1 + WARP_BYTES);
    fake_turn();
    CHECK(fake_guest_time() == 5 * MS);
}

static void time_of_day_is_not_set_back(void)
{
    start_replaying();
    sidecar_appends("\x1c\0\0\0\0\0\0\x10\0", 9);
    ring.control->promote = 1;
    CHECK(fake_get_byte() == FTLOG_KIND_CLOCK_HOST && fake_get_qword() == 4096);
    CHECK(fake_get_byte() == FTLOG_KIND_END);
    CHECK(fake_save_clock(0, 4000) == 4096 && fake_save_clock(0, 4010) == 4106);
}

/* Runs `act` in a child that is to halt, and checks what the ring says then. */
static void check_halts(void (*act)(void), enum ftlog_error code, uint64_t lsn)
{
    pid_t qemu = fork();
    CHECK(qemu >= 0);
    if (qemu == 0) {
        act();
        _exit(0);
    }
    char path[128], why[128];
    in_directory(path, sizeof(path), "ring");
    while (ring.control == NULL && ring_map(&ring, path, why, sizeof(why)) != FTLOG_OK)
        usleep(1000);
    await32(&ring.control->state, FTLOG_STATE_FAILED);
    CHECK(ring.control->error_code == code && ring.control->error_lsn == lsn);
    CHECK(ring.control->error_text[0] != '\0');
    CHECK(waitpid(qemu, NULL, WNOHANG) == 0); /* it stands, and has not crashed */
    kill(qemu, SIGKILL);
    CHECK(waitpid(qemu, NULL, 0) == qemu);
}

static void step_back(void)
{
    start_replaying();
    fake_icount = (uint64_t)SECOND;
    put_warp(5 * MS, 6 * MS);
    sidecar_appends("\x02", 1);
    (void)fake_get_byte();
    fake_turn();
}

static void a_step_back_halts_by_name(void)
{
    check_halts(step_back, FTLOG_ERR_EVENT_FIELD, CLONE_LSN + WARP_BYTES + 1);
}

static void take_unknown_kind(void)
{
    start_replaying();
    sidecar_appends("\x02\xc8", 2);
    fake_get_byte();
    fake_get_byte();
}
static void take_monstrous_packet(void)
{
    start_replaying();
    sidecar_appends("\x09\0\0\0\0\0\xff\xff\xff\xff", 10);
    fake_get_byte();
}
static void take_packet_of_no_filter(void)
{
    start_replaying();
    CHECK(fake_add_filter() == 2);
    sidecar_appends("\x09\1\0\0\0\0\0\0\0\0\x09\2\0\0\0\0\0\0\0\0", 20);
    for (int i = 0; i < 10; i++)
        fake_get_byte();
    fake_get_byte();
}
static void take_input_of_no_character_device(void)
{
    start_replaying();
    CHECK(fake_add_character_device() == 1);
    sidecar_appends("\x07\0\0\0\0\1A\x07\1\0\0\0\1A", 14);
    for (int i = 0; i < 7; i++)
        fake_get_byte();
    fake_get_byte();
}
static void load_lost_position(void)
{
    start_waiting();
    load_at(CLONE_LSN - 1);
}
static void load_later_position(void)
{
    start_waiting();
    load_at(CLONE_LSN + 2);
}
static void load_position_beyond_the_log(void)
{
    start_waiting();
    load_at(CLONE_LSN + 100);
}
/* The made-up log must not be taken for the real one's start. */
static void load_position_of_the_header(void)
{
    start_waiting();
    load_at(FTLOG_HEADER_BYTES);
}
static void load_before_the_log_begins(void)
{
    start_waiting();
    fake_seek(0);
}
static void load_twice(void)
{
    start_replaying();
    fake_seek(CLONE_LSN);
}
static void load_overwritten_position(void)
{
    start_waiting();
    ring.control->reclaimed = CLONE_LSN;
    ring.control->produced = CLONE_LSN + ring.bytes + 1;
    fake_seek(CLONE_LSN);
}
static void run_before_the_load(void)
{
    start_waiting();
    fake_get_byte();
}
static void log_unknown_kind(void)
{
    start_recording();
    fake_put_byte(200);
}

static void bad_log_halts_by_name(void)
{
    check_halts(take_unknown_kind, FTLOG_ERR_EVENT_KIND, CLONE_LSN + 1);
}
static void bad_length_halts_by_name(void)
{
    check_halts(take_monstrous_packet, FTLOG_ERR_EVENT_LENGTH, CLONE_LSN);
}
static void unknown_device_halts_by_name(void)
{
    check_halts(take_packet_of_no_filter, FTLOG_ERR_EVENT_FIELD, CLONE_LSN + 10);
}
static void unknown_character_device_halts_by_name(void)
{
    check_halts(take_input_of_no_character_device, FTLOG_ERR_EVENT_FIELD, CLONE_LSN + 7);
}
static void lost_log_halts_by_name(void)
{
    check_halts(load_lost_position, FTLOG_ERR_LOG_LOST, CLONE_LSN - 1);
}
static void another_clone_point_halts_by_name(void)
{
    check_halts(load_later_position, FTLOG_ERR_LOG_LOST, CLONE_LSN + 2);
}
static void a_clone_point_beyond_the_log_halts_by_name(void)
{
    check_halts(load_position_beyond_the_log, FTLOG_ERR_LOG_LOST, CLONE_LSN + 100);
}
static void a_clone_point_in_the_header_halts_by_name(void)
{
    check_halts(load_position_of_the_header, FTLOG_ERR_LOG_LOST, FTLOG_HEADER_BYTES);
}
static void a_load_before_the_log_halts_by_name(void)
{
    check_halts(load_before_the_log_begins, FTLOG_ERR_LOG_LOST, 0);
}
static void a_second_load_halts_by_name(void)
{
    check_halts(load_twice, FTLOG_ERR_LOG_LOST, CLONE_LSN);
}
static void overwritten_log_halts_by_name(void)
{
    check_halts(load_overwritten_position, FTLOG_ERR_LOG_LOST, CLONE_LSN);
}
static void running_unloaded_halts_by_name(void)
{
    check_halts(run_before_the_load, FTLOG_ERR_LOG_LOST, 0);
}
static void producing_nonsense_halts_by_name(void)
{
    check_halts(log_unknown_kind, FTLOG_ERR_EVENT_KIND, FTLOG_HEADER_BYTES);
}

static void check_refuses(enum ftlog_error code, const char *words)
{
    pid_t qemu = fork();
    CHECK(qemu >= 0);
    if (qemu == 0) {
        fake_open_log("vm.ftlog", true);
        _exit(0);
    }
    int status;
    CHECK(waitpid(qemu, &status, 0) == qemu);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == REFUSED);
    CHECK(ring.control->state == FTLOG_STATE_FAILED && ring.control->error_code == code);
    CHECK(strstr(ring.control->error_text, words) != NULL);
}

static void unknown_release_is_refused_by_name(void)
{
    make_ring(FTLOG_START_RECORD);
    fake_version[0] = 9;
    fake_version[1] = 2;
    check_refuses(FTLOG_ERR_QEMU_VERSION, "9.2.2");
}

static void wrong_start_is_refused(void)
{
    make_ring(FTLOG_START_REPLAY);
    check_refuses(FTLOG_ERR_CONTRACT, "record");
}

static void wrong_contract_is_refused(void)
{
    make_ring(FTLOG_START_RECORD);
    ring.control->contract_version = 99;
    check_refuses(FTLOG_ERR_CONTRACT, "99");
}

static void renew_allowance(void *opaque)
{
    (void)opaque;
}

static void *made_callback;
static int made_attributes;

static void make_timer(void *opaque)
{
    enum { CLOCK_VIRTUAL = 1, MILLISECONDS = 1000000 };
    uint8_t timer[64];
    timer_init_full(timer, NULL, CLOCK_VIRTUAL, MILLISECONDS, 0, (void *)renew_allowance, opaque);
    memcpy(&made_callback, timer + release->timer_callback, sizeof(made_callback));
    memcpy(&made_attributes, timer + release->timer_attributes, sizeof(made_attributes));
}

static void the_timer_of_an_rng_does_nothing(void)
{
    int other_device;
    start_recording();
    make_timer(&other_device);
    CHECK(made_callback == (void *)renew_allowance && made_attributes == 0);
    make_timer(&fake_rng);
    CHECK(made_callback != (void *)renew_allowance && made_attributes == 1);
}

static void a_guest_gets_no_more_random_bytes_than_an_event_holds(void)
{
    start_recording();
    CHECK(fake_request_entropy(64) == 64);
    CHECK(fake_request_entropy(FTLOG_RANDOM_BYTES_MAX) == FTLOG_RANDOM_BYTES_MAX);
    CHECK(fake_request_entropy(UINT32_MAX) == FTLOG_RANDOM_BYTES_MAX);
}

static void an_rng_with_a_limit_is_refused(void)
{
    start_recording();
    fake_rng.max_bytes = 1024;
    pid_t qemu = fork();
    CHECK(qemu >= 0);
    if (qemu == 0) {
        make_timer(&fake_rng);
        _exit(0);
    }
    int status;
    CHECK(waitpid(qemu, &status, 0) == qemu);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == REFUSED);
    CHECK(strstr(ring.control->error_text, "max-bytes") != NULL);
}

/* The same program, built with a QEMU that has no vm_start. */
static void a_missing_symbol_is_refused_by_name(void)
{
    char program[256];
    make_ring(FTLOG_START_RECORD);
    ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 16);
    CHECK(length > 0);
    strcpy(program + length, "_missing");
    pid_t qemu = fork();
    CHECK(qemu >= 0);
    if (qemu == 0) {
        char path[128];
        in_directory(path, sizeof(path), "ring");
        setenv("LOCKSTEP_RING", path, 1); /* our own shim took it out */
        execl(program, program, "open_only", directory, NULL);
        _exit(127);
    }
    int status;
    CHECK(waitpid(qemu, &status, 0) == qemu && WEXITSTATUS(status) == REFUSED);
    CHECK(ring.control->error_code == FTLOG_ERR_SYMBOL);
    CHECK(strstr(ring.control->error_text, "vm_start") != NULL);
}

static void open_only(void)
{
    fake_open_log("vm.ftlog", true);
}

static void other_files_are_left_alone(void)
{
    char path[128], back[8] = "";
    make_ring(FTLOG_START_RECORD);
    in_directory(path, sizeof(path), "plain");
    FILE *file = fopen(path, "w+");
    CHECK(file != NULL && fwrite("bytes", 1, 5, file) == 5 && putc('!', file) == '!');
    CHECK(fseek(file, 0, SEEK_SET) == 0 && fread(back, 1, 6, file) == 6);
    CHECK(strcmp(back, "bytes!") == 0 && ftell(file) == 6 && getc(file) == EOF);
    CHECK(feof(file) && !ferror(file) && fclose(file) == 0);
    CHECK(ring.control->state == FTLOG_STATE_NONE);
}

static void children_inherit_nothing(void)
{
    start_recording();
    CHECK(getenv("LOCKSTEP_RING") == NULL && getenv("LD_PRELOAD") == NULL);
    CHECK(getenv("LOCKSTEP_NET") == NULL && getenv("LOCKSTEP_CLONE") == NULL);
    CHECK(getenv("LOCKSTEP_DISK1") == NULL);
    uint64_t produced = ring.control->produced;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        fake_put_byte(FTLOG_KIND_EXCEPTION);
        _exit(0);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(ring.control->produced == produced);
    fake_put_byte(FTLOG_KIND_EXCEPTION);
    CHECK(ring.control->produced == produced + 1);
}

static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    in_directory(address.sun_path, sizeof(address.sun_path), name);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(listen(listener, 1) == 0);
    return listener;
}

static int connect_to(const char *name, int listener, int *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    in_directory(address.sun_path, sizeof(address.sun_path), name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    *server = accept(listener, NULL, NULL);
    CHECK(*server >= 0);
    return fd;
}

static ssize_t send_frame(int fd, uint8_t *bytes, uint32_t count)
{
    uint32_t length = __builtin_bswap32(count);
    struct iovec pieces[2] = {{&length, sizeof(length)}, {bytes, count}};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
    return sendmsg(fd, &message, 0);
}

/* Another process, which reads so many bytes, slowly at first, and ends well. */
static pid_t start_reader(int server, uint64_t bytes)
{
    static uint8_t buffer[1 << 16];
    uint64_t total = 0;
    pid_t reader = fork();
    CHECK(reader >= 0);
    if (reader != 0)
        return reader;
    while (total < bytes) {
        ssize_t got = read(server, buffer, sizeof(buffer));
        CHECK(got > 0);
        total += (uint64_t)got;
        if (total < 1 << 20)
            usleep(1000);
    }
    _exit(0);
}

static void ended_well(pid_t reader)
{
    int status;
    CHECK(waitpid(reader, &status, 0) == reader && status == 0);
}

/* More than any socket buffer holds: QEMU must see each send as whole, and the reader gets all. */
static void sends_are_whole_and_counted(void)
{
    enum { FRAMES = 300, BYTES = 60000 };
    static uint8_t frame[BYTES];
    int server;
    start_recording();
    int fd = connect_to("net", listen_at("net"), &server);
    pid_t reader = start_reader(server, (uint64_t)FRAMES * (BYTES + 4));
    for (int i = 0; i < FRAMES; i++) {
        CHECK(send_frame(fd, frame, BYTES) == BYTES + 4);
        CHECK(ring.control->net_frames == (uint64_t)i + 1);
    }
    ended_well(reader);
    close(server);
    CHECK(send_frame(fd, frame, BYTES) == BYTES + 4); /* a sidecar that is gone takes everything */
    close(fd);
}

/* In more pieces than a packet ever has, with nothing of it in the log or among the packets. */
static void what_goes_to_a_disk_is_sent_whole(void)
{
    enum { PIECES = 1024, BYTES = 32 << 10 };
    static uint8_t data[BYTES];
    static struct iovec pieces[PIECES];
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = PIECES};
    int server;
    for (int i = 0; i < PIECES; i++)
        pieces[i] = (struct iovec){data, BYTES};
    start_recording();
    uint64_t produced = ring.control->produced;
    int fd = connect_to("disk1", listen_at("disk1"), &server);
    pid_t reader = start_reader(server, (uint64_t)PIECES * BYTES);
    CHECK(sendmsg(fd, &message, 0) == (ssize_t)PIECES * BYTES);
    ended_well(reader);
    CHECK(ring.control->net_frames == 0 && ring.control->produced == produced);
    close(fd);
}

static void send_bytes(int fd, const void *bytes, size_t count)
{
    struct iovec piece = {(uint8_t *)bytes, count};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    CHECK(sendmsg(fd, &message, 0) == (ssize_t)count);
}

/* Another NIC connects while the first is in the middle of a frame: that stays one frame. */
static void a_second_output_leaves_the_first_alone(void)
{
    int servers[2];
    start_recording();
    int listener = listen_at("net");
    int first = connect_to("net", listener, &servers[0]);
    send_bytes(first, "\0\0\0\nabcde", 9);
    CHECK(ring.control->net_frames == 1);
    int second = connect_to("net", listener, &servers[1]);
    send_bytes(first, "fghij", 5);
    CHECK(ring.control->net_frames == 1);
    send_bytes(second, "\0\0\0\1a", 5);
    CHECK(ring.control->net_frames == 2);
}

/* A drain in the middle of a turn: the queue must wait, because to run it takes both locks. */
static void a_sleep_under_locks_is_only_a_sleep(void)
{
    struct timespec none = {0, 0};
    struct pollfd nothing = {.fd = -1};
    start_recording();
    fake_has_events = true;
    fake_set_locked(true);
    uint64_t beat = ring.control->qemu_beat;
    CHECK(ppoll(&nothing, 1, &none, NULL) == 0 && fake_has_events);
    CHECK(ring.control->qemu_beat > beat);
    fake_set_locked(false);
    CHECK(ppoll(&nothing, 1, &none, NULL) == 0 && !fake_has_events);
}

/* 10 s of ticks without a beat; a beat, or a guest of its own, begins them anew. */
static void a_backup_without_a_sidecar_ends(void)
{
    enum { TICKS = 5000 };
    CHECK(!control_abandoned(1, true));
    for (int i = 1; i < TICKS; i++)
        CHECK(!control_abandoned(1, true));
    CHECK(control_abandoned(1, true));
    CHECK(!control_abandoned(2, true));
    for (int i = 0; i < 2 * TICKS; i++)
        CHECK(!control_abandoned(2, false));
    CHECK(!control_abandoned(2, true));
}

static void what_is_no_userfaultfd_is_not_closed(void)
{
    start_recording();
    int fd = open("/dev/null", O_RDONLY);
    CHECK(fd > 0 && fcntl(STDIN_FILENO, F_GETFD) >= 0);
    fake_close_userfaultfd(-1);
    fake_close_userfaultfd(STDIN_FILENO);
    CHECK(fcntl(STDIN_FILENO, F_GETFD) >= 0);
    fake_close_userfaultfd(fd);
    CHECK(fcntl(fd, F_GETFD) < 0 && errno == EBADF);
}

enum { BY_MONITOR = 3, BY_GUEST = 7, KIND_RESET = 32 };

static void turn(void)
{
    struct timespec none = {0, 0};
    struct pollfd nothing = {.fd = -1};
    fake_set_locked(false);
    CHECK(ppoll(&nothing, 1, &none, NULL) == 0);
}

static void calls_were(const char *expected)
{
    CHECK(strcmp(fake_calls, expected) == 0);
    memset(fake_calls, 0, sizeof(fake_calls));
}

static void a_reset_is_logged_and_done_between_two_turns(void)
{
    start_recording();
    uint64_t before = ring.control->produced;
    fake_request_reset(BY_GUEST);
    calls_were("s");
    CHECK(ring.control->produced == before);
    turn();
    calls_were("pcRr");
    CHECK(ring.control->produced == before + 1 && *ring_at(&ring, before) == KIND_RESET);
    turn();
    calls_were("");
    fake_request_reset(BY_MONITOR);
    turn();
    calls_were("spcRr");
}

static void a_reset_waits_for_disks(void)
{
    start_recording();
    fake_set_block_request_id(1);
    fake_request_reset(BY_GUEST);
    turn();
    calls_were("sp");
    fake_put_byte(FTLOG_KIND_BLOCK);
    fake_put_qword(0);
    turn();
    calls_were("pcRr");
}

/* The guest's own request is one that the log has as well, further on. */
static void a_replayed_reset_is_done_where_the_log_has_it(void)
{
    start_replaying();
    fake_request_reset(BY_GUEST);
    turn();
    calls_were("");
    sidecar_appends("\x20\x02", 2);
    CHECK(fake_get_byte() == KIND_RESET);
    turn();
    calls_were(""); /* an instruction event is not used up */
    fake_next_kind = KIND_RESET;
    turn();
    calls_were("pcRr");
    fake_next_kind = FTLOG_KIND_EXCEPTION;
    CHECK(fake_get_byte() == FTLOG_KIND_EXCEPTION);
    turn();
    ring.control->promote = 1;
    CHECK(fake_get_byte() == FTLOG_KIND_END);
    turn();
    calls_were(""); /* it is not done again by a winner */
}

static void a_reset_that_the_log_lost_is_done_by_the_winner(void)
{
    start_replaying();
    fake_request_reset(BY_MONITOR); /* of a backup: nobody's */
    fake_request_reset(BY_GUEST);
    ring.control->promote = 1;
    CHECK(fake_get_byte() == FTLOG_KIND_END);
    uint64_t before = ring.control->produced;
    turn();
    calls_were("pcRr");
    CHECK(ring.control->produced == before + 1 && *ring_at(&ring, before) == KIND_RESET);
}

static void a_backup_is_not_reset_from_outside(void)
{
    start_replaying();
    fake_request_reset(BY_MONITOR);
    ring.control->promote = 1;
    CHECK(fake_get_byte() == FTLOG_KIND_END);
    turn();
    calls_were("");
}

static void a_vm_that_ends_with_a_reset_does_so_on_both_sides(void)
{
    reboot_action = 1;
    start_recording();
    fake_request_reset(BY_GUEST);
    turn();
    calls_were("o");
}

static void a_vm_that_ends_with_a_reset_does_so_when_it_is_live(void)
{
    reboot_action = 1;
    start_replaying();
    fake_request_reset(BY_GUEST);
    turn();
    calls_were(""); /* the log has a shutdown */
    ring.control->promote = 1;
    CHECK(fake_get_byte() == FTLOG_KIND_END);
    turn();
    calls_were("o");
    turn();
    calls_were("");
}

static void a_spin_wait_leaves_its_block_only(void)
{
    enum { EFLAGS_AT = 136, HFLAGS_AT = 176, RF = 1 << 16, INHIBIT_IRQ = 1 << 3 };
    uint32_t env[64] = {0}, flags = 0xffffffff;
    start_recording();
    env[EFLAGS_AT / 4] = env[HFLAGS_AT / 4] = flags;
    uint64_t before = ring.control->produced;
    fake_pause_instruction(env);
    calls_were("tx");
    CHECK(env[EFLAGS_AT / 4] == (flags & ~(uint32_t)RF));
    CHECK(env[HFLAGS_AT / 4] == (flags & ~(uint32_t)INHIBIT_IRQ));
    CHECK(ring.control->produced == before);
}

/* What of it was taken does not matter: the event says that all was, and so is the guest told. */
static void check_console_event(const char *text, bool all)
{
    int count = (int)strlen(text);
    uint64_t at = ring.control->produced;
    errno = EAGAIN;
    CHECK(fake_write(text, all) == count);
    const uint8_t event[] = {FTLOG_KIND_CHAR_WRITE, 0, 0, 0, (uint8_t)count, 0, 0, 0,
                             (uint8_t)count};
    CHECK(ring.control->produced == at + sizeof(event));
    CHECK(memcmp(ring_at(&ring, at), event, sizeof(event)) == 0);
}

static void the_guest_writes_all_whatever_its_host_takes(void)
{
    start_recording();
    CHECK(fake_add_character_device() == 1);
    fake_backend.piece = 2;
    check_console_event("hello", false);
    CHECK(fake_backend.count == 5 && memcmp(fake_backend.got, "hello", 5) == 0);
    fake_backend.room = 3;
    fake_backend.error = EAGAIN; /* a reader that is slow: nobody waits for it */
    check_console_event("world", true);
    CHECK(fake_backend.count == 8);
    fake_backend.error = ENOSPC;
    check_console_event("!", false);
    CHECK(fake_backend.count == 8);
    fake_backend.room = 1;
    check_console_event("?", false);
    CHECK(memcmp(fake_backend.got, "hellowor?", 9) == 0);
}

static void a_backup_writes_what_the_log_says_whatever_its_host_takes(void)
{
    start_waiting();
    CHECK(fake_add_character_device() == 1);
    load();
    fake_backend.room = 2;
    fake_backend.error = EAGAIN;
    fake_next_kind = FTLOG_KIND_CHAR_WRITE;
    sidecar_appends("\26\0\0\0\5\0\0\0\5", 9);
    CHECK(fake_get_byte() == FTLOG_KIND_CHAR_WRITE && fake_write("hello", false) == 5);
    CHECK(fake_backend.count == 2);
    /* An error that an older primary has logged; the port must not wait for its end. */
    sidecar_appends("\26\377\377\377\377\0\0\0\0", 9);
    errno = EAGAIN;
    CHECK(fake_get_byte() == FTLOG_KIND_CHAR_WRITE && fake_write("hello", false) == -1);
    CHECK(errno == EIO && fake_backend.count == 2);
}

static void a_console_has_a_log_as_far_as_there_is_room(void)
{
    int ends[2];
    char kept[8];
    start_recording();
    CHECK(fake_add_character_device() == 1);
    CHECK(pipe(ends) == 0);
    fake_backend.log_fd = ends[1];
    fake_backend.room = 2;
    fake_backend.error = EAGAIN;
    check_console_event("abc", false);
    fake_backend.error = EIO;
    check_console_event("d", false);
    CHECK(read(ends[0], kept, sizeof(kept)) == 3 && memcmp(kept, "abd", 3) == 0);
    fake_backend.log_fd = open("/dev/full", O_WRONLY);
    check_console_event("e", false);
    static char page[PIPE_BUF];
    for (int i = 0; i < 16; i++)
        CHECK(write(ends[1], page, sizeof(page)) == PIPE_BUF);
    fake_backend.log_fd = ends[1]; /* full: to write would be to wait */
    check_console_event("f", false);
}

static void a_monitor_is_told_what_its_reader_took(void)
{
    start_recording();
    uint64_t at = ring.control->produced;
    fake_backend.piece = 3;
    CHECK(fake_monitor_writes("hello") == 3);
    fake_backend.room = 0;
    fake_backend.error = EAGAIN;
    CHECK(fake_monitor_writes("hello") == -1 && errno == EAGAIN);
    CHECK(ring.control->produced == at);
}

static const struct test {
    const char *name;
    void (*run)(void);
} tests[] = {
#define TEST(function)                                                                             \
    {                                                                                              \
#function, function                                                                        \
    }
    TEST(events_become_visible_whole),
    TEST(a_shutdown_by_the_host_ends_the_log_before_it),
    TEST(packets_are_counted_behind_their_position),
    TEST(packets_are_counted_from_going_live_on),
    TEST(instructions_and_clocks_are_logged),
    TEST(a_full_ring_makes_the_producer_wait),
    TEST(replay_hands_out_events_and_waits),
    TEST(goes_live_at_the_last_whole_event),
    TEST(what_passed_before_going_live_has_passed_for_the_guest),
    TEST(what_waited_in_the_log_is_no_lag),
    TEST(a_busy_guest_keeps_real_time),
    TEST(a_guest_that_was_kept_from_running_catches_up_gently),
    TEST(a_guest_on_a_very_slow_host_keeps_real_time_and_gets_on),
    TEST(a_held_guest_waits_for_its_release_to_catch_up),
    TEST(an_idle_guest_catches_up),
    TEST(a_guest_ahead_of_real_time_is_not_set_back),
    TEST(a_backup_makes_the_same_steps),
    TEST(a_step_that_was_logged_is_made_also_when_live),
    TEST(a_step_back_halts_by_name),
    TEST(time_of_day_is_not_set_back),
    TEST(bad_log_halts_by_name),
    TEST(bad_length_halts_by_name),
    TEST(unknown_device_halts_by_name),
    TEST(unknown_character_device_halts_by_name),
    TEST(lost_log_halts_by_name),
    TEST(another_clone_point_halts_by_name),
    TEST(a_clone_point_beyond_the_log_halts_by_name),
    TEST(a_clone_point_in_the_header_halts_by_name),
    TEST(a_load_before_the_log_halts_by_name),
    TEST(a_second_load_halts_by_name),
    TEST(overwritten_log_halts_by_name),
    TEST(running_unloaded_halts_by_name),
    TEST(producing_nonsense_halts_by_name),
    TEST(unknown_release_is_refused_by_name),
    TEST(wrong_start_is_refused),
    TEST(wrong_contract_is_refused),
    TEST(the_timer_of_an_rng_does_nothing),
    TEST(a_guest_gets_no_more_random_bytes_than_an_event_holds),
    TEST(an_rng_with_a_limit_is_refused),
    TEST(a_missing_symbol_is_refused_by_name),
    TEST(other_files_are_left_alone),
    TEST(children_inherit_nothing),
    TEST(sends_are_whole_and_counted),
    TEST(what_goes_to_a_disk_is_sent_whole),
    TEST(a_second_output_leaves_the_first_alone),
    TEST(a_sleep_under_locks_is_only_a_sleep),
    TEST(a_backup_without_a_sidecar_ends),
    TEST(what_is_no_userfaultfd_is_not_closed),
    TEST(a_reset_is_logged_and_done_between_two_turns),
    TEST(a_reset_waits_for_disks),
    TEST(a_replayed_reset_is_done_where_the_log_has_it),
    TEST(a_reset_that_the_log_lost_is_done_by_the_winner),
    TEST(a_backup_is_not_reset_from_outside),
    TEST(a_vm_that_ends_with_a_reset_does_so_on_both_sides),
    TEST(a_vm_that_ends_with_a_reset_does_so_when_it_is_live),
    TEST(a_spin_wait_leaves_its_block_only),
    TEST(the_guest_writes_all_whatever_its_host_takes),
    TEST(a_backup_writes_what_the_log_says_whatever_its_host_takes),
    TEST(a_console_has_a_log_as_far_as_there_is_room),
    TEST(a_monitor_is_told_what_its_reader_took),
};

static bool passes(const char *program, const struct test *test)
{
    char ring_path[128], net_path[128], disk_path[128];
    in_directory(ring_path, sizeof(ring_path), "ring");
    in_directory(net_path, sizeof(net_path), "net");
    in_directory(disk_path, sizeof(disk_path), "disk1");
    unlink(ring_path);
    unlink(net_path);
    unlink(disk_path);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        setenv("LOCKSTEP_RING", ring_path, 1);
        setenv("LOCKSTEP_NET", net_path, 1);
        setenv("LOCKSTEP_DISK1", disk_path, 1);
        setenv("LOCKSTEP_CLONE", "no clone in these tests", 1);
        execl(program, program, test->name, directory, NULL);
        _exit(127);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* A second start of this program, with the environment that the shim reads before main(). */
static int run_one(const char *name, const char *in)
{
    memcpy(directory, in, sizeof(directory));
    alarm(CASE_SECONDS);
    if (strcmp(name, "open_only") == 0)
        open_only();
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        if (strcmp(tests[i].name, name) == 0)
            tests[i].run();
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return run_one(argv[1], argv[2]);
    int failed = 0;
    CHECK(mkdtemp(directory) != NULL);
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        if (passes(argv[0], &tests[i]))
            continue;
        failed++;
        printf("FAILED %s\n", tests[i].name);
    }
    printf("shim: %zu checks, %d failed\n", sizeof(tests) / sizeof(tests[0]), failed);
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    return system(command) != 0 || failed != 0;
}
