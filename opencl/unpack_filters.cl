/* Adds up the partial gradients of filters and stores the sum in the memory order of the filters, for CPU devices. A
 * work-group is one work-item.
 *
 *   dW[filter, position] = sum over s of P[s, position, filter],    a position is a channel and a tap
 *
 *      P, one part:                     dW:
 *              filters                        positions
 *            +-----------+                  +-----------+
 *  positions | LANES x   |   transposed     |           | filters
 *            | LANES     |     ------>      |           |
 *            +-----------+                  +-----------+
 *
 * convolution_weight_gradient.cl computes vectors along the filters, whose elements are far apart in dW. If it stored
 * them there directly, each number would touch a cache line of its own, and the update of the weights would touch four.
 *
 * Parameters, besides those of tile.cl (COLUMNS is the number of filters)
 *   SPLITS              partial gradients, added in order
 *   POSITIONS           positions of a filter
 *   POSITIONS_PER_ITEM  positions of a work-item
 * All but LANES are arguments: gradients of all sizes share one kernel.
 * Global ids: 0 = block of positions, 1 = block of WIDTH filters. STORE(V, value, filter, position), a vector along the
 * positions.
 */
#define WIDTH 16 /* floats of a line of the cache */
#define PARTIAL ((size_t)POSITIONS * COLUMNS)

ITEM_KERNEL
{
    KERNEL_PROLOGUE
    const int begin = ITEM(0) * POSITIONS_PER_ITEM;
    const int end = LEAST(begin + POSITIONS_PER_ITEM, POSITIONS);
    float tile[LANES * LANES] __attribute__((aligned(64)));
    for (int position = begin; position < end; position += LANES) {
        const int count = LEAST(LANES, end - position);
        for (int v = 0; v < WIDTH / LANES; v++) {
            const int column = ITEM(1) * WIDTH + v * LANES;
            const int columns = LEAST(LANES, COLUMNS - column);
            const __global MEMORY_P *corner = P + (size_t)position * COLUMNS + column;
            if (count == LANES && columns == LANES) {
                VECTOR block[LANES];
                #pragma unroll
                for (int l = 0; l < LANES; l++) {
                    block[l] = READ(P, LANES, corner + (size_t)l * COLUMNS);
                    for (int s = 1; s < SPLITS; s++)
                        block[l] += READ(P, LANES, corner + s * PARTIAL + (size_t)l * COLUMNS);
                }
                transpose(block);
                #pragma unroll
                for (int l = 0; l < LANES; l++)
                    SAVE(block[l], tile + l * LANES);
                for (int l = 0; l < LANES; l++)
                    STORE(LANES, LOAD(tile + l * LANES), column + l, position);
            } else {
                for (int c = 0; c < columns; c++)
                    for (int l = 0; l < count; l++) {
                        float sum = READ(P, 1, corner + (size_t)l * COLUMNS + c);
                        for (int s = 1; s < SPLITS; s++)
                            sum += READ(P, 1, corner + s * PARTIAL + (size_t)l * COLUMNS + c);
                        STORE(1, sum, column + c, position + l);
                    }
            }
        }
    }
}
