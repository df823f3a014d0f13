/* What device code prints is the program's own output, and comes in one order with what the program
 * itself prints: so it goes through the program's streams. */
#include <stdio.h>

#include "softgpu/engine/schedule.h"

void weft_soft_print(void *unused, bool is_error, const char *text, uint64_t bytes)
{
    (void)unused;
    fwrite(text, 1, bytes, is_error ? stderr : stdout);
}
