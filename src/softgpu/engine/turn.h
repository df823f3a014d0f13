/* Turns: which tenant may use the device now. Processes of a device decide it among themselves by
 * policy/share.h over words in the device page, each worker before it takes an SM and between two
 * slices; nobody asks weftd, and nobody can be left waiting by who died or was stopped: what a dead
 * process said weftd takes back, and who has not shown itself for a while loses its place until it
 * does.
 *
 * Work that is held back waits here, in the worker, never in the program's call. Where a tenant is
 * alone on its device and has no cap, nothing is asked and nothing is counted but its time.
 *
 * Native devices use them too (tenant/arbiter.h), between kernels.
 *
 * Any thread. Each of the device's words is changed by one atomic instruction. The one lock, over
 * how many of this process' threads want the device, is taken last and held for no system call. */
#ifndef WEFT_SOFTGPU_ENGINE_TURN_H
#define WEFT_SOFTGPU_ENGINE_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/slice.h"
#include "softgpu/device_page.h"

/* The process' own state on a device; NULL where memory has run out. */
struct weft_soft_turns *weft_soft_turns_create(void);
void weft_soft_turns_destroy(struct weft_soft_turns *turns);

/* Work for the device is there that no thread has seen yet: the tenant has its place from now on,
 * however long the host lets its threads sleep. The next thread that wants the device takes the
 * place over; else `forget` gives it up. */
void weft_soft_turn_expect(struct weft_device_place *place);
void weft_soft_turn_forget(struct weft_device_place *place);
/* A thread begins and ends to have work for the device. */
void weft_soft_turn_want(struct weft_device_place *place);
void weft_soft_turn_leave(struct weft_device_place *place);
/* Nobody is asked: alone on the device and without a cap, or of a weftd that knows of no shares. */
bool weft_soft_turn_is_free(const struct weft_device_place *place);
/* Whether a thread that wants the device may begin, or go on, with a slice of a kernel. */
bool weft_soft_turn_is_ours(struct weft_device_place *place, enum weft_slice_point point);
/* Waits until it may; false at the time-out. */
bool weft_soft_turn_wait(struct weft_device_place *place, enum weft_slice_point point,
                         uint64_t timeout_ns);
/* A kernel that took so much device time has ended. */
void weft_soft_turn_kernel_ended(struct weft_device_place *place, uint64_t time_ns);
/* To be called where no SM became free: takes back those of processes that are not to be seen. */
void weft_soft_turn_look_around(struct weft_device_place *place);
/* The tenant used so much device time; lets through those who may go on by that. */
void weft_soft_turn_charge(struct weft_device_place *place, uint64_t time_ns);
/* Whether somebody is held back, here or in another process. */
bool weft_soft_turn_somebody_waits(const struct weft_device_place *place);

#endif
