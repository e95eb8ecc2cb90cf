/* Merges neighbouring sorted runs of RUN elements into runs of twice as many. ORDER holds positions of KEYS.
 *
 * Parameters, besides those of merging.cl
 *   LENGTH             elements of a row
 *   RUN                elements of a run
 *   EACH               places that a work-item writes
 *   KEY_ROW, KEY_STEP  elements of KEYS between neighbouring rows, and between neighbours of a row
 * Global ids: 0 = part of a row, 1 = row. STORE(1, position, row, place).
 */
__kernel void KERNEL_NAME(KERNEL_PARAMETERS)
{
    KERNEL_PROLOGUE
    const int row = get_global_id(1);
    const int begin = min((int)get_global_id(0) * EACH, LENGTH), end = min(begin + EACH, LENGTH);
    const __global KEY_TYPE *keys = KEYS + (long)row * (KEY_ROW);
    const __global int *order = ORDER + (long)row * LENGTH;
#define ENTRY(k) entry(keys[(long)order[k] * (KEY_STEP)], order[k])
#define PUT(k, entry) STORE(1, (int)((entry) & INT_MAX), row, k)
    MERGE(RUN, LENGTH, begin, end)
}
