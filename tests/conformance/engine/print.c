/* What kernels print is the program's own output: what would break it is text that is lost, or that
 * comes before what the program itself printed earlier. */
#include "check.h"

static const char ptx[] = PTX_HEAD
    ".extern .func (.param .b32 result) vprintf (.param .b64 format, .param .b64 arguments);\n"
    ".global .align 1 .b8 text[9] = {108, 97, 110, 101, 32, 37, 100, 10, 0};\n"
    ".visible .entry print()\n{\n"
    "    .local .align 8 .b8 arguments[8]; .reg .u32 %t; .reg .u64 %format, %list;\n"
    "    mov.u32 %t, %tid.x; st.local.u32 [arguments], %t;\n"
    "    mov.u64 %list, arguments; cvta.local.u64 %list, %list;\n"
    "    mov.u64 %format, text; cvta.global.u64 %format, %format;\n"
    "    {\n"
    "    .param .b64 p0; .param .b64 p1; .param .b32 r;\n"
    "    st.param.b64 [p0], %format; st.param.b64 [p1], %list;\n"
    "    call.uni (r), vprintf, (p0, p1);\n"
    "    }\n"
    "    ret;\n}\n";

int main(void)
{
    CUmodule module = start(ptx);
    char seen[128] = {0};
    FILE *file = tmpfile();
    CHECK(file);
    FILE *before = stdout;
    stdout = file;
    fputs("first\n", stdout);
    OK(cuLaunchKernel(function_of(module, "print"), 1, 1, 1, 3, 1, 1, 0, NULL, NULL, NULL));
    OK(cuCtxSynchronize());
    fputs("last\n", stdout);
    stdout = before;
    rewind(file);
    CHECK(fread(seen, 1, sizeof(seen) - 1, file) > 0);
    if (strcmp(seen, "first\nlane 0\nlane 1\nlane 2\nlast\n") != 0) {
        fprintf(stderr, "printed: %s", seen);
        return 1;
    }
    fclose(file);
    return 0;
}
