/* Transforms filters of 3 x 3 taps for winograd.cl, and packs them into the panels that it reads.
 *
 *   W[column, row, tap]  -->  packed[position][panel][row][PANEL columns], for each of the POSITIONS
 *
 * The columns are the channels that the convolution computes, the rows are the channels that it sums over, as in
 * pack_filters.cl. Columns beyond the last are zero.
 *
 * Parameters, besides those of tile.cl and winograd_transforms.cl (COLUMNS is the number of columns)
 *   PANEL             columns of a panel, a multiple of LANES
 *   ROWS              rows
 *   COLUMN_STRIDE, ROW_STRIDE   elements of W between neighbours
 *   FLOATS            size of W
 *   TURN              1: the order of the taps is reversed
 *   POSITION_STEP     elements of packed filters between neighbouring positions
 *   ROWS_PER_ITEM     rows of a work-item
 * Global ids: 0 = panel, 1 = block of rows. STORE(V, value, position).
 */
ITEM_KERNEL
{
    KERNEL_PROLOGUE
    const int panel = ITEM(0);
    const int first = ITEM(1) * ROWS_PER_ITEM;
    const int last = LEAST(first + ROWS_PER_ITEM, ROWS);

    for (int row = first; row < last; row++)
        for (int lane = 0; lane < PANEL; lane += LANES) {
            const int column = panel * PANEL + lane;
            const size_t from = (size_t)column * COLUMN_STRIDE + (size_t)row * ROW_STRIDE;
            /* The taps, as vectors of columns. Whole vectors of taps are read where the last one ends inside W. */
            VECTOR taps[(9 + LANES - 1) / LANES * LANES];
            if (column + LANES <= COLUMNS && from + (LANES - 1) * COLUMN_STRIDE + (LANES < 9 ? 8 : LANES) <= FLOATS) {
                #pragma unroll
                for (int j = 0; j + LANES <= (LANES < 9 ? 8 : LANES); j += LANES) {
                    #pragma unroll
                    for (int l = 0; l < LANES; l++)
                        taps[j + l] = READ(W, LANES, W + from + l * COLUMN_STRIDE + j);
                    transpose(taps + j);
                }
                if (LANES < 9) {
                    float ninth[LANES] __attribute__((aligned(64)));
                    #pragma unroll
                    for (int l = 0; l < LANES; l++)
                        ninth[l] = READ(W, 1, W + from + l * COLUMN_STRIDE + 8);
                    taps[8] = LOAD(ninth);
                }
            } else {
                float values[9 * LANES] __attribute__((aligned(64)));
                for (int tap = 0; tap < 9; tap++)
                    for (int l = 0; l < LANES; l++)
                        values[tap * LANES + l] =
                            column + l < COLUMNS ? READ(W, 1, W + from + l * COLUMN_STRIDE + tap) : 0.0f;
                #pragma unroll
                for (int tap = 0; tap < 9; tap++)
                    taps[tap] = LOAD(values + tap * LANES);
            }

            VECTOR half_[SIDE][3];
            #pragma unroll
            for (int x = 0; x < 3; x++) {
                VECTOR g[3], r[SIDE];
                #pragma unroll
                for (int y = 0; y < 3; y++)
                    g[y] = taps[TURN ? 8 - y * 3 - x : y * 3 + x];
                TRANSFORM_FILTER(g, r);
                #pragma unroll
                for (int y = 0; y < SIDE; y++)
                    half_[y][x] = r[y];
            }
            _Pragma("clang loop unroll(disable)")
            for (int y = 0; y < SIDE; y++) {
                VECTOR r[SIDE];
                TRANSFORM_FILTER(half_[y], r);
                #pragma unroll
                for (int x = 0; x < SIDE; x++)
                    STORE(LANES, r[x], (y * SIDE + x) * POSITION_STEP + (panel * ROWS + row) * PANEL + lane);
            }
        }
}
