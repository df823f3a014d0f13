/* Where the real driver lies. Our own library has its name, and may even lie at its place in a
 * container, so the loader cannot simply be asked for libcuda.so.1. */
#include "backend/native.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "util/util.h"

#define CACHE_PATH "/etc/ld.so.cache"
#define CACHE_MAGIC "glibc-ld.so.cache1.1"
#define CACHE_BYTES_MAX (64u << 20)
#define CACHE_X86_64 0x0303 /* a library for the C library of x86-64 */
#define DRIVER_NAME "libcuda.so.1"
#define MODULE_VERSION_PATH "/proc/driver/nvidia/version"

/* The layout of the loader's cache, as ldconfig has written it since glibc 2.2. Offsets of texts
 * count from the header. */
struct cache_header {
    char magic[sizeof(CACHE_MAGIC) - 1];
    uint32_t entry_count;
    uint32_t text_bytes;
    uint32_t unused[5];
};
struct cache_entry {
    int32_t flags;
    uint32_t name;
    uint32_t path;
    uint32_t os_version;
    uint64_t hardware;
};

static size_t add(struct weft_native_candidate found[WEFT_NATIVE_CANDIDATES], size_t count,
                  const char *path)
{
    if (count == WEFT_NATIVE_CANDIDATES || strlen(path) >= sizeof(found[0].path))
        return count;
    snprintf(found[count].path, sizeof(found[count].path), "%s", path);
    return count + 1;
}

/* The text at `offset`, or NULL where it does not end inside the cache. */
static const char *cache_text(const char *base, size_t size, uint32_t offset)
{
    return offset < size && memchr(base + offset, '\0', size - offset) ? base + offset : NULL;
}

size_t weft_native_read_cache(const void *data, size_t size,
                              struct weft_native_candidate found[WEFT_NATIVE_CANDIDATES],
                              size_t count)
{
    struct cache_header header;
    /* An older form of the cache may stand before this one. */
    const char *base = memmem(data, size, CACHE_MAGIC, sizeof(CACHE_MAGIC) - 1);
    if (!base)
        return count;
    size -= (size_t)(base - (const char *)data);
    if (size < sizeof(header))
        return count;
    memcpy(&header, base, sizeof(header));
    if (header.entry_count > (size - sizeof(header)) / sizeof(struct cache_entry))
        return count;
    for (uint32_t i = 0; i < header.entry_count; i++) {
        struct cache_entry entry;
        memcpy(&entry, base + sizeof(header) + i * sizeof(entry), sizeof(entry));
        const char *name = cache_text(base, size, entry.name);
        const char *path = cache_text(base, size, entry.path);
        if (entry.flags == CACHE_X86_64 && name && path && strcmp(name, DRIVER_NAME) == 0)
            count = add(found, count, path);
    }
    return count;
}

static size_t add_from_cache(struct weft_native_candidate found[WEFT_NATIVE_CANDIDATES],
                             size_t count)
{
    _cleanup_fd_ int fd = open(CACHE_PATH, O_RDONLY | O_CLOEXEC);
    off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    if (size <= 0 || size > CACHE_BYTES_MAX)
        return count;
    void *data = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return count;
    count = weft_native_read_cache(data, (size_t)size, found, count);
    munmap(data, (size_t)size);
    return count;
}

/* The kernel module tells its version in the first line: the first word that is digits and dots. */
static size_t add_module_version(struct weft_native_candidate found[WEFT_NATIVE_CANDIDATES],
                                 size_t count)
{
    char text[512], name[64];
    _cleanup_fd_ int fd = open(MODULE_VERSION_PATH, O_RDONLY | O_CLOEXEC);
    int64_t size = fd < 0 ? -1 : weft_read_all(fd, text, sizeof(text) - 1, NULL);
    if (size <= 0)
        return count;
    text[size] = '\0';
    text[strcspn(text, "\n")] = '\0';
    char *rest = text;
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        if (!strchr(word, '.') || word[strspn(word, "0123456789.")] != '\0')
            continue;
        snprintf(name, sizeof(name), "libcuda.so.%.40s", word);
        return add(found, count, name);
    }
    return count;
}

size_t weft_native_candidates(struct weft_native_candidate found[WEFT_NATIVE_CANDIDATES])
{
    const char *chosen = getenv("WEFT_NATIVE_LIBCUDA");
    if (chosen && *chosen)
        return add(found, 0, chosen);
    return add_module_version(found, add_from_cache(found, 0));
}
