// The limit of the machine: a client that opens many streams, counts what arrives, and does nothing else. One thread, one
// epoll loop, no clock, no allocation after the start. What rtbench costs is held against it.
//
//	limit sse|ws HOST PORT PATH CONNECTIONS SECONDS [PID [PACE]]
//
// It opens PACE streams a second, 2,000 where nothing is said, evenly spread. It prints, for the seconds after all are open:
// messages, CPU seconds (user + system) a million messages, KB of resident memory a connection, and µs of CPU a connect; with
// the server's PID, if that isn't 0, also what that used, in CPU seconds a million messages. HTTP/1.1, numeric addresses.
// Where it is compiled with -DTLS (and -lssl -lcrypto), it speaks TLS 1.3, resumes sessions, and checks no certificate.
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#ifdef TLS
#include <openssl/ssl.h>
#endif

// A stream is where its parser stands: no bytes are kept.
struct stream {
    int fd;
    int open;      // the head is over
    int newlines;  // of a line end that may be double
    int have;      // bytes of a frame's head
    uint64_t left; // of the frame
    unsigned char head[10];
#ifdef TLS
    SSL *ssl;
#endif
};

#ifdef TLS
#define AGAIN 1
#else
#define AGAIN 0
#endif

static char buf[256 << 10];
static uint64_t messages;
static int opened;
static int websocket;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double seconds(int clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static double cpu(void) { return seconds(CLOCK_PROCESS_CPUTIME_ID); }

static long resident(void) { // bytes
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*d %ld", &pages) != 1)
        fail("statm");
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

// cpu_of is what a process has used, to a clock tick; 0 for none.
static double cpu_of(const char *pid) {
    char path[64], line[1024];
    unsigned long user, system;
    if (!pid)
        return 0;
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *f = fopen(path, "r");
    // Past the name, which may hold anything, come the state and ten more fields.
    char *past = f && fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
    if (!past || sscanf(past + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        fail(path);
    fclose(f);
    return (double)(user + system) / sysconf(_SC_CLK_TCK);
}

// head_size is that of a frame's head, as far as is known; servers don't mask.
static int head_size(struct stream *s) {
    if (s->have < 2)
        return 2;
    return (s->head[1] & 127) == 126 ? 4 : (s->head[1] & 127) == 127 ? 10 : 2;
}

static void frames(struct stream *s, const unsigned char *p, const unsigned char *end) {
    while (p < end) {
        if (s->left > 0) {
            uint64_t n = s->left < (uint64_t)(end - p) ? s->left : (uint64_t)(end - p);
            p += n;
            s->left -= n;
        } else {
            s->head[s->have++] = *p++;
            if (s->have < head_size(s))
                continue;
            s->left = s->head[1] & 127;
            if (s->left > 125) {
                s->left = 0;
                for (int i = 2; i < s->have; i++)
                    s->left = s->left << 8 | s->head[i];
            }
        }
        if (s->left == 0 && s->have > 0) {
            if ((s->head[0] & 15) < 3 && s->head[0] & 128)
                messages++;
            s->have = 0;
        }
    }
}

// events counts the empty lines that end events, past the framing of chunks, which has none.
static void events(struct stream *s, const char *p, const char *end) {
    for (;;) {
        if (s->newlines == 1 && p < end && *p == '\n') {
            messages++;
            p++;
        }
        s->newlines = 0;
        const char *lf = memchr(p, '\n', end - p);
        if (!lf)
            return;
        p = lf + 1;
        s->newlines = 1;
        if (p == end)
            return;
    }
}

static void take(struct stream *s, char *p, ssize_t n) {
    char *end = p + n;
    if (!s->open) {
        char *over = memmem(p, n, "\r\n\r\n", 4);
        if (!over)
            return;
        s->open = 1;
        opened++;
        p = over + 4;
    }
    if (websocket)
        frames(s, (unsigned char *)p, (unsigned char *)end);
    else
        events(s, p, end);
}

#ifdef TLS
static SSL_CTX *context;
static SSL_SESSION *session; // the one to resume

static int keep(SSL *ssl, SSL_SESSION *next) {
    (void)ssl;
    SSL_SESSION_free(session);
    session = next;
    return 1;
}

static void secure(struct stream *s) {
    if (!context) {
        context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT);
        SSL_CTX_sess_set_new_cb(context, keep);
        SSL_CTX_set_read_ahead(context, 1); // one recv for a record, and not two
        SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    }
    s->ssl = SSL_new(context);
    SSL_set_fd(s->ssl, s->fd);
    if (session)
        SSL_set_session(s->ssl, session);
    if (SSL_connect(s->ssl) != 1) {
        fprintf(stderr, "no TLS\n");
        exit(1);
    }
}

// get reads what there is; -1 with EAGAIN where that is nothing.
static ssize_t get(struct stream *s) {
    int n = SSL_read(s->ssl, buf, sizeof buf);
    if (n > 0)
        return n;
    errno = SSL_get_error(s->ssl, n) == SSL_ERROR_WANT_READ ? EAGAIN : EIO;
    return -1;
}

static ssize_t put(struct stream *s, const char *p, int n) { return SSL_write(s->ssl, p, n); }
#else
static void secure(struct stream *s) { (void)s; }
static ssize_t get(struct stream *s) { return recv(s->fd, buf, sizeof buf, 0); }
static ssize_t put(struct stream *s, const char *p, int n) { return write(s->fd, p, n); }
#endif

int main(int argc, char **argv) {
    if (argc < 7 || argc > 9) {
        fprintf(stderr, "limit sse|ws HOST PORT PATH CONNECTIONS SECONDS [PID [PACE]]\n");
        return 2;
    }
    const char *pid = argc > 7 && strcmp(argv[7], "0") ? argv[7] : NULL;
    double pace = argc > 8 ? atof(argv[8]) : 2000;
    websocket = !strcmp(argv[1], "ws");
    int connections = atoi(argv[5]);
    double length = atof(argv[6]);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[3]))};
    inet_pton(AF_INET, argv[2], &address.sin_addr);
    char request[1024];
    int size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s:%s\r\n%s\r\n", argv[4], argv[2], argv[3],
                        websocket ? "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                  : "Accept: text/event-stream\r\n");
    struct stream *all = calloc(connections, sizeof *all);
    int epoll = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event tells = {.events = EPOLLIN | EPOLLET};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &tells))
        fail("epoll_ctl");
    long before = resident();
    double began = cpu(), due = seconds(CLOCK_MONOTONIC), end = 0, started = 0;
    double connecting = 0, server = 0;
    uint64_t counted = 0;
    struct epoll_event ready[512];
    int dialed = 0;
    for (;;) {
        double now = seconds(CLOCK_MONOTONIC);
        for (; dialed < connections && dialed <= (now - due) * pace; dialed++) {
            struct stream *s = &all[dialed];
            if ((s->fd = socket(AF_INET, SOCK_STREAM, 0)) < 0 || connect(s->fd, (struct sockaddr *)&address, sizeof address))
                fail("connect");
            int one = 1;
            setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            secure(s);
            fcntl(s->fd, F_SETFL, O_NONBLOCK);
            if (put(s, request, size) != size)
                fail("write");
            struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.ptr = s};
            if (epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &e))
                fail("epoll_ctl");
        }
        if (end == 0 && opened == connections) {
            connecting = (cpu() - began) / connections * 1e6;
            end = now + 1 + length; // a second for the burst of opening to pass
            started = now + 1;
        }
        if (started && now >= started) {
            began = cpu();
            server = cpu_of(pid);
            counted = messages;
            started = 0;
        }
        if (end && now >= end)
            break;
        if (dialed < connections) {
            double next = due + dialed / pace;
            struct itimerspec at = {.it_value = {(time_t)next, (next - (time_t)next) * 1e9}};
            timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
        }
        int n = epoll_wait(epoll, ready, 512, 100);
        for (int i = 0; i < n; i++) {
            struct stream *s = ready[i].data.ptr;
            ssize_t got;
            if (!s) // the timer
                continue;
            do { // what TLS holds back, the socket doesn't tell of
                got = get(s);
                if (got > 0)
                    take(s, buf, got);
                else if (got == 0 || errno != EAGAIN) {
                    fprintf(stderr, "a stream ended\n");
                    return 1;
                }
            } while (AGAIN && got > 0);
        }
    }
    double used = cpu() - began;
    server = cpu_of(pid) - server;
    counted = messages - counted;
    printf("%llu %.3f %.2f %.1f", (unsigned long long)counted, used / counted * 1e6, (resident() - before) / 1024.0 / connections, connecting);
    if (pid)
        printf(" %.3f", server / counted * 1e6);
    printf("\n");
    return 0;
}
