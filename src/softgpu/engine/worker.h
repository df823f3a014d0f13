/* The driver's own threads. */
#ifndef WEFT_SOFTGPU_ENGINE_WORKER_H
#define WEFT_SOFTGPU_ENGINE_WORKER_H

#include <pthread.h>

/* A detached thread with all signals blocked, so that the program's handlers run on its own
 * threads. The name has at most 15 characters. 0, or an errno value. */
int weft_soft_thread_create(const char *name, void *(*run)(void *), void *argument);

/* A condition for sleeps that weft_soft_scheduler_sleep ends after a time. */
void weft_soft_condition_init(pthread_cond_t *condition);

#endif
