// The limit of the machine on the other side: a server that writes the same bytes to every stream, as many as the
// reference server's events have, and does nothing else. One thread, one call a delivery, no allocation after the start.
// What `rtbench serve` costs is held against it.
//
//	writer sse|ws RATE CONNECTIONS
//
// It says where it listens, takes up to CONNECTIONS streams, and writes RATE events a second to each until it is killed.
// HTTP/1.1, no TLS, on 127.0.0.1. A client that leaves ends it, and one that reads too slowly does so with an error.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int64_t now(void) { // ns
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static uint32_t rotate(uint32_t x, int n) { return x << n | x >> (32 - n); }

// sha1 of less than 119 bytes.
static void sha1(const char *text, size_t n, unsigned char sum[20]) {
    unsigned char block[128] = {0};
    size_t blocks = n < 56 ? 1 : 2;
    memcpy(block, text, n);
    block[n] = 128;
    for (int i = 0; i < 8; i++)
        block[blocks * 64 - 1 - i] = (uint64_t)n * 8 >> 8 * i;
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    for (size_t b = 0; b < blocks; b++) {
        uint32_t w[80], v[5];
        memcpy(v, h, sizeof v);
        for (int i = 0; i < 80; i++) {
            const unsigned char *p = block + 64 * b + 4 * i;
            w[i] = i < 16 ? (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]
                          : rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
            uint32_t f = i < 20   ? 0x5a827999 + ((v[1] & v[2]) | (~v[1] & v[3]))
                         : i < 40 ? 0x6ed9eba1 + (v[1] ^ v[2] ^ v[3])
                         : i < 60 ? 0x8f1bbcdc + ((v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3]))
                                  : 0xca62c1d6 + (v[1] ^ v[2] ^ v[3]);
            uint32_t t = rotate(v[0], 5) + f + v[4] + w[i];
            v[4] = v[3];
            v[3] = v[2];
            v[2] = rotate(v[1], 30);
            v[1] = v[0];
            v[0] = t;
        }
        for (int i = 0; i < 5; i++)
            h[i] += v[i];
    }
    for (int i = 0; i < 20; i++)
        sum[i] = h[i / 4] >> (24 - 8 * (i % 4));
}

// accept_of writes what answers a Sec-WebSocket-Key: 28 characters.
static void accept_of(const char *key, char out[29]) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[64];
    unsigned char sum[21] = {0};
    sha1(text, snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key), sum);
    for (int i = 0; i < 7; i++) {
        uint32_t v = sum[3 * i] << 16 | sum[3 * i + 1] << 8 | sum[3 * i + 2];
        for (int j = 0; j < 4; j++)
            out[4 * i + j] = digits[v >> (18 - 6 * j) & 63];
    }
    strcpy(out + 27, "=");
}

// answer reads a request and opens its stream.
static void answer(int fd, int websocket) {
    char request[4096], head[512], key[29];
    size_t got = 0;
    do {
        ssize_t n = recv(fd, request + got, sizeof request - 1 - got, 0);
        if (n <= 0)
            fail("request");
        request[got += n] = 0;
    } while (!strstr(request, "\r\n\r\n"));
    int size;
    if (websocket) {
        char *at = strcasestr(request, "Sec-WebSocket-Key: ");
        accept_of(at ? at + 19 : "", key);
        size = snprintf(head, sizeof head, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                           "Sec-WebSocket-Accept: %s\r\n\r\n", key);
    } else {
        size = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
                                           "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
    }
    if (send(fd, head, size, MSG_NOSIGNAL) != size)
        fail("answer");
}

// event writes event n as the reference server frames it.
static int event(char *out, int websocket, unsigned long long n) {
    char data[256], block[512];
    int size = sprintf(data, "{\"topic\":\"default\",\"seq\":%llu,\"stamp\":\"%0*llu\"}", n, 64, n);
    if (websocket) {
        out[0] = (char)0x81;
        if (size < 126)
            return out[1] = size, memcpy(out + 2, data, size), size + 2;
        out[1] = 126;
        out[2] = size >> 8;
        out[3] = size;
        memcpy(out + 4, data, size);
        return size + 4;
    }
    size = sprintf(block, "id: %llu\ndata: %s\n\n", n, data);
    return sprintf(out, "%x\r\n%s\r\n", size, block);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "writer sse|ws RATE CONNECTIONS\n");
        return 2;
    }
    int websocket = !strcmp(argv[1], "ws");
    double interval = 1e9 / atof(argv[2]);
    int most = atoi(argv[3]), open = 0;
    int *streams = calloc(most, sizeof *streams);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) || listen(listener, 4096) ||
        getsockname(listener, (struct sockaddr *)&address, &length))
        fail("listen");
    printf("listening on http://127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    char wire[1024];
    int64_t start = now();
    for (unsigned long long n = 1;; n++) {
        int64_t due = start + (int64_t)(n * interval), left;
        do { // who is late still lets one in for each event
            left = due - now();
            struct pollfd ready = {.fd = listener, .events = POLLIN};
            struct timespec wait = {.tv_nsec = left > 0 ? left : 0};
            if (ppoll(&ready, open < most, &wait, NULL) <= 0)
                continue;
            int one = 1, fd = accept(listener, NULL, NULL);
            if (fd < 0)
                fail("accept");
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            answer(fd, websocket);
            streams[open++] = fd;
        } while (left > 0);
        int size = event(wire, websocket, n);
        for (int i = 0; i < open; i++)
            if (send(streams[i], wire, size, MSG_DONTWAIT | MSG_NOSIGNAL) != size) {
                if (errno == EPIPE || errno == ECONNRESET)
                    return 0;
                fail("send");
            }
    }
}
