/* What a device can do at most: multiply-adds in registers, and a copy from memory to memory.
 *
 *   multiply: every work-item takes STEPS steps of SUMS sums s[k] = s[k] * factor + term, vectors of LANES floats.
 *             The sums do not depend on each other, so that the units are always fed.
 *   copy:     to[i] = from[i], EACH vectors a work-item: neighbours on a CPU, neighbours of neighbours on a GPU.
 *
 * Parameters
 *   LANES     floats of a vector: 4, 8 or 16
 *   SUMS      vectors that a work-item keeps in registers
 *   STEPS     steps of a work-item
 *   EACH      vectors that a work-item copies
 *   STRIDE    vectors from one that a work-item copies to its next
 *   SPAN      vectors from the first of a work-item to the first of the next
 * Global ids: 0 = work-item.
 */
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define VECTOR JOIN(float, LANES)

__kernel void multiply(__global VECTOR *result, const float factor, const float term)
{
    VECTOR sums[SUMS];
    #pragma unroll
    for (int k = 0; k < SUMS; ++k)
        sums[k] = (VECTOR)(k + 1.0f);
    for (int step = 0; step < STEPS; ++step) {
        #pragma unroll
        for (int k = 0; k < SUMS; ++k)
            sums[k] = sums[k] * factor + term;
    }
    #pragma unroll
    for (int k = 1; k < SUMS; ++k)
        sums[0] += sums[k];
    result[get_global_id(0)] = sums[0];
}

__kernel void copy(const __global VECTOR *from, __global VECTOR *to)
{
    const size_t first = get_global_id(0) * SPAN;
    for (int k = 0; k < EACH; ++k)
        to[first + (size_t)k * STRIDE] = from[first + (size_t)k * STRIDE];
}
