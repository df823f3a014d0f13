/* Calls that exist twice, for the legacy default stream and, as _ptds or _ptsz, for the thread's
 * own. */
#ifndef WEFT_SOFTGPU_FLAVOURS_H
#define WEFT_SOFTGPU_FLAVOURS_H

#include <stdbool.h>

/* Defines name_legacy and name_thread with one body, an expression that knows `per_thread`. */
#define WEFT_SOFT_PAIR(name, parameters, body) \
    static CUresult name##_legacy parameters   \
    {                                          \
        const bool per_thread = false;         \
        return body;                           \
    }                                          \
    static CUresult name##_thread parameters   \
    {                                          \
        const bool per_thread = true;          \
        return body;                           \
    }

#endif
