// The limit of sending on time: a client that opens many WebSockets, has one after the other send a message when its time has
// come, reads what comes back, and does nothing else. One thread, one epoll loop, one timer of the kernel's, no allocation
// after the start. How late rtbench sends is held against it.
//
//	sender HOST PORT PATH CONNECTIONS RATE SECONDS
//
// It prints how late messages were, in µs: when they were about to be handed to the kernel, after when they were due, at p50,
// p90, p99 and the longest; and µs of CPU (user + system) a message. Without connections nothing is sent: then it is how late
// the system wakes a thread that waits for the time. Numeric addresses.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static char buf[64 << 10];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int64_t now(int clock) { // ns
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

// connected opens a WebSocket, and reads the head of the response, which nothing follows.
static int connected(struct sockaddr_in *address, const char *request, int size) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1, have = 0;
    if (fd < 0 || connect(fd, (struct sockaddr *)address, sizeof *address))
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (write(fd, request, size) != size)
        fail("write");
    while (!memmem(buf, have, "\r\n\r\n", 4)) {
        ssize_t n = read(fd, buf + have, sizeof buf - have);
        if (n <= 0)
            fail("no response head");
        have += n;
    }
    if (memcmp(buf, "HTTP/1.1 101", 12)) {
        fprintf(stderr, "it doesn't switch to WebSocket\n");
        exit(1);
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

int main(int argc, char **argv) {
    if (argc != 7) {
        fprintf(stderr, "sender HOST PORT PATH CONNECTIONS RATE SECONDS\n");
        return 2;
    }
    int connections = atoi(argv[4]);
    double rate = atof(argv[5]);
    int64_t total = rate * atof(argv[6]);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    char request[1024];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: %s:%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                        argv[3], argv[1], argv[2]);
    int epoll = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), *all = calloc(connections + 1, sizeof *all);
    int64_t *late = calloc(total + 1, sizeof *late);
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.fd = timer}, ready[256];
    epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &e);
    for (int i = 0; i < connections; i++) {
        e.data.fd = all[i] = connected(&address, request, size);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, all[i], &e))
            fail("epoll_ctl");
    }
    char frame[80] = "\x81\xc8"; // a text of 72 bytes, masked with zeros
    memset(frame + 6, 'x', 72);
    int64_t began = now(CLOCK_PROCESS_CPUTIME_ID), start = now(CLOCK_MONOTONIC) + 500000000;
    for (int64_t n = 0; n < total;) {
        int64_t due = start + n * (1e9 / rate);
        int64_t over = now(CLOCK_MONOTONIC) - due;
        if (over >= 0) {
            if (connections > 0 && send(all[n % connections], frame, 78, MSG_NOSIGNAL) != 78)
                fail("send");
            late[n++] = over;
            continue;
        }
        struct itimerspec at = {.it_value = {due / 1000000000, due % 1000000000}};
        timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
        int came = epoll_wait(epoll, ready, 256, -1);
        for (int i = 0; i < came; i++) {
            if (ready[i].data.fd != timer && recv(ready[i].data.fd, buf, sizeof buf, 0) == 0) {
                fprintf(stderr, "a stream ended\n");
                return 1;
            }
        }
    }
    double used = now(CLOCK_PROCESS_CPUTIME_ID) - began;
    qsort(late, total, sizeof *late, compare);
    printf("%.1f %.1f %.1f %.1f %.2f\n", late[total / 2] / 1e3, late[total * 9 / 10] / 1e3, late[total * 99 / 100] / 1e3, late[total - 1] / 1e3,
           used / total / 1e3);
    return 0;
}
