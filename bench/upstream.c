/* The service behind every gateway of the bench: one thread, one epoll, answers from memory.
 *
 * It shares a core with the load generator, so it must cost little: a request is a head that ends in an empty
 * line (no bodies are sent to it), the answer is one prepared block, or for a path that contains `/large` a head
 * and 1 MiB by sendfile from memory. Connections are kept open for ever. One that asks for a WebSocket becomes one
 * that echoes messages of up to 125 bytes; every client sends the key of RFC 6455's own example, so that nothing has to be
 * computed here.
 *
 * upstream PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SMALL = 1024, LARGE = 1 << 20, READ_MAX = 65536, CONNECTIONS = 65536 };

#define FIELDS                                                                                                     \
    "Server: upstream\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json\r\n"                \
    "Cache-Control: private, no-store\r\nETag: \"6f1c-5e2\"\r\nVary: Accept-Encoding\r\n"                         \
    "X-Content-Type-Options: nosniff\r\n"

struct connection {
    int fd;
    uint32_t held;     /* bytes of an unfinished head */
    off_t large_at;    /* -1: no large answer is being sent */
    bool large;        /* the head being read asks for the large one */
    bool waiting;      /* EPOLLOUT is on */
    bool tunnelled;    /* a WebSocket has begun */
    char *head;
};

static struct connection connections[CONNECTIONS];
static char small_answer[SMALL + 512], large_head[512], incoming[READ_MAX];
static size_t small_length, large_head_length;
static int poller, large_file;

static void prepare(void) {
    small_length = (size_t)sprintf(small_answer, "HTTP/1.1 200 OK\r\n" FIELDS "Content-Length: %d\r\n\r\n", SMALL);
    for (int i = 0; i < SMALL; i++) small_answer[small_length++] = (char)('a' + i % 26);
    large_head_length = (size_t)sprintf(large_head, "HTTP/1.1 200 OK\r\n" FIELDS "Content-Length: %d\r\n\r\n", LARGE);
    large_file = memfd_create("large", MFD_CLOEXEC);
    char line[1024];
    memset(line, 'x', sizeof line);
    for (int i = 0; i < LARGE / 1024; i++)
        if (write(large_file, line, sizeof line) != sizeof line) exit(2);
}

static void end(struct connection *c) {
    close(c->fd);
    free(c->head);
    *c = (struct connection){.fd = -1, .large_at = -1};
}

static void watch(struct connection *c, bool writing) {
    if (c->waiting == writing) return;
    c->waiting = writing;
    struct epoll_event e = {.events = writing ? EPOLLOUT : EPOLLIN, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
}

static void send_large(struct connection *c) {
    while (c->large_at < LARGE) {
        ssize_t n = sendfile(c->fd, large_file, &c->large_at, (size_t)(LARGE - c->large_at));
        if (n < 0 && errno == EAGAIN) {
            watch(c, true);
            return;
        }
        if (n <= 0) {
            end(c);
            return;
        }
    }
    c->large_at = -1;
    watch(c, false);
}

static void answer(struct connection *c, bool large) {
    const char *from = large ? large_head : small_answer;
    size_t length = large ? large_head_length : small_length;
    if (send(c->fd, from, length, MSG_NOSIGNAL | (large ? MSG_MORE : 0)) != (ssize_t)length) {
        end(c);
        return;
    }
    if (large) {
        c->large_at = 0;
        send_large(c);
    }
}

static const char switching[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/* Unmasks every whole message in place, two bytes of head before it, and sends them all back; what is left is kept. */
static char *echoed(struct connection *c, char *from, char *stop) {
    char *out = from, *begin = from;
    while (stop - from >= 6) {
        size_t length = (unsigned char)from[1] & 0x7f;
        if (length > 125 || !(from[1] & 0x80) || from[0] != (char)0x82) {
            end(c);
            return stop;
        }
        if ((size_t)(stop - from) < 6 + length) break;
        char mask[4];
        memcpy(mask, from + 2, sizeof mask);
        *out++ = (char)0x82;
        *out++ = (char)length;
        for (size_t i = 0; i < length; i++) *out++ = (char)(from[6 + i] ^ mask[i % 4]);
        from += 6 + length;
    }
    if (out > begin && send(c->fd, begin, (size_t)(out - begin), MSG_NOSIGNAL) != out - begin) {
        end(c);
        return stop;
    }
    return from;
}

static void requested(struct connection *c, const char *head, size_t length) {
    if (memmem(head, length, "pgrade: websocket", 17)) {
        c->tunnelled = true;
        if (send(c->fd, switching, sizeof switching - 1, MSG_NOSIGNAL) < 0) end(c);
        return;
    }
    const char *line_end = memchr(head, '\r', length);
    answer(c, line_end && memmem(head, (size_t)(line_end - head), "/large", 6));
}

static void readable(struct connection *c) {
    if (c->held) memcpy(incoming, c->head, c->held);
    ssize_t n = recv(c->fd, incoming + c->held, READ_MAX - c->held, 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) end(c);
        return;
    }
    char *from = incoming, *stop = incoming + c->held + n;
    c->held = 0;
    while (from < stop && c->fd >= 0) {
        if (c->tunnelled) {
            from = echoed(c, from, stop);
            break;
        }
        char *last = memmem(from, (size_t)(stop - from), "\r\n\r\n", 4);
        if (!last) break;
        requested(c, from, (size_t)(last - from));
        from = last + 4;
    }
    if (c->fd < 0 || from == stop) return;
    c->held = (uint32_t)(stop - from);
    if (c->held == READ_MAX) {
        end(c);
        return;
    }
    c->head = realloc(c->head, READ_MAX);
    memcpy(c->head, from, c->held);
}

static void accept_all(int listener) {
    for (int fd, yes = 1; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        if (fd >= CONNECTIONS) {
            close(fd);
            continue;
        }
        struct connection *c = &connections[fd];
        *c = (struct connection){.fd = fd, .large_at = -1};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
    }
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    prepare();
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) {
        perror("upstream");
        return 2;
    }
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        struct epoll_event events[512];
        int n = epoll_wait(poller, events, 512, -1);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) accept_all(listener);
            else if (c->fd < 0) continue;
            else if (c->large_at >= 0) send_large(c);
            else readable(c);
        }
    }
}
