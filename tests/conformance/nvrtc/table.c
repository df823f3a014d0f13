/* What the executor, the reference and the driver run. */
#include "checks.h"

const struct check checks[] = {
    {"vector_add", check_vectors},
    {"product", check_products},
    {"reduce", check_reductions},
    {"histogram", check_histograms},
    {"nbody", check_nbody},
    {"mandelbrot", check_mandelbrot},
    {"mathematics", check_mathematics},
    {"recursion", check_recursion},
    {"locks", check_locks},
    {"bits", check_bits},
    {"sorting", check_sorting},
};
const size_t check_count = sizeof checks / sizeof *checks;
const unsigned check_architectures[] = {75, 90, 0};
