/* A mock OpenAI upstream that costs next to nothing: one thread, epoll, answers prepared before the first request.
 *
 *     upstream -p PORT [-n CHUNKS] [-g GAP_MS]
 *
 * A body with "stream":true gets CHUNKS server-sent events (50), one write each, GAP_MS apart (5; 0 = at once), then the
 * usage event if the body asks for it (include_usage), then [DONE]. Any other request gets one JSON completion. It listens
 * on 127.0.0.1 and prints "ready" when it does. */
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
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_BYTES_MAX = 1 << 20, CHUNKS_MAX = 10000, EVENTS_MAX = 512, CHUNK_BYTES_MAX = 1024 };

#define ID "\"id\":\"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT\",\"created\":1741569952,\"model\":\"gpt-4o-2024-08-06\""

static const char COMPLETION[] =
    "{" ID ",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
    "\"Hello! I am a mock assistant and this is a reply of a moderate length.\",\"refusal\":null,\"annotations\":[]},"
    "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":219,\"completion_tokens\":18,"
    "\"total_tokens\":237,\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
    "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0}},\"service_tier\":\"default\","
    "\"system_fingerprint\":\"fp_fc9f1d7035\"}";

static const char STREAM_HEAD[] =
    "HTTP/1.1 200 OK\r\nServer: mock\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
    "x-request-id: req_0123456789abcdef\r\nTransfer-Encoding: chunked\r\n\r\n";

static const char REFUSAL[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

typedef struct connection {
    int fd;
    char *in;
    size_t in_used, in_size;
    char *out;
    size_t out_used, out_sent, out_size;
    bool waits_to_write, closes_after, with_usage, ended;
    int next_chunk; /* -1: no stream is under way */
    int64_t due_ns;
    struct connection *later;
    bool queued;
} connection;

typedef struct {
    char text[CHUNK_BYTES_MAX];
    size_t size;
} chunk;

typedef struct {
    const char *body;
    size_t body_size, whole_size;
    bool closes;
} request;

static int poll_fd;
static int64_t gap_ns = 5000000;
static int content_chunks = 50;
static chunk *chunks;
static chunk usage_chunk, done_chunk;
static char json_answer[4096];
static size_t json_size;
static connection *queue_head, *queue_tail;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void *need(void *memory) {
    if (!memory) fail("memory");
    return memory;
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* ---- prepared answers ---- */

static void frame(chunk *made, const char *event, const char *end) {
    int size = snprintf(made->text, sizeof made->text, "%zx\r\n%s\r\n%s", strlen(event), event, end);
    if (size < 0 || (size_t)size >= sizeof made->text) fail("event too long");
    made->size = (size_t)size;
}

static void prepare_answers(void) {
    char event[CHUNK_BYTES_MAX / 2];
    chunks = need(calloc((size_t)content_chunks, sizeof *chunks));
    for (int i = 0; i < content_chunks; i++) {
        const char *finish = i == content_chunks - 1 ? "\"stop\"" : "null";
        snprintf(event, sizeof event,
                 "data: {" ID ",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":"
                 "{\"content\":\" token%d\"},\"finish_reason\":%s}]}\n\n", i, finish);
        frame(&chunks[i], event, "");
    }
    snprintf(event, sizeof event,
             "data: {" ID ",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{\"prompt_tokens\":219,"
             "\"completion_tokens\":%d,\"total_tokens\":%d}}\n\n", content_chunks, content_chunks + 219);
    frame(&usage_chunk, event, "");
    frame(&done_chunk, "data: [DONE]\n\n", "0\r\n\r\n");
    json_size = (size_t)snprintf(json_answer, sizeof json_answer,
                                 "HTTP/1.1 200 OK\r\nServer: mock\r\nContent-Type: application/json\r\n"
                                 "Content-Length: %zu\r\nx-request-id: req_0123456789abcdef\r\n"
                                 "openai-processing-ms: 12\r\n\r\n%s", sizeof COMPLETION - 1, COMPLETION);
}

/* ---- connections ---- */

static void watch(connection *c, bool to_write) {
    if (c->waits_to_write == to_write) return;
    struct epoll_event wanted = {.events = EPOLLIN | (to_write ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &wanted) < 0) fail("epoll_ctl");
    c->waits_to_write = to_write;
}

/* Closes now; the memory goes when the queue no longer points to it and the round of events is over. */
static void end(connection *c) {
    if (c->ended) return;
    close(c->fd);
    c->ended = true;
    c->next_chunk = -1;
}

static void free_connection(connection *c) {
    free(c->in);
    free(c->out);
    free(c);
}

static void flush(connection *c) {
    while (c->out_sent < c->out_used) {
        ssize_t sent = write(c->fd, c->out + c->out_sent, c->out_used - c->out_sent);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) {
            watch(c, true);
            return;
        }
        if (sent < 0) {
            end(c);
            return;
        }
        c->out_sent += (size_t)sent;
    }
    c->out_used = c->out_sent = 0;
    watch(c, false);
    if (c->closes_after && c->next_chunk < 0) end(c);
}

static void send_bytes(connection *c, const char *bytes, size_t size) {
    if (c->ended) return;
    if (c->out_used + size > c->out_size) {
        c->out_size = (c->out_used + size) * 2;
        c->out = need(realloc(c->out, c->out_size));
    }
    memcpy(c->out + c->out_used, bytes, size);
    c->out_used += size;
    if (!c->waits_to_write) flush(c);
}

/* ---- requests ---- */

/* The size of a chunked body with its framing, 0 when more must come, SIZE_MAX when it is not one. */
static size_t chunked_size(const char *body, size_t size) {
    size_t at = 0;
    for (;;) {
        const char *line_end = memmem(body + at, size - at, "\r\n", 2);
        if (!line_end) return 0;
        char *after;
        unsigned long length = strtoul(body + at, &after, 16);
        if (after == body + at || length > REQUEST_BYTES_MAX) return SIZE_MAX;
        at = (size_t)(line_end - body) + 2 + length + 2;
        if (at > size) return 0;
        if (length == 0) return at;
    }
}

static bool starts(const char *line, const char *line_end, const char *name) {
    size_t size = strlen(name);
    return (size_t)(line_end - line) >= size && !strncasecmp(line, name, size);
}

/* 1: a whole request is there; 0: more must come; -1: it is not one. */
static int read_request(connection *c, request *found) {
    const char *head_end = memmem(c->in, c->in_used, "\r\n\r\n", 4);
    if (!head_end) return c->in_used >= REQUEST_BYTES_MAX ? -1 : 0;
    unsigned long length = 0;
    bool chunked = false;
    found->closes = false;
    for (const char *line = c->in; line < head_end;) {
        const char *line_end = memmem(line, (size_t)(head_end + 2 - line), "\r\n", 2);
        if (starts(line, line_end, "content-length:")) length = strtoul(line + 15, NULL, 10);
        if (starts(line, line_end, "transfer-encoding: chunked")) chunked = true;
        if (starts(line, line_end, "connection: close")) found->closes = true;
        line = line_end + 2;
    }
    if (length > REQUEST_BYTES_MAX) return -1;
    found->body = head_end + 4;
    size_t there = c->in_used - (size_t)(found->body - c->in);
    found->body_size = chunked ? chunked_size(found->body, there) : length;
    if (found->body_size == SIZE_MAX) return -1;
    if ((chunked && !found->body_size) || there < found->body_size) return c->in_used >= REQUEST_BYTES_MAX ? -1 : 0;
    found->whole_size = (size_t)(found->body - c->in) + found->body_size;
    return 1;
}

static bool says(const request *asked, const char *text) {
    return memmem(asked->body, asked->body_size, text, strlen(text)) != NULL;
}

static void send_chunk(connection *c) {
    int last = content_chunks + (c->with_usage ? 1 : 0);
    chunk *sent = c->next_chunk < content_chunks ? &chunks[c->next_chunk]
                  : c->next_chunk < last         ? &usage_chunk
                                                 : &done_chunk;
    c->next_chunk = sent == &done_chunk ? -1 : c->next_chunk + 1;
    send_bytes(c, sent->text, sent->size);
}

static void enqueue(connection *c, int64_t due_ns) {
    c->due_ns = due_ns;
    c->later = NULL;
    c->queued = true;
    if (queue_tail) queue_tail->later = c;
    else queue_head = c;
    queue_tail = c;
}

static void begin_stream(connection *c, const request *asked) {
    c->with_usage = says(asked, "include_usage");
    c->next_chunk = 0;
    send_bytes(c, STREAM_HEAD, sizeof STREAM_HEAD - 1);
    if (!c->ended) send_chunk(c);
    while (gap_ns == 0 && c->next_chunk >= 0) send_chunk(c);
    if (c->next_chunk >= 0) enqueue(c, now_ns() + gap_ns);
}

/* Answers what has come, one request after the other; a stream holds up those behind it. */
static void answer(connection *c) {
    while (!c->ended && c->next_chunk < 0 && c->in_used) {
        request asked;
        int whole = read_request(c, &asked);
        if (whole == 0) return;
        if (whole < 0) {
            c->closes_after = true;
            send_bytes(c, REFUSAL, sizeof REFUSAL - 1);
            return;
        }
        c->closes_after = asked.closes;
        if (says(&asked, "\"stream\":true") || says(&asked, "\"stream\": true")) begin_stream(c, &asked);
        else send_bytes(c, json_answer, json_size);
        c->in_used -= asked.whole_size;
        memmove(c->in, c->in + asked.whole_size, c->in_used);
    }
}

static void read_more(connection *c) {
    if (c->in_used == c->in_size) {
        c->in_size = c->in_size ? c->in_size * 2 : 16384;
        c->in = need(realloc(c->in, c->in_size));
    }
    ssize_t got = read(c->fd, c->in + c->in_used, c->in_size - c->in_used);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0 || c->in_used > REQUEST_BYTES_MAX) {
        end(c);
        return;
    }
    c->in_used += (size_t)got;
    answer(c);
}

/* ---- the loop ---- */

static void accept_all(int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connection *c = need(calloc(1, sizeof *c));
        c->fd = fd;
        c->next_chunk = -1;
        struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &wanted) < 0) fail("epoll_ctl");
    }
}

static void send_due(void) {
    int64_t now = now_ns();
    while (queue_head && queue_head->due_ns <= now) {
        connection *c = queue_head;
        queue_head = c->later;
        if (!queue_head) queue_tail = NULL;
        c->queued = false;
        if (!c->ended) send_chunk(c);
        if (c->ended) free_connection(c);
        else if (c->next_chunk >= 0) enqueue(c, c->due_ns + gap_ns);
        else {
            answer(c);
            if (c->ended && !c->queued) free_connection(c);
        }
    }
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    if (fd < 0) fail("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
    if (listen(fd, 4096) < 0) fail("listen");
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &wanted) < 0) fail("epoll_ctl");
    return fd;
}

static void serve(int listener) {
    struct epoll_event happened[EVENTS_MAX];
    for (;;) {
        struct timespec wait = {0}, *until = NULL;
        if (queue_head) {
            int64_t left = queue_head->due_ns - now_ns();
            wait.tv_sec = left > 0 ? left / 1000000000 : 0;
            wait.tv_nsec = left > 0 ? left % 1000000000 : 0;
            until = &wait;
        }
        int count = epoll_pwait2(poll_fd, happened, EVENTS_MAX, until, NULL);
        if (count < 0 && errno != EINTR) fail("epoll_pwait2");
        for (int i = 0; i < count; i++) {
            connection *c = happened[i].data.ptr;
            if (!c) {
                accept_all(listener);
                continue;
            }
            if (happened[i].events & EPOLLOUT) flush(c);
            if (!c->ended && happened[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_more(c);
            if (c->ended && !c->queued) free_connection(c);
        }
        send_due();
    }
}

int main(int count, char **values) {
    int port = 0, option;
    while ((option = getopt(count, values, "p:n:g:")) > 0) {
        if (option == 'p') port = atoi(optarg);
        else if (option == 'n') content_chunks = atoi(optarg);
        else if (option == 'g') gap_ns = (int64_t)(atof(optarg) * 1e6);
        else return 2;
    }
    if (port < 1 || port > 65535 || content_chunks < 1 || content_chunks > CHUNKS_MAX || gap_ns < 0) {
        fprintf(stderr, "usage: upstream -p PORT [-n CHUNKS] [-g GAP_MS]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    prepare_answers();
    poll_fd = epoll_create1(0);
    if (poll_fd < 0) fail("epoll_create1");
    int listener = listen_on(port);
    puts("ready");
    fflush(stdout);
    serve(listener);
}
