/* What each file of kernels must give, computed again on the host. */
#ifndef WEFT_TESTS_CONFORMANCE_NVRTC_CHECKS_H
#define WEFT_TESTS_CONFORMANCE_NVRTC_CHECKS_H

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "stage.h"

int check_vectors(struct stage *stage);
int check_products(struct stage *stage);
int check_reductions(struct stage *stage);
int check_histograms(struct stage *stage);
int check_nbody(struct stage *stage);
int check_mandelbrot(struct stage *stage);
int check_mathematics(struct stage *stage);
int check_recursion(struct stage *stage);
int check_locks(struct stage *stage);
int check_bits(struct stage *stage);
int check_sorting(struct stage *stage);
int check_wmma(struct stage *stage);
int check_tiles(struct stage *stage);
int check_copies(struct stage *stage);
int check_clusters(struct stage *stage);

uint32_t check_random(uint32_t *state);
/* Between -8 and 8. */
float check_random_float(uint32_t *state);
/* Memory of the stage with that content (zeros for NULL); 0 where there is none. */
uint64_t check_put(struct stage *stage, const void *data, size_t bytes);
bool check_near(double got, double want, double relative, double absolute);
/* Prints a difference; -1. */
int check_report(const char *what, long index, double got, double want);

#endif
