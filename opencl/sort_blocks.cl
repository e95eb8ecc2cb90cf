/* Sorts blocks: each work-group sorts BLOCK neighbouring elements of a row and stores their positions.
 *
 * Parameters, besides those of merging.cl
 *   LENGTH             elements of a row
 *   BLOCK              elements of a block, a power of two
 *   SIDE               work-items of a group
 *   KEY_ROW, KEY_STEP  elements of KEYS between neighbouring rows, and between neighbours of a row
 * Group ids: 0 = block, 1 = row. STORE(1, position, row, place).
 */
__kernel __attribute__((reqd_work_group_size(SIDE, 1, 1))) void KERNEL_NAME(KERNEL_PARAMETERS)
{
    KERNEL_PROLOGUE
    __local long first_half[BLOCK], second_half[BLOCK];
    __local long *from = first_half, *to = second_half;
    const int row = get_group_id(1), start = (int)get_group_id(0) * BLOCK, item = get_local_id(0);
    const int count = min(BLOCK, LENGTH - start);
    const int begin = min(item * (BLOCK / SIDE), count), end = min(begin + BLOCK / SIDE, count);
    for (int k = item; k < count; k += SIDE)
        from[k] = entry(READ(KEYS, 1, KEYS + (long)row * (KEY_ROW) + (long)(start + k) * (KEY_STEP)), start + k);
    barrier(CLK_LOCAL_MEM_FENCE);
#define ENTRY(k) from[k]
#define PUT(k, entry) to[k] = (entry)
    for (int run = 1; run < BLOCK; run *= 2) {
        MERGE(run, count, begin, end)
        barrier(CLK_LOCAL_MEM_FENCE);
        __local long *const sorted = to;
        to = from;
        from = sorted;
    }
    for (int k = item; k < count; k += SIDE)
        STORE(1, (int)(from[k] & INT_MAX), row, start + k);
}
