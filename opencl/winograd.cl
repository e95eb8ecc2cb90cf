/* Convolution with filters of 3 x 3 taps and stride 1 by Winograd's method, for CPU devices. A work-group is one
 * work-item.
 *
 *   Y[n, oy, ox, o] = sum over ky, kx, i of X[n, oy + ky - PAD_TOP, ox + kx - PAD_LEFT, i] W[o, i, ky, kx]
 *
 * X is zero outside of its extent. A tile of Y has OUTPUTS x OUTPUTS pixels and depends on a patch of SIDE x SIDE
 * pixels of X, with SIDE = OUTPUTS + 2. Both have transforms of SIDE x SIDE positions: with the matrices of
 * winograd_transforms.cl,
 *
 *   D = B' patch B,     U = G filter G',     tile = A' (sum over i of D * U) A
 *
 * where * multiplies position by position: 36 products for 16 pixels instead of 144, or 16 for 4 instead of 36.
 *
 *                        SPAN panels of VECTORS x LANES output channels
 *                       +-----------------+-----------------+
 *                       | U, one position |                 |  transformed and packed by winograd_filters.cl,
 *                       +-----------------+-----------------+  [position][panel][i][VECTORS x LANES]
 *   +-----------------+ +-----------------+-----------------+
 *   | D, one position | | sums of ROWS    |                 |  a register tile has ROWS tiles of the image
 *   | BLOCK tiles     | | tiles           |                 |
 *   +-----------------+ +-----------------+-----------------+
 *
 * A work-item computes BLOCK tiles of the batch, in the order n, tile row, tile column, and SPAN panels. D, for CHUNK
 * channels at a time, and the sums of all positions are in private memory. The last register tile of the last block
 * repeats the last tile of the batch, and does not store it again.
 *
 * Parameters, besides those of tile.cl (COLUMNS is the output channels) and winograd_data.cl
 *   ROWS, VECTORS                   the register tile
 *   BLOCK                           tiles of a work-item, a multiple of ROWS
 *   CHUNK                           channels that are transformed at once, a multiple of LANES unless it is CHANNELS
 *   SPAN                            panels of a work-item
 *   PANELS                          panels in all
 *   POSITION_STEP                   elements of U between neighbouring positions
 * Global ids: 0 = block, 1 = span.
 */
#define PANEL (VECTORS * LANES)
#define SUM_ROW (SPAN * PANEL)
/* The 16 keep the positions out of the same sets of the cache. */
#define DATA_STEP (BLOCK * CHUNK + 16)
#define SUM_STEP (BLOCK * SUM_ROW + 16)
#define STORE_AT(V, value, column) STORE(V, value, n, y, x, column)

ITEM_KERNEL
{
    KERNEL_PROLOGUE
    const int first = ITEM(0) * BLOCK, last = LEAST(first + BLOCK, TILES);
    const int panels = LEAST(SPAN, PANELS - ITEM(1) * SPAN);
    const __global MEMORY_U *filters = U + (size_t)ITEM(1) * (SPAN * CHANNELS * PANEL);

    float data[POSITIONS * DATA_STEP] __attribute__((aligned(64)));
    float sums[POSITIONS * SUM_STEP] __attribute__((aligned(64)));

    for (int c0 = 0; c0 < CHANNELS; c0 += CHUNK) {
        const int depth = LEAST(CHUNK, CHANNELS - c0);
        for (int t = 0; t < last - first || t % ROWS != 0; t++)
            transform_data(X, data + t * CHUNK, DATA_STEP, LEAST(first + t, last - 1), c0, depth);

        for (int position = 0; position < POSITIONS; position++)
            for (int p = 0; p < panels; p++) {
                const __global MEMORY_U *panel =
                    filters + (size_t)position * POSITION_STEP + (p * CHANNELS + c0) * PANEL;
                for (int t = 0; t < last - first; t += ROWS) {
                    const float *d = data + position * DATA_STEP + t * CHUNK;
                    float *kept = sums + position * SUM_STEP + t * SUM_ROW + p * PANEL;
                    VECTOR sum[ROWS][VECTORS];
                    #pragma unroll
                    for (int r = 0; r < ROWS; r++)
                        #pragma unroll
                        for (int v = 0; v < VECTORS; v++)
                            sum[r][v] = c0 == 0 ? (VECTOR)(0.0f) : LOAD(kept + r * SUM_ROW + v * LANES);
                    for (int k = 0; k < depth; k++) {
                        VECTOR u[VECTORS];
                        #pragma unroll
                        for (int v = 0; v < VECTORS; v++)
                            u[v] = READ(U, LANES, panel + k * PANEL + v * LANES);
                        #pragma unroll
                        for (int r = 0; r < ROWS; r++) {
                            const VECTOR spread = (VECTOR)(d[r * CHUNK + k]);
                            #pragma unroll
                            for (int v = 0; v < VECTORS; v++)
                                sum[r][v] = spread * u[v] + sum[r][v];
                        }
                    }
                    #pragma unroll
                    for (int r = 0; r < ROWS; r++)
                        #pragma unroll
                        for (int v = 0; v < VECTORS; v++)
                            SAVE(sum[r][v], kept + r * SUM_ROW + v * LANES);
                }
            }
    }

    for (int tile = first; tile < last; tile++) {
        const int n = tile / (TILES_X * TILES_Y);
        const int top = tile / TILES_X % TILES_Y * OUTPUTS, left = tile % TILES_X * OUTPUTS;
        const float *from = sums + (tile - first) * SUM_ROW;
        for (int column = 0; column < panels * PANEL; column += LANES) {
            VECTOR half_[OUTPUTS][SIDE];
            float result[OUTPUTS * OUTPUTS * LANES] __attribute__((aligned(64)));
            IN_TURN for (int x = 0; x < SIDE; x++) {
                VECTOR m[SIDE], r[OUTPUTS];
                #pragma unroll
                for (int y = 0; y < SIDE; y++)
                    m[y] = LOAD(from + (y * SIDE + x) * SUM_STEP + column);
                TRANSFORM_SUMS(m, r);
                #pragma unroll
                for (int y = 0; y < OUTPUTS; y++)
                    half_[y][x] = r[y];
            }
            IN_TURN for (int y = 0; y < OUTPUTS; y++) {
                VECTOR r[OUTPUTS];
                TRANSFORM_SUMS(half_[y], r);
                #pragma unroll
                for (int x = 0; x < OUTPUTS; x++)
                    SAVE(r[x], result + (y * OUTPUTS + x) * LANES);
            }
            const int above = ITEM(1) * SUM_ROW + column;
            for (int y = top; y < LEAST(top + OUTPUTS, OUT_HEIGHT); y++)
                for (int x = left; x < LEAST(left + OUTPUTS, OUT_WIDTH); x++)
                    STORE_COLUMN(LOAD(result + ((y - top) * OUTPUTS + x - left) * LANES), above);
        }
    }
}
