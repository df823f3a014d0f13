#include "rig.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cuda/entries.h"
#include "softgpu/driver.h"

#define ENTRY(name)                                                                              \
    ".visible .entry " name "(.param .u64 " name "_address, .param .u64 " name "_value) { ret; " \
    "}\n"

const char rig_ptx[] = ".version 7.0\n.target sm_75\n.address_size 64\n"
                       ".global .align 4 .u32 counter = 7;\n"
                       ".global .align 8 .u64 pointer = counter;\n"
                       ".const .align 4 .f32 table[2] = {0f3f800000, 0f40000000};\n" ENTRY("count")
                           ENTRY("await") ENTRY("spin") ENTRY("meet") ENTRY("handshake")
                               ENTRY("step") ENTRY("fault") ENTRY("endless") ENTRY("unsupported");

struct weft_cuda cuda;

static struct {
    struct weft_device_grant grants[WEFT_DEVICES_MAX];
    CUcontext context;
    CUmodule module;
    pthread_mutex_t lock;
    char report[1024]; /* lock */
} rig = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void keep_report(const char *text)
{
    pthread_mutex_lock(&rig.lock);
    snprintf(rig.report, sizeof(rig.report), "%s", text);
    pthread_mutex_unlock(&rig.lock);
}

const char *rig_report(void)
{
    static char last[sizeof(rig.report)];
    pthread_mutex_lock(&rig.lock);
    memcpy(last, rig.report, sizeof(last));
    rig.report[0] = '\0';
    pthread_mutex_unlock(&rig.lock);
    return last;
}

static void make_grant(struct weft_device_grant *grant)
{
    const struct weft_soft_profile *profile = weft_soft_profile_find("small");
    size_t bytes = WEFT_DEVICE_LEDGER_OFFSET + weft_ledger_bytes();
    grant->kind = WEFT_DEVICE_SOFT;
    strcpy(grant->profile, profile->name);
    grant->page_fd = memfd_create("page", MFD_CLOEXEC);
    grant->arena_fd = memfd_create("arena", MFD_CLOEXEC);
    assert_int_equal(ftruncate(grant->page_fd, (off_t)bytes), 0);
    assert_int_equal(ftruncate(grant->arena_fd, (off_t)profile->memory_bytes), 0);
    struct weft_device_page *page =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, grant->page_fd, 0);
    assert_ptr_not_equal(page, MAP_FAILED);
    page->magic = WEFT_DEVICE_MAGIC;
    page->major = WEFT_DEVICE_MAJOR;
    page->bytes = sizeof(*page);
    page->sm_count = profile->sm_count;
    page->memory_bytes = page->memory_ceiling_bytes = profile->memory_bytes;
    struct weft_ledger *ledger = weft_ledger_format((char *)page + WEFT_DEVICE_LEDGER_OFFSET);
    assert_int_equal(weft_ledger_slot_take(ledger, &grant->slot, NULL), 0);
    munmap(page, bytes);
}

void rig_open(size_t devices)
{
    struct weft_err err = {0};
    for (size_t i = 0; i < devices; i++)
        make_grant(&rig.grants[i]);
    struct weft_backend_config config = {
        .devices = rig.grants, .device_count = devices, .report = keep_report};
    weft_cuda_fill_unsupported(&cuda);
    weft_soft_install(&cuda);
    if (weft_soft_open(&config, &err))
        fail_msg("%s", err.text);
    RIG_OK(cuda.cuInit(0));
}

void rig_enter(void)
{
    RIG_OK(cuda.cuCtxCreate_v2(&rig.context, 0, 0));
    RIG_OK(cuda.cuModuleLoadData(&rig.module, rig_ptx));
}

void rig_leave(void)
{
    RIG_OK(cuda.cuCtxDestroy_v2(rig.context));
}

CUfunction rig_function(const char *name)
{
    CUfunction function;
    RIG_OK(cuda.cuModuleGetFunction(&function, rig.module, name));
    return function;
}

uint32_t *rig_word(void)
{
    void *word;
    RIG_OK(cuda.cuMemHostAlloc(&word, 64, 0));
    memset(word, 0, 64);
    return word;
}

CUdeviceptr rig_address(uint32_t *word)
{
    CUdeviceptr address;
    RIG_OK(cuda.cuMemHostGetDevicePointer_v2(&address, word, 0));
    return address;
}

CUresult rig_launch(const char *kernel, unsigned int blocks, CUstream stream, uint32_t *word,
                    uint64_t value)
{
    CUdeviceptr address = word ? rig_address(word) : 0;
    void *params[] = {&address, &value};
    return cuda.cuLaunchKernel(rig_function(kernel), blocks, 1, 1, 32, 1, 1, 0, stream, params,
                               NULL);
}
