/* Every thread of the first warp prints its number and in[number]; thread 3 prints a string and a double too. */
extern "C" int printf(const char *format, ...);

extern "C" __global__ void device_printf(const int *in)
{
    int i = threadIdx.x;
    printf("thread %d holds %d\n", i, in[i]);
    if (i == 3)
        printf("%s %.3f %c\n", "three", in[i] * 0.5, 'x');
}
