/* From nothing to a filled table: session, backend, tenant layers, the face's own calls. */
#include "face/face.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "backend/native.h"
#include "face/trace.h"
#include "tenant/arbiter.h"
#include "tenant/gate.h"
#include "tenant/quota.h"
#include "util/log.h"
#include "util/util.h"

static void report(const char *text)
{
    weft_session_report(&weft_face.session, text);
}

static void fault(uint32_t ordinal, const struct weft_device_fault *fault)
{
    weft_session_fault(&weft_face.session, weft_face.visible.places[ordinal], fault);
}

static bool share(uint32_t ordinal, uint64_t file, int fd)
{
    return weft_session_share(&weft_face.session, weft_face.visible.places[ordinal], file, fd);
}

/* One kind for all: programs whose devices come from several backends need a router, which is not
 * there yet. */
static int kind_of(const struct weft_face *face, enum weft_device_kind *kind, struct weft_err *err)
{
    *kind = face->devices[0].kind;
    for (size_t i = 1; i < face->visible.count; i++)
        if (face->devices[i].kind != *kind)
            return weft_fail(err, WEFT_ENOSYS, "devices of several kinds in one program");
    return 0;
}

static int choose_devices(struct weft_face *face, struct weft_err *err)
{
    const struct weft_session *session = &face->session;
    const char *setting = getenv("CUDA_VISIBLE_DEVICES");
    face->visible = weft_face_visible_choose(setting, session->devices, session->device_count);
    for (size_t i = 0; i < face->visible.count; i++)
        face->devices[i] = session->devices[face->visible.places[i]];
    if (face->visible.count > 0)
        return 0;
    if (session->device_count == 0)
        return weft_fail(err, WEFT_ENOENT, "tenant %s has no device", session->tenant);
    return weft_fail(err, WEFT_ENOENT, "CUDA_VISIBLE_DEVICES=\"%s\" shows none of %zu devices",
                     setting, session->device_count);
}

/* Modules lie beside our own library, wherever that was loaded from. */
static int module_path(const char *name, char path[PATH_MAX], struct weft_err *err)
{
    Dl_info info;
    if (!dladdr(&weft_face, &info) || !info.dli_fname)
        return weft_fail(err, WEFT_EBUG, "cannot find our own library");
    const char *slash = strrchr(info.dli_fname, '/');
    int folder = slash ? (int)(slash - info.dli_fname) : 1;
    int size = snprintf(path, PATH_MAX, "%.*s/%s", folder, slash ? info.dli_fname : ".", name);
    return size < PATH_MAX ? 0 : weft_fail(err, WEFT_ERANGE, "%s: path too long", info.dli_fname);
}

/* The module stays loaded for good: its functions are in the table. */
static int load_module(const char *name, const struct weft_backend **backend, struct weft_err *err)
{
    char path[PATH_MAX];
    int rc = module_path(name, path, err);
    if (rc)
        return rc;
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!module)
        return weft_fail(err, WEFT_ENOSYS, "%s", dlerror());
    weft_backend_describe_fn describe =
        (weft_backend_describe_fn)dlsym(module, WEFT_BACKEND_SYMBOL);
    const struct weft_backend *found = describe ? describe() : NULL;
    if (!found || found->version != WEFT_BACKEND_VERSION) {
        dlclose(module);
        return weft_fail(err, WEFT_EVERSION, "%s is of another version of weft", path);
    }
    *backend = found;
    return 0;
}

static int choose_backend(enum weft_device_kind kind, const struct weft_backend **backend,
                          struct weft_err *err)
{
    switch (kind) {
    case WEFT_DEVICE_NATIVE:
        *backend = weft_native_describe();
        return 0;
    case WEFT_DEVICE_SOFT:
        return load_module("backend-soft.so", backend, err);
    case WEFT_DEVICE_REMOTE:
        return load_module("backend-remote.so", backend, err);
    default:
        return weft_fail(err, WEFT_EVERSION, "a device of unknown kind %d", (int)kind);
    }
}

static int open_backend(struct weft_face *face, struct weft_cuda *table, struct weft_err *err)
{
    const struct weft_backend *backend;
    enum weft_device_kind kind = 0;
    int rc = choose_devices(face, err);
    if (!rc)
        rc = kind_of(face, &kind, err);
    if (!rc)
        rc = choose_backend(kind, &backend, err);
    if (rc)
        return rc;
    struct weft_backend_config config = {
        .devices = face->devices,
        .device_count = face->visible.count,
        .report = report,
        .fault = fault,
        .charge = weft_quota_charge_shared,
        .discharge = weft_quota_discharge_shared,
        .share = share,
        .tenant_id = face->session.tenant_id,
    };
    rc = backend->open(&config, table, err);
    if (rc)
        return weft_wrap(err, rc, "backend %s", backend->name);
    face->backend = backend;
    for (size_t i = 0; i < WEFT_CUDA_ENTRIES; i++)
        face->missing[i] = kind == WEFT_DEVICE_NATIVE && weft_cuda_is_unsupported(table, i);
    return 0;
}

/* Native devices alone: soft ones hold their tenants to their shares themselves. */
static int install_gate(const struct weft_face *face, struct weft_cuda *table, struct weft_err *err)
{
    struct weft_gate_arbiter arbiter;
    if (face->devices[0].kind != WEFT_DEVICE_NATIVE)
        return 0;
    int rc = weft_arbiter_open(face->session.devices, face->session.device_count,
                               face->visible.places, face->visible.count, &arbiter, err);
    if (rc == 0 && arbiter.device_count)
        weft_gate_install(table, &arbiter);
    return rc;
}

static int install_layers(struct weft_face *face, struct weft_cuda *table, struct weft_err *err)
{
    struct weft_room_seat seats[WEFT_DEVICES_MAX];
    for (size_t i = 0; i < face->visible.count; i++)
        seats[i] = face->session.seats[face->visible.places[i]];
    struct weft_quota_config quota = {
        .ledger = face->session.ledger,
        .slot = face->session.slot,
        .policy = face->session.policy,
        .device_count = (uint32_t)face->visible.count,
        .places = face->visible.places,
        .seats = seats,
        .exports_are_counted = face->devices[0].kind == WEFT_DEVICE_SOFT,
    };
    int rc = weft_quota_install(table, &quota, err);
    if (rc)
        return weft_wrap(err, rc, "memory limit");
    rc = install_gate(face, table, err);
    if (rc)
        return weft_wrap(err, rc, "device time");
    weft_face_calls_install(face, table);
    weft_face_trace_install(face, table);
    return 0;
}

int weft_face_open(struct weft_face *face, struct weft_cuda *table, struct weft_err *err)
{
    int rc = weft_session_open(&face->session, err);
    if (rc)
        return rc;
    weft_log_set_tenant(face->session.tenant);
    rc = open_backend(face, table, err);
    if (!rc)
        rc = install_layers(face, table, err);
    if (rc) {
        report(err->text);
        weft_face_drop(face);
        return rc;
    }
    weft_log(WEFT_LOG_INFO, "face", "%zu devices, backend %s", face->visible.count,
             face->backend->name);
    return 0;
}

void weft_face_drop(struct weft_face *face)
{
    if (face->backend) {
        weft_quota_drop_after_fork();
        weft_gate_drop_after_fork();
        weft_arbiter_drop_after_fork();
        face->backend->drop_after_fork();
    }
    weft_session_close(&face->session);
    face->backend = NULL;
    weft_face_calls_remove(face);
    face->inherited = false;
}
