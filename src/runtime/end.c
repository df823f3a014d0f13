/* Whether the process is ending. Fat binaries are taken back then, by handlers that nvcc sets for
 * each of them, and nothing must wait there for a kernel that runs: it may never end. A handler of
 * ours tells, which has to run before those: handlers run in the reverse order of their setting, so
 * it is set anew when a module is used that was registered since. In a library that is closed these
 * handlers run too, but not ours. */
#include <pthread.h>
#include <stdatomic.h>

#include "runtime/runtime.h"

/* Of the C++ ABI, which glibc implements: handlers that belong to one owner, and are run and
 * removed with it. */
int __cxa_atexit(void (*handler)(void *), void *argument, void *owner);
void __cxa_finalize(void *owner);

static struct {
    pthread_mutex_t lock; /* of the setting */
    atomic_bool begun;
    char owner;
} end = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local bool is_removing;

static void begin_end(void *unused)
{
    (void)unused;
    if (!is_removing)
        atomic_store(&end.begun, true);
}

static void remove_handler(void)
{
    is_removing = true;
    __cxa_finalize(&end.owner);
    is_removing = false;
}

/* Of the library that holds this runtime: at the process' end the handler has run before. */
__attribute__((destructor)) static void forget_handler(void)
{
    remove_handler();
}

void weft_cudart_end_watch(void)
{
    pthread_mutex_lock(&end.lock);
    if (!atomic_load(&end.begun)) {
        remove_handler();
        __cxa_atexit(begin_end, NULL, &end.owner);
    }
    pthread_mutex_unlock(&end.lock);
}

bool weft_cudart_is_ending(void)
{
    return atomic_load(&end.begun);
}
