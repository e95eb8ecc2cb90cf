/* Segment sums: the rows of G with the same number in INDEX are added up, in their order in G.
 *
 *   result[table, row, unit] = sum over all k with INDEX[table, k] = row of G[table, k, unit]
 *
 * ORDER has the positions that sort INDEX in ascending order, so the positions of one row are contiguous in it. A
 * work-item searches for the first position of its first row and continues from there. Two work-items never write the
 * same element.
 *
 * Parameters
 *   COUNT                          numbers of INDEX for a table
 *   ROWS, UNITS                    extents of the result
 *   LANES                          floats of a vector along the units; 1 if the units of G are not contiguous
 *   ROWS_EACH, UNITS_EACH          rows and units of a work-item
 *   INDEX_TABLE, INDEX_STEP        elements of INDEX between neighbours
 *   G_TABLE, G_STEP, G_UNIT        elements of G between neighbours
 *   BLOCK                          rows of G in a partial sum, which limits the rounding error
 * Global ids: 0 = block of units, 1 = block of rows, 2 = table. STORE(V, value, table, row, unit).
 */
#if LANES == 1
#define VECTOR float
#else
#define VECTOR JOIN(float, LANES)
#endif

/* The segment of the k-th row in the order of ORDER. */
#define SEGMENT(k) READ(INDEX, 1, index + READ(ORDER, 1, order + (k)) * (INDEX_STEP))

#define STORE_SUM(V, TYPE, unit)                                                                                       \
    do {                                                                                                               \
        TYPE total = (TYPE)(0.0f);                                                                                     \
        for (int k = at; k < stop;) {                                                                                  \
            TYPE part = (TYPE)(0.0f);                                                                                  \
            for (const int until = min(k + BLOCK, stop); k < until; ++k)                                               \
                part += READ(G, V, g + (long)READ(ORDER, 1, order + k) * (G_STEP) + (unit) * (G_UNIT));                \
            total += part;                                                                                             \
        }                                                                                                              \
        STORE(V, total, table, row, unit);                                                                             \
    } while (0)

__kernel void KERNEL_NAME(KERNEL_PARAMETERS)
{
    KERNEL_PROLOGUE
    const int table = get_global_id(2);
    const int first_row = (int)get_global_id(1) * ROWS_EACH, last_row = min(first_row + ROWS_EACH, ROWS);
    const int first_unit = (int)get_global_id(0) * UNITS_EACH, last_unit = min(first_unit + UNITS_EACH, UNITS);
    const __global MEMORY_ORDER *order = ORDER + (long)table * COUNT;
    const __global MEMORY_INDEX *index = INDEX + (long)table * (INDEX_TABLE);
    const __global MEMORY_G *g = G + (long)table * (G_TABLE);
    int at = 0;
    for (int high = COUNT; at < high;) {
        const int half_way = (at + high) / 2;
        if (SEGMENT(half_way) < first_row)
            at = half_way + 1;
        else
            high = half_way;
    }
    for (int row = first_row; row < last_row; ++row) {
        int stop = at;
        while (stop < COUNT && SEGMENT(stop) == row)
            ++stop;
        int unit = first_unit;
        for (; unit + LANES <= last_unit; unit += LANES)
            STORE_SUM(LANES, VECTOR, unit);
        for (; unit < last_unit; ++unit)
            STORE_SUM(1, float, unit);
        at = stop;
    }
}
