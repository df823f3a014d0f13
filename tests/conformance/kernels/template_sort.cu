/* Sorts each run of 128 elements by the bitonic network, ascending: one kernel for int, one for float, from one template.
 * Blocks of 128 threads. */
template <typename T> __device__ void sort_run(T *data)
{
    __shared__ T held[128];
    unsigned t = threadIdx.x;
    held[t] = data[blockIdx.x * 128 + t];
    __syncthreads();
    for (unsigned size = 2; size <= 128; size *= 2) {
        for (unsigned distance = size / 2; distance > 0; distance /= 2) {
            unsigned other = t ^ distance;
            if (other > t) {
                bool ascending = (t & size) == 0;
                T a = held[t], b = held[other];
                if ((a > b) == ascending) {
                    held[t] = b;
                    held[other] = a;
                }
            }
            __syncthreads();
        }
    }
    data[blockIdx.x * 128 + t] = held[t];
}

extern "C" __global__ void template_sort_int(int *data)
{
    sort_run(data);
}

extern "C" __global__ void template_sort_float(float *data)
{
    sort_run(data);
}
