/* The plugin boundary of ntm, ABI 1.0: what a shared object has to export.
 *
 * A plugin exports two symbols:
 *
 *   NTM_PLUGIN_HEADER     a constant ntm_header; read from the file, before
 *                         anything is loaded
 *   ntm_plugin_entry_v1   an ntm_entry; gives the tables
 *
 * Rules for both sides:
 *
 * - Nothing is freed by the other side. What is lent, is lent for the call.
 * - Tables and structs with a `size` grow at their end. Whoever reads one reads
 *   no more than `size` bytes and takes the rest for zero.
 * - Text is UTF-8, has a length and no closing zero.
 *
 * Rules for a plugin:
 *
 * - Entries may be called by any thread; different ones at the same time, and
 *   the same one too unless it says otherwise. `create` comes first, `destroy`
 *   last and alone.
 * - Those of lanes and those that say so must not block. The others are called on
 *   threads that the host keeps for this plugin, and may.
 * - No exception and no longjmp leaves an entry. A count larger than what was
 *   lent, an unknown status, a null handle: the host says so, and never calls the
 *   instance again but for `destroy`.
 * - The process is the host's: no signal handlers, no chdir, no exit, no closing
 *   of descriptors that are not your own.
 * - A library is never unloaded.
 */
#ifndef NTM_PLUGIN_H
#define NTM_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NTM_ABI_MAJOR 1
#define NTM_ABI_MINOR 0

/* ---- the header: frozen for ever, 200 bytes ---- */

#define NTM_MAGIC "NTMPLUG" /* with its zero: 8 bytes */

enum { /* kinds: bits in a header, one of them in a component */
    NTM_TRANSPORT = 1,
    NTM_WATCHER = 2,
    NTM_TRAVERSAL = 4,
    NTM_VIP = 8,
    NTM_INTERFACE = 16,
    NTM_REGISTRY = 32
};

typedef struct ntm_header {
    char magic[8];
    uint32_t header_size;    /* 200 */
    uint16_t abi_major;      /* what it was built for */
    uint16_t abi_minor;
    uint16_t min_host_minor; /* the least that a host has to offer */
    uint8_t pointer_width;   /* bytes */
    uint8_t endian;          /* 1 little, 2 big */
    uint32_t kinds;          /* bits: NTM_TRANSPORT and so on */
    uint32_t flags;          /* 0 */
    uint32_t reserved;       /* 0 */
    char name[48];           /* for people; filled up with zeros */
    char version[24];
    char sdk[32];
    char toolchain[64];
} ntm_header;

#if defined(__BYTE_ORDER__) && defined(__ORDER_BIG_ENDIAN__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define NTM_ENDIAN 2
#else
#define NTM_ENDIAN 1
#endif

#if defined(__VERSION__)
#define NTM_TOOLCHAIN "cc " __VERSION__
#else
#define NTM_TOOLCHAIN "cc"
#endif

/* The header of a plugin: NTM_PLUGIN(NTM_WATCHER, "mine", "1.0"); */
#define NTM_PLUGIN(KINDS, NAME, VERSION)                                        \
    __attribute__((used, visibility("default")))                                \
    const ntm_header NTM_PLUGIN_HEADER = {                                      \
        NTM_MAGIC, 200, NTM_ABI_MAJOR, NTM_ABI_MINOR, 0, sizeof(void *),        \
        NTM_ENDIAN, (KINDS), 0, 0, NAME, VERSION, "ntm_plugin.h 1.0", NTM_TOOLCHAIN }

/* ---- values ---- */

enum { /* what an entry answers */
    NTM_OK = 0,
    NTM_PENDING = 1, /* nothing yet */
    NTM_FAILED = -1, /* the ntm_error says why */
    NTM_PANIC = -2   /* the plugin is broken; the message says where */
};

#define NTM_LANE_PANIC (-0x10000) /* the same from a lane; else a negative errno */

enum { /* whose doing a failure is */
    NTM_FAULT_SYSTEM = 0,
    NTM_FAULT_CONFIG = 1,
    NTM_FAULT_PERMISSION = 2,
    NTM_FAULT_MISSING = 3,
    NTM_FAULT_BUSY = 4,
    NTM_FAULT_UNSUPPORTED = 5
};

typedef struct ntm_text {
    const uint8_t *data;
    size_t len;
} ntm_text;

/* Lent by the host, all zero. Text ends at the first zero, or with the field. */
typedef struct ntm_error {
    uint32_t fault;
    uint32_t reserved;
    char message[512]; /* what happened: half a sentence without a full stop */
    char remedy[256];  /* what to do about it, likewise */
    char key[128];     /* the configuration's key that is to blame, dotted; ".": all of it */
} ntm_error;

typedef struct ntm_addr {
    uint8_t ip[16];   /* network order; IPv4 uses the first four */
    uint32_t scope;   /* IPv6 scope id, else 0 */
    uint16_t port;    /* host order; 0 where only an address is meant */
    uint8_t family;   /* 0 none, 4 or 6 */
    uint8_t reserved; /* 0 */
} ntm_addr;

typedef struct ntm_prefix {
    ntm_addr base;
    uint32_t length; /* leading bits that are fixed */
} ntm_prefix;

typedef struct ntm_vips {
    uint8_t v4[4];
    uint8_t v6[16];
    uint32_t has; /* 1: there is a v4; 2: there is a v6 */
} ntm_vips;

/* Takes a text, or a key with its value, during the call. */
typedef void (*ntm_put_text)(void *sink, ntm_text key, ntm_text value);

/* ---- entry ---- */

enum { NTM_ERROR = 1, NTM_WARN, NTM_INFO, NTM_DEBUG, NTM_TRACE };

typedef struct ntm_host {
    uint32_t size;
    uint16_t abi_minor;
    uint16_t reserved;
    uint64_t features;
    void *ctx;                 /* goes back with every call */
    void (*log)(void *ctx, uint32_t level, ntm_text target, ntm_text message);
    uint32_t (*log_level)(void *ctx); /* the most verbose that anybody hears */
} ntm_host;

typedef struct ntm_component {
    uint32_t size;
    uint32_t kind;     /* one of NTM_TRANSPORT and so on */
    const void *table; /* the ntm_transport and so on */
} ntm_component;

typedef struct ntm_plugin {
    uint32_t size;
    uint32_t count;
    uint32_t stride; /* sizeof(ntm_component) */
    uint32_t reserved;
    const ntm_component *list; /* at most one of each kind */
} ntm_plugin;

/* Called once a process, first. `host` and `*out` stay for ever. */
typedef int32_t (*ntm_entry)(const ntm_host *host, const ntm_plugin **out, ntm_error *error);
#define NTM_ENTRY                                                               \
    __attribute__((visibility("default"))) int32_t ntm_plugin_entry_v1(         \
        const ntm_host *host, const ntm_plugin **out, ntm_error *error)

/* ---- what every table begins with ---- */

typedef struct ntm_create {
    uint32_t size;
    uint32_t lanes;  /* how many; 0 for kinds without */
    ntm_text config; /* one JSON object */
} ntm_create;

typedef struct ntm_common {
    uint32_t size; /* of the whole table */
    uint32_t reserved;
    uint64_t features; /* 0 */
    /* Could this configuration be used? Opens nothing. May be null. */
    int32_t (*check)(const ntm_create *create, ntm_error *error);
    /* Everything is open afterwards, or nothing. */
    int32_t (*create)(const ntm_create *create, void **out, ntm_error *error);
    void (*destroy)(void *self);
    /* The JSON Schema of the configuration, key "schema". May be null. */
    void (*describe)(ntm_put_text put, void *sink);
} ntm_common;

/* ---- packets ---- */

/* One datagram, or several of `segment` bytes back to back (the last may be
 * shorter). Towards an interface: one IP packet, or one super-packet. */
typedef struct ntm_tx {
    const uint8_t *const data;
    const size_t len;
    ntm_addr remote;  /* none towards an interface */
    ntm_addr local;   /* source to pin; none: the kernel chooses */
    uint32_t ifindex; /* interface to pin; 0: the kernel chooses */
    uint16_t segment; /* 0: one datagram */
    uint8_t ecn;
    uint8_t dscp;
} ntm_tx;

/* Room for one receive. */
typedef struct ntm_rx {
    uint8_t *const data;
    const size_t capacity;
    size_t len;       /* how much was put there */
    ntm_addr remote;
    ntm_addr local;   /* where it arrived, if known */
    uint32_t ifindex; /* likewise, else 0 */
    uint16_t segment; /* 0: one datagram */
    uint8_t ecn;
    uint8_t reserved;
} ntm_rx;

/* None of these may block. */
typedef struct ntm_lanes {
    /* Level-triggered: readable for exactly as long as try_recv has something.
     * Yours; the host polls a duplicate. -1: no such lane. */
    int32_t (*lane_fd)(void *self, uint32_t lane);
    /* How many were taken, in order, or a negative errno about the first: -EAGAIN
     * when the lane is merely full. Any thread, several at once. */
    int64_t (*try_send)(void *self, uint32_t lane, const ntm_tx *packets, size_t count);
    /* How many slots were filled, at least one, or a negative errno: -EAGAIN when
     * nothing has arrived, any other when the lane is broken for good. One thread
     * a lane. */
    int64_t (*try_recv)(void *self, uint32_t lane, ntm_rx *slots, size_t count);
} ntm_lanes;

/* ---- transport: datagrams between real addresses ---- */

typedef struct ntm_transport {
    ntm_common common;
    uint32_t (*wire_kind)(void *self); /* 1 UDP, 2 QUIC; asked once */
    ntm_lanes lanes;
    /* Where it listens; the port is never 0. */
    void (*local_addrs)(void *self, void (*put)(void *sink, const ntm_addr *addr), void *sink);
    uint64_t (*max_payload)(void *self, const ntm_addr *to); /* 0: not known. Must not block. May be null. */
    int32_t (*rebind)(void *self, ntm_error *error);         /* may be null */
    /* Once. May come while another call of a broken one has not come back. */
    void (*close)(void *self);                               /* may be null */
    void (*facts)(void *self, ntm_put_text put, void *sink); /* may be null */
    /* The node sends from elsewhere than before: let connections go that cannot
     * follow. Must not block. May be null. */
    void (*moved)(void *self);
} ntm_transport;

/* ---- watcher: my addresses now, and when they change ---- */

enum { NTM_CHANGE_ADDRESS = 1, NTM_CHANGE_LINK, NTM_CHANGE_ROUTE, NTM_CHANGE_RESYNC };
enum { NTM_RUNNING = 1, NTM_LOOPBACK = 2 };  /* of an interface */
enum { NTM_USABLE = 1, NTM_PREFERRED = 2 };  /* of an address */

typedef struct ntm_local_address {
    ntm_addr ip;     /* port 0 */
    uint32_t prefix; /* bits on the link */
    uint32_t flags;
} ntm_local_address;

typedef struct ntm_local_interface {
    uint32_t index; /* never 0 */
    uint32_t flags;
    uint64_t generation; /* grows when it may be plugged in elsewhere */
    ntm_text name;
    const ntm_local_address *addresses;
    size_t address_count;
} ntm_local_interface;

typedef struct ntm_route {
    ntm_addr source; /* none: no route */
    uint32_t ifindex;
    uint32_t mtu;
} ntm_route;

typedef struct ntm_watcher {
    ntm_common common;
    /* Level-triggered: readable for exactly as long as next has something. */
    int32_t (*event_fd)(void *self);
    /* One change, without waiting; NTM_PENDING: none. A failure is for good. */
    int32_t (*next)(void *self, uint32_t *change, ntm_error *error);
    /* All interfaces, in a stable order; within milliseconds. */
    int32_t (*snapshot)(void *self, void (*put)(void *sink, const ntm_local_interface *interface),
                        void *sink, ntm_error *error);
    /* One route for each destination, in their order; within milliseconds. */
    int32_t (*routes)(void *self, const ntm_addr *to, size_t count, ntm_route *routes,
                      ntm_error *error);
    /* The same, if packets were held to this interface; none where that does not
     * lead there. May be null: it cannot be told. */
    int32_t (*routes_by)(void *self, uint32_t ifindex, const ntm_addr *to, size_t count,
                         ntm_route *routes, ntm_error *error);
} ntm_watcher;

/* ---- traversal: which paths to try, who begins ---- */

enum { NTM_BEGIN_INITIATOR = 0, NTM_BEGIN_RESPONDER = 1 };

typedef struct ntm_candidate {
    ntm_addr addr;
    uint32_t wire_kind;
} ntm_candidate;

typedef struct ntm_observed {
    ntm_candidate candidate;
    uint32_t proved; /* 1: it has returned a challenge */
} ntm_observed;

typedef struct ntm_location {
    const ntm_candidate *claimed;
    size_t claimed_count;
    const ntm_observed *observed;
    size_t observed_count;
} ntm_location;

typedef struct ntm_relay {
    const ntm_candidate *candidates;
    size_t candidate_count;
} ntm_relay;

typedef struct ntm_plan_request {
    uint32_t size;
    uint32_t reserved;
    ntm_location initiator;
    ntm_location responder;
    const ntm_relay *relays; /* best first */
    size_t relay_count;
} ntm_plan_request;

typedef struct ntm_plan {
    uint32_t size;
    uint32_t begin;
    uint64_t pacing_us; /* least time between two checks */
} ntm_plan;

/* Each list best first, during the call. */
typedef struct ntm_plan_sink {
    void *ctx;
    void (*to_initiator)(void *ctx, const ntm_candidate *candidate);
    void (*to_responder)(void *ctx, const ntm_candidate *candidate);
    void (*relay)(void *ctx, uint32_t index); /* in the request's list */
} ntm_plan_sink;

typedef struct ntm_traversal {
    ntm_common common;
    /* Within milliseconds; calls overlap. */
    int32_t (*plan)(void *self, const ntm_plan_request *request, ntm_plan *plan,
                    const ntm_plan_sink *sink, ntm_error *error);
} ntm_traversal;

/* ---- vip: which virtual address a node gets ---- */

typedef struct ntm_vip {
    ntm_common common;
    /* At most one of each family; asked once. */
    void (*ranges)(void *self, void (*put)(void *sink, const ntm_prefix *range), void *sink);
    /* All or none. */
    int32_t (*restore)(void *self, const ntm_vips *leases, size_t count, ntm_error *error);
    /* `key` has 32 bytes. */
    int32_t (*allocate)(void *self, ntm_text name, const uint8_t *key, ntm_vips *vips,
                        ntm_error *error);
    void (*release)(void *self, const ntm_vips *vips);
} ntm_vip;

/* ---- interface: application packets in and out ---- */

enum { NTM_OFFLOAD_TCP = 1, NTM_OFFLOAD_UDP = 2 };

typedef struct ntm_settings {
    uint32_t size;
    uint32_t mtu;
    ntm_vips vips;
    const ntm_prefix *ranges; /* lead into the interface */
    size_t range_count;
} ntm_settings;

typedef struct ntm_interface {
    ntm_common common;
    ntm_lanes lanes;
    uint32_t (*ifindex)(void *self); /* 0: not one of the system's; asked once */
    void (*name)(void *self, ntm_put_text put, void *sink); /* key "name"; asked once */
    uint32_t (*offload)(void *self); /* super-packets that lanes take; asked once; null: none */
    int32_t (*configure)(void *self, const ntm_settings *settings, ntm_error *error);
    void (*close)(void *self);                               /* may be null */
    void (*facts)(void *self, ntm_put_text put, void *sink); /* may be null */
} ntm_interface;

/* ---- registry: what a coordinator must not lose ---- */

enum { NTM_WRITE_PUT = 1, NTM_WRITE_DELETE = 2 };

typedef struct ntm_write {
    uint32_t op;
    uint32_t reserved;
    ntm_text key;   /* JSON */
    ntm_text value; /* JSON; empty where it is removed */
} ntm_write;

typedef struct ntm_registry {
    ntm_common common;
    /* Keys and values as they were committed, in a stable order. */
    int32_t (*load)(void *self, ntm_put_text put, void *sink, ntm_error *error);
    /* In their order, all or none; durable when it returns. */
    int32_t (*commit)(void *self, const ntm_write *writes, size_t count, ntm_error *error);
} ntm_registry;

#ifdef __cplusplus
}
#endif

#endif
