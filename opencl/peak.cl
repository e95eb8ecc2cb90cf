/* The peak rates of a device: multiply-adds in registers, and a copy from memory to memory.
 *
 *   multiply: every work-item computes STEPS steps of SUMS sums s[k] = s[k] * factor + term, vectors of LANES floats.
 *             The sums do not depend on each other, so that the arithmetic units are always busy.
 *   copy:     to[i] = from[i]. A work-item copies EACH vectors. On a CPU they are neighbours in memory; on a GPU the
 *             vectors that neighbouring work-items copy at the same time are neighbours.
 *
 * Parameters
 *   LANES     floats of a vector: 4, 8 or 16
 *   SUMS      vectors that a work-item keeps in registers
 *   STEPS     steps of a work-item
 *   EACH      vectors that a work-item copies
 *   STRIDE    the distance, in vectors, between successive vectors of a work-item
 *   SPAN      the distance, in vectors, between the first vectors of neighbouring work-items
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
