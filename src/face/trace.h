/* WEFT_TRACE=1|FILE: a layer over everything else that writes one line a call, `pid thread call
 * result`. It is there only where the variable asks for it. */
#ifndef WEFT_FACE_TRACE_H
#define WEFT_FACE_TRACE_H

#include <stdint.h>

#include "face/face.h"

/* Generated: a table whose calls hand on to weft_face.traced and pass the
 * result through weft_face_trace. */
extern const struct weft_cuda weft_face_tracing;

/* Puts the tracing table over `table` where WEFT_TRACE asks for it. */
void weft_face_trace_install(struct weft_face *face, struct weft_cuda *table);
/* Writes the line of entry `index` and returns the result. Any thread. */
CUresult weft_face_trace(uint32_t index, CUresult result);

#endif
