/* What clang's NVPTX back end is given: structures, arrays, tables of functions, strings, atomics,
 * a switch, recursion. */
typedef unsigned long long wide;

struct item {
    double weight;
    int tags[3];
    char kind;
};

extern int printf(const char *format, ...);
extern int elsewhere;

static int increment(int v)
{
    return v + 1;
}
static int twice(int v)
{
    return v * 2;
}

int (*steps[2])(int) = {increment, twice};
const char *names[3] = {"a", "bc", "def"};
unsigned char bytes[5] = {1, 2, 3};
float numbers[3] = {1.5f, 2, 3};
struct item first = {1.0, {1, 2, 3}, 'x'};
wide table[2][3] = {{1, 2, 3}, {4, 5}};
int counter;
int *place = &counter;
__attribute__((weak)) int adjustable = 4;

__attribute__((noinline)) int fibonacci(int n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

__attribute__((noinline)) struct item move_item(struct item one, int by)
{
    one.tags[by % 3] += by;
    one.weight *= 1.5;
    return one;
}

void work(int *out, struct item one, float x, long y, short z, unsigned char b)
{
    int held[20];
    for (int i = 0; i < 20; i++)
        held[i] = i * z;
    struct item moved = move_item(one, out[0]);
    out[1] = fibonacci(out[0]) + steps[b & 1](out[2]) + held[out[3] % 20] + names[out[4] % 3][0];
    out[2] = x * y + moved.tags[1] + moved.weight + table[b & 1][2] + numbers[b & 1] + bytes[b & 3];
    out[3] = __builtin_popcount(z) + __builtin_clzl(y) + *place + elsewhere + adjustable;
    switch (out[5]) {
    case 0:
        out[6] = 1;
        break;
    case 1:
        out[6] = 33;
        break;
    case 2:
        out[6] = 5 / out[3];
        break;
    case 3:
        out[7] = 12;
        break;
    default:
        out[1] = printf("%d %f\n", out[1], x);
    }
    __sync_fetch_and_add(out, 3);
    __sync_val_compare_and_swap(out, 5, 6);
    out[12] = __builtin_sqrtf(x) + __builtin_fmaf(x, x, x) + (x < y) + __builtin_rint(x);
}
