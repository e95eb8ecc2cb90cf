/* Matrix product, convolution and both gradients of a convolution as one tiled product, for GPUs (and any device).
 *
 *   C[z, row, column] = sum over k of LEFT(z, row, k) RIGHT(z, k, column)
 *
 *                              TILE columns
 *                            +-------------+
 *                            | right, STEPS|   both tiles are in local memory; elements beyond the edge
 *                            +-------------+   are zero
 *   +-------------+          +-------------+
 *   | left        |          |             |   SIDE x SIDE work-items: each computes the sums of WORK rows (SIDE apart)
 *   | TILE x STEPS|  TILE    |    sums     |   and WORK neighbouring columns
 *   +-------------+  rows    +-------------+
 *
 * Parameters
 *   OPERATION            0 matrix product, 1 convolution, 2 input gradient, 3 weight gradient
 *   LAYERS               z: batches, or groups (times splits in the weight gradient: z = split + SPLITS * group)
 *   ROWS, COLUMNS, STEPS_ALL   extents of row, column, k
 *   WORK, SIDE, STEPS    the tile: WORK is 4, SIDE x SIDE a work-group, STEPS steps of k at a time
 *  Matrix product
 *   A_BATCH, A_ROW, A_COLUMN, B_BATCH, B_ROW, B_COLUMN   element strides
 *  The others: X is [BATCH, HEIGHT, WIDTH, CHANNELS], G is [BATCH, OUT_HEIGHT, OUT_WIDTH, OUT_CHANNELS],
 *  W is [OUT_CHANNELS, GROUP_CHANNELS, TAPS_Y, TAPS_X]
 *   GROUP_CHANNELS, GROUP_FILTERS      channels of X and of G in one group
 *   STRIDE_Y, _X, DILATION_Y, _X
 *   PAD_TOP, PAD_LEFT    padding of the input; its gradient is not computed
 *   SPLITS               parts of the weight gradient's sum
 * Global ids: 0 = SIDE * (column tile) + position in group, 1 = SIDE * (row tile) + position in group, 2 = z.
 */
#define TILE (WORK * SIDE)
#define TAPS (TAPS_Y * TAPS_X)

#if OPERATION == 0

#define LEFT(z, row, k) READ(A, 1, A + (size_t)(z) * A_BATCH + (size_t)(row) * A_ROW + (size_t)(k) * A_COLUMN)
#define RIGHT(z, k, column) READ(B, 1, B + (size_t)(z) * B_BATCH + (size_t)(k) * B_ROW + (size_t)(column) * B_COLUMN)
#define STORE_AT(V, value, row, column) STORE(V, value, z, row, column)

#elif OPERATION == 1 /* row = (n, oy, ox), k = (ky, kx, i), column = o */

#define DATA_Y(row, k) ((row) / OUT_WIDTH % OUT_HEIGHT * STRIDE_Y + (k) / (TAPS_X * GROUP_CHANNELS) * DILATION_Y)
#define DATA_X(row, k) ((row) % OUT_WIDTH * STRIDE_X + (k) / GROUP_CHANNELS % TAPS_X * DILATION_X)
#define LEFT(z, row, k)                                                                                                \
    READ(X, 1, X + (((size_t)((row) / (OUT_HEIGHT * OUT_WIDTH)) * HEIGHT + DATA_Y(row, k)) * WIDTH + DATA_X(row, k))   \
                       * CHANNELS + (z) * GROUP_CHANNELS + (k) % GROUP_CHANNELS)
#define RIGHT(z, k, column)                                                                                            \
    READ(W, 1, W + ((size_t)((z) * GROUP_FILTERS + (column)) * GROUP_CHANNELS + (k) % GROUP_CHANNELS) * TAPS           \
                   + (k) / GROUP_CHANNELS)
#define STORE_AT(V, value, row, column)                                                                                \
    STORE(V, value, (row) / (OUT_HEIGHT * OUT_WIDTH), (row) / OUT_WIDTH % OUT_HEIGHT, (row) % OUT_WIDTH,               \
          z * GROUP_FILTERS + (column))

#elif OPERATION == 2 /* row = (n, y, x), k = (ky, kx, o), column = i */

/* HEIGHT and WIDTH are those of the input without its padding. The output row that saw input row y through tap ky,
 * times the stride. */
#define SEEN_Y(row, k) ((row) / WIDTH % HEIGHT + PAD_TOP - (k) / (TAPS_X * GROUP_FILTERS) * DILATION_Y)
#define SEEN_X(row, k) ((row) % WIDTH + PAD_LEFT - (k) / GROUP_FILTERS % TAPS_X * DILATION_X)
#define IS_SEEN(seen, stride, extent) ((seen) >= 0 && (seen) % (stride) == 0 && (seen) / (stride) < (extent))
#define LEFT(z, row, k)                                                                                                \
    (IS_SEEN(SEEN_Y(row, k), STRIDE_Y, OUT_HEIGHT) && IS_SEEN(SEEN_X(row, k), STRIDE_X, OUT_WIDTH)                     \
         ? READ(X, 1, X + (((size_t)((row) / (HEIGHT * WIDTH)) * OUT_HEIGHT + SEEN_Y(row, k) / STRIDE_Y) * OUT_WIDTH   \
                            + SEEN_X(row, k) / STRIDE_X) * (LAYERS * GROUP_FILTERS)                                    \
                          + (z) * GROUP_FILTERS + (k) % GROUP_FILTERS)                                                 \
         : 0.0f)
#define RIGHT(z, k, column)                                                                                            \
    READ(W, 1, W + ((size_t)((z) * GROUP_FILTERS + (k) % GROUP_FILTERS) * GROUP_CHANNELS + (column)) * TAPS            \
                   + (k) / GROUP_FILTERS)
#define STORE_AT(V, value, row, column)                                                                                \
    STORE(V, value, (row) / (HEIGHT * WIDTH), (row) / WIDTH % HEIGHT, (row) % WIDTH, z * GROUP_CHANNELS + (column))

#else /* row = (ky, kx, i), k = (n, oy, ox), column = o */

#define DATA_Y(row, k) ((k) / OUT_WIDTH % OUT_HEIGHT * STRIDE_Y + (row) / (TAPS_X * GROUP_CHANNELS) * DILATION_Y)
#define DATA_X(row, k) ((k) % OUT_WIDTH * STRIDE_X + (row) / GROUP_CHANNELS % TAPS_X * DILATION_X)
#define LEFT(z, row, k)                                                                                                \
    READ(X, 1, X + (((size_t)((k) / (OUT_HEIGHT * OUT_WIDTH)) * HEIGHT + DATA_Y(row, k)) * WIDTH + DATA_X(row, k))     \
                       * CHANNELS + (z) / SPLITS * GROUP_CHANNELS + (row) % GROUP_CHANNELS)
#define RIGHT(z, k, column)                                                                                            \
    READ(G, 1, G + (size_t)(k) * (LAYERS / SPLITS * GROUP_FILTERS) + (z) / SPLITS * GROUP_FILTERS + (column))
#define STORE_AT(V, value, row, column)                                                                                \
    STORE(V, value, z % SPLITS, z / SPLITS * GROUP_FILTERS + (column), (row) % GROUP_CHANNELS,                         \
          (row) / (TAPS_X * GROUP_CHANNELS), (row) / GROUP_CHANNELS % TAPS_X)

#endif

__kernel __attribute__((reqd_work_group_size(SIDE, SIDE, 1))) void KERNEL_NAME(KERNEL_PARAMETERS)
{
    KERNEL_PROLOGUE
    __local float left[STEPS][TILE + 1];
    __local float right[STEPS][TILE];
    const int z = get_global_id(2);
    const int across = get_local_id(0), down = get_local_id(1);
    const int item = down * SIDE + across;
    const int top = (int)get_group_id(1) * TILE, side = (int)get_group_id(0) * TILE;
#if OPERATION == 3
    const int k_begin = (int)((long)STEPS_ALL * (z % SPLITS) / SPLITS);
    const int k_end = (int)((long)STEPS_ALL * (z % SPLITS + 1) / SPLITS);
#else
    const int k_begin = 0, k_end = STEPS_ALL;
#endif
    float4 sum[WORK];
    for (int r = 0; r < WORK; r++)
        sum[r] = (float4)(0.0f);

    for (int k0 = k_begin; k0 < k_end; k0 += STEPS) {
        for (int e = item; e < STEPS * TILE; e += SIDE * SIDE) {
            const int row = top + e / STEPS, k = k0 + e % STEPS;
            left[e % STEPS][e / STEPS] = row < ROWS && k < k_end ? LEFT(z, row, k) : 0.0f;
        }
        for (int e = item; e < STEPS * TILE; e += SIDE * SIDE) {
            const int column = side + e % TILE, k = k0 + e / TILE;
            right[e / TILE][e % TILE] = column < COLUMNS && k < k_end ? RIGHT(z, k, column) : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int s = 0; s < STEPS; s++) {
            const float4 columns = vload4(across, right[s]);
            for (int r = 0; r < WORK; r++)
                sum[r] = (float4)(left[s][down + r * SIDE]) * columns + sum[r];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    const int column = side + across * 4;
    for (int r = 0; r < WORK; r++) {
        const int row = top + down + r * SIDE;
        if (row < ROWS) {
            const float lanes[4] = {sum[r].s0, sum[r].s1, sum[r].s2, sum[r].s3};
            if (column + 4 <= COLUMNS)
                STORE_AT(4, sum[r], row, column);
            else
                for (int l = 0; l < 4; l++)
                    if (column + l < COLUMNS)
                        STORE_AT(1, lanes[l], row, column + l);
        }
    }
}
