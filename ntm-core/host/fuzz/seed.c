/* A header and nothing else: seeds of every format are built of it, see README.md. */
#include "ntm_plugin.h"

NTM_PLUGIN(NTM_VIP, "seed", "1.0");
NTM_ENTRY {
    (void)host;
    (void)out;
    (void)error;
    return NTM_FAILED;
}
