/* The driver's own threads. */
#ifndef WEFT_SOFTGPU_ENGINE_WORKER_H
#define WEFT_SOFTGPU_ENGINE_WORKER_H

#include <pthread.h>

/* A condition for sleeps that weft_soft_scheduler_sleep ends after a time. */
void weft_soft_condition_init(pthread_cond_t *condition);

#endif
