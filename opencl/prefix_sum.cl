/* Prefix sums: result[o, k, i] = sum over j <= k (EXCLUSIVE: j < k) of X[o, j, i].
 *
 * Parameters
 *   FLOATING           1: sums of floats, 0: of ints
 *   LENGTH             elements of a sum
 *   INNER              extent of i
 *   LANES              elements of a vector along i; 1 if the elements of X along i are not contiguous
 *   COLUMNS            vectors along i; the last one may be partial
 *   TASKS              COLUMNS times the extent of o
 *   EACH               tasks of a work-item
 *   EXCLUSIVE          1: a sum does not include the element at its own place
 *   X_OUTER, X_STEP, X_INNER   elements of X between neighbours
 * Global id 0 = work-item. STORE(V, value, o, k, i).
 */
#if FLOATING
#define TYPE float
#else
#define TYPE int
#endif
#if LANES == 1
#define VECTOR TYPE
#else
#define VECTOR JOIN(TYPE, LANES)
#endif

#define ADD_UP(V, SUM_TYPE, column)                                                                                    \
    do {                                                                                                               \
        const __global MEMORY_X *x = X + (long)outer * (X_OUTER) + (long)(column) * (X_INNER);                         \
        SUM_TYPE total = 0;                                                                                            \
        for (int k = 0; k < LENGTH; ++k) {                                                                             \
            const SUM_TYPE before = total;                                                                             \
            total += READ(X, V, x + (long)k * (X_STEP));                                                               \
            STORE(V, EXCLUSIVE ? before : total, outer, k, column);                                                    \
        }                                                                                                              \
    } while (0)

__kernel void KERNEL_NAME(KERNEL_PARAMETERS)
{
    KERNEL_PROLOGUE
    const int first = (int)get_global_id(0) * EACH, last = min(first + EACH, TASKS);
    for (int task = first; task < last; ++task) {
        const int outer = task / COLUMNS;
        int column = task % COLUMNS * LANES;
        if (column + LANES <= INNER) {
            ADD_UP(LANES, VECTOR, column);
        } else {
            for (; column < INNER; ++column)
                ADD_UP(1, TYPE, column);
        }
    }
}
