/* Sums over segments: the rows of G that have the same number are added up, in the order in which they stand.
 *
 *   result[table, row, unit] = sum over all k with INDEX[table, k] = row of G[table, k, unit]
 *
 * ORDER holds the positions of INDEX in ascending order, so what belongs to one row stands together. A work-item begins
 * with a search for its first row and goes on from there. Two work-items never write the same element.
 *
 * Parameters
 *   COUNT                          numbers of INDEX for a table
 *   ROWS, UNITS                    extents of the result
 *   LANES                          floats of a vector along the units; 1 where those of G are not neighbours
 *   ROWS_EACH, UNITS_EACH          rows and units of a work-item
 *   INDEX_TABLE, INDEX_STEP        elements of INDEX between neighbours
 *   G_TABLE, G_STEP, G_UNIT        elements of G between neighbours
 *   BLOCK                          rows of G that become a partial sum: the rounding error stays small
 * Global ids: 0 = block of units, 1 = block of rows, 2 = table. STORE(V, value, table, row, unit).
 */
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#if LANES == 1
#define VECTOR float
#else
#define VECTOR JOIN(float, LANES)
#endif
#define LOAD_1(pointer) (*(pointer))
#define LOAD_2(pointer) LOAD_VECTOR(float, 2, pointer)
#define LOAD_4(pointer) LOAD_VECTOR(float, 4, pointer)
#define LOAD_8(pointer) LOAD_VECTOR(float, 8, pointer)
#define LOAD_16(pointer) LOAD_VECTOR(float, 16, pointer)

#define STORE_SUM(V, TYPE, unit)                                                                                       \
    do {                                                                                                               \
        TYPE total = (TYPE)(0.0f);                                                                                     \
        for (int k = at; k < stop;) {                                                                                  \
            TYPE part = (TYPE)(0.0f);                                                                                  \
            for (const int until = min(k + BLOCK, stop); k < until; ++k)                                               \
                part += JOIN(LOAD_, V)(g + (long)order[k] * (G_STEP) + (unit) * (G_UNIT));                             \
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
    const __global int *order = ORDER + (long)table * COUNT;
    const __global int *index = INDEX + (long)table * (INDEX_TABLE);
    const __global float *g = G + (long)table * (G_TABLE);
    int at = 0;
    for (int high = COUNT; at < high;) {
        const int half_way = (at + high) / 2;
        if (index[order[half_way] * (INDEX_STEP)] < first_row)
            at = half_way + 1;
        else
            high = half_way;
    }
    for (int row = first_row; row < last_row; ++row) {
        int stop = at;
        while (stop < COUNT && index[order[stop] * (INDEX_STEP)] == row)
            ++stop;
        int unit = first_unit;
        for (; unit + LANES <= last_unit; unit += LANES)
            STORE_SUM(LANES, VECTOR, unit);
        for (; unit < last_unit; ++unit)
            STORE_SUM(1, float, unit);
        at = stop;
    }
}
