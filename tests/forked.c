/* Linked into every test program of a sanitized tree. At exit the leak checker takes the
 * allocator's locks and reads the stacks of all threads. In a child that was forked while other
 * threads ran, a lock may be held by a thread that is not there, for ever, and what only that
 * thread's stack knew would count as lost. So such a child is not checked; its parent is. */
#include <pthread.h>
#include <stdbool.h>
#include <sys/stat.h>

int __lsan_is_turned_off(void) __attribute__((visibility("default")));

static bool had_threads, is_orphan; /* the parent's at the fork; what follows for the child */

/* A process has a folder for each of its threads. */
static void before_fork(void)
{
    struct stat folder;
    had_threads = stat("/proc/self/task", &folder) != 0 || folder.st_nlink > 3;
}

static void in_child(void)
{
    is_orphan = is_orphan || had_threads;
}

__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(before_fork, NULL, in_child);
}

/* The leak checker asks it before it looks. */
int __lsan_is_turned_off(void)
{
    return is_orphan;
}
