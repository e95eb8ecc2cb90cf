/* Gradient of a convolution with respect to its filters, over channels-last data, for CPU devices: one work-item a
 * work-group.
 *
 *   dW[o, i, ky, kx] = sum over n, oy, ox of X[n, oy*stride + ky*dilation, ox*stride + kx*dilation, i] G[n, oy, ox, o]
 *
 *                  VECTORS x LANES output channels
 *                 +-----------------------+
 *                 |  G, packed            |  LINES output rows at a time (of any image), copied to private memory
 *                 |  (pixels)             |
 *                 +-----------------------+
 *   +-----------+ +-----------------------+
 *   | X,        | | ROWS sums, held in    |  a row is one (kx, i) of a fixed ky; where the dilation is 1 these lie side by
 *   | (pixels)  | | registers             |  side in X for a given pixel
 *   +-----------+ | next ROWS rows        |  BLOCKS such tiles use the same packed pixels; their sums rest in private memory
 *                 +-----------------------+
 *
 * A work-item makes BLOCKS tiles of one panel, one ky and, with a dilation or groups, one kx, over one of SPLITS parts of
 * the output rows; the splits are added by whoever asked for them.
 *
 * Parameters, besides those of tile.cl (COLUMNS is the output channels of one group)
 *   BATCH, HEIGHT, WIDTH, CHANNELS  the shape of X, all groups
 *   GROUPS, GROUP_CHANNELS          groups, and channels of X that one group sees
 *   OUT_HEIGHT, OUT_WIDTH           the extent of G
 *   TAPS_Y, TAPS_X                  the extent of the filters
 *   STRIDE_Y, _X, DILATION_Y, _X    as in the formula
 *   MERGE_X                         1: the rows run over (kx, i); 0: over i
 *   ROWS, VECTORS                   the register tile
 *   BLOCKS                          tiles of a work-item
 *   LINES                           output rows of one packed chunk
 *   PANELS                          panels of one group
 *   ITEMS                           work-items side by side along the rows
 *   SPLITS                          parts of the sum
 * Global ids: 0 = item + ITEMS * (MERGE_X ? ky : kx + TAPS_X * ky), 1 = panel + PANELS * group, 2 = split.
 */
#define PANEL (VECTORS * LANES)
#define EXTENT (MERGE_X ? TAPS_X * GROUP_CHANNELS : GROUP_CHANNELS)
#define ALL_LINES (BATCH * OUT_HEIGHT)
#define OUT_CHANNELS (COLUMNS * GROUPS)
#define STORE_AT(V, value, column) STORE(V, value, split, base + (column), i, ky, kx)

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void KERNEL_NAME(KERNEL_PARAMETERS)
{
    KERNEL_PROLOGUE
    const int tap = (int)get_global_id(0) / ITEMS;
    const int ky = MERGE_X ? tap : tap / TAPS_X;
    const int tap_x = MERGE_X ? 0 : tap % TAPS_X;
    const int first = (int)get_global_id(0) % ITEMS * BLOCKS;
    const int last = LEAST(first + BLOCKS, (EXTENT + ROWS - 1) / ROWS);
    const int group = (int)get_global_id(1) / PANELS;
    const int column = (int)get_global_id(1) % PANELS * PANEL;
    const int base = group * COLUMNS;
    const int split = get_global_id(2);

    float rest[BLOCKS * ROWS * PANEL] __attribute__((aligned(64)));
    float packed[LINES * OUT_WIDTH * PANEL] __attribute__((aligned(64)));
    for (int s = 0; s < BLOCKS * ROWS * PANEL; s++)
        rest[s] = 0.0f;
#if COLUMNS % PANEL != 0
    if (column + PANEL > COLUMNS)
        for (int e = 0; e < LINES * OUT_WIDTH * PANEL; e++)
            packed[e] = 0.0f; /* lanes that are not stored must not be denormal either: those are slow */
#endif

    const int end = (int)((long)ALL_LINES * (split + 1) / SPLITS);
    for (int start = (int)((long)ALL_LINES * split / SPLITS); start < end; start += LINES) {
        const int lines = LEAST(LINES, end - start);
        const __global float *gradient = G + (size_t)start * (OUT_WIDTH * OUT_CHANNELS) + base + column;
        for (int pixel = 0; pixel < lines * OUT_WIDTH; pixel++) {
            #pragma unroll
            for (int v = 0; v < VECTORS; v++) {
                const __global float *from = gradient + (size_t)pixel * OUT_CHANNELS + v * LANES;
                float *to = packed + pixel * PANEL + v * LANES;
                if (column + (v + 1) * LANES <= COLUMNS)
                    SAVE(LOAD_GLOBAL(LANES, from), to);
                else if (EDGE != 0 && column + v * LANES < COLUMNS)
                    COPY_PIECES(EDGE, from, to);
            }
        }
        for (int block = first; block < last; block++) {
            const int top = LEAST(block * ROWS, EXTENT - ROWS);
            float *kept = rest + (block - first) * (ROWS * PANEL);
            VECTOR sum[ROWS][VECTORS];
            #pragma unroll
            for (int r = 0; r < ROWS; r++)
                #pragma unroll
                for (int v = 0; v < VECTORS; v++)
                    sum[r][v] = LOAD(kept + r * PANEL + v * LANES);

            const float *g = packed;
            for (int l = start; l < start + lines; l++) {
                const __global float *x = X
                    + (((size_t)(l / OUT_HEIGHT) * HEIGHT + l % OUT_HEIGHT * STRIDE_Y + ky * DILATION_Y) * WIDTH
                       + tap_x * DILATION_X) * CHANNELS
                    + group * GROUP_CHANNELS + top;
                for (int pixel = 0; pixel < OUT_WIDTH; pixel++, g += PANEL, x += STRIDE_X * CHANNELS) {
                    VECTOR value[VECTORS];
                    #pragma unroll
                    for (int v = 0; v < VECTORS; v++)
                        value[v] = LOAD(g + v * LANES);
                    #pragma unroll
                    for (int r = 0; r < ROWS; r++) {
                        const VECTOR spread = (VECTOR)(x[r]);
                        #pragma unroll
                        for (int v = 0; v < VECTORS; v++)
                            sum[r][v] = spread * value[v] + sum[r][v];
                    }
                }
            }
            #pragma unroll
            for (int r = 0; r < ROWS; r++)
                #pragma unroll
                for (int v = 0; v < VECTORS; v++)
                    SAVE(sum[r][v], kept + r * PANEL + v * LANES);
        }
    }
    for (int block = first; block < last; block++) {
        const int top = LEAST(block * ROWS, EXTENT - ROWS);
        for (int row = block * ROWS; row < top + ROWS; row++) {
            const float *values = rest + ((block - first) * ROWS + row - top) * PANEL;
            const int i = row % GROUP_CHANNELS;
            const int kx = MERGE_X ? row / GROUP_CHANNELS : tap_x;
            for (int v = 0; v < VECTORS; v++)
                STORE_COLUMN(LOAD(values + v * LANES), column + v * LANES);
        }
    }
}
