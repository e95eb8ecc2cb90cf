/* Gradient of a depthwise convolution with respect to its filters, over channels-last data.
 *
 *   dW[c, ky, kx] = sum over n, oy, ox of X[n, oy*stride + ky*dilation - top, ox*stride + kx*dilation - left, c]
 *                                         * G[n, oy, ox, c]
 *
 * Elements outside of X are zero. On a CPU a work-item sums over one of SPLITS parts of the lines of G. For each line
 * it computes BLOCKS blocks of LANES channels, one after another. The sums of all taps of a block are held in
 * registers. The sums of a line are added to the total of the lines before it, which limits the rounding error. On a
 * GPU a work-item computes one tap of one channel. The splits are added up afterwards.
 *
 * Parameters
 *   BATCH, HEIGHT, WIDTH, CHANNELS  the shape of X
 *   OUT_HEIGHT, OUT_WIDTH           the extent of G
 *   TAPS_Y, TAPS_X, STRIDE_Y, _X, DILATION_Y, _X, TOP, LEFT, SPLITS  as above
 *   ON_GPU                          1: the GPU's form
 *   LANES, COLUMNS                  on a CPU those of tile.cl; COLUMNS is the channels, at least LANES
 *   BLOCKS                          on a CPU blocks of channels of a work-item
 * Global ids: CPU 0 = blocks of channels, 1 = split; GPU 0 = channel, 1 = tap, 2 = split.
 * STORE(V, value, split, c, i, ky, kx), where i is 0.
 */
#define TAPS (TAPS_Y * TAPS_X)
#define LINES (BATCH * OUT_HEIGHT)
#define FIRST_LINE(split) ((int)((long)LINES * (split) / SPLITS))

#if ON_GPU

__kernel void KERNEL_NAME(KERNEL_PARAMETERS)
{
    KERNEL_PROLOGUE
    const int c = get_global_id(0), tap = get_global_id(1), split = get_global_id(2);
    if (c >= CHANNELS)
        return;
    const int ky = tap / TAPS_X, kx = tap % TAPS_X;
    float total = 0.0f;
    for (int line = FIRST_LINE(split); line < FIRST_LINE(split + 1); line++) {
        const int row = line % OUT_HEIGHT * STRIDE_Y + ky * DILATION_Y - (TOP);
        if (row < 0 || row >= HEIGHT)
            continue;
        const __global MEMORY_X *data = X + ((size_t)(line / OUT_HEIGHT) * HEIGHT + row) * WIDTH * CHANNELS + c;
        const __global MEMORY_G *gradient = G + (size_t)line * OUT_WIDTH * CHANNELS + c;
        float part = 0.0f;
        for (int x = 0; x < OUT_WIDTH; x++) {
            const int column = x * STRIDE_X + kx * DILATION_X - (LEFT);
            if (column >= 0 && column < WIDTH)
                part += READ(X, 1, data + (size_t)column * CHANNELS) * READ(G, 1, gradient + (size_t)x * CHANNELS);
        }
        total += part;
    }
    STORE(1, total, split, c, 0, ky, kx);
}

#else

#define STORE_AT(V, value, column) STORE(V, value, split, column, 0, ky, kx)

/* The products of one element of G with what every tap meets. INSIDE(row, column) says whether X has it. */
#define ADD_TAPS(INSIDE)                                                                                               \
    do {                                                                                                               \
        const VECTOR spread = READ(G, LANES, gradient + (size_t)x * CHANNELS);                                         \
        _Pragma("unroll") for (int ky = 0; ky < TAPS_Y; ky++)                                                          \
            _Pragma("unroll") for (int kx = 0; kx < TAPS_X; kx++) {                                                    \
                const int row = top + ky * DILATION_Y, column = x * STRIDE_X + kx * DILATION_X - (LEFT);               \
                if (INSIDE(row, column)) {                                                                             \
                    const VECTOR data = READ(X, LANES, image + ((long)row * WIDTH + column) * CHANNELS);               \
                    part[ky * TAPS_X + kx] = data * spread + part[ky * TAPS_X + kx];                                   \
                }                                                                                                      \
            }                                                                                                          \
    } while (0)
#define EVERYWHERE(row, column) 1
#define WITHIN(row, column) ((row) >= 0 && (row) < HEIGHT && (column) >= 0 && (column) < WIDTH)

ITEM_KERNEL
{
    KERNEL_PROLOGUE
    const int first_channel = ITEM(0) * (BLOCKS * LANES);
    const int blocks = LEAST(BLOCKS, (CHANNELS - first_channel + LANES - 1) / LANES);
    const int split = ITEM(1);
    float total[(BLOCKS * TAPS + 1) * LANES] __attribute__((aligned(64)));
    for (int k = 0; k < BLOCKS * TAPS * LANES; k++)
        total[k] = 0.0f;
    for (int made_line = FIRST_LINE(split); made_line < FIRST_LINE(split + 1); made_line++) {
        const int top = made_line % OUT_HEIGHT * STRIDE_Y - (TOP);
        const int is_inner = top >= 0 && top + (TAPS_Y - 1) * DILATION_Y < HEIGHT;
        for (int block = 0; block < blocks; block++) {
            const int channel = LEAST(first_channel + block * LANES, CHANNELS - LANES);
            const __global MEMORY_X *image = X + (size_t)(made_line / OUT_HEIGHT) * HEIGHT * WIDTH * CHANNELS + channel;
            const __global MEMORY_G *gradient = G + (size_t)made_line * OUT_WIDTH * CHANNELS + channel;
            VECTOR part[TAPS];
            #pragma unroll
            for (int k = 0; k < TAPS; k++)
                part[k] = (VECTOR)(0.0f);
            for (int x = 0; x < OUT_WIDTH; x++) {
                const int left = x * STRIDE_X - (LEFT);
                if (is_inner && left >= 0 && left + (TAPS_X - 1) * DILATION_X < WIDTH)
                    ADD_TAPS(EVERYWHERE);
                else
                    ADD_TAPS(WITHIN);
            }
            float *sums = total + block * TAPS * LANES;
            #pragma unroll
            for (int k = 0; k < TAPS; k++)
                SAVE(LOAD(sums + k * LANES) + part[k], sums + k * LANES);
        }
    }
    /* The last block of channels began early enough to be full: it stores what the block before it has not. */
    for (int block = 0; block < blocks; block++) {
        const int first = first_channel + block * LANES, skipped = first - LEAST(first, CHANNELS - LANES);
        for (int k = 0; k < TAPS; k++) {
            const int ky = k / TAPS_X, kx = k % TAPS_X;
            STORE_COLUMN(LOAD(total + (block * TAPS + k) * LANES + skipped), first);
        }
    }
}

#endif
