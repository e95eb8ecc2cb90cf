/* Depthwise convolution over channels-last data (each channel has one filter), and its gradient with respect to the
 * input.
 *
 *   Y[n, y, x, c] = sum over ky, kx of X[n, y*stride + ky*dilation - top, x*stride + kx*dilation - left, c]
 *                                  * W[c, ky, kx]
 *
 * Elements outside of X are zero: the padding is not stored. The gradient with respect to the input is a similar sum
 * over the gradient of the output:
 *
 *   dX[n, y, x, c] = sum of G[n, (y + top - ky*dilation) / stride, (x + left - kx*dilation) / stride, c] W[c, ky, kx]
 *
 * over the taps for which both quotients are integers. So both directions read row
 *
 *   (y / PHASES) * STEP + (y % PHASES + SIGN * (ky*dilation - top)) / PHASES
 *
 * for the taps where the last division has no remainder. In the forward direction PHASES is 1, STEP is the stride and
 * SIGN is 1. In the gradient PHASES is the stride, STEP is 1 and SIGN is -1. The same holds for columns.
 *
 *                    LANES channels
 *   +------------+ +----------------+
 *   | TILE places| | sums, held in  |  neighbouring places (pixels) of one phase; neighbouring taps of neighbouring
 *   | of a row   | | registers      |  places read the same elements, which are loaded once
 *   +------------+ +----------------+
 *
 * On a CPU a work-item keeps the filters of BLOCKS blocks of LANES channels, and computes ROWS_EACH rows of them. For
 * each tile of places it computes one block after another, so that data and result are accessed in the order of memory.
 * Computing one block at a time for all places takes two to four times as long. On a GPU a work-item computes one
 * element.
 *
 * Parameters
 *   BATCH, HEIGHT, WIDTH, CHANNELS  the shape of the data
 *   OUT_HEIGHT, OUT_WIDTH           the extent of the result
 *   TAPS_Y, TAPS_X                  the extent of a filter
 *   STEP_Y, _X, PHASES_Y, _X, SIGN, DILATION_Y, _X, TOP, LEFT  as above
 *   ON_GPU                          1: the GPU's form
 *   LANES, COLUMNS                  on a CPU those of tile.cl; COLUMNS is the channels, at least LANES
 *   TILE, ROWS_EACH, BLOCKS         on a CPU places of a tile, rows of a work-item, and its blocks of channels
 * Global ids: CPU 0 = rows, 1 = blocks of channels; GPU 0 = channel, 1 = pixel. STORE(V, value, n, y, x, c).
 */

/* PHASES times the row (column) that a tap meets, counted from that of the place; it may be no multiple of PHASES. */
#define MEETS_Y(phase, ky) ((phase) + SIGN * ((ky) * DILATION_Y - (TOP)))
#define MEETS_X(phase, kx) ((phase) + SIGN * ((kx) * DILATION_X - (LEFT)))

#if ON_GPU

__kernel void KERNEL_NAME(KERNEL_PARAMETERS)
{
    KERNEL_PROLOGUE
    const int c = get_global_id(0), pixel = get_global_id(1);
    if (c >= CHANNELS || pixel >= BATCH * OUT_HEIGHT * OUT_WIDTH)
        return;
    const int n = pixel / (OUT_HEIGHT * OUT_WIDTH), y = pixel / OUT_WIDTH % OUT_HEIGHT, x = pixel % OUT_WIDTH;
    const __global MEMORY_X *image = X + (size_t)n * HEIGHT * WIDTH * CHANNELS + c;
    float sum = 0.0f;
    for (int ky = 0; ky < TAPS_Y; ky++) {
        const int meets_y = MEETS_Y(y % PHASES_Y, ky), row = y / PHASES_Y * STEP_Y + meets_y / PHASES_Y;
        if (meets_y % PHASES_Y != 0 || row < 0 || row >= HEIGHT)
            continue;
        for (int kx = 0; kx < TAPS_X; kx++) {
            const int meets_x = MEETS_X(x % PHASES_X, kx), column = x / PHASES_X * STEP_X + meets_x / PHASES_X;
            if (meets_x % PHASES_X == 0 && column >= 0 && column < WIDTH)
                sum += READ(X, 1, image + ((size_t)row * WIDTH + column) * CHANNELS)
                    * READ(W, 1, W + (c * TAPS_Y + ky) * TAPS_X + kx);
        }
    }
    STORE(1, sum, n, y, x, c);
}

#else

#define STORE_AT(V, value, column) STORE(V, value, n, y, x, column)

/* The taps of one row of the filter, for PLACES neighbouring places from `place` on. INSIDE(column) says whether the
 * data has a column. */
#define ADD_TAPS(PLACES, INSIDE)                                                                                       \
    _Pragma("unroll") for (int kx = 0; kx < TAPS_X; kx++) {                                                            \
        const int meets = MEETS_X(phase, kx);                                                                          \
        if (meets % PHASES_X != 0)                                                                                     \
            continue;                                                                                                  \
        const int column = place * STEP_X + meets / PHASES_X;                                                          \
        if (!(INSIDE(column)))                                                                                         \
            continue;                                                                                                  \
        const VECTOR tap = LOAD(filter + kx * LANES);                                                                  \
        _Pragma("unroll") for (int t = 0; t < (PLACES); t++)                                                           \
            sum[t] = READ(X, LANES, line + ((long)column + t * STEP_X) * CHANNELS) * tap + sum[t];                     \
    }

/* Sums of PLACES neighbouring places, which are then stored. The last block of channels begins early enough to be full,
 * and stores only what the block before it has not. */
#define MAKE(PLACES, INSIDE)                                                                                           \
    do {                                                                                                               \
        for (int block = 0; block < blocks; block++) {                                                                 \
            const int first = first_channel + block * LANES, channel = LEAST(first, CHANNELS - LANES);                 \
            VECTOR sum[PLACES];                                                                                        \
            _Pragma("unroll") for (int t = 0; t < (PLACES); t++)                                                       \
                sum[t] = (VECTOR)(0.0f);                                                                               \
            for (int ky = 0; ky < TAPS_Y; ky++) {                                                                      \
                const int meets_y = MEETS_Y(phase_y, ky), row = first_row + meets_y / PHASES_Y;                        \
                if (meets_y % PHASES_Y != 0 || row < 0 || row >= HEIGHT)                                               \
                    continue;                                                                                          \
                const __global MEMORY_X *line = image + (long)row * WIDTH * CHANNELS + channel;                        \
                const float *filter = filters + (block * TAPS_Y + ky) * TAPS_X * LANES;                                \
                ADD_TAPS(PLACES, INSIDE)                                                                               \
            }                                                                                                          \
            float made[((PLACES) + 1) * LANES] __attribute__((aligned(64)));                                           \
            _Pragma("unroll") for (int t = 0; t < (PLACES); t++)                                                       \
                SAVE(sum[t], made + t * LANES);                                                                        \
            for (int t = 0; t < (PLACES); t++) {                                                                       \
                const int x = (place + t) * PHASES_X + phase;                                                          \
                STORE_COLUMN(LOAD(made + t * LANES + first - channel), first);                                         \
            }                                                                                                          \
        }                                                                                                              \
        place += (PLACES);                                                                                             \
    } while (0)
#define EVERYWHERE(column) 1
#define WITHIN(column) ((column) >= 0 && (column) < WIDTH)

ITEM_KERNEL
{
    KERNEL_PROLOGUE
    const int first_channel = ITEM(1) * (BLOCKS * LANES);
    const int blocks = LEAST(BLOCKS, (CHANNELS - first_channel + LANES - 1) / LANES);
    float filters[BLOCKS * TAPS_Y * TAPS_X * LANES] __attribute__((aligned(64)));
    for (int block = 0; block < blocks; block++) {
        const int channel = LEAST(first_channel + block * LANES, CHANNELS - LANES);
        for (int lane = 0; lane < LANES; lane++)
            for (int tap = 0; tap < TAPS_Y * TAPS_X; tap++)
                filters[(block * TAPS_Y * TAPS_X + tap) * LANES + lane] =
                    READ(W, 1, W + (channel + lane) * (TAPS_Y * TAPS_X) + tap);
    }

    const int from = ITEM(0) * ROWS_EACH, until = LEAST(from + ROWS_EACH, BATCH * OUT_HEIGHT);
    for (int made_row = from; made_row < until; made_row++) {
        const int n = made_row / OUT_HEIGHT, y = made_row % OUT_HEIGHT;
        const int phase_y = y % PHASES_Y, first_row = y / PHASES_Y * STEP_Y;
        const __global MEMORY_X *image = X + (size_t)n * HEIGHT * WIDTH * CHANNELS;
        #pragma unroll
        for (int phase = 0; phase < PHASES_X; phase++) {
            const int places = (OUT_WIDTH - phase + PHASES_X - 1) / PHASES_X;
            /* The places all of whose taps meet a column: those from `inner` on, before `outer`. */
            int inner = 0, outer = places;
            #pragma unroll
            for (int kx = 0; kx < TAPS_X; kx++) {
                const int meets = MEETS_X(phase, kx);
                if (meets % PHASES_X != 0)
                    continue;
                const int shift = meets / PHASES_X;
                while (inner < places && inner * STEP_X + shift < 0)
                    inner++;
                while (outer > 0 && (outer - 1) * STEP_X + shift >= WIDTH)
                    outer--;
            }
            int place = 0;
            while (place < places)
                if (place >= inner && place + TILE <= outer)
                    MAKE(TILE, EVERYWHERE);
                else
                    MAKE(1, WITHIN);
        }
    }
}

#endif
