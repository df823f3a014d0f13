/* VMM memory as the quota layer sees it: quota_vmm_memory.c keeps it, quota_vmm.c has the calls. */
#ifndef WEFT_TENANT_QUOTA_VMM_H
#define WEFT_TENANT_QUOTA_VMM_H

#include "tenant/quota_layer.h"

/* One cuMemCreate, charged until nothing refers to it. */
struct weft_quota_memory;

/* One lock guards all VMM memory and what refers to it; the tables' locks come after it. */
void weft_quota_vmm_lock(void);
void weft_quota_vmm_unlock(void);

/* Memory that is charged already, without a reference. NULL where there is no room. */
struct weft_quota_memory *weft_quota_memory_create(uint64_t bytes, uint32_t device);
/* Gives the charge back. Memory that nobody has a reference to yet. */
void weft_quota_memory_destroy(struct weft_quota_memory *memory);

/* The rest want the lock held. */

/* A reference is a handle, a mapping, or a call that is at work on it. */
void weft_quota_memory_get(struct weft_quota_memory *memory);
/* With the last one the charge is given back, unless an export is open: then weft_quota_vmm_reap
 * does it. */
void weft_quota_memory_put(struct weft_quota_memory *memory);
/* Notes an export to a descriptor; `fd` -1 for one of a form whose end cannot be seen: that memory
 * stays charged until the process ends. */
void weft_quota_memory_note_export(struct weft_quota_memory *memory, int fd);
/* Memory of this process that was exported as this file; NULL where it is none. */
struct weft_quota_memory *weft_quota_memory_exported_as(int fd);

void weft_quota_memory_reset(void);

#endif
