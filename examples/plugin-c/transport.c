/* The transport `c-udp`: datagrams straight in UDP, as plainly as it can be said.
 *
 *   [[transport]]
 *   library = "libc_udp.so"
 *   config = { port = 4330 }        0: a port of the system's choice
 *
 * One socket for both IP versions; all lanes share it. */
#include "ntm_plugin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
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

static int32_t fail(ntm_error *error, uint32_t fault, const char *what, const char *remedy) {
    error->fault = fault;
    snprintf(error->message, sizeof error->message, "%s", what);
    snprintf(error->remedy, sizeof error->remedy, "%s", remedy);
    snprintf(error->key, sizeof error->key, "port");
    return NTM_FAILED;
}

/* `{}` or `{"port":4330}`: all that there is to tell. */
static int32_t port_of(const ntm_create *create, unsigned *port, ntm_error *error) {
    char config[64] = "", rest;
    *port = 4330;
    if (create->config.len < sizeof config)
        memcpy(config, create->config.data, create->config.len);
    int known = !strcmp(config, "{}") ||
                sscanf(config, " {\"port\":%u}%c", port, &rest) == 1;
    if (known && *port < 65536)
        return NTM_OK;
    return fail(error, NTM_FAULT_CONFIG, "the one key is `port`, 0 to 65535", "");
}

static int32_t check(const ntm_create *create, ntm_error *error) {
    unsigned port;
    return port_of(create, &port, error);
}

/* The handle is the descriptor, plus one: a handle is not null. */
static int fd_of(void *self) { return (int)(intptr_t)self - 1; }

static int32_t create(const ntm_create *create, void **out, ntm_error *error) {
    unsigned port;
    if (port_of(create, &port, error))
        return NTM_FAILED;
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), off = 0;
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) ||
        bind(fd, (struct sockaddr *)&any, sizeof any)) {
        int busy = errno == EADDRINUSE;
        uint32_t fault = busy ? NTM_FAULT_BUSY : NTM_FAULT_SYSTEM;
        fail(error, fault, strerror(errno), "choose another `port`");
        if (fd >= 0)
            close(fd);
        return NTM_FAILED;
    }
    *out = (void *)(intptr_t)(fd + 1);
    return NTM_OK;
}

static void destroy(void *self) { close(fd_of(self)); }

static uint32_t wire_kind(void *self) { return (void)self, 1; }

static int32_t lane_fd(void *self, uint32_t lane) { return (void)lane, fd_of(self); }

static int64_t try_send(void *self, uint32_t lane, const ntm_tx *packets, size_t count) {
    (void)lane;
    for (size_t i = 0; i < count; i++) {
        const ntm_tx *packet = &packets[i];
        struct sockaddr_in6 to = to_system(&packet->remote);
        size_t step = packet->segment ? packet->segment : packet->len, at = 0;
        do {
            size_t rest = packet->len - at, len = rest < step ? rest : step;
            if (sendto(fd_of(self), packet->data + at, len, 0, (void *)&to, sizeof to) < 0)
                return i ? (int64_t)i : -errno; /* counts whole entries alone */
            at += len;
        } while (at < packet->len);
    }
    return (int64_t)count;
}

static int64_t try_recv(void *self, uint32_t lane, ntm_rx *slots, size_t count) {
    (void)lane;
    for (size_t i = 0; i < count; i++) {
        struct sockaddr_in6 from;
        socklen_t size = sizeof from;
        ssize_t len =
            recvfrom(fd_of(self), slots[i].data, slots[i].capacity, 0, (void *)&from, &size);
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
    if (!getsockname(fd_of(self), (struct sockaddr *)&ours, &size)) {
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
};
static const ntm_component list[] = {{sizeof list[0], NTM_TRANSPORT, &table}};
static const ntm_plugin plugin = {sizeof plugin, 1, sizeof list[0], 0, list};

NTM_ENTRY {
    (void)host;
    (void)error;
    *out = &plugin;
    return NTM_OK;
}
