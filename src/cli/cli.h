/* The command's inside: one file a verb, and what the verbs share. */
#ifndef WEFT_CLI_CLI_H
#define WEFT_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "policy/limits.h"
#include "transport/places.h"
#include "transport/transport.h"
#include "util/options.h"
#include "util/util.h"
#include <weft/err.h>

/* What verbs return. run returns its program's status or one of its own. */
#define WEFT_CLI_FAILED 1
#define WEFT_CLI_USAGE 2
#define WEFT_CLI_RUN_FAILED 125
#define WEFT_CLI_RUN_CANNOT_EXECUTE 126
#define WEFT_CLI_RUN_NOT_FOUND 127
#define WEFT_CLI_RUN_SIGNALLED 128

struct weft_verb {
    const char *name;
    const char *usage;   /* the words after the verb */
    const char *summary; /* one line */
    int (*run)(const struct weft_verb *verb, int argc,
               char **argv); /* argv[0] is the first word after the verb */
};

int weft_cli_run(const struct weft_verb *verb, int argc, char **argv);
int weft_cli_ls(const struct weft_verb *verb, int argc, char **argv);
int weft_cli_check(const struct weft_verb *verb, int argc, char **argv);
int weft_cli_ps(const struct weft_verb *verb, int argc, char **argv);
int weft_cli_soft(const struct weft_verb *verb, int argc, char **argv);
int weft_cli_tenant(const struct weft_verb *verb, int argc, char **argv);
int weft_cli_set(const struct weft_verb *verb, int argc, char **argv);

/* Prints "weft: TEXT" on stderr. */
void weft_cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints usage, summary and options of a verb on stdout. */
void weft_cli_help(const struct weft_verb *verb, const struct weft_option *options, size_t count);

/* -- client.c: talking to weftd
 * ---------------------------------------------------------------------------------------- */

/* Connects to $WEFT_SOCKET, the node's weftd or the user's own, whichever is first. WEFT_ENOENT:
 * none runs. */
int weft_cli_connect(struct weft_link *link, struct weft_err *err);
/* The same; where none runs, starts the user's own. `binary_dir` is the folder of weftd. */
int weft_cli_connect_or_start(const char *binary_dir, struct weft_link *link, struct weft_err *err);
/* Sends a sealed request and waits for the answer of that type, which stays in the inbox; the
 * caller finishes that, also on failure. */
int weft_cli_exchange(struct weft_link *link, struct weft_packet *packet, enum weft_wire_type type,
                      enum weft_wire_type answer, struct weft_inbox *inbox, struct weft_err *err);
/* Asks for JSON. *answer is NULL where no daemon runs. The caller's to decref. */
int weft_cli_query(enum weft_wire_query_kind kind, json_t **answer, struct weft_err *err);
/* The folder of the running command. */
int weft_cli_binary_dir(char dir[WEFT_PLACES_PATH_BYTES], struct weft_err *err);

/* -- words.c
 * ------------------------------------------------------------------------------------ */

/* Parses options with words before, between and behind them, as `weft set NAME --memory 1G`.
 * Returns how many words there are. WEFT_EINVAL where they are more than `room`. */
int weft_cli_words_parse(int argc, char **argv, const struct weft_option *options, size_t count,
                         const char **words, size_t room, struct weft_err *err);
/* Takes a tenant's name as typed. WEFT_EINVAL where it is too long. */
int weft_cli_tenant_name(const char *typed, char name[WEFT_WIRE_TENANT_BYTES],
                         struct weft_err *err);
/* -- limits.c: the options that say what a tenant is promised and held to
 * ------------------------------------------------------------------------------------ */

#define WEFT_CLI_LIMITS 6

struct weft_cli_limits {
    const char *texts[WEFT_CLI_LIMITS]; /* as typed; NULL: not given */
};
/* Writes WEFT_CLI_LIMITS options that fill *asked, and returns how many. */
size_t weft_cli_limits_options(struct weft_cli_limits *asked, struct weft_option *list);
/* What the help says about limits in general. */
void weft_cli_limits_help(void);
/* Errors name the option. WEFT_EINVAL, WEFT_ERANGE, WEFT_ENOSYS. */
int weft_cli_limits_parse(const struct weft_cli_limits *asked, struct weft_limits *limits,
                          struct weft_err *err);

#define WEFT_CLI_ACCESS 2

struct weft_cli_access {
    const char *run, *change; /* as typed; NULL: not given */
};
/* Writes WEFT_CLI_ACCESS options that fill *asked, and returns how many. */
size_t weft_cli_access_options(struct weft_cli_access *asked, struct weft_option *list);
/* Errors name the option. WEFT_EINVAL, WEFT_ELIMIT. */
int weft_cli_access_parse(const struct weft_cli_access *asked, struct weft_access *run,
                          struct weft_access *change, struct weft_err *err);

/* -- gpus.c: the options that say which devices
 * --------------------------------------------------------------------------- */

#define WEFT_CLI_GPUS 3

struct weft_cli_gpus {
    const char *list, *count, *placement; /* as typed; NULL: not given */
};
/* Writes WEFT_CLI_GPUS options that fill *asked, and returns how many. */
size_t weft_cli_gpus_options(struct weft_cli_gpus *asked, struct weft_option *list);
/* Errors name the option. WEFT_EINVAL, WEFT_ESYNTAX. */
int weft_cli_gpus_parse(const struct weft_cli_gpus *asked, struct weft_gpu_list *gpus,
                        struct weft_err *err);

/* -- show.c: verbs that print what weftd answers
 * ------------------------------------------------------------------------ */

struct weft_view {
    enum weft_wire_query_kind kind;
    const char *key;                             /* of the list in the answer */
    void (*print_people)(const json_t *entries); /* the list, without --json */
};
/* A size that not every device has told: "-" where it has none, "?" where nobody knows. `text` has
 * WEFT_SIZE_TEXT_BYTES. */
const char *weft_cli_size_told(const json_t *object, const char *key, char *text);
/* All of such a verb; returns its exit status. Without a daemon the list is empty. */
int weft_cli_show(const struct weft_verb *verb, int argc, char **argv,
                  const struct weft_view *view);

/* -- launch.c: the program under `weft run`
 * ---------------------------------------------------------------------------- */

struct weft_cli_program {
    char **argv;
    const char *library_dir;
    const char *socket;
    const char *tenant;
    bool own_runtime; /* our libcudart stands in front: NVIDIA's works with NVIDIA's driver alone;
                       * and NVRTC is asked for PTX */
    uint32_t mps_percent;  /* of the SMs, that MPS is asked for; 0: nothing */
    uint32_t restarts_max; /* after faults that were not its own doing */
};
/* Starts it with the environment of a tenant's program; returns when it has ended for good, signals
 * handed on and reports printed meanwhile. Returns the exit status for the shell. */
int weft_cli_launch(const struct weft_cli_program *program, struct weft_link *link);

/* -- table.c: columns for people
 * --------------------------------------------------------------------------------------- */

#define WEFT_TABLE_COLUMNS_MAX 8
#define WEFT_TABLE_CELL_BYTES 128

struct weft_table {
    size_t columns, rows, room;
    char (*cells)[WEFT_TABLE_CELL_BYTES]; /* owned, row after row */
};
/* Adds a row of table->columns texts; cut where they are too long. */
void weft_table_add(struct weft_table *table, const char *const *texts);
/* Prints all rows on stdout, as wide as their widest, and frees. */
void weft_table_print(struct weft_table *table);

#endif
