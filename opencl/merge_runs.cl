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
    const __global MEMORY_KEYS *keys = KEYS + (long)row * (KEY_ROW);
    const __global MEMORY_ORDER *order = ORDER + (long)row * LENGTH;
#define AT(k) READ(ORDER, 1, order + (k))
#define ENTRY(k) entry(READ(KEYS, 1, keys + (long)AT(k) * (KEY_STEP)), AT(k))
#define PUT(k, entry) STORE(1, (int)((entry) & INT_MAX), row, k)
    MERGE(RUN, LENGTH, begin, end)
}
