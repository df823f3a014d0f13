/* A small machine: thread i runs the n steps of `program` on its accumulator, which begins as i. Each step has a number 0 to
 * 9 in its low byte and an operand above; out[i] gets the result. */
extern "C" __global__ void switch_table(const unsigned *program, int n, unsigned *out)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x, value = i;
    for (int step = 0; step < n; step++) {
        unsigned operand = program[step] >> 8;
        switch ((program[step] + (value & 1)) & 0xff) {
        case 0:
            value += operand;
            break;
        case 1:
            value -= operand;
            break;
        case 2:
            value *= operand;
            break;
        case 3:
            value ^= operand;
            break;
        case 4:
            value = value << (operand & 31) | value >> (32 - (operand & 31) & 31);
            break;
        case 5:
            value /= operand + 1;
            break;
        case 6:
            value %= operand + 1;
            break;
        case 7:
            value = ~value;
            break;
        case 8:
            value = __brev(value);
            break;
        case 9:
            value = __popc(value) + __clz(value);
            break;
        default:
            value += step;
        }
    }
    out[i] = value;
}
