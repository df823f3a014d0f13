/* As much of NVRTC as hands out what it has compiled: PTX, and machine code that no soft GPU takes.
 * A program of 1 stands for one compiled for a virtual architecture, which has no machine code. */
#include <stddef.h>
#include <string.h>

__attribute__((visibility("default"))) int nvrtcGetPTXSize(void *program, size_t *size);
__attribute__((visibility("default"))) int nvrtcGetPTX(void *program, char *bytes);
__attribute__((visibility("default"))) int nvrtcGetCUBINSize(void *program, size_t *size);
__attribute__((visibility("default"))) int nvrtcGetCUBIN(void *program, char *bytes);

static const char ptx[] =
    ".version 7.0\n.target sm_75\n.address_size 64\n.visible .entry f() { ret; }\n";
static const char cubin[] = "\177ELF and some machine code";

static int is_virtual(void *program)
{
    return program == (void *)1;
}

int nvrtcGetPTXSize(void *program, size_t *size)
{
    (void)program;
    *size = sizeof(ptx);
    return 0;
}

int nvrtcGetPTX(void *program, char *bytes)
{
    (void)program;
    memcpy(bytes, ptx, sizeof(ptx));
    return 0;
}

int nvrtcGetCUBINSize(void *program, size_t *size)
{
    if (!size)
        return 3;
    *size = is_virtual(program) ? 0 : sizeof(cubin);
    return 0;
}

int nvrtcGetCUBIN(void *program, char *bytes)
{
    if (!bytes)
        return 3;
    if (!is_virtual(program))
        memcpy(bytes, cubin, sizeof(cubin));
    return 0;
}
