/* A load generator for one HTTP/1.1 endpoint on this machine: one thread, epoll, keep-alive.
 *
 *     load -p PORT -d SECONDS [-c CONNECTIONS] [-r PER_SECOND] [-m METHOD] [-u PATH] [-b BODY_FILE] [-H HEADER]... [-e TEXT]
 *
 * Without -r it is a closed loop: each connection sends its next request when the answer to the one before is complete.
 * With -r it is an open loop: requests are due at a fixed rate, and latency counts from the moment a request was due, so a
 * server that stalls cannot hide it.
 *
 * Counted are answers that became complete within the window, and latency for each of them. An answer is good when its
 * status is 2xx, its framing is complete, and its body holds TEXT. Prints one line of JSON. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_BYTES_MAX = 16384, BODY_BYTES_MAX = 1 << 20, CONNECTIONS_MAX = 10000, EVENTS_MAX = 512 };

typedef enum { IDLE, HEAD, BODY_BY_LENGTH, BODY_UNTIL_CLOSE, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER } state;

typedef struct {
    int fd;
    state state;
    char head[HEAD_BYTES_MAX];
    size_t head_used;
    char *body;
    size_t body_used, left; /* left: bytes of the body, or of the chunk, still to come */
    size_t line_used;       /* bytes of the chunk-size or trailer line so far */
    size_t sent;            /* of the request */
    bool waits_to_send;
    int status;
    bool closes, has_first;
    double due_s, first_s;
} connection;

typedef struct {
    double *values;
    size_t used, size;
} series;

static int port, poll_fd;
static char *request_bytes;
static size_t request_size;
static const char *expected;
static connection *connections;
static int *idle, idle_count;
static bool open_loop;
static series latency_s, first_byte_s;
static long good, bad_status, incomplete, unexpected, events;
static double bytes_read;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void *need(void *memory) {
    if (!memory) fail("memory");
    return memory;
}

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void add(series *to, double value) {
    if (to->used == to->size) {
        to->size = to->size ? to->size * 2 : 65536;
        to->values = need(realloc(to->values, to->size * sizeof *to->values));
    }
    to->values[to->used++] = value;
}

static int compare(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double quantile_ms(const series *of, double share) {
    if (!of->used) return 0;
    size_t at = (size_t)((double)of->used * share);
    return of->values[at < of->used ? at : of->used - 1] * 1e3;
}

/* ---- connections ---- */

static void dial(connection *c) {
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0) fail("socket");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &wanted) < 0) fail("epoll_ctl");
    c->state = IDLE;
    c->sent = 0;
    c->waits_to_send = false;
}

static void redial(connection *c) {
    close(c->fd);
    dial(c);
}

/* Sends as much of the request as the socket takes, and the rest when it takes more. */
static void send_more(connection *c) {
    while (c->sent < request_size) {
        ssize_t count = send(c->fd, request_bytes + c->sent, request_size - c->sent, MSG_DONTWAIT);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && errno != EAGAIN) return; /* the closed connection is seen, and counted, when it is read */
        if (count < 0) break;
        c->sent += (size_t)count;
    }
    bool waits = c->sent < request_size;
    if (waits == c->waits_to_send) return;
    struct epoll_event wanted = {.events = EPOLLIN | (waits ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &wanted) < 0) fail("epoll_ctl");
    c->waits_to_send = waits;
}

/* Sends the request as due at `due_s`. */
static void send_request(connection *c, double due_s) {
    c->state = HEAD;
    c->head_used = c->body_used = c->left = c->line_used = c->sent = 0;
    c->closes = c->has_first = false;
    c->due_s = due_s;
    send_more(c);
}

static void next(connection *c) {
    if (open_loop) idle[idle_count++] = (int)(c - connections);
    else send_request(c, now_s());
}

/* ---- answers ---- */

static void finish(connection *c, double at_s) {
    bool is_good = false;
    if (c->status < 200 || c->status > 299) bad_status++;
    else if (expected && !memmem(c->body, c->body_used, expected, strlen(expected))) unexpected++;
    else is_good = true;
    if (is_good) {
        good++;
        add(&latency_s, at_s - c->due_s);
        add(&first_byte_s, c->first_s - c->due_s);
    }
    c->state = IDLE;
    if (c->closes) redial(c);
    next(c);
}

static const char *header(const connection *c, const char *name) {
    const char *found = strcasestr(c->head, name);
    return found ? found + strlen(name) : NULL;
}

static void read_head(connection *c) {
    c->status = c->head_used > 12 ? atoi(c->head + 9) : 0;
    const char *length = header(c, "\r\ncontent-length:");
    c->closes = header(c, "\r\nconnection: close") != NULL;
    if (header(c, "\r\ntransfer-encoding: chunked")) c->state = CHUNK_SIZE;
    else if (length || c->status == 204 || c->status == 304) {
        c->state = BODY_BY_LENGTH;
        c->left = length ? strtoul(length, NULL, 10) : 0;
    } else c->state = BODY_UNTIL_CLOSE;
}

/* Takes the head's bytes from `bytes`; returns how many. */
static size_t take_head(connection *c, const char *bytes, size_t size) {
    size_t before = c->head_used, room = HEAD_BYTES_MAX - 1 - before, taken = size < room ? size : room;
    memcpy(c->head + before, bytes, taken);
    c->head_used += taken;
    c->head[c->head_used] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) {
        if (taken == room) {
            fprintf(stderr, "the answer's head is over %d bytes\n", HEAD_BYTES_MAX);
            exit(1);
        }
        return size;
    }
    end[2] = 0;
    read_head(c);
    return (size_t)(end + 4 - c->head) - before;
}

/* Keeps the body for the look at its end, and counts the events ("data:" at the start of a line) that it brings. */
static void take_body(connection *c, const char *bytes, size_t size, double at_s) {
    if (!c->has_first) {
        c->has_first = true;
        c->first_s = at_s;
    }
    if (c->body_used + size > BODY_BYTES_MAX) {
        fprintf(stderr, "the answer's body is over %d bytes\n", BODY_BYTES_MAX);
        exit(1);
    }
    size_t from = c->body_used < 6 ? 0 : c->body_used - 6;
    memcpy(c->body + c->body_used, bytes, size);
    c->body_used += size;
    if (c->state != CHUNK_DATA) return;
    const char *at = c->body + from, *end = c->body + c->body_used;
    if (from == 0 && c->body_used >= 5 && c->body_used - size < 5 && !memcmp(c->body, "data:", 5)) events++;
    while ((at = memmem(at, (size_t)(end - at), "\ndata:", 6))) {
        at += 6;
        if (at > c->body + c->body_used - size) events++;
    }
}

/* Reads a line of the chunked framing into `head`; returns the bytes taken, and sets `whole` at its end. */
static size_t take_line(connection *c, const char *bytes, size_t size, bool *whole) {
    size_t taken = 0;
    *whole = false;
    while (taken < size && !*whole) {
        char byte = bytes[taken++];
        if (byte == '\n') *whole = true;
        else if (c->line_used < 32) c->head[c->line_used++] = byte;
    }
    return taken;
}

static size_t take_framing(connection *c, const char *bytes, size_t size, double at_s) {
    bool whole;
    size_t taken = take_line(c, bytes, size, &whole);
    if (!whole) return taken;
    size_t line_size = c->line_used;
    c->head[line_size] = 0;
    c->line_used = 0;
    if (c->state == CHUNK_SIZE) {
        c->left = strtoul(c->head, NULL, 16);
        c->state = c->left ? CHUNK_DATA : TRAILER;
    } else if (c->state == CHUNK_END) c->state = CHUNK_SIZE;
    else if (line_size == 0 || c->head[0] == '\r') finish(c, at_s);
    return taken;
}

static size_t take(connection *c, const char *bytes, size_t size, double at_s) {
    if (c->state == HEAD) {
        size_t taken = take_head(c, bytes, size);
        if (c->state == BODY_BY_LENGTH && !c->left) finish(c, at_s);
        return taken;
    }
    if (c->state == CHUNK_SIZE || c->state == CHUNK_END || c->state == TRAILER) return take_framing(c, bytes, size, at_s);
    size_t taken = c->state == BODY_UNTIL_CLOSE || size < c->left ? size : c->left;
    take_body(c, bytes, taken, at_s);
    if (c->state == BODY_UNTIL_CLOSE) return taken;
    c->left -= taken;
    if (!c->left && c->state == CHUNK_DATA) c->state = CHUNK_END;
    else if (!c->left) finish(c, at_s);
    return taken;
}

static void closed(connection *c, double at_s) {
    if (c->state == BODY_UNTIL_CLOSE) {
        c->closes = true;
        finish(c, at_s);
        return;
    }
    bool was_asked = c->state != IDLE;
    incomplete += was_asked;
    redial(c);
    if (was_asked) next(c);
}

static void read_more(connection *c) {
    static char bytes[262144];
    ssize_t got = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    double at_s = now_s();
    if (got <= 0) {
        closed(c, at_s);
        return;
    }
    bytes_read += (double)got;
    for (size_t used = 0; used < (size_t)got && c->state != IDLE;) {
        state before = c->state;
        used += take(c, bytes + used, (size_t)got - used, at_s);
        if (before != HEAD && c->state == HEAD) break; /* the next request was sent: what is left belongs to nobody */
    }
}

/* ---- the run ---- */

static void run(double rate, double end_s) {
    double due_s = now_s();
    struct epoll_event happened[EVENTS_MAX];
    for (double at_s = due_s; at_s < end_s; at_s = now_s()) {
        double wait_s = end_s - at_s < 0.02 ? end_s - at_s : 0.02;
        for (; open_loop && idle_count && due_s <= at_s; due_s += 1 / rate)
            send_request(&connections[idle[--idle_count]], due_s);
        if (open_loop && idle_count && due_s - at_s < wait_s) wait_s = due_s > at_s ? due_s - at_s : 0;
        struct timespec wait = {.tv_sec = 0, .tv_nsec = (long)(wait_s * 1e9)};
        int count = epoll_pwait2(poll_fd, happened, EVENTS_MAX, &wait, NULL);
        if (count < 0 && errno != EINTR) fail("epoll_pwait2");
        for (int i = 0; i < count; i++) {
            connection *c = happened[i].data.ptr;
            if (happened[i].events & EPOLLOUT) send_more(c);
            if (happened[i].events & ~(uint32_t)EPOLLOUT) read_more(c);
        }
    }
}

static double cpu_s(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

static void print_results(double seconds) {
    qsort(latency_s.values, latency_s.used, sizeof(double), compare);
    qsort(first_byte_s.values, first_byte_s.used, sizeof(double), compare);
    printf("{\"seconds\":%.3f,\"good\":%ld,\"bad_status\":%ld,\"incomplete\":%ld,\"unexpected\":%ld,\"per_s\":%.1f,"
           "\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"first_p50_ms\":%.3f,\"first_p99_ms\":%.3f,"
           "\"events\":%ld,\"megabytes_per_s\":%.2f,\"generator_cpu\":%.2f}\n",
           seconds, good, bad_status, incomplete, unexpected, (double)good / seconds, quantile_ms(&latency_s, 0.5),
           quantile_ms(&latency_s, 0.9), quantile_ms(&latency_s, 0.99), quantile_ms(&latency_s, 1),
           quantile_ms(&first_byte_s, 0.5), quantile_ms(&first_byte_s, 0.99), events, bytes_read / seconds / 1e6,
           cpu_s() / seconds);
}

static void prepare_request(const char *method, const char *path, const char *headers, const char *body_file) {
    char *body = need(malloc(BODY_BYTES_MAX));
    size_t body_size = 0;
    if (body_file) {
        FILE *file = fopen(body_file, "r");
        if (!file) fail(body_file);
        body_size = fread(body, 1, BODY_BYTES_MAX, file);
        fclose(file);
    }
    size_t room = strlen(method) + strlen(path) + strlen(headers) + 256;
    request_bytes = need(malloc(room + body_size));
    int head_size = snprintf(request_bytes, room,
                             "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nAccept: */*\r\n"
                             "User-Agent: OpenAI/Python 2.0\r\n%sContent-Length: %zu\r\n\r\n",
                             method, path, port, headers, body_size);
    memcpy(request_bytes + head_size, body, body_size);
    request_size = (size_t)head_size + body_size;
    free(body);
}

int main(int count, char **values) {
    int connection_count = 64, option;
    double seconds = 0, rate = 0;
    const char *method = "POST", *path = "/v1/chat/completions", *body_file = NULL;
    char headers[8192] = "";
    while ((option = getopt(count, values, "p:c:d:r:m:u:b:H:e:")) > 0) {
        size_t used = strlen(headers);
        if (option == 'p') port = atoi(optarg);
        else if (option == 'c') connection_count = atoi(optarg);
        else if (option == 'd') seconds = atof(optarg);
        else if (option == 'r') rate = atof(optarg);
        else if (option == 'm') method = optarg;
        else if (option == 'u') path = optarg;
        else if (option == 'b') body_file = optarg;
        else if (option == 'e') expected = optarg;
        else if (option == 'H') snprintf(headers + used, sizeof headers - used, "%s\r\n", optarg);
        else return 2;
    }
    if (port < 1 || port > 65535 || seconds <= 0 || rate < 0 || connection_count < 1 || connection_count > CONNECTIONS_MAX) {
        fprintf(stderr, "usage: load -p PORT -d SECONDS [-c CONNECTIONS] [-r PER_SECOND] [-m METHOD] [-u PATH] "
                        "[-b BODY_FILE] [-H HEADER]... [-e TEXT]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    prepare_request(method, path, headers, body_file);
    open_loop = rate > 0;
    poll_fd = epoll_create1(0);
    if (poll_fd < 0) fail("epoll_create1");
    connections = need(calloc((size_t)connection_count, sizeof *connections));
    idle = need(calloc((size_t)connection_count, sizeof *idle));
    for (int i = 0; i < connection_count; i++) {
        connections[i].body = need(malloc(BODY_BYTES_MAX));
        dial(&connections[i]);
    }
    double start_s = now_s();
    for (int i = 0; i < connection_count; i++) next(&connections[i]);
    run(rate, start_s + seconds);
    print_results(now_s() - start_s);
    return 0;
}
