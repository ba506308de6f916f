// SPDX-License-Identifier: Apache-2.0
/*
 * guestd - what the test guest does besides serving Redis.
 *
 *   serial console   "tick N up=SECONDS rnd=HEX16": two runs can be compared bit by bit
 *   TCP 7001         one command a line, one answer a line: "ok FIELD..." or "error WORDS"
 *   UDP 7002         echo
 *   UDP 7003         sink; `sink` on the command port tells what arrived
 *
 * Commands: ping | md5 MIB | forks N | incr N | send IP PORT COUNT BYTES | sink
 *           join GROUP: of IPv4 multicast, on eth0, for as long as the guest lives
 *           disk N: "ok WRITES FLUSHES READS WRONG FAILED" of the writer to disk N (disk.h)
 *           rest: "ok" when all writers have stopped and flushed
 *           poweroff | reset | panic (the kernel's command line says that it resets after one)
 *           note: makes up "ok N URANDOM RDRAND US" and remembers it; noted N: the same once more
 * The time in an answer is the guest's own (CLOCK_MONOTONIC, us); who measures looks at both ends.
 *
 * usage: guestd TICK_MS [spin|forks|disks|race]     (TICK_MS 0: no ticks; the word: a load that
 * never ends; disks, race: on each disk)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "disk.h"

enum { COMMAND_PORT = 7001, ECHO_PORT = 7002, SINK_PORT = 7003, REDIS_PORT = 6379 };
enum {
    DATAGRAM_BYTES_MAX = 65507,
    MD5_MIB_MAX = 4096,
    FORKS_MAX = 100000,
    INCR_MAX = 10000000,
    SEND_MAX = 10000000
};

struct sink {
    uint64_t datagrams;
    uint64_t bytes;
};

/* Of one connection. Older notes are overwritten. */
enum { NOTES_MAX = 1 << 18 };

/* What no two runs have in common: an answer that was seen outside must be what is remembered. */
struct note {
    uint64_t urandom;
    uint64_t rdrand;
    uint64_t us;
};

/* Shared by the sink's process (writes) and the command handlers (read). */
static struct sink *sink;

enum { DISKS_MAX = 8 };
/* As the kernel names them, in the order of the command line on each bus. */
static const char *const disk_paths[DISKS_MAX] = {"/dev/vda", "/dev/vdb", "/dev/vdc", "/dev/vdd",
                                                  "/dev/sda", "/dev/sdb", "/dev/sdc", "/dev/sdd"};
/* Shared by the writers' processes (write) and the command handlers (read). */
static struct disk_counts *disk_counts;

static void die(const char *what)
{
    fprintf(stderr, "guestd: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static int listen_on(int type, uint16_t port)
{
    int one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
        die("bind");
    if (type == SOCK_STREAM && listen(fd, 16) < 0)
        die("listen");
    return fd;
}

static void echo_forever(void)
{
    static char buffer[DATAGRAM_BYTES_MAX];
    int fd = listen_on(SOCK_DGRAM, ECHO_PORT);
    for (;;) {
        struct sockaddr_in from;
        socklen_t from_size = sizeof from;
        ssize_t n = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &from_size);
        if (n >= 0)
            sendto(fd, buffer, (size_t)n, 0, (struct sockaddr *)&from, from_size);
    }
}

static void sink_forever(void)
{
    static char buffer[DATAGRAM_BYTES_MAX];
    int fd = listen_on(SOCK_DGRAM, SINK_PORT);
    for (;;) {
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        if (n < 0)
            continue;
        sink->datagrams++;
        sink->bytes += (uint64_t)n;
    }
}

/* One process made, run and buried: what a shell or a compiler's driver does all day. */
static int fork_once(void)
{
    int status;
    pid_t pid = fork();
    if (pid < 0)
        return -1;
    if (pid == 0) {
        execl("/bin/busybox", "true", (char *)NULL);
        _exit(127);
    }
    if (waitpid(pid, &status, 0) != pid)
        return -1;
    return status == 0 ? 0 : -1;
}

static void *shared_by_all(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        die("mmap");
    return memory;
}

static void write_to_disks(void (*write_forever)(const char *, volatile struct disk_counts *))
{
    for (int i = 0; i < DISKS_MAX; i++) {
        if (access(disk_paths[i], F_OK) == 0 && fork() == 0)
            write_forever(disk_paths[i], &disk_counts[i]);
    }
    for (;;)
        pause();
}

static void command_disk(FILE *to, unsigned which)
{
    if (which >= DISKS_MAX || access(disk_paths[which], F_OK) != 0) {
        fprintf(to, "error no such disk\n");
        return;
    }
    const struct disk_counts *counts = &disk_counts[which];
    fprintf(to, "ok %llu %llu %llu %llu %llu\n", (unsigned long long)counts->writes,
            (unsigned long long)counts->flushes, (unsigned long long)counts->reads,
            (unsigned long long)counts->wrong, (unsigned long long)counts->failed);
}

/* Answers when no writer touches a disk any more. */
static void command_rest(FILE *to)
{
    for (int i = 0; i < DISKS_MAX; i++)
        disk_counts[i].rest = 1;
    for (int i = 0; i < DISKS_MAX; i++) {
        volatile struct disk_counts *counts = &disk_counts[i];
        while (access(disk_paths[i], F_OK) == 0 && !counts->is_rest)
            usleep(1000);
    }
    fprintf(to, "ok\n");
}

static void load_forever(const char *load)
{
    if (strcmp(load, "disks") == 0)
        write_to_disks(disk_write_forever);
    if (strcmp(load, "race") == 0)
        write_to_disks(disk_race_forever);
    if (strcmp(load, "forks") == 0)
        while (fork_once() == 0)
            ;
    if (strcmp(load, "spin") == 0)
        for (volatile uint64_t n = 0;; n++)
            ;
    fprintf(stderr, "guestd: load '%s' ended or is not known\n", load);
    exit(1);
}

static void command_md5(FILE *to, unsigned mib)
{
    char line[128], digest[33];
    uint64_t from = now_us();
    snprintf(line, sizeof line, "dd if=/dev/zero bs=1M count=%u 2>/dev/null | md5sum", mib);
    FILE *run = popen(line, "r");
    if (!run || fscanf(run, "%32s", digest) != 1 || pclose(run) != 0) {
        fprintf(to, "error md5sum did not run\n");
        return;
    }
    fprintf(to, "ok %s %llu\n", digest, (unsigned long long)(now_us() - from));
}

static void command_forks(FILE *to, unsigned count)
{
    uint64_t from = now_us();
    for (unsigned i = 0; i < count; i++) {
        if (fork_once() != 0) {
            fprintf(to, "error fork %u failed\n", i);
            return;
        }
    }
    fprintf(to, "ok %u %llu\n", count, (unsigned long long)(now_us() - from));
}

static int redis_connect(void)
{
    int one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons(REDIS_PORT),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&at, sizeof at) < 0) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

/* One INCR and its reply (":N"), which is short enough to come in one piece. */
static int incr_once(int fd)
{
    static const char request[] = "*2\r\n$4\r\nINCR\r\n$6\r\nguestd\r\n";
    char reply[64];
    if (write(fd, request, sizeof request - 1) != (ssize_t)(sizeof request - 1))
        return -1;
    return read(fd, reply, sizeof reply) > 0 && reply[0] == ':' ? 0 : -1;
}

/* A client and its server, both in the guest: loopback and process switches, no NIC. */
static void command_incr(FILE *to, unsigned count)
{
    uint64_t from = now_us();
    int fd = redis_connect();
    for (unsigned i = 0; i < count; i++) {
        if (fd < 0 || incr_once(fd) != 0) {
            fprintf(to, "error INCR %u failed\n", i);
            break;
        }
        if (i + 1 == count)
            fprintf(to, "ok %u %llu\n", count, (unsigned long long)(now_us() - from));
    }
    if (fd >= 0)
        close(fd);
}

static void command_send(FILE *to, const char *ip, unsigned port, unsigned count, unsigned bytes)
{
    static char buffer[DATAGRAM_BYTES_MAX];
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    uint64_t from = now_us();
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || inet_pton(AF_INET, ip, &at.sin_addr) != 1) {
        fprintf(to, "error no such address\n");
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        uint32_t number = htonl(i);
        memcpy(buffer, &number, sizeof number);
        if (sendto(fd, buffer, bytes, 0, (struct sockaddr *)&at, sizeof at) < 0 &&
            errno != ENOBUFS) {
            fprintf(to, "error %s\n", strerror(errno));
            close(fd);
            return;
        }
    }
    close(fd);
    fprintf(to, "ok %u %llu\n", count, (unsigned long long)(now_us() - from));
}

/* Straight from the processor: each one is an event that only one run has. 0: it has none. */
static uint64_t rdrand(void)
{
    uint64_t word = 0;
    if (__builtin_cpu_supports("rdrnd"))
        __asm__ volatile("1: rdrand %0; jnc 1b" : "=r"(word) : : "cc");
    return word;
}

static struct note make_note(void)
{
    static FILE *random;
    struct note note = {.rdrand = rdrand(), .us = now_us()};
    if (!random) {
        random = fopen("/dev/urandom", "r");
        if (!random)
            die("/dev/urandom");
        setvbuf(random, NULL, _IONBF, 0);
    }
    if (fread(&note.urandom, sizeof note.urandom, 1, random) != 1)
        die("/dev/urandom");
    return note;
}

/* `number` 0: a new one. */
static void command_note(FILE *to, uint64_t number)
{
    static struct note notes[NOTES_MAX];
    static uint64_t made;
    if (number == 0) {
        number = ++made;
        notes[number % NOTES_MAX] = make_note();
    }
    if (number > made || number + NOTES_MAX <= made) {
        fprintf(to, "error no note %llu\n", (unsigned long long)number);
        return;
    }
    const struct note *note = &notes[number % NOTES_MAX];
    fprintf(to, "ok %llu %016llx %016llx %llu\n", (unsigned long long)number,
            (unsigned long long)note->urandom, (unsigned long long)note->rdrand,
            (unsigned long long)note->us);
}

/* A process of its own keeps the socket, and with it the membership. */
static void command_join(FILE *to, const char *ip)
{
    struct ip_mreqn group = {.imr_ifindex = (int)if_nametoindex("eth0")};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || inet_pton(AF_INET, ip, &group.imr_multiaddr) != 1 ||
        setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group) < 0)
        fprintf(to, "error %s\n", strerror(errno));
    else if (fork() == 0)
        for (;;)
            pause();
    else
        fprintf(to, "ok %s\n", ip);
    if (fd >= 0)
        close(fd);
}

/* The answer comes first. */
static void answer_last(FILE *to)
{
    fprintf(to, "ok\n");
    fflush(to);
    usleep(100000);
}

/* The kernel does the rest, and no disk has anything to lose. */
static void command_reboot(FILE *to, int how)
{
    answer_last(to);
    if (reboot(how) != 0)
        die("reboot");
}

static void command_panic(FILE *to)
{
    answer_last(to);
    FILE *trigger = fopen("/proc/sysrq-trigger", "w");
    if (!trigger || fputc('c', trigger) == EOF || fclose(trigger) != 0)
        die("/proc/sysrq-trigger");
}

static void obey(FILE *to, const char *line)
{
    unsigned a, b, c;
    char ip[16];
    if (strcmp(line, "ping\n") == 0)
        fprintf(to, "ok pong\n");
    else if (strcmp(line, "poweroff\n") == 0)
        command_reboot(to, RB_POWER_OFF);
    else if (strcmp(line, "reset\n") == 0)
        command_reboot(to, RB_AUTOBOOT);
    else if (strcmp(line, "panic\n") == 0)
        command_panic(to);
    else if (strcmp(line, "note\n") == 0)
        command_note(to, 0);
    else if (sscanf(line, "noted %u", &a) == 1 && a >= 1)
        command_note(to, a);
    else if (sscanf(line, "disk %u", &a) == 1)
        command_disk(to, a);
    else if (strcmp(line, "rest\n") == 0)
        command_rest(to);
    else if (strcmp(line, "sink\n") == 0)
        fprintf(to, "ok %llu %llu\n", (unsigned long long)sink->datagrams,
                (unsigned long long)sink->bytes);
    else if (sscanf(line, "join %15s", ip) == 1)
        command_join(to, ip);
    else if (sscanf(line, "md5 %u", &a) == 1 && a >= 1 && a <= MD5_MIB_MAX)
        command_md5(to, a);
    else if (sscanf(line, "forks %u", &a) == 1 && a >= 1 && a <= FORKS_MAX)
        command_forks(to, a);
    else if (sscanf(line, "incr %u", &a) == 1 && a >= 1 && a <= INCR_MAX)
        command_incr(to, a);
    else if (sscanf(line, "send %15s %u %u %u", ip, &a, &b, &c) == 4 && a <= 65535 &&
             b <= SEND_MAX && c >= 4 && c <= DATAGRAM_BYTES_MAX)
        command_send(to, ip, a, b, c);
    else
        fprintf(to, "error not a command, or out of bounds\n");
    fflush(to);
}

static void serve_one(int fd)
{
    int one = 1;
    char line[256];
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    FILE *from = fdopen(fd, "r"), *to = fdopen(dup(fd), "w");
    if (!from || !to)
        die("fdopen");
    while (fgets(line, sizeof line, from))
        obey(to, line);
}

static void commands_forever(void)
{
    int listener = listen_on(SOCK_STREAM, COMMAND_PORT);
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (fd < 0)
            continue;
        if (fork() == 0) {
            serve_one(fd);
            exit(0);
        }
        close(fd);
    }
}

static void redis_wait(void)
{
    for (;;) {
        int fd = redis_connect();
        if (fd >= 0) {
            close(fd);
            return;
        }
        usleep(20000);
    }
}

static void tick_forever(unsigned tick_ms)
{
    FILE *uptime = fopen("/proc/uptime", "r"), *random = fopen("/dev/urandom", "r");
    if (!uptime || !random)
        die("open");
    setvbuf(random, NULL, _IONBF, 0);
    for (uint64_t n = 1;; n++) {
        char up[32];
        uint64_t word;
        rewind(uptime);
        fflush(uptime);
        if (fscanf(uptime, "%31s", up) != 1 || fread(&word, sizeof word, 1, random) != 1)
            die("read");
        printf("tick %llu up=%s rnd=%016llx\n", (unsigned long long)n, up,
               (unsigned long long)word);
        fflush(stdout);
        usleep(tick_ms * 1000);
    }
}

/* Runs `body` in a process of its own, for as long as the guest lives. */
static void start(void (*body)(void))
{
    if (fork() == 0) {
        body();
        exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: guestd TICK_MS [spin|forks|disks|race]\n");
        return 2;
    }
    unsigned tick_ms = (unsigned)strtoul(argv[1], NULL, 10);
    signal(SIGPIPE, SIG_IGN);
    sink = shared_by_all(sizeof *sink);
    disk_counts = shared_by_all(DISKS_MAX * sizeof *disk_counts);
    start(echo_forever);
    start(sink_forever);
    start(commands_forever);
    if (argc > 2 && fork() == 0)
        load_forever(argv[2]);
    redis_wait();
    printf("READY\n");
    fflush(stdout);
    if (tick_ms > 0)
        tick_forever(tick_ms);
    for (;;)
        pause();
}
