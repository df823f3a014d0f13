/* Between session.c and session_report.c. */
#ifndef WEFT_TENANT_SESSION_REPORT_H
#define WEFT_TENANT_SESSION_REPORT_H

#include <stdint.h>

/* What weftd was not there for. NULL where memory is out. */
struct weft_session_unsent *weft_session_unsent_create(void);
void weft_session_unsent_destroy(struct weft_session_unsent *unsent);
/* Of a file or socket; 0 where it cannot be told. */
uint64_t weft_session_file_number(int fd);

#endif
