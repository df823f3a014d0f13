/* Who may do what with a tenant, besides its owner and root: users and groups by number. */
#ifndef WEFT_POLICY_ACCESS_H
#define WEFT_POLICY_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#define WEFT_ACCESS_MAX 32 /* users, and groups, of one list */

struct weft_access {
    bool given; /* somebody said who; else the list is empty */
    uint32_t uid_count, gid_count;
    uint32_t uids[WEFT_ACCESS_MAX], gids[WEFT_ACCESS_MAX];
};

#endif
