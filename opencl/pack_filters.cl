/* Packs filters into the panels that convolution.cl reads.
 *
 *   W[(group, column), row, tap]  -->  packed[group][panel][tap][row][PANEL columns]
 *
 * The columns are the channels that the convolution computes, the rows are the channels that it sums over. In the
 * forward direction the columns are the filters, and the rows are their channels. In the gradient with respect to the
 * input it is the other way round, and the order of the taps is reversed. Columns beyond the last are zero.
 *
 *   W, one tap:            packed, one panel and tap:
 *         rows                      PANEL
 *       +------+               +-----------+
 *  cols |      |   transposed  |           | rows
 *       |      |    ------>    |           |
 *       +------+               +-----------+
 *
 * Parameters, besides those of tile.cl (COLUMNS is the columns of one group)
 *   ADJACENT_COLUMNS  1: neighbouring columns of W are adjacent in memory
 *   ADJACENT_ROWS     1: neighbouring rows of W are adjacent in memory
 *   PANEL             columns of a panel, a multiple of LANES
 *   PANELS            panels of one group
 *   ROWS              rows of one group
 *   TAPS              taps of a filter
 *   GROUP_STRIDE, COLUMN_STRIDE, ROW_STRIDE   elements of W between neighbours
 *   FLOATS            size of W
 *   TURN              1: the order of the taps is reversed
 *   ROWS_PER_ITEM     rows of a work-item
 * Global ids: 0 = vector of a panel, 1 = block of rows, 2 = panel + PANELS * group. STORE(V, value, position).
 */

/* Where (tap, row) of the vector goes. */
#define POSITION(tap, row) ((((size_t)panel * TAPS + (TURN ? TAPS - 1 - (tap) : (tap))) * ROWS + (row)) * PANEL + lane)

ITEM_KERNEL
{
    KERNEL_PROLOGUE
    const int panel = ITEM(2);
    const int lane = ITEM(0) * LANES;
    const int column = panel % PANELS * PANEL + lane;
    const int first = ITEM(1) * ROWS_PER_ITEM;
    const int last = LEAST(first + ROWS_PER_ITEM, ROWS);
    const size_t start = (size_t)(panel / PANELS) * GROUP_STRIDE + (size_t)column * COLUMN_STRIDE;

    /* A run is a stretch of W that is contiguous for each column: all taps of all rows, or of one row. */
#if ADJACENT_ROWS
    const int runs = 1, length = (last - first) * TAPS;
#else
    const int runs = last - first, length = TAPS;
#endif
    for (int run = 0; run < runs; run++) {
        const size_t from = start + (size_t)(first + run) * ROW_STRIDE;
        for (int j = 0; j < length; j += LANES) {
            VECTOR block[LANES];
#if ADJACENT_COLUMNS
            const int whole = column + LANES <= COLUMNS;
            if (whole)
                block[0] = READ(W, LANES, W + from);
#else
            const int whole = column + LANES <= COLUMNS && from + (LANES - 1) * COLUMN_STRIDE + j + LANES <= FLOATS;
            if (whole) {
                #pragma unroll
                for (int l = 0; l < LANES; l++)
                    block[l] = READ(W, LANES, W + from + l * COLUMN_STRIDE + j);
                transpose(block);
            }
#endif
            const int count = LEAST(LANES, length - j);
            if (whole) {
                for (int l = 0; l < count; l++)
                    STORE(LANES, block[l], POSITION((j + l) % TAPS, first + run + (j + l) / TAPS));
            } else {
                for (int l = 0; l < count; l++)
                    for (int c = 0; c < LANES; c++)
                        STORE(1, column + c < COLUMNS ? READ(W, 1, W + from + c * COLUMN_STRIDE + j + l) : 0.0f,
                              POSITION((j + l) % TAPS, first + run + (j + l) / TAPS) + c);
            }
        }
    }
}
