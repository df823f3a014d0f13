/* Opens the real driver, beside our own library of the same name. */
#include "backend/native.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>

#include "util/log.h"
#include "util/util.h"

struct file_id {
    uint32_t device_major, device_minor;
    uint64_t inode;
};

/* statx, since fstat became a symbol of its own only in a newer glibc than the floor. */
static bool file_id(const char *path, struct file_id *id)
{
    struct statx found;
    if (statx(AT_FDCWD, path, 0, STATX_INO, &found) != 0)
        return false;
    *id = (struct file_id){found.stx_dev_major, found.stx_dev_minor, found.stx_ino};
    return true;
}

/* Whether a path is the file that this code was loaded from. */
static bool is_ourselves(const char *path)
{
    Dl_info info;
    struct file_id own, other;
    return dladdr((void *)weft_native_describe, &info) && info.dli_fname &&
           file_id(info.dli_fname, &own) && file_id(path, &other) && own.inode == other.inode &&
           own.device_major == other.device_major && own.device_minor == other.device_minor;
}

/* The sanitizers end a program that opens a library with its own symbols first. */
static bool is_sanitized(void)
{
    return dlsym(RTLD_DEFAULT, "__asan_init") || dlsym(RTLD_DEFAULT, "__tsan_init") ||
           dlsym(RTLD_DEFAULT, "__msan_init");
}

static bool try_candidate(const char *path, void **library)
{
    if (*path == '/' && is_ourselves(path))
        return false;
    void *opened = dlopen(path, RTLD_NOW | RTLD_LOCAL | (is_sanitized() ? 0 : RTLD_DEEPBIND));
    if (!opened) {
        weft_log(WEFT_LOG_INFO, "native", "%s", dlerror());
        return false;
    }
    /* A name without a folder was resolved by the loader: only now is it known to which file. */
    struct link_map *map = NULL;
    if (dlinfo(opened, RTLD_DI_LINKMAP, &map) != 0 || !map || is_ourselves(map->l_name)) {
        dlclose(opened);
        return false;
    }
    weft_log(WEFT_LOG_INFO, "native", "the driver is %s", map->l_name);
    *library = opened;
    return true;
}

int weft_native_library_open(void **library, struct weft_err *err)
{
    struct weft_native_candidate found[WEFT_NATIVE_CANDIDATES];
    size_t count = weft_native_candidates(found);
    for (size_t i = 0; i < count; i++)
        if (try_candidate(found[i].path, library))
            return 0;
    return weft_fail(
        err, WEFT_ENOENT,
        "no NVIDIA driver found (%zu places tried); set WEFT_NATIVE_LIBCUDA to its libcuda.so",
        count);
}
