/* Gradient of a convolution with respect to its filters of 3 x 3 taps, with stride 1, by Winograd's method, for CPU
 * devices. A work-group is one work-item.
 *
 *   dW[o, i, ky, kx] = sum over n, oy, ox of X[n, oy + ky, ox + kx, i] G[n, oy, ox, o]
 *
 * A tile of G has OUTPUTS x OUTPUTS pixels and meets a patch of SIDE x SIDE pixels of X, with SIDE = OUTPUTS + 2.
 * With the matrices of winograd_transforms.cl,
 *
 *   D = B' patch B,     E = A tile A',     dW = G' (sum over tiles of D * E) G
 *
 * where * multiplies position by position, for each pair of channels: 36 products for a tile instead of 144, or
 * 16 instead of 36.
 *
 *                        FILTERS_EACH output channels
 *                       +-----------------+-----------------+
 *                       | E, one position |                 |  CHUNK tiles at a time
 *                       +-----------------+-----------------+
 *   +-----------------+ +-----------------+-----------------+
 *   | D, one position,| | sums of ROWS    |                 |  a register tile has ROWS channels of X and
 *   | transposed      | | channels        |                 |  VECTORS x LANES output channels
 *   | CHANNELS_EACH   | +-----------------+-----------------+
 *   +-----------------+
 *
 * A work-item sums over one of SPLITS parts of the tiles, for CHANNELS_EACH channels of X and FILTERS_EACH output
 * channels. D, E and the sums of all positions are in private memory. The splits are added up afterwards.
 *
 * Parameters, besides those of tile.cl (COLUMNS is the output channels) and winograd_data.cl
 *   ROWS, VECTORS                   the register tile
 *   CHANNELS_EACH                   a multiple of ROWS, and of LANES if there are several blocks of channels
 *   FILTERS_EACH                    a multiple of VECTORS x LANES
 *   CHUNK                           tiles that are transformed at once
 *   SPLITS                          parts of the sum
 * Global ids: 0 = block of channels of X, 1 = block of output channels, 2 = split.
 */
#define PANEL (VECTORS * LANES)
/* Whole vectors of channels are transformed. The 16 keep the positions out of the same sets of the cache. */
#define DATA_ROW ((CHANNELS_EACH + LANES - 1) / LANES * LANES)
#define DATA_STEP (CHUNK * DATA_ROW + 16)
#define GRADIENT_STEP (CHUNK * FILTERS_EACH + 16)
#define SUM_STEP (CHANNELS_EACH * FILTERS_EACH + 16)
#define STORE_AT(V, value, column) STORE(V, value, split, column, i, ky, kx)

/* E of V output channels from `corner` on, of the tile of which `height` rows and `width` columns lie inside G. */
#define TRANSFORM_TILE(V, TYPE, PUT)                                                                                   \
    do {                                                                                                               \
        TYPE half_[SIDE][OUTPUTS];                                                                                     \
        IN_TURN for (int x = 0; x < OUTPUTS; x++) {                                                                    \
            TYPE g[OUTPUTS], r[SIDE];                                                                                  \
            _Pragma("unroll") for (int y = 0; y < OUTPUTS; y++)                                                        \
                g[y] = x < width && y < height ? READ(G, V, corner + (y * OUT_WIDTH + x) * COLUMNS) : (TYPE)(0.0f);    \
            TRANSFORM_GRADIENT(g, r);                                                                                  \
            _Pragma("unroll") for (int y = 0; y < SIDE; y++)                                                           \
                half_[y][x] = r[y];                                                                                    \
        }                                                                                                              \
        IN_TURN for (int y = 0; y < SIDE; y++) {                                                                       \
            TYPE r[SIDE];                                                                                              \
            TRANSFORM_GRADIENT(half_[y], r);                                                                           \
            _Pragma("unroll") for (int x = 0; x < SIDE; x++)                                                           \
                PUT(r[x], to + (y * SIDE + x) * GRADIENT_STEP);                                                        \
        }                                                                                                              \
    } while (0)

/* E of `count` output channels from `start` on, of one tile. */
inline void transform_gradient(const __global MEMORY_G *G, float *to, const int tile, const int start,
                               const int count)
{
    const int top = tile / TILES_X % TILES_Y * OUTPUTS, left = tile % TILES_X * OUTPUTS;
    const int height = OUT_HEIGHT - top, width = OUT_WIDTH - left;
    const long first = ((long)(tile / (TILES_X * TILES_Y)) * OUT_HEIGHT + top) * OUT_WIDTH + left;
    const __global MEMORY_G *corner = G + first * COLUMNS + start;
    int o = 0;
    for (; o + LANES <= count; o += LANES, corner += LANES, to += LANES)
        TRANSFORM_TILE(LANES, VECTOR, SAVE);
#if EDGE != 0
    for (; o < count; o++, corner++, to++)
        TRANSFORM_TILE(1, float, PUT_FLOAT);
#endif
}

ITEM_KERNEL
{
    KERNEL_PROLOGUE
    const int above = ITEM(0) * CHANNELS_EACH, before = ITEM(1) * FILTERS_EACH;
    const int split = ITEM(2);
    const int depth = LEAST(DATA_ROW, CHANNELS - above);
    const int channels = LEAST(CHANNELS_EACH, CHANNELS - above), filters = LEAST(FILTERS_EACH, COLUMNS - before);
    const int first = (int)((long)TILES * split / SPLITS), last = (int)((long)TILES * (split + 1) / SPLITS);

    float data[POSITIONS * DATA_STEP] __attribute__((aligned(64)));
    float gradient[POSITIONS * GRADIENT_STEP] __attribute__((aligned(64)));
    float sums[POSITIONS * SUM_STEP] __attribute__((aligned(64)));

    /* Channels beyond the last are not stored, but must not be denormal either: those are slow. */
    if (channels < CHANNELS_EACH)
        for (int e = 0; e < POSITIONS * DATA_STEP; e++)
            data[e] = 0.0f;
    if (filters < FILTERS_EACH)
        for (int e = 0; e < POSITIONS * GRADIENT_STEP; e++)
            gradient[e] = 0.0f;

    for (int start = first; start < last; start += CHUNK) {
        const int tiles = LEAST(CHUNK, last - start);
        for (int t = 0; t < tiles; t++) {
            transform_data(X, data + t * DATA_ROW, DATA_STEP, start + t, above, depth);
            transform_gradient(G, gradient + t * FILTERS_EACH, start + t, before, filters);
        }
        for (int position = 0; position < POSITIONS; position++)
            for (int column = 0; column < filters; column += PANEL)
                for (int row = 0; row < channels; row += ROWS) {
                    const float *d = data + position * DATA_STEP + row;
                    const float *g = gradient + position * GRADIENT_STEP + column;
                    float *kept = sums + position * SUM_STEP + row * FILTERS_EACH + column;
                    VECTOR sum[ROWS][VECTORS];
                    #pragma unroll
                    for (int r = 0; r < ROWS; r++)
                        #pragma unroll
                        for (int v = 0; v < VECTORS; v++)
                            sum[r][v] = start == first ? (VECTOR)(0.0f) : LOAD(kept + r * FILTERS_EACH + v * LANES);
                    for (int t = 0; t < tiles; t++) {
                        VECTOR e[VECTORS];
                        #pragma unroll
                        for (int v = 0; v < VECTORS; v++)
                            e[v] = LOAD(g + t * FILTERS_EACH + v * LANES);
                        #pragma unroll
                        for (int r = 0; r < ROWS; r++) {
                            const VECTOR spread = (VECTOR)(d[t * DATA_ROW + r]);
                            #pragma unroll
                            for (int v = 0; v < VECTORS; v++)
                                sum[r][v] = spread * e[v] + sum[r][v];
                        }
                    }
                    #pragma unroll
                    for (int r = 0; r < ROWS; r++)
                        #pragma unroll
                        for (int v = 0; v < VECTORS; v++)
                            SAVE(sum[r][v], kept + r * FILTERS_EACH + v * LANES);
                }
    }

    for (int row = 0; row < channels; row++)
        for (int column = 0; column < filters; column += LANES) {
            const float *from = sums + row * FILTERS_EACH + column;
            const int i = above + row;
            VECTOR half_[3][SIDE];
            float result[9 * LANES] __attribute__((aligned(64)));
            IN_TURN for (int x = 0; x < SIDE; x++) {
                VECTOR m[SIDE], r[3];
                #pragma unroll
                for (int y = 0; y < SIDE; y++)
                    m[y] = LOAD(from + (y * SIDE + x) * SUM_STEP);
                TRANSFORM_WEIGHTS(m, r);
                #pragma unroll
                for (int y = 0; y < 3; y++)
                    half_[y][x] = r[y];
            }
            IN_TURN for (int y = 0; y < 3; y++) {
                VECTOR r[3];
                TRANSFORM_WEIGHTS(half_[y], r);
                #pragma unroll
                for (int x = 0; x < 3; x++)
                    SAVE(r[x], result + (y * 3 + x) * LANES);
            }
            for (int ky = 0; ky < 3; ky++)
                for (int kx = 0; kx < 3; kx++)
                    STORE_COLUMN(LOAD(result + (ky * 3 + kx) * LANES), before + column);
        }
}
