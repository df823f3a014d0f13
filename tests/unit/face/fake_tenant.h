/* A session without a daemon: the test says what weftd would grant. */
#ifndef WEFT_TESTS_FAKE_TENANT_H
#define WEFT_TESTS_FAKE_TENANT_H

#include "tenant/session.h"

struct fake_tenant {
    int result;                  /* of weft_session_open: 0, or a negated error */
    struct weft_session granted; /* what it hands out where it succeeds */
    unsigned int opened, closed; /* atomic */
    unsigned int quota_installed, quota_dropped;
    unsigned int reports;
    char report[256]; /* the last sentence for a person */
    int opener;       /* the process that opened last */
};
extern struct fake_tenant fake_tenant;

#endif
