/* A header of any kind, and a constructor that leaves a trace. */
#include "ntm_plugin.h"

#include <fcntl.h>
#include <unistd.h>

#ifndef MAGIC
#define MAGIC NTM_MAGIC
#endif
#ifndef MAJOR
#define MAJOR 1
#endif
#ifndef MINIMUM
#define MINIMUM 0
#endif
#ifndef WIDTH
#define WIDTH sizeof(void *)
#endif
#ifndef KINDS
#define KINDS NTM_VIP
#endif

#ifndef NO_HEADER
__attribute__((used, visibility("default"))) const ntm_header NTM_PLUGIN_HEADER = {
    MAGIC, 200, MAJOR, 0, MINIMUM, WIDTH, NTM_ENDIAN, KINDS, 0, 0,
    "mine", "1.2", "by hand", NTM_TOOLCHAIN};
#endif

#ifdef TRACE
__attribute__((constructor)) static void trace(void) {
    close(open(TRACE, O_CREAT | O_WRONLY, 0600));
}
#endif

#ifdef CREATE
static int32_t open_one(const ntm_create *create, void **out, ntm_error *error) {
    static int instance;
    (void)create;
    (void)error;
    *out = &instance;
    return NTM_OK;
}
#else
#define open_one 0
#endif

static void destroy(void *self) { (void)self; }

#ifndef SIZE
#define SIZE sizeof(ntm_vip)
#endif

static const ntm_vip table = {.common = {.size = SIZE, .create = open_one, .destroy = destroy}};
static const ntm_component list[] = {{sizeof(ntm_component), NTM_VIP, &table}};
static const ntm_plugin plugin = {sizeof(ntm_plugin), 1, sizeof(ntm_component), 0, list};

#ifndef NO_ENTRY
NTM_ENTRY {
    (void)host;
    (void)error;
#ifdef REFUSE
    __builtin_strcpy(error->message, REFUSE);
    return NTM_FAILED;
#endif
    *out = &plugin;
    return NTM_OK;
}
#else
const void *unused(void) { return &plugin; }
#endif
