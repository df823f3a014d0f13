/* ptx-coverage [--markdown] FORMS: which of the forms in the file FORMS parse, and which the
 * executor runs. One example a line, with the registers %h %r %l %f %d %p of 16, 32, 64 bits, F32,
 * F64, predicates, and the names declared below. It fails where a form does not parse, or is
 * refused otherwise than by name. --markdown writes the table of docs/ptx.md. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "softgpu/exec/exec.h"
#include "softgpu/ptx/ptx.h"

#define LINE_BYTES 256
#define TEXT_BYTES 4096
#define FORM_BYTES 128
#define NAMES_BYTES 8192
#define MNEMONICS_MAX 256

/* One mnemonic of the table. */
struct mnemonic {
    char name[FORM_BYTES];
    unsigned forms, run;
    char missing[NAMES_BYTES];
};

struct tally {
    struct mnemonic mnemonics[MNEMONICS_MAX];
    size_t count;
    unsigned forms, parsed, run;
    bool failed;
};

static void make_text(char text[TEXT_BYTES], const char *example)
{
    snprintf(
        text, TEXT_BYTES,
        ".version 8.6\n.target sm_90\n.address_size 64\n.const .align 16 .b8 const_cells[64];\n"
        ".func callee()\n{\nret;\n}\n"
        ".visible .entry kernel(.param .align 16 .b8 parameter[64])\n{\n"
        ".shared .align 16 .b8 shared_cells[256];\n.local .align 16 .b8 local_cells[64];\n"
        ".param .align 16 .b8 argument[64];\n.reg .b16 %%h<32>;\n.reg .b32 %%r<32>;\n"
        ".reg .b64 %%l<16>;\n.reg .f32 %%f<32>;\n.reg .f64 %%d<16>;\n.reg .pred %%p<4>;\n"
        ".reg .v2 .u32 %%vr<2>;\n.reg .v2 .u64 %%vl<2>;\n%s\nend:\nret;\n}\n",
        example);
}

static int lower(const struct weft_ptx_module *module, struct weft_err *err)
{
    struct weft_exec_program *program;
    const struct weft_exec_kernel *kernel;
    uint64_t *addresses = calloc(module->variable_count + 1, sizeof *addresses);
    int status = weft_exec_program_create(&program, module, addresses, err);
    if (status == 0) {
        uint32_t index = weft_ptx_find_function(module, "kernel");
        status = weft_exec_program_kernel(program, index, &kernel, err);
        weft_exec_program_destroy(program);
    }
    free(addresses);
    return status;
}

static struct mnemonic *find_mnemonic(struct tally *tally, const char *form)
{
    size_t length = strcspn(form, ".");
    for (size_t i = 0; i < tally->count; i++)
        if (strlen(tally->mnemonics[i].name) == length &&
            strncmp(tally->mnemonics[i].name, form, length) == 0)
            return &tally->mnemonics[i];
    if (tally->count == MNEMONICS_MAX)
        exit(2);
    struct mnemonic *mnemonic = &tally->mnemonics[tally->count++];
    snprintf(mnemonic->name, sizeof mnemonic->name, "%.*s", (int)length, form);
    return mnemonic;
}

static void note_missing(struct mnemonic *mnemonic, const char *form)
{
    size_t used = strlen(mnemonic->missing);
    snprintf(mnemonic->missing + used, sizeof mnemonic->missing - used, "%s`%s`", used ? ", " : "",
             form);
}

static void try_form(struct tally *tally, const char *example)
{
    char text[TEXT_BYTES];
    char form[FORM_BYTES];
    struct weft_ptx_module *module = NULL;
    struct weft_err err = {0};
    snprintf(form, sizeof form, "%.*s", (int)strcspn(example, " ;"), example);
    struct mnemonic *mnemonic = find_mnemonic(tally, form);
    mnemonic->forms++;
    tally->forms++;
    make_text(text, example);
    int status = weft_ptx_parse(&module, text, strlen(text), &err);
    tally->parsed += status == 0;
    if (status) {
        fprintf(stderr, "does not parse: %s: %s\n", example, err.text);
        tally->failed = true;
    } else if ((status = lower(module, &err)) == 0) {
        mnemonic->run++;
        tally->run++;
    } else if (status != -WEFT_ENOSYS || !strstr(err.text, mnemonic->name)) {
        fprintf(stderr, "is not refused by name: %s: %s\n", example, err.text);
        tally->failed = true;
    }
    if (status)
        note_missing(mnemonic, form);
    weft_ptx_destroy(module);
}

/* Why forms of a mnemonic are not run, for a reader of docs/ptx.md. */
static const char *reason_for(const char *mnemonic)
{
    static const struct {
        const char *mnemonic, *reason;
    } reasons[] = {
        {"tex", "textures are not there yet"},
        {"tld4", "textures are not there yet"},
        {"suld", "surfaces are not there yet"},
        {"sust", "surfaces are not there yet"},
        {"wmma", "matrix instructions are not there yet"},
        {"mma", "matrix instructions are not there yet"},
        {"ldmatrix", "matrix instructions are not there yet"},
        {"cp", "copies that signal a barrier in memory are not there yet"},
        {"mbarrier", "barriers in memory are not there yet"},
        {"mapa", "there are no clusters of blocks"},
        {"redux", "of floating point, which devices newer than sm_90 have"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (strcmp(reasons[i].mnemonic, mnemonic) == 0)
            return reasons[i].reason;
    return "not there yet";
}

static void print_markdown(const struct tally *tally)
{
    printf("<!-- Generated by `make docs`; do not edit. -->\n# PTX on the soft GPU\n\n"
           "Of %u forms that compilers were seen to write, each with one example in\n"
           "`tests/conformance/ptx/coverage/forms.txt`, %u are read and %u run. A kernel that uses "
           "one of the others is\nrefused by name when it is asked for; the module's other kernels "
           "run.\n\n## Not run, and why\n\n",
           tally->forms, tally->parsed, tally->run);
    for (size_t i = 0; i < tally->count; i++)
        if (tally->mnemonics[i].missing[0])
            printf("- `%s`: %s: %s.\n", tally->mnemonics[i].name,
                   reason_for(tally->mnemonics[i].name), tally->mnemonics[i].missing);
    printf("\n## By mnemonic\n\n");
    printf("| mnemonic | forms | run |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < tally->count; i++) {
        const struct mnemonic *mnemonic = &tally->mnemonics[i];
        printf("| `%s` | %u | %u |\n", mnemonic->name, mnemonic->forms, mnemonic->run);
    }
}

static void print_missing(const struct tally *tally)
{
    for (size_t i = 0; i < tally->count; i++)
        if (tally->mnemonics[i].missing[0])
            printf("not run: %s\n", tally->mnemonics[i].missing);
    printf("%u forms, %u parse, %u run\n", tally->forms, tally->parsed, tally->run);
}

int main(int argc, char **argv)
{
    static struct tally tally;
    char line[LINE_BYTES];
    bool markdown = argc > 1 && strcmp(argv[1], "--markdown") == 0;
    FILE *file = argc > 1 + markdown ? fopen(argv[1 + markdown], "r") : NULL;
    if (!file) {
        fprintf(stderr, "usage: ptx-coverage [--markdown] FORMS\n");
        return 2;
    }
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        try_form(&tally, line);
    }
    fclose(file);
    if (markdown)
        print_markdown(&tally);
    else
        print_missing(&tally);
    return tally.failed || tally.run == 0;
}
