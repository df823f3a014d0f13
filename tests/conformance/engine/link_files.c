/* Linking what compilers leave in files: fat binaries, objects with such, archives of those, made
 * here byte by byte. What would break it: an input that is not found in its file, two that are
 * taken for one, an error without the member's name, machine code that is not refused by name. */
#include <elf.h>
#include <stdbool.h>
#include <unistd.h>

#include "check.h"

#define PIECE_BYTES_MAX 16384
#define LONG_NAME "a_name_too_long_for_a_head.o"

static const char caller[] =
    PTX_HEAD ".extern .func (.param .b32 r) answer();\n"
             ".visible .entry run(.param .u64 out) {\n .reg .b64 %d0;\n .reg .b32 %r0;\n"
             " .param .b32 r0;\n ld.param.u64 %d0, [out];\n call (r0), answer, ();\n"
             " ld.param.b32 %r0, [r0];\n st.global.u32 [%d0], %r0;\n ret;\n}\n";
static const char callee[] = PTX_HEAD ".extern .func (.param .b32 r) deeper();\n"
                                      ".visible .func (.param .b32 r) answer() {\n"
                                      " .param .b32 a; .reg .b32 %r0;\n call (a), deeper, ();\n"
                                      " ld.param.b32 %r0, [a]; st.param.b32 [r], %r0;\n ret;\n}\n";
static const char deeper[] = PTX_HEAD ".visible .func (.param .b32 r) deeper() {\n"
                                      " st.param.b32 [r], 77;\n ret;\n}\n";

static char log_text[512];

struct piece {
    uint8_t bytes[PIECE_BYTES_MAX];
    size_t used;
};

static void put(struct piece *piece, const void *bytes, size_t count)
{
    CHECK(count <= sizeof(piece->bytes) - piece->used);
    memcpy(piece->bytes + piece->used, bytes, count);
    piece->used += count;
}

static void put_number(struct piece *piece, uint64_t value, size_t width)
{
    put(piece, &value, width);
}

static void align(struct piece *piece, size_t alignment)
{
    while (piece->used % alignment)
        put(piece, "", 1);
}

/* One entry of PTX for sm_75. */
static void put_fat(struct piece *piece, const char *text)
{
    size_t payload = (strlen(text) + 8) / 8 * 8;
    align(piece, 8);
    put_number(piece, 0xba55ed50u, 4);
    put_number(piece, 1, 2);
    put_number(piece, 16, 2);
    put_number(piece, 64 + payload, 8);
    put_number(piece, 0x01010001, 4);
    put_number(piece, 64, 4);
    put_number(piece, payload, 8);
    put_number(piece, 0, 8);
    put_number(piece, 0, 4);
    put_number(piece, 75, 4);
    put_number(piece, 0, 8);
    put_number(piece, 0x11, 8);
    put_number(piece, 0, 8);
    put_number(piece, 0, 8);
    put(piece, text, strlen(text) + 1);
    align(piece, 8);
}

/* An object file with these bytes in a section of that name. */
static void put_object(struct piece *piece, const char *section, const struct piece *content)
{
    size_t start = piece->used, name_bytes = strlen(section) + 1;
    size_t texts = sizeof(Elf64_Ehdr) + content->used;
    size_t table = (texts + 1 + name_bytes + 7) / 8 * 8;
    Elf64_Ehdr head = {.e_ident = ELFMAG,
                       .e_type = ET_REL,
                       .e_machine = EM_X86_64,
                       .e_version = EV_CURRENT,
                       .e_shoff = table,
                       .e_ehsize = sizeof(head),
                       .e_shentsize = sizeof(Elf64_Shdr),
                       .e_shnum = 3,
                       .e_shstrndx = 2};
    Elf64_Shdr sections[3] = {
        {0},
        {.sh_name = 1,
         .sh_type = SHT_PROGBITS,
         .sh_offset = sizeof(head),
         .sh_size = content->used},
        {.sh_type = SHT_STRTAB, .sh_offset = texts, .sh_size = 1 + name_bytes}};
    head.e_ident[EI_CLASS] = ELFCLASS64;
    head.e_ident[EI_DATA] = ELFDATA2LSB;
    head.e_ident[EI_VERSION] = EV_CURRENT;
    put(piece, &head, sizeof(head));
    put(piece, content->bytes, content->used);
    put(piece, "", 1);
    put(piece, section, name_bytes);
    while ((piece->used - start) % 8)
        put(piece, "", 1);
    put(piece, sections, sizeof(sections));
}

static void put_member(struct piece *archive, const char *name, const void *bytes, size_t count)
{
    char head[61];
    snprintf(head, sizeof(head), "%-16s%-12d%-6d%-6d%-8o%-10zu`\n", name, 0, 0, 0, 0644, count);
    put(archive, head, 60);
    put(archive, bytes, count);
    if (count % 2)
        put(archive, "\n", 1);
}

static void make_object(struct piece *object, const char *section, const char *one,
                        const char *other)
{
    static struct piece content;
    content.used = object->used = 0;
    if (one)
        put_fat(&content, one);
    if (other)
        put_fat(&content, other);
    put_object(object, section, &content);
}

/* An index, long names, an object of the host alone, and one that holds `text`. */
static void make_archive(struct piece *archive, const char *text)
{
    static struct piece object;
    archive->used = 0;
    put(archive, "!<arch>\n", 8);
    put_member(archive, "/", "\0\0\0\0", 4);
    put_member(archive, "//", LONG_NAME "/\n", sizeof(LONG_NAME "/\n") - 1);
    make_object(&object, ".text", NULL, NULL);
    put_member(archive, "host.o/", object.bytes, object.used);
    make_object(&object, "__nv_relfatbin", text, NULL);
    put_member(archive, "/0", object.bytes, object.used);
}

static CUlinkState linker(void)
{
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    static void *values[2];
    CUlinkState state;
    values[0] = log_text;
    values[1] = (void *)sizeof(log_text);
    OK(cuLinkCreate(2, options, values, &state));
    return state;
}

static CUresult add(CUlinkState state, CUjitInputType type, const struct piece *piece)
{
    return cuLinkAddData(state, type, (void *)(uintptr_t)piece->bytes, piece->used, "input", 0,
                         NULL, NULL);
}

static CUresult add_file(CUlinkState state, CUjitInputType type, const struct piece *piece)
{
    char path[] = "/tmp/weft-link-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0 && write(fd, piece->bytes, piece->used) == (ssize_t)piece->used);
    close(fd);
    CUresult result = cuLinkAddFile(state, type, path, 0, NULL, NULL);
    unlink(path);
    return result;
}

/* Links what was added, and runs it. */
static void check_answer(CUlinkState state)
{
    CUmodule module;
    CUdeviceptr out;
    uint32_t value = 0;
    void *image, *arguments[] = {&out};
    OK(cuLinkComplete(state, &image, NULL));
    OK(cuModuleLoadData(&module, image));
    OK(cuLinkDestroy(state));
    OK(cuMemAlloc(&out, sizeof(value)));
    OK(cuLaunchKernel(function_of(module, "run"), 1, 1, 1, 1, 1, 1, 0, NULL, arguments, NULL));
    OK(cuMemcpyDtoH(&value, out, sizeof(value)));
    CHECK(value == 77);
    OK(cuMemFree(out));
    OK(cuModuleUnload(module));
}

static void check_good(void)
{
    static struct piece fat, object, archive;
    put_fat(&fat, caller);
    make_object(&object, "__nv_relfatbin", callee, deeper);
    CUlinkState state = linker();
    OK(add(state, CU_JIT_INPUT_FATBINARY, &fat));
    OK(add(state, CU_JIT_INPUT_OBJECT, &object));
    check_answer(state);
    make_object(&object, ".nv_fatbin", caller, callee);
    make_archive(&archive, deeper);
    state = linker();
    OK(add(state, CU_JIT_INPUT_LIBRARY, &archive));
    OK(add_file(state, CU_JIT_INPUT_OBJECT, &object));
    check_answer(state);
    make_archive(&archive, caller);
    state = linker();
    OK(add_file(state, CU_JIT_INPUT_LIBRARY, &archive));
    make_archive(&archive, callee);
    OK(add_file(state, CU_JIT_INPUT_LIBRARY, &archive));
    make_archive(&archive, deeper);
    OK(add(state, CU_JIT_INPUT_LIBRARY, &archive));
    check_answer(state);
}

static void check_refused(void)
{
    static struct piece object, archive;
    CUlinkState state = linker();
    make_archive(&archive, PTX_HEAD "nonsense");
    EXPECT(add(state, CU_JIT_INPUT_LIBRARY, &archive), CUDA_ERROR_INVALID_PTX);
    CHECK(strstr(log_text, "input(" LONG_NAME "): ptx:4:"));
    make_object(&object, ".text", NULL, NULL);
    EXPECT(add(state, CU_JIT_INPUT_OBJECT, &object), CUDA_ERROR_INVALID_IMAGE);
    CHECK(strstr(log_text, "no device code"));
    EXPECT(add(state, CU_JIT_INPUT_LIBRARY, &object), CUDA_ERROR_INVALID_IMAGE);
    EXPECT(add(state, CU_JIT_INPUT_OBJECT, &archive), CUDA_ERROR_INVALID_IMAGE);
    EXPECT(add(state, CU_JIT_INPUT_FATBINARY, &archive), CUDA_ERROR_INVALID_IMAGE);
    EXPECT(add(state, CU_JIT_INPUT_CUBIN, &object), CUDA_ERROR_NOT_SUPPORTED);
    CHECK(strstr(log_text, "CU_JIT_INPUT_CUBIN"));
    EXPECT(add(state, CU_JIT_INPUT_NVVM, &object), CUDA_ERROR_NOT_SUPPORTED);
    make_archive(&archive, deeper);
    archive.used -= 9;
    EXPECT(add(state, CU_JIT_INPUT_LIBRARY, &archive), CUDA_ERROR_INVALID_IMAGE);
    memcpy(archive.bytes, "!<thin>\n", 8);
    EXPECT(add(state, CU_JIT_INPUT_LIBRARY, &archive), CUDA_ERROR_INVALID_IMAGE);
    CHECK(strstr(log_text, "thin"));
    OK(cuLinkDestroy(state));
}

int main(void)
{
    start(PTX_HEAD);
    check_good();
    check_refused();
    return 0;
}
