/* Names that our runtime uses inside, with other meanings: a program that is linked with the static
 * one must keep its own. Breaks when the archive's object has more global names than CUDA's. */
#include <stdio.h>
#include <stdlib.h>

extern void weft_cudart_enter_context(void), weft_cudart_driver(void), weft_cuda_slot(void),
    weft_cuda_fill_unsupported(void), weft_fail(void), weft_log(void);

static void end(void)
{
    fprintf(stderr, "the runtime called a function of the program\n");
    exit(1);
}

void weft_cudart_enter_context(void)
{
    end();
}

void weft_cudart_driver(void)
{
    end();
}

void weft_cuda_slot(void)
{
    end();
}

void weft_cuda_fill_unsupported(void)
{
    end();
}

void weft_fail(void)
{
    end();
}

void weft_log(void)
{
    end();
}
