/* Stands in for the session until src/tenant has it: there is no daemon to be found. */
#include "tenant/session.h"

#include <string.h>

int weft_session_open(struct weft_session *session, struct weft_err *err)
{
    memset(session, 0, sizeof(*session));
    session->fd = -1;
    return weft_fail(err, WEFT_ECONN, "this build has no session");
}

void weft_session_close(struct weft_session *session)
{
    (void)session;
}

void weft_session_report(struct weft_session *session, const char *text)
{
    (void)session;
    (void)text;
}
