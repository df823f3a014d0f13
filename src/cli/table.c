#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void weft_cli_say(const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fprintf(stderr, "weft: %s\n",
            text); /* one write: stderr's lines of several processes do not mix */
}

void weft_cli_help(const struct weft_verb *verb, const struct weft_option *options, size_t count)
{
    printf("usage: weft %s %s\n\n%s\n\n", verb->name, verb->usage, verb->summary);
    weft_options_print(stdout, options, count);
}

void weft_table_add(struct weft_table *table, const char *const *texts)
{
    if (table->rows == table->room) {
        size_t room = table->room ? 2 * table->room : 16;
        void *cells = realloc(table->cells, room * table->columns * sizeof(table->cells[0]));
        if (!cells)
            return;
        table->cells = cells;
        table->room = room;
    }
    for (size_t i = 0; i < table->columns; i++)
        snprintf(table->cells[table->rows * table->columns + i], WEFT_TABLE_CELL_BYTES, "%s",
                 texts[i]);
    table->rows++;
}

void weft_table_print(struct weft_table *table)
{
    int widths[WEFT_TABLE_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < table->rows * table->columns; i++) {
        int width = (int)strlen(table->cells[i]);
        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    for (size_t i = 0; i < table->rows * table->columns; i++) {
        bool last = i % table->columns == table->columns - 1;
        printf("%-*s%s", last ? 0 : widths[i % table->columns], table->cells[i],
               last ? "\n" : "  ");
    }
    free(table->cells);
    *table = (struct weft_table){.columns = table->columns};
}
