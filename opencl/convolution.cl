/* Convolution over channels-last data, for CPU devices. A work-group is one work-item.
 *
 *   Y[n, oy, ox, o] = sum over ky, kx, i of X[n, oy*stride + ky*dilation, ox*stride + kx*dilation, i] W[o, i, ky, kx]
 *
 *            VECTORS x LANES output channels
 *           +-----------------------+
 *           |  panel of filters     |  packed by pack_filters.cl, [ky][kx][i][VECTORS x LANES]
 *           +-----------------------+
 *   +-----+ +-----------------------+
 *   |  X  | |  TILE_N x TILE_Y x    |  sums of a block of output pixels, held in registers: each step loads VECTORS
 *   |     | |  TILE_X output pixels |  vectors of the panel and broadcasts one number of X for every pixel
 *   +-----+ +-----------------------+
 *
 * X contains the padding, so every window lies inside X. At the far edges tiles overlap: the last tile starts earlier
 * and does not store the pixels of its predecessor.
 *
 * The gradient with respect to the input is the same computation on the padded gradient of the output, with the taps of
 * the filters reversed. With a stride s it has s x s phases, one for each remainder of the output row and column modulo
 * s. A phase uses only every s-th tap. PHASES is s in the gradient and 1 in the forward direction.
 *
 * Parameters, besides those of tile.cl (COLUMNS is the output channels of one group)
 *   BATCH, HEIGHT, WIDTH, CHANNELS  the shape of X, all groups
 *   GROUP_CHANNELS                  channels of X in one group
 *   OUT_HEIGHT, OUT_WIDTH           the extent of Y
 *   GRID_HEIGHT, GRID_WIDTH         outputs of one phase: OUT_HEIGHT / PHASES, rounded up
 *   TAPS_Y, TAPS_X                  the extent of the filters
 *   STRIDE_Y, STRIDE_X              elements of X, in rows and columns, between neighbouring outputs of a phase
 *   TAP_STEP_Y, TAP_STEP_X          elements of X, in rows and columns, between neighbouring taps of a phase
 *   PHASES_Y, PHASES_X              phases; more than 1 only in the gradient
 *   PHASE_DILATION_Y, _X            the convolution's dilation, which determines the taps of a phase
 *   ORIGIN_Y, ORIGIN_X              PHASES times the row (column) of X that the first tap of the first output reads;
 *                                   the row may be fractional; 0 in the forward direction
 *   BLANK_TOP, BLANK_BOTTOM         rows of X that contain only zeros; taps that read only such rows are skipped
 *   TILE_N, TILE_Y, TILE_X, VECTORS the register tile
 *   ROWS_PER_ITEM                   rows of tiles of a work-item
 *   PANELS                          panels of one group
 *   SPAN                            panels of a work-item
 * Global ids: 0 = block of tile rows, 1 = span of panels + spans of a group * group, 2 = phase.
 */
#define PANEL (VECTORS * LANES)
#define PIXELS (TILE_N * TILE_Y * TILE_X)
#define SPANS ((PANELS + SPAN - 1) / SPAN)
#define PANEL_FLOATS (TAPS_Y * TAPS_X * GROUP_CHANNELS * PANEL)
#define TILES_N ((BATCH + TILE_N - 1) / TILE_N)
#define TILES_Y ((GRID_HEIGHT + TILE_Y - 1) / TILE_Y)
#define TILES_X ((GRID_WIDTH + TILE_X - 1) / TILE_X)
#define STORE_AT(V, value, column) STORE(V, value, n, y, x, base + (column))

/* Distance in X of a pixel of the tile from the tile's first one. */
#define PIXEL_OFFSET(p)                                                                                                \
    (((size_t)((p) / (TILE_Y * TILE_X)) * HEIGHT * WIDTH + ((p) / TILE_X % TILE_Y) * STRIDE_Y * WIDTH                  \
      + (p) % TILE_X * STRIDE_X) * CHANNELS)

/* One step: the products of all pixels of the tile with one row of the panel. */
#define ACCUMULATE(data, filters)                                                                                      \
    do {                                                                                                               \
        VECTOR filter_[VECTORS];                                                                                       \
        _Pragma("unroll") for (int v = 0; v < VECTORS; v++)                                                            \
            filter_[v] = READ(W, LANES, (filters) + v * LANES);                                                        \
        _Pragma("unroll") for (int p = 0; p < PIXELS; p++) {                                                           \
            const VECTOR spread_ = (VECTOR)(READ(X, 1, (data) + PIXEL_OFFSET(p)));                                     \
            _Pragma("unroll") for (int v = 0; v < VECTORS; v++)                                                        \
                sum[p][v] = spread_ * filter_[v] + sum[p][v];                                                          \
        }                                                                                                              \
    } while (0)

/* Taps of a phase in one direction: every `step`-th from `start` on, `count` in all; `origin` is the row (column) of X
 * under the first of them for the phase's first output. */
typedef struct {
    int start, step, count, origin;
} Taps;

/* Tap t meets the first output of `phase` at row (origin + phase + t * dilation) / phases of X, where that is whole. */
inline Taps phase_taps(const int phase, const int phases, const int taps, const int dilation, const int origin)
{
    Taps result = {0, 1, 0, 0};
    int previous = -1;
    for (int t = 0; t < taps; t++) {
        const int distance = origin + phase + t * dilation;
        if (distance % phases == 0) {
            if (result.count == 0) {
                result.start = t;
                result.origin = distance / phases;
            } else if (result.count == 1) {
                result.step = t - previous;
            }
            previous = t;
            result.count++;
        }
    }
    return result;
}

ITEM_KERNEL
{
    KERNEL_PROLOGUE
    const int group = ITEM(1) / SPANS;
    const int first_panel = ITEM(1) % SPANS * SPAN, last_panel = LEAST(first_panel + SPAN, PANELS);
    const int base = group * COLUMNS;
#if PHASES_Y * PHASES_X > 1
    const int phase_y = ITEM(2) / PHASES_X;
    const int phase_x = ITEM(2) % PHASES_X;
    const Taps taps_y = phase_taps(phase_y, PHASES_Y, TAPS_Y, PHASE_DILATION_Y, ORIGIN_Y);
    const Taps taps_x = phase_taps(phase_x, PHASES_X, TAPS_X, PHASE_DILATION_X, ORIGIN_X);
#else
    const int phase_y = 0, phase_x = 0;
    const Taps taps_y = {0, 1, TAPS_Y, ORIGIN_Y};
    const Taps taps_x = {0, 1, TAPS_X, ORIGIN_X};
#endif
    float tile[PIXELS * PANEL] __attribute__((aligned(64)));

    const int first = ITEM(0) * ROWS_PER_ITEM;
    const int last = LEAST(first + ROWS_PER_ITEM, TILES_N * TILES_Y);
    for (int row = first; row < last; row++) {
        const int next_n = row / TILES_Y * TILE_N, next_y = row % TILES_Y * TILE_Y;
        const int tile_n = LEAST(next_n, BATCH - TILE_N), tile_y = LEAST(next_y, GRID_HEIGHT - TILE_Y);
        /* All panels of a row of tiles, one after the other: the cache collects the whole lines of Y. */
        for (int each = first_panel * TILES_X; each < last_panel * TILES_X; each++) {
            const int column = each / TILES_X * PANEL;
            const __global MEMORY_W *panel = W + (size_t)(group * PANELS + each / TILES_X) * PANEL_FLOATS;
            const int next_x = each % TILES_X * TILE_X;
            const int tile_x = LEAST(next_x, GRID_WIDTH - TILE_X);
            const __global MEMORY_X *corner = X
                + (((size_t)tile_n * HEIGHT + tile_y * STRIDE_Y + taps_y.origin) * WIDTH
                   + tile_x * STRIDE_X + taps_x.origin) * CHANNELS
                + group * GROUP_CHANNELS;
            VECTOR sum[PIXELS][VECTORS];
            #pragma unroll
            for (int p = 0; p < PIXELS; p++)
                #pragma unroll
                for (int v = 0; v < VECTORS; v++)
                    sum[p][v] = (VECTOR)(0.0f);

            for (int ky = 0; ky < taps_y.count; ky++) {
                const int top = tile_y * STRIDE_Y + taps_y.origin + ky * TAP_STEP_Y;
                if (top + (TILE_Y - 1) * STRIDE_Y < BLANK_TOP || top >= HEIGHT - BLANK_BOTTOM)
                    continue;
                const __global MEMORY_X *line = corner + (size_t)ky * TAP_STEP_Y * WIDTH * CHANNELS;
                const __global MEMORY_W *filters =
                    panel + (size_t)(taps_y.start + ky * taps_y.step) * (TAPS_X * GROUP_CHANNELS * PANEL);
#if PHASES_Y * PHASES_X == 1 && TAP_STEP_X == 1 && GROUP_CHANNELS == CHANNELS
                for (int j = 0; j < TAPS_X * CHANNELS; j++)
                    ACCUMULATE(line + j, filters + j * PANEL);
#else
                for (int kx = 0; kx < taps_x.count; kx++) {
                    const __global MEMORY_X *data = line + kx * TAP_STEP_X * CHANNELS;
                    const __global MEMORY_W *tap =
                        filters + (taps_x.start + kx * taps_x.step) * (GROUP_CHANNELS * PANEL);
                    for (int i = 0; i < GROUP_CHANNELS; i++)
                        ACCUMULATE(data + i, tap + i * PANEL);
                }
#endif
            }
            #pragma unroll
            for (int p = 0; p < PIXELS; p++)
                #pragma unroll
                for (int v = 0; v < VECTORS; v++)
                    SAVE(sum[p][v], tile + p * PANEL + v * LANES);

            /* One loop, no deeper than that of the products: a compiler takes inner loops for the hot ones, and keeps the
             * constants of the epilogue in registers that the sums need. */
            for (int pixel = 0; pixel < PIXELS; pixel++) {
                const int n = tile_n + pixel / (TILE_Y * TILE_X);
                const int grid_y = tile_y + pixel / TILE_X % TILE_Y, grid_x = tile_x + pixel % TILE_X;
                const int y = grid_y * PHASES_Y + phase_y, x = grid_x * PHASES_X + phase_x;
                if (n < next_n || grid_y < next_y || grid_x < next_x)
                    continue;
#if PHASES_Y * PHASES_X > 1
                if (y >= OUT_HEIGHT || x >= OUT_WIDTH)
                    continue;
#endif
                #pragma unroll
                for (int v = 0; v < VECTORS; v++)
                    STORE_COLUMN(LOAD(tile + pixel * PANEL + v * LANES), column + v * LANES);
            }
        }
    }
}
