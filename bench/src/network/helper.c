// Times connections, and what they carry. For the benchmark `network`.
//
//   helper serve                      prints its port; answers until its standard input ends
//   helper connect ADDRESS PORT N     connects N times, blocking, and N times without waiting
//   helper carry ADDRESS PORT MIB     receives, then sends, so many MiB
//
// Every measurement is a line of text: a name and nanoseconds.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static char block[256 << 10];

// The first bytes say what to do: nothing is a connection to be timed, 'r' and a count has it send that many bytes,
// 's' and a count receive them.
static void *answer(void *argument) {
    int peer = (int)(intptr_t)argument;
    struct { char what; uint64_t count; } __attribute__((packed)) order;
    if (recv(peer, &order, sizeof order, MSG_WAITALL) == sizeof order) {
        uint64_t left = order.count;
        while (left > 0) {
            size_t part = left < sizeof block ? left : sizeof block;
            ssize_t done = order.what == 'r' ? send(peer, block, part, MSG_NOSIGNAL) : recv(peer, block, part, 0);
            if (done <= 0) break;
            left -= (uint64_t)done;
        }
        char end = 'e';
        if (order.what == 's') send(peer, &end, 1, MSG_NOSIGNAL);
    }
    close(peer);
    return NULL;
}

// On the last processor alone: who connects has the others, as with a server elsewhere.
static void serve_apart(void) {
    cpu_set_t all, last;
    if (sched_getaffinity(0, sizeof all, &all) || CPU_COUNT(&all) < 2) return;
    int at = CPU_SETSIZE - 1;
    while (!CPU_ISSET(at, &all)) at--;
    CPU_ZERO(&last);
    CPU_SET(at, &last);
    if (sched_setaffinity(0, sizeof last, &last)) fail("sched_setaffinity");
}

static void *serve(void *argument) {
    int listener = (int)(intptr_t)argument;
    for (;;) {
        int peer = accept(listener, NULL, NULL);
        pthread_t thread;
        if (peer < 0) continue;
        if (pthread_create(&thread, NULL, answer, (void *)(intptr_t)peer) == 0) pthread_detach(thread);
        else close(peer);
    }
}

static int begin(const char *address, const char *port, int flags) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1) fail(address);
    int own = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (own < 0) fail("socket");
    uint64_t began = now();
    int failed = connect(own, (struct sockaddr *)&to, sizeof to);
    if (failed && flags) {
        struct pollfd ready = {own, POLLOUT, 0};
        int error = 0;
        socklen_t size = sizeof error;
        if (poll(&ready, 1, 5000) != 1) fail("poll");
        getsockopt(own, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) fail("connect without waiting");
    } else if (failed) {
        fail("connect");
    }
    printf("%s %llu\n", flags ? "nonblocking" : "blocking", (unsigned long long)(now() - began));
    return own;
}

static void done(int own) {
    // Without the wait of TIME_WAIT, of which there are only so many.
    struct linger at_once = {1, 0};
    setsockopt(own, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(own);
}

static void carry(const char *address, const char *port, char what, uint64_t count) {
    struct { char what; uint64_t count; } __attribute__((packed)) order = {what, count};
    int own = begin(address, port, 0);
    uint64_t began = now(), left = count;
    if (send(own, &order, sizeof order, 0) != sizeof order) fail("send");
    while (left > 0) {
        size_t part = left < sizeof block ? left : sizeof block;
        ssize_t moved = what == 'r' ? recv(own, block, part, 0) : send(own, block, part, 0);
        if (moved <= 0) fail("carry");
        left -= (uint64_t)moved;
    }
    char end;
    if (what == 's' && recv(own, &end, 1, MSG_WAITALL) != 1) fail("the end");
    printf("%s %llu\n", what == 'r' ? "receive" : "send", (unsigned long long)(now() - began));
    done(own);
}

int main(int count, char **words) {
    if (count == 2 && !strcmp(words[1], "serve")) {
        serve_apart();
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t size = sizeof at;
        pthread_t thread;
        char end;
        if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) fail("listen");
        if (getsockname(listener, (struct sockaddr *)&at, &size)) fail("getsockname");
        printf("%d\n", ntohs(at.sin_port));
        fflush(stdout);
        if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)listener)) fail("pthread_create");
        while (read(0, &end, 1) > 0) {}
        return 0;
    }
    if (count == 5 && !strcmp(words[1], "connect")) {
        for (int turn = 0; turn < 2 * atoi(words[4]); turn++) {
            done(begin(words[2], words[3], turn % 2 ? SOCK_NONBLOCK : 0));
            // So that what the last one left to do does not count to the next.
            usleep(300);
        }
        return 0;
    }
    if (count == 5 && !strcmp(words[1], "carry")) {
        carry(words[2], words[3], 'r', strtoull(words[4], NULL, 10) << 20);
        carry(words[2], words[3], 's', strtoull(words[4], NULL, 10) << 20);
        return 0;
    }
    fprintf(stderr, "helper: see its source\n");
    return 2;
}
