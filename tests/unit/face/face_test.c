#include "face_test.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *open_face(struct face_under_test *face, const char *driver_variable)
{
    static const char *const foreign[] = {"CUDA_VISIBLE_DEVICES", "WEFT_LOG", "WEFT_TRACE"};
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        unsetenv(foreign[i]);
    if (driver_variable)
        setenv("WEFT_NATIVE_LIBCUDA", getenv(driver_variable), 1);
    face->library = dlopen(getenv("FACE_LIBRARY"), RTLD_NOW | RTLD_LOCAL);
    if (!face->library)
        return dlerror();
    face->tenant = dlsym(face->library, "fake_tenant");
    if (!face->tenant)
        return "the face under test has no fake_tenant";
    face->tenant->granted.device_count = 1;
    face->tenant->granted.devices[0].kind = WEFT_DEVICE_NATIVE;
    for (size_t i = 0; i < WEFT_CUDA_ENTRIES; i++) {
        weft_cuda_fn found = (weft_cuda_fn)dlsym(face->library, weft_cuda_entries[i].symbol);
        if (!found)
            return weft_cuda_entries[i].symbol;
        *weft_cuda_slot(&face->calls, i) = found;
    }
    return NULL;
}

/* The child's text comes back through a pipe; an empty one is success, none at all is a crash. */
static const char *report_of(pid_t child, int fd)
{
    static char text[512];
    int status;
    size_t used = 0;
    for (ssize_t count; (count = read(fd, text + used, sizeof(text) - 1 - used)) > 0;)
        used += (size_t)count;
    text[used] = '\0';
    close(fd);
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return "the child crashed";
    return used ? text : NULL;
}

static void tell(int fd, const char *text)
{
    ssize_t written = text ? write(fd, text, strlen(text)) : 0;
    _exit(written < 0);
}

void run_scenario(const char *driver_variable, scenario_fn scenario)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        static struct face_under_test face;
        const char *text = open_face(&face, driver_variable);
        tell(ends[1], text ? text : scenario(&face));
    }
    close(ends[1]);
    const char *text = report_of(child, ends[0]);
    if (text)
        fail_msg("%s", text);
}

const char *in_fork(struct face_under_test *face, scenario_fn body)
{
    int ends[2];
    if (pipe(ends) != 0)
        return "pipe";
    pid_t child = fork();
    if (child == 0)
        tell(ends[1], body(face));
    close(ends[1]);
    return report_of(child, ends[0]);
}
