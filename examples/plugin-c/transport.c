/* The transport `c-udp`: datagrams straight in UDP, as plainly as it can be said.
 *
 *   [[transport]]
 *   library = "libc_udp.so"
 *   config = { port = 4330 }        0: a port of the system's choice
 *
 * One socket for both IP versions; all lanes share it. For Linux. */
#define _GNU_SOURCE
#include "ntm_plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

NTM_PLUGIN(NTM_TRANSPORT, "c-udp", "0.1.0");

static const uint8_t MAPPED[12] = {[10] = 0xff, [11] = 0xff}; /* RFC 4291, 2.5.5.2 */

static struct sockaddr_in6 to_system(const ntm_addr *addr) {
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(addr->port)};
    to.sin6_scope_id = addr->scope;
    if (addr->family == 4) {
        memcpy(to.sin6_addr.s6_addr, MAPPED, 12);
        memcpy(to.sin6_addr.s6_addr + 12, addr->ip, 4);
    } else
        memcpy(to.sin6_addr.s6_addr, addr->ip, 16);
    return to;
}

static ntm_addr to_host(const struct sockaddr_in6 *from) {
    int v4 = !memcmp(from->sin6_addr.s6_addr, MAPPED, 12);
    ntm_addr addr = {.port = ntohs(from->sin6_port), .family = v4 ? 4 : 6};
    addr.scope = v4 ? 0 : from->sin6_scope_id;
    memcpy(addr.ip, from->sin6_addr.s6_addr + (v4 ? 12 : 0), v4 ? 4 : 16);
    return addr;
}

static int32_t fail(ntm_error *error, uint32_t fault, const char *what, const char *key) {
    error->fault = fault;
    snprintf(error->message, sizeof error->message, "%s", what);
    snprintf(error->remedy, sizeof error->remedy, "set `port`, 0 to 65535, and nothing else");
    snprintf(error->key, sizeof error->key, "%s", key);
    return NTM_FAILED;
}

/* One JSON object without blanks, such as `{"port":4330}`; keys come in any order. */
static int32_t port_of(const ntm_create *create, unsigned *port, ntm_error *error) {
    char config[256] = "", key[128];
    *port = 4330;
    if (create->config.len < sizeof config)
        memcpy(config, create->config.data, create->config.len);
    for (const char *at = config + 1; *at == '"' || *at == ',';) {
        int len = 0;
        at += *at == ',';
        if (sscanf(at, "\"%127[^\"]\":%n", key, &len) != 1 || strcmp(key, "port"))
            return fail(error, NTM_FAULT_CONFIG, "there is no such key", key);
        at += len;
        if (sscanf(at, "%u%n", port, &len) != 1 || *port > 65535)
            return fail(error, NTM_FAULT_CONFIG, "that is no port", key);
        at += len;
    }
    return NTM_OK;
}

static int32_t check(const ntm_create *create, ntm_error *error) {
    unsigned port;
    return port_of(create, &port, error);
}

typedef struct {
    int socket;
    int poll; /* readable when the socket is: what the host polls, so that only we have that */
} self_t;

static void destroy(void *handle) {
    self_t *self = handle;
    close(self->socket);
    close(self->poll);
    free(self);
}

static int32_t create(const ntm_create *create, void **out, ntm_error *error) {
    int off = 0, much = 4 << 20;
    unsigned port;
    if (port_of(create, &port, error))
        return NTM_FAILED;
    self_t *self = malloc(sizeof *self);
    if (!self)
        return fail(error, NTM_FAULT_SYSTEM, "there is no memory", "");
    self->socket = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    self->poll = epoll_create1(EPOLL_CLOEXEC);
    setsockopt(self->socket, SOL_SOCKET, SO_RCVBUF, &much, sizeof much);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    struct epoll_event readable = {.events = EPOLLIN};
    if (setsockopt(self->socket, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) ||
        bind(self->socket, (struct sockaddr *)&any, sizeof any) ||
        epoll_ctl(self->poll, EPOLL_CTL_ADD, self->socket, &readable)) {
        uint32_t fault = errno == EADDRINUSE ? NTM_FAULT_BUSY : NTM_FAULT_SYSTEM;
        fail(error, fault, strerror(errno), "port");
        destroy(self);
        return NTM_FAILED;
    }
    *out = self;
    return NTM_OK;
}

/* Puts something that is readable for ever and no socket in the socket's place: the port is
 * free, lanes wake who polls them and answer with an error. */
static void close_(void *handle) {
    self_t *self = handle;
    struct epoll_event readable = {.events = EPOLLIN};
    int end = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    dup3(end, self->socket, O_CLOEXEC);
    epoll_ctl(self->poll, EPOLL_CTL_ADD, self->socket, &readable);
    close(end);
}

static uint32_t wire_kind(void *self) { return (void)self, 1; }

static int32_t lane_fd(void *self, uint32_t lane) { return (void)lane, ((self_t *)self)->poll; }

static int64_t try_send(void *self, uint32_t lane, const ntm_tx *packets, size_t count) {
    int fd = ((self_t *)self)->socket;
    (void)lane;
    for (size_t i = 0; i < count; i++) {
        const ntm_tx *packet = &packets[i];
        struct sockaddr_in6 to = to_system(&packet->remote);
        size_t step = packet->segment ? packet->segment : packet->len, at = 0;
        do {
            size_t rest = packet->len - at, len = rest < step ? rest : step;
            if (sendto(fd, packet->data + at, len, 0, (void *)&to, sizeof to) < 0)
                return i ? (int64_t)i : -errno; /* counts whole entries alone */
            at += len;
        } while (at < packet->len);
    }
    return (int64_t)count;
}

static int64_t try_recv(void *self, uint32_t lane, ntm_rx *slots, size_t count) {
    int fd = ((self_t *)self)->socket;
    (void)lane;
    for (size_t i = 0; i < count; i++) {
        struct sockaddr_in6 from;
        socklen_t size = sizeof from;
        ssize_t len =
            recvfrom(fd, slots[i].data, slots[i].capacity, 0, (void *)&from, &size);
        if (len < 0)
            return i ? (int64_t)i : -errno;
        slots[i].len = (size_t)len;
        slots[i].remote = to_host(&from);
    }
    return (int64_t)count;
}

static void local_addrs(void *self, void (*put)(void *, const ntm_addr *), void *sink) {
    struct sockaddr_in6 ours;
    socklen_t size = sizeof ours;
    if (!getsockname(((self_t *)self)->socket, (struct sockaddr *)&ours, &size)) {
        ntm_addr addr = to_host(&ours);
        put(sink, &addr);
    }
}

static void describe(ntm_put_text put, void *sink) {
    static const char key[] = "schema", schema[] =
        "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"port\":{"
        "\"description\":\"The UDP port to listen at.\",\"type\":\"integer\",\"minimum\":0,"
        "\"maximum\":65535,\"default\":4330}}}";
    put(sink, (ntm_text){(const uint8_t *)key, sizeof key - 1},
        (ntm_text){(const uint8_t *)schema, sizeof schema - 1});
}

static const ntm_transport table = {
    .common = {sizeof table, 0, 0, check, create, destroy, describe},
    .wire_kind = wire_kind,
    .lanes = {lane_fd, try_send, try_recv},
    .local_addrs = local_addrs,
    .close = close_,
};
static const ntm_component list[] = {{sizeof list[0], NTM_TRANSPORT, &table}};
static const ntm_plugin plugin = {sizeof plugin, 1, sizeof list[0], 0, list};

NTM_ENTRY {
    (void)host;
    (void)error;
    *out = &plugin;
    return NTM_OK;
}
