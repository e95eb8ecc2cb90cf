/* The transforms of Winograd's method as kernels of their own, for GPUs. Between them there is a matrix product for each
 * position of a transformed tile: tiled_product.cl.
 *
 *   operation    reads                           stores
 *   0 data       a patch of X[n, y, x, inner]    D[position, outer, inner] = B' patch B
 *   1 filters    a filter of X                   U[position, outer, inner] = G filter G'
 *   2 outputs    X[position, outer, inner]       a tile of Y[n, y, x, inner] = A' X A
 *   3 gradient   a tile of X[n, y, x, inner]     E[position, outer, inner] = A tile A'
 *   4 weights    X[position, outer, inner]       dW[outer, inner, ky, kx] = G' X G
 *
 * Outer is a tile of all images (0, 2, 3), a channel that the convolution sums over (1) or an output channel (4). Inner
 * is a channel. A work-item has one of each. Neighbouring work-items have neighbouring channels, which are adjacent in
 * memory but for the filters.
 *
 * Parameters, besides those of winograd_transforms.cl
 *   OPERATION                      the number above
 *   INNER, OUTER                   their extents
 *   HEIGHT, WIDTH                  the extent of the images (0, 2, 3)
 *   TILES_Y, TILES_X               tiles of an image (0, 2, 3)
 *   PAD_TOP, PAD_LEFT              rows and columns of zeros before an image of the data (0)
 *   INNER_STRIDE, OUTER_STRIDE     elements of X between neighbouring filters (1)
 *   TURN                           1: the order of the taps is reversed (1)
 * Global id: 0 = outer * INNER + inner.
 */
#if OPERATION == 0
#define FROM SIDE
#define TO SIDE
#define TRANSFORM TRANSFORM_DATA
#elif OPERATION == 1
#define FROM 3
#define TO SIDE
#define TRANSFORM TRANSFORM_FILTER
#elif OPERATION == 2
#define FROM SIDE
#define TO OUTPUTS
#define TRANSFORM TRANSFORM_SUMS
#elif OPERATION == 3
#define FROM OUTPUTS
#define TO SIDE
#define TRANSFORM TRANSFORM_GRADIENT
#else
#define FROM SIDE
#define TO 3
#define TRANSFORM TRANSFORM_WEIGHTS
#endif

#if OPERATION == 0 || OPERATION == 3
#define VALUE(y, x)                                                                                                    \
    (top + (y) >= 0 && top + (y) < HEIGHT && left + (x) >= 0 && left + (x) < WIDTH                                     \
         ? READ(X, 1, X + (((size_t)image * HEIGHT + (top + (y))) * WIDTH + (left + (x))) * INNER + inner)             \
         : 0.0f)
#elif OPERATION == 1
#define VALUE(y, x)                                                                                                    \
    READ(X, 1, X + (size_t)inner * INNER_STRIDE + (size_t)outer * OUTER_STRIDE                                         \
                   + (TURN ? 8 - (y) * 3 - (x) : (y) * 3 + (x)))
#else
#define VALUE(y, x) READ(X, 1, X + ((size_t)((y) * SIDE + (x)) * OUTER + outer) * INNER + inner)
#endif

#if OPERATION == 2
#define STORE_AT(value, y, x)                                                                                          \
    if (top + (y) < HEIGHT && left + (x) < WIDTH) STORE(1, value, image, top + (y), left + (x), inner)
#elif OPERATION == 4
#define STORE_AT(value, y, x) STORE(1, value, outer, inner, y, x)
#else
#define STORE_AT(value, y, x) STORE(1, value, (y) * SIDE + (x), outer, inner)
#endif

__kernel void KERNEL_NAME(KERNEL_PARAMETERS)
{
    KERNEL_PROLOGUE
    const int item = get_global_id(0);
    const int inner = item % INNER, outer = item / INNER;
    if (outer >= OUTER)
        return;
#if OPERATION == 0 || OPERATION == 2 || OPERATION == 3
    const int image = outer / (TILES_Y * TILES_X);
    int top = outer / TILES_X % TILES_Y * OUTPUTS, left = outer % TILES_X * OUTPUTS;
#endif
#if OPERATION == 0
    top -= PAD_TOP;
    left -= PAD_LEFT;
#endif
    float half_[TO][FROM];
    #pragma unroll
    for (int x = 0; x < FROM; x++) {
        float from[FROM], to[TO];
        #pragma unroll
        for (int y = 0; y < FROM; y++)
            from[y] = VALUE(y, x);
        TRANSFORM(from, to);
        #pragma unroll
        for (int y = 0; y < TO; y++)
            half_[y][x] = to[y];
    }
    #pragma unroll
    for (int y = 0; y < TO; y++) {
        float to[TO];
        TRANSFORM(half_[y], to);
        #pragma unroll
        for (int x = 0; x < TO; x++)
            STORE_AT(to[x], y, x);
    }
}
