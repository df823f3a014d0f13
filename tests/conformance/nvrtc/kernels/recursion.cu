// Functions that call themselves and each other, by name, by pointer and by a table of virtual functions.
__device__ __noinline__ unsigned ackermann(unsigned m, unsigned n)
{
    if (m == 0)
        return n + 1;
    return ackermann(m - 1, n == 0 ? 1 : ackermann(m, n - 1));
}

__device__ __noinline__ void sort(int *first, int *last)
{
    if (last - first < 2)
        return;
    int pivot = first[(last - first) / 2];
    int *i = first, *j = last - 1;
    while (i <= j) {
        while (*i < pivot)
            i++;
        while (*j > pivot)
            j--;
        if (i <= j) {
            int swap = *i;
            *i++ = *j;
            *j-- = swap;
        }
    }
    sort(first, j + 1);
    sort(i, last);
}

typedef int (*step_fn)(int, int);
__device__ __noinline__ int sum(int a, int b) { return a + b; }
__device__ __noinline__ int difference(int a, int b) { return a - b; }
__device__ __noinline__ int twice(int a, int b) { return 2 * a + b; }
__device__ step_fn steps[3] = {sum, difference, twice};

struct shape {
    __device__ virtual int area() const = 0;
};
struct box : shape {
    int a, b;
    __device__ box(int a, int b) : a(a), b(b) {}
    __device__ int area() const override { return a * b; }
};
struct line : shape {
    int a;
    __device__ line(int a) : a(a) {}
    __device__ int area() const override { return -a; }
};
__device__ __noinline__ int measure(const shape *s) { return s->area(); }

extern "C" __global__ void recursion(const int *in, int *out, unsigned *values)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    int cells[16];
    for (int k = 0; k < 16; k++)
        cells[k] = in[16 * i + k];
    sort(cells, cells + 16);
    for (int k = 0; k < 16; k++)
        out[16 * i + k] = cells[k];
    values[4 * i] = ackermann(i % 3, i % 5);
    int total = 1;
    for (int k = 0; k < 5; k++)
        total = steps[(i + k) % 3](total, k + i);
    values[4 * i + 1] = total;
    box one(i, 3);
    line two(i);
    values[4 * i + 2] = measure(i % 2 ? (const shape *)&one : (const shape *)&two);
    values[4 * i + 3] = 0;
}
