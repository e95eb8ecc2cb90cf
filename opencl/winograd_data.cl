/* The data of Winograd's method: the transforms of patches of SIDE x SIDE pixels of channels-last X, one for each tile
 * of OUTPUTS x OUTPUTS pixels of the other image. X is zero outside of its extent.
 *
 * Parameters, besides those of tile.cl and winograd_transforms.cl
 *   BATCH, HEIGHT, WIDTH, CHANNELS  the shape of X
 *   OUT_HEIGHT, OUT_WIDTH           the extent of the image that is divided into tiles
 *   PAD_TOP, PAD_LEFT               rows and columns of zeros before X
 */
#define TILES_Y ((OUT_HEIGHT + OUTPUTS - 1) / OUTPUTS)
#define TILES_X ((OUT_WIDTH + OUTPUTS - 1) / OUTPUTS)
#define TILES (BATCH * TILES_Y * TILES_X)

/* Loops that are not unrolled keep the kernel short: some compilers take seconds for a long one. */
#define IN_TURN _Pragma("clang loop unroll(disable)")

/* D of V channels from `corner` on, of the patch whose rows `above` to `below` and columns `before` to `behind` lie
 * inside X. */
#define TRANSFORM_PATCH(V, TYPE, PUT)                                                                                  \
    do {                                                                                                               \
        TYPE half_[SIDE][SIDE];                                                                                        \
        IN_TURN for (int x = 0; x < SIDE; x++) {                                                                       \
            TYPE d[SIDE], r[SIDE];                                                                                     \
            _Pragma("unroll") for (int y = 0; y < SIDE; y++)                                                           \
                d[y] = x >= before && x < behind && y >= above && y < below                                            \
                    ? READ(X, V, corner + (y * WIDTH + x) * CHANNELS)                                                  \
                    : (TYPE)(0.0f);                                                                                    \
            TRANSFORM_DATA(d, r);                                                                                      \
            _Pragma("unroll") for (int y = 0; y < SIDE; y++)                                                           \
                half_[y][x] = r[y];                                                                                    \
        }                                                                                                              \
        IN_TURN for (int y = 0; y < SIDE; y++) {                                                                       \
            TYPE r[SIDE];                                                                                              \
            TRANSFORM_DATA(half_[y], r);                                                                               \
            _Pragma("unroll") for (int x = 0; x < SIDE; x++)                                                           \
                PUT(r[x], to + (y * SIDE + x) * step);                                                                 \
        }                                                                                                              \
    } while (0)
#define PUT_FLOAT(value, pointer) (*(pointer) = (value))

/* D of `depth` channels from c0 on, of one tile. `step` is the distance of neighbouring positions. */
inline void transform_data(const __global MEMORY_X *X, float *to, const int step, const int tile, const int c0,
                           const int depth)
{
    const int top = tile / TILES_X % TILES_Y * OUTPUTS - PAD_TOP, left = tile % TILES_X * OUTPUTS - PAD_LEFT;
    const int above = -top, below = HEIGHT - top, before = -left, behind = WIDTH - left;
    const long first = ((long)(tile / (TILES_X * TILES_Y)) * HEIGHT + top) * WIDTH + left;
    const __global MEMORY_X *corner = X + first * CHANNELS + c0;
    int c = 0;
    for (; c + LANES <= depth; c += LANES, corner += LANES, to += LANES)
        TRANSFORM_PATCH(LANES, VECTOR, SAVE);
#if CHANNELS % LANES != 0
    for (; c < depth; c++, corner++, to++)
        TRANSFORM_PATCH(1, float, PUT_FLOAT);
#endif
}
