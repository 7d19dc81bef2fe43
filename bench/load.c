/* A small load generator: one thread, one epoll, N kept-alive connections.
 *
 * Closed loop (no --rate): each connection sends its next request when the answer to the last one is whole.
 * Constant rate (--rate R): request i is due at start + i/R whatever the server does. A due request takes any
 * free connection; when none is free it waits, and its latency still counts from the moment it was due. So a
 * stalled server is charged for every request that should have been sent meanwhile (no coordinated omission).
 *
 * --fresh: a connection for each request, closed after its answer; latency then counts from before the connect.
 * One that is refused ends the run; one that the kernel drops shows as a latency of a second. Where the answer says
 * `Connection: close`, the server's end is waited for and must be a clean one.
 *
 * --echo N: the request asks for a WebSocket, which must begin; from then on a message of N bytes is sent, its echo
 * awaited and compared, and the next one sent. Messages are counted as requests are. With --hold, one each.
 *
 * Requests come prepared from a file of [u32 length][bytes] in this machine's byte order and are sent in turn.
 * A run of eight `#` in a request is replaced by a running number, which makes its path unlike any before.
 * Every answer must be HTTP/1.1, 2xx and framed by Content-Length; anything else is counted and named, and the
 * exit status is 1. Bodies of plain connections are discarded inside the kernel (MSG_TRUNC), so that large
 * answers cost this process little.
 *
 * Lines on stdout, for whoever measures the server from outside: `start` when the warm-up is over, `mark N` each
 * --mark bytes, `stop` when the window closes, `held` when --hold has all connections idle; last, one JSON line.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

enum { HEAD_MAX = 16384, SEND_MAX = 16384, SCRATCH = 262144, MARKER = 8, OPENING_MAX = 64 };
enum { ECHO_MAX = 125 }; /* of a WebSocket frame with a head of two bytes, and four of a client's mask */
enum { SUB_BITS = 6, SUB = 1 << SUB_BITS, BUCKETS = 64 * SUB }; /* 64 steps per power of two: error < 1.6 % */
static const int64_t SECOND = 1000000000, TICK = 20000000; /* TICK: how often a slow reader reads */

enum state { CLOSED, CONNECTING, SHAKING, FREE, BUSY, ENDING };

struct request {
    const char *bytes;
    uint32_t length;
    int32_t marker; /* offset of the eight `#`, -1 when there is none */
};

struct connection {
    int fd;
    enum state state;
    uint32_t events;
    const char *out;
    uint32_t out_left;
    uint32_t head_length;
    int64_t body_left;
    int64_t due;
    bool in_body, closing, counted, watched, tunnelled, echoed;
#ifdef WITH_TLS
    SSL *tls;
#endif
    char sending[SEND_MAX];
    char head[HEAD_MAX];
};

static struct {
    struct sockaddr_in address;
    int connections;
    double seconds, warm, rate;
    int64_t slow, stop_bytes, mark, length;
    uint32_t echo;
    uint32_t first;
    bool tls, hold, fresh;
    const char *requests, *ca, *name;
} option = {.connections = 32, .seconds = 10, .length = -1};

static struct request *requests;
static uint32_t request_count, request_next;
static struct connection *connections;
static int poller, open_count, connecting, held_count;
static int *free_list, free_count;
static uint64_t sent_number, completed, body_bytes, wire_bytes, reconnects, faults, in_flight;
static uint64_t statuses[1000];
static uint64_t histogram[BUCKETS], recorded;
static int64_t slowest, latency_sum;
static char first_fault[256];
static char scratch[SCRATCH];
static char message[6 + ECHO_MAX], echo[2 + ECHO_MAX];
static bool measuring, sending = true;
static volatile sig_atomic_t asked_to_stop; /* SIGTERM closes the window early; the result is still told */
#ifdef WITH_TLS
static SSL_CTX *tls_context;
#endif

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(2);
}

static void say(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    fflush(stdout);
}

static void fault(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (!faults++) vsnprintf(first_fault, sizeof first_fault, format, arguments);
    va_end(arguments);
}

/* ---- latency buckets: the top seven significant bits of the value ---- */

static int bucket_of(int64_t v) {
    if (v < SUB) return v < 0 ? 0 : (int)v;
    int shift = 63 - __builtin_clzll((uint64_t)v) - SUB_BITS;
    return (shift + 1) * SUB + (int)((v >> shift) - SUB);
}

static int64_t value_of(int bucket) {
    if (bucket < SUB) return bucket;
    int shift = bucket / SUB - 1;
    return ((int64_t)(bucket % SUB + SUB) << shift) + ((int64_t)1 << shift) / 2;
}

static double quantile_ms(double q) {
    uint64_t rank = (uint64_t)(q * (double)recorded), seen = 0;
    for (int i = 0; i < BUCKETS; i++)
        if ((seen += histogram[i]) > rank) return (double)value_of(i) / 1e6;
    return (double)slowest / 1e6;
}

/* ---- requests ---- */

static void read_requests(const char *path) {
    int fd = open(path, O_RDONLY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < 5) die("cannot read `%s`", path);
    const char *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (bytes == MAP_FAILED) die("cannot map `%s`", path);
    uint32_t room = 0;
    for (int64_t at = 0; at + 4 < st.st_size;) {
        uint32_t length;
        memcpy(&length, bytes + at, 4);
        if (length > SEND_MAX || at + 4 + length > st.st_size) die("`%s` is damaged at byte %" PRId64, path, at);
        if (request_count == room) {
            room = room ? room * 2 : 1024;
            requests = realloc(requests, room * sizeof *requests);
        }
        const char *found = memmem(bytes + at + 4, length, "########", MARKER);
        requests[request_count++] =
            (struct request){bytes + at + 4, length, found ? (int32_t)(found - bytes - at - 4) : -1};
        at += 4 + length;
    }
    close(fd);
}

/* RFC 6455, 5.2: one binary message each, masked on the way there and plain on the way back. */
static void prepare_messages(void) {
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    echo[0] = message[0] = (char)0x82;
    echo[1] = (char)option.echo;
    message[1] = (char)(0x80 | option.echo);
    memcpy(message + 2, mask, sizeof mask);
    for (uint32_t i = 0; i < option.echo; i++) {
        echo[2 + i] = (char)('a' + i % 26);
        message[6 + i] = (char)(echo[2 + i] ^ mask[i % 4]);
    }
}

/* ---- one connection ---- */

static void watch(struct connection *c, uint32_t events) {
    if (option.slow && c->state == BUSY) events &= ~(uint32_t)EPOLLIN; /* a slow reader reads on the tick alone */
    if (c->watched && events == c->events) return;
    struct epoll_event e = {.events = events, .data.ptr = c};
    epoll_ctl(poller, c->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e);
    c->events = events;
    c->watched = true;
}

static void disconnect(struct connection *c) {
    if (c->state == CLOSED) return;
    if (c->state == CONNECTING || c->state == SHAKING) connecting--;
    if (c->state == BUSY || c->state == ENDING) in_flight--;
    open_count -= c->counted;
#ifdef WITH_TLS
    if (c->tls) SSL_free(c->tls);
    c->tls = NULL;
#endif
    close(c->fd);
    c->state = CLOSED;
    c->watched = false;
}

static void connect_again(struct connection *c) {
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("no socket: %s", strerror(errno));
    int yes = 1, small = 65536;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (option.slow) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    c->state = CONNECTING;
    c->head_length = c->out_left = 0;
    c->in_body = c->closing = c->counted = c->tunnelled = c->echoed = false;
    connecting++;
    if (connect(c->fd, (struct sockaddr *)&option.address, sizeof option.address) < 0 && errno != EINPROGRESS)
        die("cannot connect: %s", strerror(errno));
    watch(c, EPOLLOUT);
}

/* Both return > 0 bytes, 0 at the end, -1 "not now", -2 broken. `into` NULL discards. */
static ssize_t receive(struct connection *c, char *into, size_t room) {
#ifdef WITH_TLS
    if (c->tls) {
        ERR_clear_error();
        int n = SSL_read(c->tls, into ? into : scratch, (int)(room > SCRATCH && !into ? SCRATCH : room));
        if (n > 0) return n;
        int why = SSL_get_error(c->tls, n);
        return why == SSL_ERROR_WANT_READ ? -1 : why == SSL_ERROR_ZERO_RETURN ? 0 : -2;
    }
#endif
    ssize_t n = recv(c->fd, into, room, into ? 0 : MSG_TRUNC);
    return n >= 0 ? n : errno == EAGAIN ? -1 : -2;
}

static ssize_t transmit(struct connection *c, const char *from, size_t length) {
#ifdef WITH_TLS
    if (c->tls) {
        ERR_clear_error();
        int n = SSL_write(c->tls, from, (int)length);
        if (n > 0) return n;
        return SSL_get_error(c->tls, n) == SSL_ERROR_WANT_WRITE ? -1 : -2;
    }
#endif
    ssize_t n = send(c->fd, from, length, MSG_NOSIGNAL);
    return n >= 0 ? n : errno == EAGAIN ? -1 : -2;
}

static void flush_request(struct connection *c) {
    while (c->out_left) {
        ssize_t n = transmit(c, c->out, c->out_left);
        if (n == -1) {
            watch(c, EPOLLIN | EPOLLOUT);
            return;
        }
        if (n <= 0) {
            fault("the connection broke while sending: %s", strerror(errno));
            disconnect(c);
            return;
        }
        c->out += n;
        c->out_left -= (uint32_t)n;
    }
    watch(c, EPOLLIN);
}

static void connect_again(struct connection *c);

static void send_message(struct connection *c, int64_t due) {
    c->out = message;
    c->out_left = 6 + option.echo;
    c->due = due;
    c->state = BUSY;
    in_flight++;
    flush_request(c);
}

static void send_next(struct connection *c, int64_t due) {
    if (c->state == CLOSED) { /* --fresh: comes back once it is open */
        c->due = due;
        connect_again(c);
        return;
    }
    if (c->tunnelled) {
        send_message(c, due);
        return;
    }
    struct request *r = &requests[request_next];
    if (++request_next == request_count) request_next = 0;
    c->out = r->bytes;
    c->out_left = r->length;
    sent_number++;
    if (r->marker >= 0) {
        memcpy(c->sending, r->bytes, r->length);
        uint64_t number = sent_number;
        for (int i = MARKER - 1; i >= 0; i--, number /= 10) c->sending[r->marker + i] = (char)('0' + number % 10);
        c->out = c->sending;
    }
    c->due = due;
    c->state = BUSY;
    in_flight++;
    flush_request(c);
}

static void become_free(struct connection *c) {
    c->state = FREE;
    watch(c, EPOLLIN);
    if (!sending) return;
    if (option.rate)
        free_list[free_count++] = (int)(c - connections);
    else
        send_next(c, now_ns());
}

static void opened(struct connection *c) {
    connecting--;
    open_count++;
    c->counted = true;
    if (option.fresh)
        send_next(c, c->due);
    else
        become_free(c);
}

static void shake(struct connection *c) {
#ifdef WITH_TLS
    ERR_clear_error();
    int n = SSL_connect(c->tls);
    if (n == 1) {
        opened(c);
        return;
    }
    int why = SSL_get_error(c->tls, n);
    if (why == SSL_ERROR_WANT_READ) watch(c, EPOLLIN);
    else if (why == SSL_ERROR_WANT_WRITE) watch(c, EPOLLOUT);
    else {
        fault("TLS handshake failed: %s", ERR_reason_error_string(ERR_get_error()));
        disconnect(c);
    }
#else
    (void)c;
#endif
}

static void connected(struct connection *c) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) die("cannot connect: %s", strerror(error));
    if (!option.tls) {
        opened(c);
        return;
    }
#ifdef WITH_TLS
    c->tls = SSL_new(tls_context);
    SSL_set_fd(c->tls, c->fd);
    if (option.name) SSL_set_tlsext_host_name(c->tls, option.name);
    c->state = SHAKING;
    shake(c);
#endif
}

/* ---- answers ---- */

static bool read_field(const char *line, size_t length, const char *name, const char **value, size_t *value_length) {
    size_t n = strlen(name);
    if (length <= n || line[n] != ':' || strncasecmp(line, name, n)) return false;
    const char *v = line + n + 1, *end = line + length;
    while (v < end && (*v == ' ' || *v == '\t')) v++;
    *value = v;
    *value_length = (size_t)(end - v);
    return true;
}

/* The head is whole and `size` bytes long. False when the answer is not one this bench accepts. */
static bool read_answer_head(struct connection *c, size_t size) {
    int status = 0;
    if (sscanf(c->head, "HTTP/1.1 %3d ", &status) != 1 || (status < 200 && status != 101) || status > 599) {
        fault("malformed answer: `%.60s`", c->head);
        return false;
    }
    if (option.echo ? status != 101 : status == 101) {
        fault("answer %d: `%.200s`", status, c->head);
        return false;
    }
    if (option.echo) {
        c->tunnelled = c->in_body = true;
        c->body_left = 0;
        return true;
    }
    int64_t length = -1;
    for (char *line = memchr(c->head, '\n', size) + 1, *end = c->head + size - 2; line < end;) {
        char *stop = memmem(line, (size_t)(end - line), "\r\n", 2);
        const char *value;
        size_t n;
        if (!stop) break;
        if (read_field(line, (size_t)(stop - line), "content-length", &value, &n)) length = strtoll(value, NULL, 10);
        if (read_field(line, (size_t)(stop - line), "connection", &value, &n))
            c->closing = n == 5 && !strncasecmp(value, "close", 5);
        line = stop + 2;
    }
    statuses[status] += measuring || status > 299;
    if (status > 299) fault("answer %d: `%.200s`", status, c->head);
    if (length < 0) {
        fault("answer %d without Content-Length", status);
        return false;
    }
    if (status <= 299 && option.length >= 0 && length != option.length)
        fault("Content-Length %" PRId64 ", expected %" PRId64, length, option.length);
    c->body_left = length;
    c->in_body = true;
    return true;
}

static void ended(struct connection *c) {
    disconnect(c);
    if (!sending) return;
    if (option.rate)
        free_list[free_count++] = (int)(c - connections);
    else
        send_next(c, now_ns());
}

static void answered(struct connection *c) {
    int64_t latency = now_ns() - c->due;
    in_flight--;
    c->in_body = false;
    c->head_length = 0;
    bool opening = c->tunnelled && !c->echoed; /* the answer that began the WebSocket is no message */
    if (measuring && !opening) {
        completed++;
        recorded++;
        histogram[bucket_of(latency)]++;
        latency_sum += latency;
        if (latency > slowest) slowest = latency;
    }
    if (opening) {
        c->echoed = true;
        send_message(c, now_ns());
        return;
    }
    if (option.fresh && c->closing) {
        c->state = ENDING;
        in_flight++;
        return;
    }
    if (option.fresh) {
        c->state = FREE;
        ended(c);
        return;
    }
    if (c->closing) { /* the server retires a connection: allowed, counted */
        c->state = FREE;
        reconnects++;
        disconnect(c);
        if (sending) connect_again(c);
        return;
    }
    if (option.hold) {
        held_count++;
        c->state = FREE;
        watch(c, EPOLLIN);
        return;
    }
    become_free(c);
}

static void count_body(struct connection *c, ssize_t n) {
    c->body_left -= n;
    uint64_t before = body_bytes;
    body_bytes += (uint64_t)n;
    if (option.mark && before / (uint64_t)option.mark != body_bytes / (uint64_t)option.mark)
        say("mark %" PRIu64 "\n", body_bytes / (uint64_t)option.mark);
}

/* Bytes for the head arrive together with the first of the body: both are taken from one buffer. */
static ssize_t receive_head(struct connection *c) {
    ssize_t n = receive(c, c->head + c->head_length, HEAD_MAX - 1 - c->head_length);
    if (n <= 0) return n;
    wire_bytes += (uint64_t)n;
    uint32_t from = c->head_length > 3 ? c->head_length - 3 : 0;
    c->head_length += (uint32_t)n;
    c->head[c->head_length] = 0;
    char *end = memmem(c->head + from, c->head_length - from, "\r\n\r\n", 4);
    if (!end) {
        if (c->head_length >= HEAD_MAX - 1) {
            fault("answer head above %d bytes", HEAD_MAX);
            return -2;
        }
        return n;
    }
    size_t size = (size_t)(end - c->head) + 4;
    if (!read_answer_head(c, size)) return -2;
    ssize_t rest = (ssize_t)(c->head_length - size);
    if (rest > c->body_left) {
        fault("more bytes than Content-Length announced");
        return -2;
    }
    count_body(c, rest);
    return n;
}

static ssize_t receive_echo(struct connection *c) {
    uint32_t size = 2 + option.echo;
    ssize_t n = receive(c, c->head + c->head_length, size - c->head_length);
    if (n <= 0) return n;
    wire_bytes += (uint64_t)n;
    c->head_length += (uint32_t)n;
    c->in_body = c->head_length == size;
    if (c->in_body && memcmp(c->head, echo, size)) {
        fault("an echo is not what was sent");
        return -2;
    }
    return n;
}

static void readable(struct connection *c, int64_t budget) {
    if (c->state == ENDING) {
        char byte;
        ssize_t n = receive(c, &byte, 1);
        if (n == -1) return;
        if (n) fault(n > 0 ? "bytes behind an answer" : "a reset behind an answer");
        ended(c);
        return;
    }
    if (c->state == FREE) { /* nothing was asked: only an end may come */
        char byte;
        ssize_t n = receive(c, &byte, 1);
        if (n == -1) return;
        if (n > 0) fault("bytes nobody asked for");
        if (option.hold) fault("an idle connection was closed");
        reconnects++;
        for (int i = 0; i < free_count; i++)
            if (free_list[i] == c - connections) free_list[i--] = free_list[--free_count];
        disconnect(c);
        if (sending && !option.hold) connect_again(c);
        return;
    }
    while (c->state == BUSY && budget > 0) {
        ssize_t n;
        if (c->tunnelled) {
            n = receive_echo(c);
        } else if (!c->in_body) {
            n = receive_head(c);
        } else {
            size_t room = (size_t)(c->body_left < budget ? c->body_left : budget);
            n = receive(c, NULL, room);
            if (n > 0) {
                wire_bytes += (uint64_t)n;
                count_body(c, n);
            }
        }
        if (n == -1) return;
        if (n <= 0) {
            fault("the connection ended before its answer did");
            disconnect(c);
            if (sending && !option.hold) connect_again(c);
            return;
        }
        budget -= n;
        if (c->in_body && c->body_left == 0) answered(c);
    }
}

static void on_event(struct connection *c, uint32_t events) {
    if (c->state == CONNECTING) connected(c);
    else if (c->state == SHAKING) shake(c);
    else {
        if (c->state == BUSY && c->out_left && (events & EPOLLOUT)) flush_request(c);
        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c, INT64_MAX);
    }
}

/* ---- the loop ---- */

static void turn(int64_t wait_ns) {
    static struct epoll_event events[512];
    struct timespec wait = {wait_ns / SECOND, wait_ns % SECOND};
    int n = epoll_pwait2(poller, events, 512, &wait, NULL);
    for (int i = 0; i < n; i++) on_event(events[i].data.ptr, events[i].events);
}

static void open_all(void) {
    for (int i = 0; option.fresh && i < option.connections; i++) {
        if (option.rate)
            free_list[free_count++] = i;
        else
            send_next(&connections[i], now_ns());
    }
    if (option.fresh) return;
    for (int i = 0; i < option.connections; i++) {
        while (connecting >= OPENING_MAX || (option.hold && in_flight >= OPENING_MAX)) turn(SECOND);
        connect_again(&connections[i]);
    }
    int64_t limit = now_ns() + 60 * SECOND;
    while (connecting) {
        turn(SECOND / 10);
        if (now_ns() > limit) die("%d connections did not open in 60 s", connecting);
    }
}

static void begin_window(void) {
    memset(statuses, 0, sizeof statuses);
    memset(histogram, 0, sizeof histogram);
    completed = recorded = body_bytes = wire_bytes = 0;
    slowest = latency_sum = 0;
    measuring = true;
    say("start\n");
}

static double serve_window(void) {
    int64_t begin = now_ns(), window = begin + (int64_t)(option.warm * 1e9), end = INT64_MAX, tick = begin;
    double gap = option.rate ? 1e9 / option.rate : 0;
    uint64_t due_count = 0;
    for (;;) {
        int64_t now = now_ns();
        if (!measuring && now >= window) {
            begin_window();
            window = now_ns();
            end = window + (int64_t)(option.seconds * 1e9);
        }
        if (asked_to_stop || now >= end || (option.stop_bytes && measuring && (int64_t)body_bytes >= option.stop_bytes)) break;
        int64_t wait = end - now < SECOND / 20 ? end - now : SECOND / 20;
        if (option.rate) {
            int64_t due = begin + (int64_t)((double)due_count * gap);
            while (due <= now && free_count) {
                send_next(&connections[free_list[--free_count]], due);
                due = begin + (int64_t)((double)++due_count * gap);
            }
            if (free_count && due > now && due - now < wait) wait = due - now;
        }
        if (option.slow) {
            if (now >= tick) {
                tick = now + TICK;
                for (int i = 0; i < option.connections; i++)
                    if (connections[i].state == BUSY) readable(&connections[i], option.slow * TICK / SECOND);
            }
            if (tick - now < wait) wait = tick > now ? tick - now : 0;
        }
        if (!open_count && !connecting && !option.fresh) die("no connection is left: %s", first_fault);
        turn(wait);
    }
    double elapsed = (double)(now_ns() - window) / 1e9;
    say("stop\n");
    return elapsed;
}

/* Answers already asked for still count towards latency at a constant rate: they were due inside the window. */
static void drain(void) {
    sending = false;
    if (!option.rate) measuring = false;
    for (int64_t limit = now_ns() + 3 * SECOND; in_flight && !option.slow && now_ns() < limit;) turn(SECOND / 20);
    if (in_flight && !option.slow) fault("%" PRIu64 " answers missing 3 s after the end", in_flight);
}

static void hold(void) {
    for (int64_t limit = now_ns() + 60 * SECOND; held_count < option.connections && now_ns() < limit;) turn(SECOND / 10);
    if (held_count < option.connections) die("only %d connections were answered: %s", held_count, first_fault);
    say("held\n");
    for (struct pollfd in = {.fd = 0, .events = POLLIN}; poll(&in, 1, 0) == 0;) turn(SECOND / 10);
}

static void report(double elapsed, uint64_t done) {
    uint64_t other = 0;
    printf("{\"requests\": %" PRIu64 ", \"seconds\": %.4f, \"rps\": %.1f, \"body_bytes\": %" PRIu64 ", \"wire_bytes\": %" PRIu64
           ", \"p50_ms\": %.4f, \"p90_ms\": %.4f, \"p99_ms\": %.4f, \"p999_ms\": %.4f, \"max_ms\": %.4f, \"mean_ms\": %.4f"
           ", \"reconnects\": %" PRIu64 ", \"faults\": %" PRIu64 ", \"next\": %u, \"statuses\": {",
           done, elapsed, elapsed > 0 ? (double)done / elapsed : 0, body_bytes, wire_bytes, quantile_ms(0.5), quantile_ms(0.9),
           quantile_ms(0.99), quantile_ms(0.999), (double)slowest / 1e6,
           recorded ? (double)latency_sum / (double)recorded / 1e6 : 0, reconnects, faults, request_next);
    for (int i = 0; i < 1000; i++)
        if (statuses[i]) printf("%s\"%d\": %" PRIu64, other++ ? ", " : "", i, statuses[i]);
    puts("}}");
    if (faults) fprintf(stderr, "load: %" PRIu64 " faults, first: %s\n", faults, first_fault);
}

static void prepare_tls(void) {
#ifdef WITH_TLS
    tls_context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(tls_context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
    if (option.ca) {
        if (!SSL_CTX_load_verify_locations(tls_context, option.ca, NULL)) die("cannot read `%s`", option.ca);
        SSL_CTX_set_verify(tls_context, SSL_VERIFY_PEER, NULL);
    }
#else
    die("built without OpenSSL: no TLS");
#endif
}

static void read_options(int argc, char **argv) {
    static const struct option known[] = {
        {"port", 1, 0, 'p'}, {"requests", 1, 0, 'f'}, {"connections", 1, 0, 'n'}, {"seconds", 1, 0, 's'},
        {"warm", 1, 0, 'w'}, {"rate", 1, 0, 'r'}, {"slow", 1, 0, 'S'}, {"stop-bytes", 1, 0, 'b'},
        {"mark", 1, 0, 'm'}, {"length", 1, 0, 'l'}, {"first", 1, 0, 'F'}, {"hold", 0, 0, 'H'}, {"fresh", 0, 0, 'C'},
        {"echo", 1, 0, 'e'},
        {"tls", 0, 0, 't'}, {"ca", 1, 0, 'c'}, {"name", 1, 0, 'N'}, {0}};
    option.address.sin_family = AF_INET;
    option.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) switch (c) {
        case 'p': option.address.sin_port = htons((uint16_t)atoi(optarg)); break;
        case 'f': option.requests = optarg; break;
        case 'n': option.connections = atoi(optarg); break;
        case 's': option.seconds = atof(optarg); break;
        case 'w': option.warm = atof(optarg); break;
        case 'r': option.rate = atof(optarg); break;
        case 'S': option.slow = atoll(optarg); break;
        case 'b': option.stop_bytes = atoll(optarg); break;
        case 'm': option.mark = atoll(optarg); break;
        case 'l': option.length = atoll(optarg); break;
        case 'F': option.first = (uint32_t)atoi(optarg); break;
        case 'H': option.hold = true; break;
        case 'C': option.fresh = true; break;
        case 'e': option.echo = (uint32_t)atoi(optarg); break;
        case 't': option.tls = true; break;
        case 'c': option.ca = optarg; break;
        case 'N': option.name = optarg; break;
        default: die("unknown option");
    }
    if (!option.requests || !option.address.sin_port) die("--port and --requests are needed");
    if (option.echo > ECHO_MAX) die("--echo is at most %d", ECHO_MAX);
}

static void on_term(int number) { asked_to_stop = number; }

int main(int argc, char **argv) {
    read_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_term);
    prctl(PR_SET_TIMERSLACK, 1000UL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct rlimit files;
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    prepare_messages();
    if (option.tls) prepare_tls();
    read_requests(option.requests);
    request_next = option.first % request_count;
    connections = calloc((size_t)option.connections, sizeof *connections);
    free_list = calloc((size_t)option.connections, sizeof *free_list);
    poller = epoll_create1(EPOLL_CLOEXEC);
    open_all();
    if (option.hold) {
        hold();
        report(0, (uint64_t)held_count);
        return faults > 0;
    }
    double elapsed = serve_window();
    uint64_t done = completed;
    drain();
    report(elapsed, done);
    return faults > 0;
}
