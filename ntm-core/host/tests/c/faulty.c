/* A transport that carries what it is given to itself, with a fault. FAULT is one
 * of the words below. Only the first instance has it, so that the next one can
 * show that life goes on. */
#include "ntm_plugin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    NONE, SEND_COUNT, RECV_COUNT, RECV_NONE, RECV_LENGTH, RECV_STATUS, RECV_BROKEN, SEND_BLOCKS,
    RECV_BLOCKS, REBIND_STATUS, REBIND_BLOCKS, CREATE_NULL, CREATE_STATUS, NO_LANE, CLOSED_LANE,
    WIRE_KIND, DESTROY_BLOCKS, LOG_FLOOD, ADDRS_FLOOD, FAILS_SILENTLY
};

NTM_PLUGIN(NTM_TRANSPORT, "faulty", "1.0");

static const ntm_host *ours;

typedef struct {
    int fault, sockets[2];
} self_t;

static void block(void) {
    for (;;)
        pause();
}

static int32_t create(const ntm_create *create, void **out, ntm_error *error) {
    static int instances;
    int fault = instances++ ? NONE : FAULT;
    (void)create;
    (void)error;
    if (fault == CREATE_NULL)
        return NTM_OK;
    if (fault == CREATE_STATUS)
        return 77;
    if (fault == FAILS_SILENTLY)
        return NTM_FAILED;
    self_t *self = malloc(sizeof *self);
    self->fault = fault;
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, self->sockets))
        abort();
    if (fault == LOG_FLOOD)
        for (int i = 0; i < 100000; i++)
            ours->log(ours->ctx, NTM_INFO, (ntm_text){0, 0}, (ntm_text){(const uint8_t *)"x", 1});
    *out = self;
    return NTM_OK;
}

static void destroy(void *handle) {
    self_t *self = handle;
    if (self->fault == DESTROY_BLOCKS)
        block();
    close(self->sockets[0]);
    close(self->sockets[1]);
    free(self);
}

static uint32_t wire_kind(void *handle) { return ((self_t *)handle)->fault == WIRE_KIND ? 4711 : 1; }

static int32_t lane_fd(void *handle, uint32_t lane) {
    self_t *self = handle;
    if (lane > 0 || self->fault == NO_LANE)
        return -1;
    return self->fault == CLOSED_LANE ? 999999 : self->sockets[0];
}

static int64_t try_send(void *handle, uint32_t lane, const ntm_tx *packets, size_t count) {
    self_t *self = handle;
    size_t sent = 0;
    (void)lane;
    if (self->fault == SEND_COUNT)
        return (int64_t)count + 1000;
    if (self->fault == SEND_BLOCKS)
        block();
    for (; sent < count; sent++)
        if (send(self->sockets[1], packets[sent].data, packets[sent].len, 0) < 0)
            return sent ? (int64_t)sent : -errno;
    return (int64_t)sent;
}

static int64_t try_recv(void *handle, uint32_t lane, ntm_rx *slots, size_t count) {
    self_t *self = handle;
    (void)lane;
    if (count == 0)
        return 0;
    ssize_t length = recv(self->sockets[0], slots[0].data, slots[0].capacity, 0);
    if (length < 0)
        return -errno;
    switch (self->fault) {
    case RECV_COUNT: return (int64_t)count + 1000;
    case RECV_NONE: return 0;
    case RECV_STATUS: return -123456789;
    case RECV_BROKEN: return -EIO;
    case RECV_BLOCKS: block();
    }
    slots[0].len = self->fault == RECV_LENGTH ? (size_t)-1 : (size_t)length;
    slots[0].remote = (ntm_addr){.ip = {127, 0, 0, 1}, .port = 4330, .family = 4};
    return 1;
}

static void local_addrs(void *handle, void (*put)(void *, const ntm_addr *), void *sink) {
    ntm_addr addr = {.ip = {127, 0, 0, 1}, .port = 4330, .family = 4};
    size_t many = ((self_t *)handle)->fault == ADDRS_FLOOD ? 150000 : 1;
    for (size_t i = 0; i < many; i++)
        put(sink, &addr);
}

static int32_t rebind_(void *handle, ntm_error *error) {
    self_t *self = handle;
    (void)error;
    if (self->fault == REBIND_BLOCKS)
        block();
    return self->fault == REBIND_STATUS ? 4711 : NTM_OK;
}

static const ntm_transport table = {
    .common = {.size = sizeof table, .create = create, .destroy = destroy},
    .wire_kind = wire_kind,
    .lanes = {lane_fd, try_send, try_recv},
    .local_addrs = local_addrs,
    .rebind = rebind_,
};
static const ntm_component list[] = {{sizeof(ntm_component), NTM_TRANSPORT, &table}};
static const ntm_plugin plugin = {sizeof plugin, 1, sizeof(ntm_component), 0, list};

NTM_ENTRY {
    (void)error;
    ours = host;
    *out = &plugin;
    return NTM_OK;
}
