/* Gradient of a convolution with respect to its filters, over channels-last data, for CPU devices. A work-group is one
 * work-item.
 *
 *   dW[o, i, ky, kx] = sum over n, oy, ox of X[n, oy*stride + ky*dilation, ox*stride + kx*dilation, i] G[n, oy, ox, o]
 *
 *                  VECTORS x LANES output channels
 *                 +-----------------------+
 *                 |  G, packed            |  LINES output rows at a time (of any image), copied to private memory
 *                 |  (pixels)             |
 *                 +-----------------------+
 *   +-----------+ +-----------------------+
 *   | X,        | | ROWS sums, held in    |  a row is one (kx, i) of a fixed ky; if the dilation is 1,
 *   | (pixels)  | | registers             |  the rows of a pixel are neighbours in X
 *   +-----------+ | next ROWS rows        |  BLOCKS such tiles use the same packed pixels; their sums are kept in
 *                 +-----------------------+  private memory in between
 *
 * A work-item computes BLOCKS tiles of each of SPAN panels, for TAP_ROWS successive ky and, with a dilation or groups,
 * one kx. It sums over one of SPLITS parts of the output rows. The splits are added up afterwards.
 *
 * Parameters, besides those of tile.cl (COLUMNS is the output channels of one group)
 *   BATCH, HEIGHT, WIDTH, CHANNELS  the shape of X, all groups
 *   GROUPS, GROUP_CHANNELS          groups, and channels of X in one group
 *   OUT_HEIGHT, OUT_WIDTH           the extent of G
 *   TAPS_Y, TAPS_X                  the extent of the filters
 *   STRIDE_Y, _X, DILATION_Y, _X    as in the formula
 *   MERGE_X                         1: the rows run over (kx, i); 0: over i
 *   ROWS, VECTORS                   the register tile
 *   BLOCKS                          tiles of a work-item
 *   TAP_ROWS                        rows of taps of a work-item: 1, or TAPS_Y with MERGE_X
 *   LINES                           output rows of one packed chunk
 *   SPAN                            panels of a work-item, side by side
 *   SPANS                           spans of one group
 *   COPY_X                          1: copy each tile's part of X first, for all panels of the span
 *   ITEMS                           work-items side by side along the rows
 *   SPLITS                          parts of the sum
 * Global ids: 0 = item + ITEMS * (MERGE_X ? ky / TAP_ROWS : kx + TAPS_X * ky), 1 = span + SPANS * group, 2 = split.
 */
#define PANEL (VECTORS * LANES)
#define EXTENT (MERGE_X ? TAPS_X * GROUP_CHANNELS : GROUP_CHANNELS)
#define ALL_LINES (BATCH * OUT_HEIGHT)
#define OUT_CHANNELS (COLUMNS * GROUPS)
#define STORE_AT(V, value, column) STORE(V, value, split, base + (column), i, ky, kx)

/* Where output row `line` (of any image) begins in X. */
#define LINE_OFFSET(line) (((size_t)((line) / OUT_HEIGHT) * HEIGHT + (line) % OUT_HEIGHT * STRIDE_Y) * WIDTH * CHANNELS)

#if COPY_X
#define LOAD_DATA(pointer) (*(pointer))
#else
#define LOAD_DATA(pointer) READ(X, 1, pointer)
#endif

/* One step: the products of ROWS numbers of X with the packed gradient of one pixel. */
#define ACCUMULATE(data, gradient)                                                                                     \
    do {                                                                                                               \
        VECTOR value_[VECTORS];                                                                                        \
        _Pragma("unroll") for (int v = 0; v < VECTORS; v++)                                                            \
            value_[v] = LOAD((gradient) + v * LANES);                                                                  \
        _Pragma("unroll") for (int r = 0; r < ROWS; r++) {                                                             \
            const VECTOR spread_ = (VECTOR)(LOAD_DATA((data) + r));                                                    \
            _Pragma("unroll") for (int v = 0; v < VECTORS; v++)                                                        \
                sum[r][v] = spread_ * value_[v] + sum[r][v];                                                           \
        }                                                                                                              \
    } while (0)

/* Copies the columns of one panel, from `column` on, of `pixels` successive pixels. */
inline void pack_gradient(const __global MEMORY_G *gradient, float *packed, const int pixels, const int column)
{
    gradient += column;
    for (int pixel = 0; pixel < pixels; pixel++, gradient += OUT_CHANNELS, packed += PANEL) {
        #pragma unroll
        for (int v = 0; v < VECTORS; v++) {
            if (column + (v + 1) * LANES <= COLUMNS)
                SAVE(READ(G, LANES, gradient + v * LANES), packed + v * LANES);
            else if (EDGE != 0 && column + v * LANES < COLUMNS)
                COPY_PIECES(G, EDGE, gradient + v * LANES, packed + v * LANES);
        }
    }
}

#if COPY_X
/* Copies ROWS numbers of X for every pixel of the output rows `start` to `stop`. */
inline void copy_strip(const __global MEMORY_X *data, float *strip, const int start, const int stop)
{
    for (int line = start; line < stop; line++) {
        const __global MEMORY_X *x = data + LINE_OFFSET(line);
        for (int pixel = 0; pixel < OUT_WIDTH; pixel++, x += STRIDE_X * CHANNELS, strip += ROWS) {
            #pragma unroll
            for (int v = 0; v < ROWS / 16; v++)
                SAVE_PRIVATE(16, READ(X, 16, x + v * 16), strip + v * 16);
            COPY_PIECES(X, ROWS % 16, x + ROWS / 16 * 16, strip + ROWS / 16 * 16);
        }
    }
}
#endif

ITEM_KERNEL
{
    KERNEL_PROLOGUE
    const int tap = ITEM(0) / ITEMS;
    const int ky0 = MERGE_X ? tap * TAP_ROWS : tap / TAPS_X;
    const int tap_x = MERGE_X ? 0 : tap % TAPS_X;
    const int first = ITEM(0) % ITEMS * BLOCKS;
    const int last = LEAST(first + BLOCKS, (EXTENT + ROWS - 1) / ROWS);
    const int group = ITEM(1) / SPANS;
    const int left = ITEM(1) % SPANS * (SPAN * PANEL);
    const int span = LEAST(SPAN, (COLUMNS - left + PANEL - 1) / PANEL);
    const int base = group * COLUMNS;
    const int split = ITEM(2);

    float rest[TAP_ROWS * BLOCKS * SPAN * ROWS * PANEL] __attribute__((aligned(64)));
    float packed[SPAN * LINES * OUT_WIDTH * PANEL] __attribute__((aligned(64)));
#if COPY_X
    float strip[LINES * OUT_WIDTH * ROWS] __attribute__((aligned(64)));
#endif
    for (int s = 0; s < TAP_ROWS * BLOCKS * SPAN * ROWS * PANEL; s++)
        rest[s] = 0.0f;
#if COLUMNS % PANEL != 0
    if (left + span * PANEL > COLUMNS)
        for (int e = (span - 1) * LINES * OUT_WIDTH * PANEL; e < span * LINES * OUT_WIDTH * PANEL; e++)
            packed[e] = 0.0f; /* lanes that are not stored must not be denormal either: those are slow */
#endif

    const int end = (int)((long)ALL_LINES * (split + 1) / SPLITS);
    for (int start = (int)((long)ALL_LINES * split / SPLITS); start < end; start += LINES) {
        const int stop = LEAST(start + LINES, end);
        for (int p = 0; p < span; p++)
            pack_gradient(G + (size_t)start * (OUT_WIDTH * OUT_CHANNELS) + base,
                          packed + p * (LINES * OUT_WIDTH * PANEL), (stop - start) * OUT_WIDTH, left + p * PANEL);
        for (int each = 0; each < TAP_ROWS * (last - first); each++) {
            const int ky = ky0 + each / (last - first), block = first + each % (last - first);
            const int top = LEAST(block * ROWS, EXTENT - ROWS);
            const __global MEMORY_X *data =
                X + (ky * DILATION_Y * WIDTH + tap_x * DILATION_X) * CHANNELS + group * GROUP_CHANNELS + top;
#if COPY_X
            copy_strip(data, strip, start, stop);
#endif
            for (int p = 0; p < span; p++) {
                float *kept = rest + (each * SPAN + p) * (ROWS * PANEL);
                const float *g = packed + p * (LINES * OUT_WIDTH * PANEL);
                VECTOR sum[ROWS][VECTORS];
                #pragma unroll
                for (int r = 0; r < ROWS; r++)
                    #pragma unroll
                    for (int v = 0; v < VECTORS; v++)
                        sum[r][v] = LOAD(kept + r * PANEL + v * LANES);
#if COPY_X
                const float *x = strip;
                for (int pixel = 0; pixel < (stop - start) * OUT_WIDTH; pixel++, g += PANEL, x += ROWS)
                    ACCUMULATE(x, g);
#else
                for (int line = start; line < stop; line++) {
                    const __global MEMORY_X *x = data + LINE_OFFSET(line);
                    for (int pixel = 0; pixel < OUT_WIDTH; pixel++, g += PANEL, x += STRIDE_X * CHANNELS)
                        ACCUMULATE(x, g);
                }
#endif
                #pragma unroll
                for (int r = 0; r < ROWS; r++)
                    #pragma unroll
                    for (int v = 0; v < VECTORS; v++)
                        SAVE(sum[r][v], kept + r * PANEL + v * LANES);
            }
        }
    }
    for (int each = 0; each < TAP_ROWS * (last - first); each++) {
        const int ky = ky0 + each / (last - first), block = first + each % (last - first);
        const int top = LEAST(block * ROWS, EXTENT - ROWS);
        for (int row = block * ROWS; row < top + ROWS; row++) {
            const int i = row % GROUP_CHANNELS;
            const int kx = MERGE_X ? row / GROUP_CHANNELS : tap_x;
            for (int p = 0; p < span; p++) {
                const float *values = rest + ((each * SPAN + p) * ROWS + row - top) * PANEL;
                for (int v = 0; v < VECTORS; v++)
                    STORE_COLUMN(LOAD(values + v * LANES), left + p * PANEL + v * LANES);
            }
        }
    }
}
