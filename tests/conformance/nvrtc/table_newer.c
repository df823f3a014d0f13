/* What needs compute capability 8.0 or more, and the toolkit's headers. */
#include "checks.h"

const struct check checks[] = {
    {"wmma", check_wmma, 80},
    {"tiles", check_tiles, 80},
    {"copies", check_copies, 80},
    {"clusters", check_clusters, 90},
};
const size_t check_count = sizeof checks / sizeof *checks;
const unsigned check_architectures[] = {80, 89, 90, 0};
