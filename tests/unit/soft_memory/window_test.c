/* The window and what threads do to it at once: what would break it is a process with a limit on
 * its address space that gets nothing or too much, a forked child that changes its parent's memory,
 * or a table that is read while it changes. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "softgpu/memory/memory.h"
#include "stub_engine.h"

#define GIB (1ull << 30)
#define THREADS 4
#define ROUNDS 2000

/* Lets the process map no more than so much on top of what it has: of anything, or of data. */
static void limit_mappings(int resource, uint64_t more)
{
    unsigned long all = 0, data = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file || fscanf(file, "%lu %*u %*u %*u %*u %lu", &all, &data) != 2)
        _exit(3);
    fclose(file);
    struct rlimit limit = {(resource == RLIMIT_AS ? all : data) * 4096 + more, RLIM_INFINITY};
    if (setrlimit(resource, &limit) != 0)
        _exit(3);
}

/* 0: a window, and it fits; 1: refused with a word on what to do; 2 and 3: neither. */
static int open_limited(int resource, uint64_t more, uint64_t arena_bytes)
{
    struct weft_err err = {0};
    struct weft_soft_window window;
    limit_mappings(resource, more);
    if (weft_soft_window_open(&window, arena_bytes, &err) != 0)
        return strstr(err.text, "ulimit -v") && err.code == -WEFT_ENOMEM ? 1 : 2;
    bool room = window.host_bytes >= GIB / 2 && window.reserve_bytes >= GIB / 2 &&
                window.host_base >= window.arena_base + arena_bytes &&
                window.reserve_base + window.reserve_bytes == window.base + window.bytes;
    weft_soft_window_close(&window);
    return room ? 0 : 2;
}

static int in_child(int resource, uint64_t more, uint64_t arena_bytes)
{
    pid_t child = fork();
    if (child == 0)
        _exit(open_limited(resource, more, arena_bytes));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_limited_address_space_gets_a_smaller_window(void **state)
{
    (void)state;
    assert_int_equal(in_child(RLIMIT_AS, 64 * GIB, 4 * GIB), 0);
    assert_int_equal(in_child(RLIMIT_AS, 64 * GIB, 16 * GIB), 0);
    assert_int_equal(in_child(RLIMIT_AS, 8 * GIB, 4 * GIB), 1);
}

static void the_window_is_not_the_programs_data(void **state)
{
    (void)state;
    assert_int_equal(in_child(RLIMIT_DATA, GIB / 16, 4 * GIB), 0);
}

static void live_bits_cover_what_a_range_touches(void **state)
{
    (void)state;
    struct weft_soft_window *window = &weft_soft.memory->window;
    uint64_t base = window->arena_base + 31 * 512;
    weft_soft_window_set_live(window, base, 100 * 512 + 1, true);
    assert_true(weft_soft_window_is_live(window, base, 101 * 512));
    assert_false(weft_soft_window_is_live(window, base, 101 * 512 + 1));
    assert_false(weft_soft_window_is_live(window, base - 1, 2));
    weft_soft_window_set_live(window, base + 512, 98 * 512, false);
    assert_true(weft_soft_window_is_live(window, base, 512));
    assert_true(weft_soft_window_is_live(window, base + 99 * 512, 1024));
    assert_false(weft_soft_window_is_live(window, base + 98 * 512, 1024));
    assert_false(weft_soft_window_is_live(window, window->base - 1, 1));
    assert_false(weft_soft_window_is_live(window, base, UINT64_MAX));
    weft_soft_window_set_live(window, base, 101 * 512, false);
    assert_false(weft_soft_window_is_live(window, base + 99 * 512, 1));
}

static void a_forked_child_drops_it_alone(void **state)
{
    (void)state;
    CUdeviceptr address;
    uint32_t word = 0;
    assert_int_equal(cuda.cuMemAlloc_v2(&address, 4), CUDA_SUCCESS);
    assert_int_equal(cuda.cuMemsetD32_v2(address, 9, 1), CUDA_SUCCESS);
    uint64_t charged = stub_charged(0);
    pid_t child = fork();
    if (child == 0) {
        weft_soft_memory_drop_after_fork(&weft_soft);
        bool dropped = !weft_soft.memory && weft_soft.view.window_bytes == 0;
        /* And it can open its own. */
        _exit(dropped && weft_soft_memory_open(&weft_soft, NULL) == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(cuda.cuMemcpyDtoH_v2(&word, address, 4), CUDA_SUCCESS);
    assert_int_equal(word, 9);
    assert_int_equal(stub_charged(0), charged);
}

static atomic_int wrong;

/* Writes its own number into what it got, and looks whether it is still there. */
static void *allocate_and_check(void *number)
{
    uint32_t mine = (uint32_t)(uintptr_t)number, seed = mine;
    for (int i = 0; i < ROUNDS; i++) {
        CUdeviceptr address;
        uint32_t seen = 0;
        size_t bytes = 4 + (size_t)rand_r(&seed) % 20000 / 4 * 4;
        bool pooled = i % 3 == 0;
        CUresult result = pooled ? cuda.cuMemAllocAsync(&address, bytes, NULL)
                                 : cuda.cuMemAlloc_v2(&address, bytes);
        result |= cuda.cuMemsetD32_v2(address, mine, bytes / 4);
        result |= cuda.cuMemcpyDtoH_v2(&seen, address + bytes - 4, 4);
        result |= pooled ? cuda.cuMemFreeAsync(address, NULL) : cuda.cuMemFree_v2(address);
        if (result != CUDA_SUCCESS || seen != mine)
            atomic_fetch_add(&wrong, 1);
    }
    return NULL;
}

/* Its own part of a buffer, registered and not, beside the other threads' parts. */
static void *register_and_reach(void *buffer)
{
    for (int i = 0; i < ROUNDS; i++) {
        bool right = cuda.cuMemHostRegister_v2(buffer, 64, 0) == CUDA_SUCCESS &&
                     weft_soft_memory_reach((uintptr_t)buffer, 64) == buffer &&
                     cuda.cuMemHostUnregister(buffer) == CUDA_SUCCESS &&
                     !weft_soft_memory_reach((uintptr_t)buffer, 1);
        if (!right)
            atomic_fetch_add(&wrong, 1);
    }
    return NULL;
}

static void threads_do_not_meet(void **state)
{
    (void)state;
    static char buffers[THREADS][64];
    pthread_t threads[2 * THREADS];
    atomic_store(&wrong, 0);
    for (uintptr_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[2 * i], NULL, allocate_and_check, (void *)(i + 1)),
                         0);
        assert_int_equal(pthread_create(&threads[2 * i + 1], NULL, register_and_reach, buffers[i]),
                         0);
    }
    for (int i = 0; i < 2 * THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&wrong), 0);
    weft_soft_memory_synchronised(stub_context(1));
    assert_int_equal(stub_charged(0), 0);
}

static int open_small(void **state)
{
    (void)state;
    stub_open("small", 1);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    stub_close();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_small, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limited_address_space_gets_a_smaller_window),
        cmocka_unit_test(the_window_is_not_the_programs_data),
        TEST(live_bits_cover_what_a_range_touches),
        TEST(a_forked_child_drops_it_alone),
        TEST(threads_do_not_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
