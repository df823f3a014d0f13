/* Every thread takes one lock in turn and adds its number to *sum, which is not atomic: threads of one warp spin for one
 * another. *lock is 0 before and after; *count is the number of threads after. */
extern "C" __global__ void spin_lock(int *lock, unsigned long long *sum, volatile unsigned *count)
{
    unsigned number = blockIdx.x * blockDim.x + threadIdx.x;
    bool done = false;
    while (!done) {
        if (atomicCAS(lock, 0, 1) == 0) {
            __threadfence();
            *(volatile unsigned long long *)sum = *(volatile unsigned long long *)sum + number;
            *count = *count + 1;
            __threadfence();
            atomicExch(lock, 0);
            done = true;
        }
    }
}
