#include "transport/places.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/util.h"

int weft_places_join(const char *dir, const char *name, char path[WEFT_PLACES_PATH_BYTES],
                     struct weft_err *err)
{
    int length = snprintf(path, WEFT_PLACES_PATH_BYTES, "%s/%s", dir, name);
    if (length < 0 || length >= WEFT_PLACES_PATH_BYTES)
        return weft_fail(err, WEFT_ERANGE, "%.60s…/%s: longer than a path can be", dir, name);
    return 0;
}

/* A folder where this user can make files: XDG_RUNTIME_DIR of another user is what sudo leaves
 * behind. */
static bool is_own_dir(const char *path)
{
    struct statx found;
    return path && *path == '/' && statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &found) == 0 &&
           S_ISDIR(found.stx_mode) && found.stx_uid == geteuid() && access(path, W_OK | X_OK) == 0;
}

static int name_private_dir(char dir[WEFT_PLACES_PATH_BYTES], struct weft_err *err)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (is_own_dir(runtime))
        return weft_places_join(runtime, "weft", dir, err);
    const char *tmp = getenv("TMPDIR");
    char name[32];
    snprintf(name, sizeof(name), "weft-%u", (unsigned)geteuid());
    return weft_places_join(tmp && *tmp == '/' ? tmp : "/tmp", name, dir, err);
}

int weft_places_private_dir(bool create, char dir[WEFT_PLACES_PATH_BYTES], struct weft_err *err)
{
    char named[WEFT_PLACES_PATH_BYTES];
    int rc = name_private_dir(named, err);
    if (rc)
        return rc;
    if (create && mkdir(named, 0700) && errno != EEXIST)
        return weft_fail(err, WEFT_EIO, "%s: cannot make the folder: %s", named, strerror(errno));
    struct statx found; /* stat would need a glibc over our floor */
    if (statx(AT_FDCWD, named, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &found))
        return weft_fail(err, errno == ENOENT ? WEFT_ENOENT : WEFT_EIO, "%s: %s", named,
                         strerror(errno));
    if (!S_ISDIR(found.stx_mode) || found.stx_uid != geteuid() || (found.stx_mode & 077))
        return weft_fail(
            err, WEFT_EPERM,
            "%s: must be a folder of mode 0700 that belongs to this user; remove it or set TMPDIR",
            named);
    memcpy(dir, named, strlen(named) + 1);
    return 0;
}

int weft_places_tenant_socket(const char **path, struct weft_err *err)
{
    if (access(WEFT_PLACES_CONTAINER_SOCKET, F_OK) == 0) {
        *path = WEFT_PLACES_CONTAINER_SOCKET;
        return 0;
    }
    const char *named = getenv("WEFT_SOCKET");
    if (!named || !*named)
        return weft_fail(err, WEFT_ENOENT,
                         "WEFT_SOCKET is not set; start the program with `weft run`");
    *path = named;
    return 0;
}
