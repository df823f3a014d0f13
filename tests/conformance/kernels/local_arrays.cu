/* out[i] = the number that stands in the middle of the 15 numbers from in[15 * i], sorted in an array of the thread's own. */
extern "C" __global__ void local_arrays(const int *in, int *out)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, held[15];
    for (int k = 0; k < 15; k++) {
        int value = in[15 * i + k], place = k;
        while (place > 0 && held[place - 1] > value) {
            held[place] = held[place - 1];
            place--;
        }
        held[place] = value;
    }
    out[i] = held[7];
}
